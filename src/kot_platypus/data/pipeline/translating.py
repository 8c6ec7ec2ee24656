"""Drafts translated: once all of them, and once more, in another way, those that fail a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.checks import Finding
from kot_platypus.checks.findings import shorten
from kot_platypus.checks.glossary import find_terms
from kot_platypus.data.dataset_recipe import TranslateSection
from kot_platypus.data.pipeline.drafts import (
    PROTECTION,
    ROWS,
    UNANSWERED,
    Draft,
    Origin,
    Translation,
    check_draft,
    iter_drafts,
)
from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.ledger import Bill, open_ledger
from kot_platypus.data.translation.options import (
    TARGET,
    mark_row,
    shares_options,
    word_options,
)
from kot_platypus.data.translation.services import FLAWS, Translator, open_service
from kot_platypus.data.translation.translate import (
    Marked,
    Translated,
    TranslationCost,
    estimate,
    translate_texts,
)
from kot_platypus.progress import show_progress
from kot_platypus.records import Row
from kot_platypus.row_texts import list_texts, replace_texts
from kot_platypus.stages import open_stage

Step = Literal["translate", "retry"]
_CHUNK_ROWS = 256
_PROBLEMS = {
    "lost": "the placeholder of {!r} was lost",
    "repeated": "the placeholder of {!r} was repeated",
    "unknown": "a placeholder that was never there",
    "wordless": "the translation has no words",
    "too_long": "too long for one request of the service",
    "empty": "the service's answer is empty",
    "cut": "the service's answer was cut off",
    "filtered": "a filter of the service stopped its answer",
    "refused": "the service refused this text",
}


@dataclass(frozen=True)
class Account:
    """Where translations are kept and paid from: a ledger's folder, a name in it, a budget."""

    folder: Path
    name: str
    budget_chars: int | None = None

    def bill(self) -> Bill:
        """What was paid so far."""
        with open_ledger(self.folder, self.name) as ledger:
            return ledger.bill()


def make_translator(section: TranslateSection, *, retry: bool = False) -> Translator:
    """The service of a recipe, as for the first or the second try. Raises RecipeError."""
    options = {**section.options, **(section.retry if retry else {})}
    settings = {"glossary": section.glossary, "speech": section.speech}
    told = {name: value for name, value in settings.items() if value and name not in options}
    return open_service(section.service, options, "translate", told)


def estimate_rows(rows: Path, section: TranslateSection, account: Account) -> TranslationCost:
    """What translating the drafts in ``rows`` once would still cost. Nothing is sent."""
    texts = (
        text
        for draft in iter_drafts(rows)
        if not draft.is_korean
        for text in mark_row(draft.original).values()
    )
    with open_ledger(account.folder, account.name) as ledger:
        return estimate(texts, make_translator(section), ledger)


def translate_rows(
    rows: Path,
    out: Path,
    step: Step,
    section: TranslateSection,
    account: Account,
    total: int,
    held: Mapping[Origin, Draft] | None = None,
) -> Path:
    """Translate the drafts in ``rows`` that are not Korean. Returns the file.

    The step ``retry`` translates anew, with other parameters, the fields in which a check found an
    error, and takes what has fewer. Rows in ``held`` are taken from there as they stand. Every
    answer is in the ledger as soon as it comes. Raises BudgetError and ServiceError; the same call
    then goes on from there.
    """
    translator = make_translator(section, retry=step == "retry")
    asked = section.model_dump(include={"glossary", "speech"})
    config = {"service": translator.id, "parameters": dict(translator.parameters), **asked}
    kept = held or {}
    title = f"Translating ({translator.id})" if step == "translate" else "Trying failed rows again"
    with open_stage(out, step, config=config, inputs={"rows": hash_file(rows)}) as stage:
        if stage.is_done:
            return out / ROWS
        with (
            open_ledger(account.folder, account.name) as ledger,
            show_progress(title, total, "rows") as advance,
        ):

            def translate(texts: list[str | Marked]) -> list[Translated]:
                return translate_texts(texts, translator, ledger, budget_chars=account.budget_chars)

            def iter_done() -> Iterator[Draft]:
                for chunk in iter_chunks(iter_drafts(rows), _CHUNK_ROWS):
                    todo = [draft for draft in chunk if draft.origin not in kept]
                    done = _translate_drafts(todo, step, translator, section, translate)
                    yield from (kept.get(draft.origin) or next(done) for draft in chunk)
                    advance(len(chunk))

            write_jsonl(out / ROWS, iter_done())
    return out / ROWS


