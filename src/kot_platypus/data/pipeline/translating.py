"""Drafts translated: once all of them, and once more, in another way, those that fail a check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.data.checks import FIELDS, Finding
from kot_platypus.data.checks.findings import shorten
from kot_platypus.data.dataset_recipe import TranslateSection
from kot_platypus.data.pipeline.checking import PROTECTION, check_draft, count_errors
from kot_platypus.data.pipeline.drafts import (
    ROWS,
    Draft,
    Translation,
    iter_drafts,
)
from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.ledger import Bill, open_ledger
from kot_platypus.data.translation.services import Translator, find_service
from kot_platypus.data.translation.translate import (
    Translated,
    TranslationCost,
    estimate,
    translate_texts,
)
from kot_platypus.errors import RecipeError
from kot_platypus.progress import show_progress
from kot_platypus.stages import open_stage

Translate = Callable[[list[str]], list[Translated]]
CHUNK_ROWS = 256
_PROBLEMS = {
    "lost": "the placeholder of {!r} was lost",
    "repeated": "the placeholder of {!r} was repeated",
    "unknown": "a placeholder that was never there",
    "empty": "the translation is empty",
    "too_long": "too long for one request of the service",
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
    service = find_service(section.service)
    options = {**section.options, **(section.retry if retry else {})}
    known = inspect.signature(service).parameters
    for name in options:
        if name not in known:
            raise RecipeError(
                f"translate has an unknown option {name!r}",
                expected=f"options of {section.service}: {', '.join(known)}",
                hint="Fix the recipe.",
            )
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise RecipeError(
                f"translate.options has no {name!r}",
                expected=f"it for the service {section.service}",
                hint=f"E.g. --set translate.options.{name}=...",
            )
    translator: Translator = service(**options)
    return translator


def estimate_rows(rows: Path, section: TranslateSection, account: Account) -> TranslationCost:
    """What translating the drafts in ``rows`` once would still cost. Nothing is sent."""
    texts = (
        getattr(draft.original, field)
        for draft in iter_drafts(rows)
        if draft.origin.language != "ko"
        for field in FIELDS
    )
    with open_ledger(account.folder, account.name) as ledger:
        return estimate(texts, make_translator(section), ledger)


def translate_rows(
    rows: Path, out: Path, section: TranslateSection, account: Account, total: int
) -> Path:
    """Translate the drafts in ``rows`` that are not Korean. Returns the file.

    Every answer is in the ledger as soon as it comes. Raises BudgetError and ServiceError; the same
    call then goes on from there.
    """
    return _work_through(rows, out, "translate", make_translator(section), account, total)


def retry_rows(
    rows: Path, out: Path, section: TranslateSection, account: Account, total: int
) -> Path:
    """Translate anew, with other parameters, the fields in which a check found an error.

    A second translation is taken where it has fewer errors. Returns the file; raises as above.
    """
    translator = make_translator(section, retry=True)
    return _work_through(rows, out, "retry", translator, account, total)


def _work_through(
    rows: Path,
    out: Path,
    step: Literal["translate", "retry"],
    translator: Translator,
    account: Account,
    total: int,
) -> Path:
    config = {"service": translator.id, "parameters": dict(translator.parameters)}
    title = f"Translating ({translator.id})" if step == "translate" else "Trying failed rows again"
    with open_stage(out, step, config=config, inputs={"rows": hash_file(rows)}) as stage:
        if stage.is_done:
            return out / ROWS
        with (
            open_ledger(account.folder, account.name) as ledger,
            show_progress(title, total, "rows") as advance,
        ):

            def translate(texts: list[str]) -> list[Translated]:
                return translate_texts(texts, translator, ledger, budget_chars=account.budget_chars)

            def iter_done() -> Iterator[Draft]:
                work = translate_drafts if step == "translate" else retry_drafts
                for chunk in iter_chunks(iter_drafts(rows), CHUNK_ROWS):
                    yield from work(chunk, translator, translate)
                    advance(len(chunk))

            write_jsonl(out / ROWS, iter_done())
    return out / ROWS


def translate_drafts(
    drafts: Sequence[Draft], translator: Translator, translate: Translate
) -> list[Draft]:
    """The drafts, those in other languages translated field by field."""
    foreign = [draft for draft in drafts if draft.origin.language != "ko"]
    wanted = [(draft, field) for draft in foreign for field in FIELDS]
    done = _translate_fields(wanted, translate)
    by = Translation(service=translator.id, parameters=dict(translator.parameters))
    return [
        _replace(draft, {field: done[draft.key, field] for field in FIELDS}, by)
        if draft.origin.language != "ko"
        else draft
        for draft in drafts
    ]


def retry_drafts(
    drafts: Sequence[Draft], translator: Translator, translate: Translate
) -> list[Draft]:
    """The drafts, with the second translation of each field that it made better."""
    failing = {
        draft.key: [field for field in FIELDS if count_errors(draft)[field]]
        for draft in drafts
        if draft.translation is not None
    }
    wanted = [(draft, field) for draft in drafts for field in failing.get(draft.key, ())]
    done = _translate_fields(wanted, translate)
    return [
        _take_better(draft, {field: done[draft.key, field] for field in fields}, translator)
        if (fields := failing.get(draft.key))
        else draft
        for draft in drafts
    ]


def _translate_fields(
    wanted: Sequence[tuple[Draft, str]], translate: Translate
) -> dict[tuple[str, str], Translated]:
    outcomes = translate([getattr(draft.original, field) for draft, field in wanted])
    keys = [(draft.key, field) for draft, field in wanted]
    return dict(zip(keys, outcomes, strict=True))


def _take_better(draft: Draft, outcomes: Mapping[str, Translated], translator: Translator) -> Draft:
    assert draft.translation is not None
    before = count_errors(draft)
    after = count_errors(check_draft(_replace(draft, outcomes, draft.translation)))
    better = {field: each for field, each in outcomes.items() if after[field] < before[field]}
    first = draft.translation.parameters
    other = {
        name: value for name, value in translator.parameters.items() if first.get(name) != value
    }
    by = draft.translation.model_copy(update={"retried": dict.fromkeys(better, other)})
    mixed = check_draft(_replace(draft, better, by))
    return mixed if count_errors(mixed).total() < before.total() else draft


def _replace(draft: Draft, outcomes: Mapping[str, Translated], by: Translation) -> Draft:
    """The draft with other translations, and what shows of them at first sight as findings."""
    kept = [
        each for each in draft.findings if each.check == PROTECTION and each.field not in outcomes
    ]
    new = [
        Finding(
            check=PROTECTION,
            severity="error",
            detail=_PROBLEMS[problem.kind].format(shorten(problem.piece, 30)),
            field=field,
        )
        for field, outcome in outcomes.items()
        for problem in outcome.problems
        if getattr(draft.original, field)
    ]
    texts = {field: outcome.text for field, outcome in outcomes.items()}
    return Draft(
        origin=draft.origin,
        original=draft.original,
        translated=draft.translated.model_copy(update=texts),
        translation=by,
        findings=(*kept, *new),
    )
