"""Translated drafts that passed the checks, shown to a judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.data.dataset_recipe import JudgeSection
from kot_platypus.data.pipeline.drafts import ROWS, Draft, iter_drafts
from kot_platypus.data.pipeline.translating import Account
from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.judge import Judge, Pair, open_judge
from kot_platypus.progress import Advance, show_progress
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import open_stage

_CHUNK_ROWS = 256


def judge_rows(rows: Path, out: Path, section: JudgeSection, account: Account, total: int) -> Path:
    """Write the drafts in ``rows`` with what the judge finds in them. Returns the file.

    Rows with an error, and Korean ones, are not shown to it. ``counts`` of the manifest are those
    right, wrong and without a verdict. Every verdict is in the ledger as soon as it comes: raises
    BudgetError and ServiceError, and the same call then goes on from there.
    """
    with open_judge(section, account.folder, account.name, account.budget_chars) as judge:
        inputs = {"rows": hash_file(rows)}
        with open_stage(out, "judge", config=judge.config, inputs=inputs) as stage:
            if stage.is_done:
                return out / ROWS
            with show_progress(f"Judging ({section.service})", total, "rows") as advance:
                write_jsonl(out / ROWS, _iter_judged(rows, judge, advance))
            stage.facts = {"counts": dict(judge.counts)}
    return out / ROWS


def _iter_judged(rows: Path, judge: Judge, advance: Advance) -> Iterator[Draft]:
    for chunk in iter_chunks(iter_drafts(rows), _CHUNK_ROWS):
        pairs = [_list_sides(draft) for draft in chunk if _is_shown(draft)]
        found = iter(judge.find(pairs))
        for draft in chunk:
            new = next(found) if _is_shown(draft) else ()
            yield draft.model_copy(update={"findings": (*draft.findings, *new)})
        advance(len(chunk))


def _is_shown(draft: Draft) -> bool:
    return not (draft.errors or draft.is_korean)


def _list_sides(draft: Draft) -> Pair:
    return list_texts(draft.original), list_texts(draft.translated)