def _translate_drafts(
    drafts: Sequence[Draft],
    step: Step,
    translator: Translator,
    section: TranslateSection,
    translate: Callable[[list[str | Marked]], list[Translated]],
) -> Iterator[Draft]:
    """The drafts, each with the translations of the fields that a step is for."""
    chosen = [_choose_fields(draft, step) for draft in drafts]
    done = _translate_fields([draft.original for draft in drafts], chosen, translate)
    for draft, outcomes in zip(drafts, done, strict=True):
        parameters = {**translator.parameters, **_list_settings(draft, section)}
        by = Translation(service=translator.id, parameters=parameters)
        if not outcomes:
            yield draft
        elif step == "translate":
            yield _replace(draft, outcomes, by)
        else:
            yield _take_better(draft, outcomes, by.parameters)


def _list_settings(draft: Draft, section: TranslateSection) -> dict[str, Any]:
    """What a row is held to: the terms of the glossary that it holds, the speech level."""
    terms: dict[str, str] = {}
    for text in list_texts(draft.original).values():
        terms |= find_terms(text, section.glossary)
    speech = {"speech": section.speech} if section.speech else {}
    return {**({"glossary": terms} if terms else {}), **speech}


def _translate_fields(
    rows: Sequence[Row],
    chosen: Sequence[Sequence[str]],
    translate: Callable[[list[str | Marked]], list[Translated]],
) -> list[dict[str, Translated]]:
    """The chosen fields of each row, its options in the same words in all of them."""
    marked = [mark_row(row, fields) for row, fields in zip(rows, chosen, strict=True)]
    done = iter(translate([text for texts in marked for text in texts.values()]))
    found = [{field: next(done) for field in texts} for texts in marked]
    found = [word_options(row, each) for row, each in zip(rows, found, strict=True)]
    # A target that the Korean question does not list after all is sent by itself.
    left = [i for i, fields in enumerate(chosen) if TARGET in fields and TARGET not in found[i]]
    for i, outcome in zip(
        left, translate([list_texts(rows[i])[TARGET] for i in left]), strict=True
    ):
        found[i][TARGET] = outcome
    return found


def _choose_fields(draft: Draft, step: Step) -> Sequence[str]:
    if draft.is_korean:
        return ()
    fields = list(list_texts(draft.original))
    failed = [field for field in fields if _count_errors(draft)[field]]
    all_fields = step == "translate" or (failed and shares_options(draft.original))
    return fields if all_fields else failed


def _count_errors(draft: Draft) -> Counter[str]:
    """How many errors there are in each field."""
    return Counter(finding.field for finding in draft.errors)


def _take_better(
    draft: Draft, outcomes: Mapping[str, Translated], parameters: Mapping[str, Any]
) -> Draft:
    """The draft, with the second translation of each field that it made better.

    Fields that share options are taken together or not at all.
    """
    assert draft.translation is not None
    first, before = draft.translation, _count_errors(draft)
    after = _count_errors(check_draft(_replace(draft, outcomes, first)))
    better = {
        field: each
        for field, each in outcomes.items()
        if after[field] < before[field] or shares_options(draft.original)
    }
    other = {
        name: value for name, value in parameters.items() if first.parameters.get(name) != value
    }
    by = first.model_copy(update={"retried": dict.fromkeys(better, other)})
    mixed = check_draft(_replace(draft, better, by))
    return mixed if _count_errors(mixed).total() < before.total() else draft


def _replace(draft: Draft, outcomes: Mapping[str, Translated], by: Translation) -> Draft:
    """The draft with other translations, and what shows of them at first sight as findings."""
    kept = [
        each
        for each in draft.findings
        if each.check in (PROTECTION, UNANSWERED) and each.field not in outcomes
    ]
    new = [
        Finding(
            check=UNANSWERED if problem.kind in FLAWS else PROTECTION,
            severity="error",
            detail=_PROBLEMS[problem.kind].format(shorten(problem.piece, 30)),
            field=field,
        )
        for field, outcome in outcomes.items()
        for problem in outcome.problems
        if list_texts(draft.original)[field]
    ]
    texts = {field: outcome.text for field, outcome in outcomes.items()}
    translated = replace_texts(draft.translated, texts)
    return draft.model_copy(
        update={"translated": translated, "translation": by, "findings": (*kept, *new)}
    )
