"""What becomes of a checked draft: it passed, or a person decided, or it waits for one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from kot_platypus.artifacts import hash_file, hash_value, read_jsonl, write_jsonl, write_lines
from kot_platypus.data.pipeline.checking import edit_draft, list_passed
from kot_platypus.data.pipeline.drafts import (
    DECISIONS,
    QUEUE,
    ROWS,
    Decision,
    Draft,
    iter_drafts,
)
from kot_platypus.records import Record
from kot_platypus.stages import open_stage

DROPPED = "dropped.jsonl"
Columns = Literal["kocot", "alpaca"]
Reason = Literal["waiting for review", "dropped in review", "duplicate", "contaminated"]
_LEFT_OUT: dict[str, Reason] = {"waiting": "waiting for review", "dropped": "dropped in review"}


class Dropped(Record):
    """A row that is not in the data set, and why: a line of ``dropped.jsonl``."""

    reason: Reason
    detail: str
    row: dict[str, Any]


def list_queue(rows: Path, review: Path) -> Path:
    """Put the drafts that a person should see where ``kot data review`` finds them."""
    write_jsonl(review / QUEUE, (draft for draft in iter_drafts(rows) if draft.needs_review))
    return review / QUEUE


def read_decisions(review: Path) -> dict[str, Decision]:
    """What was decided so far, by the draft's key."""
    decisions: dict[str, Decision] = {}
    if (review / DECISIONS).is_file():
        for decision in read_jsonl(review / DECISIONS, Decision):
            decisions[decision.key] = decision
    return {key: each for key, each in decisions.items() if each.action != "undo"}


def review_rows(rows: Path, review: Path, out: Path, columns: Columns) -> Path:
    """Write the rows that passed or were let through, in their last form. Returns the file.

    What waits for a decision goes into the queue in ``review``. Raises RunError where ``out`` holds
    what was made of other decisions.
    """
    decisions = read_decisions(review)
    made = {key: each.model_dump(exclude={"decided_at"}) for key, each in decisions.items()}
    inputs = {"rows": hash_file(rows), "decisions": hash_value(made)}
    with open_stage(out, "review", config={"columns": columns}, inputs=inputs) as stage:
        if not stage.is_done:
            list_queue(rows, review)
            stage.facts = {"counts": _apply_decisions(rows, out, decisions, columns)}
    return out / ROWS


def _apply_decisions(
    rows: Path, out: Path, decisions: Mapping[str, Decision], columns: Columns
) -> dict[str, int]:
    counts: Counter[str] = Counter()

    def iter_lines() -> Iterator[str]:
        for draft in iter_drafts(rows):
            verdict, final, edits = judge(draft, decisions.get(draft.key))
            counts[verdict] += 1
            if verdict not in _LEFT_OUT:
                row = make_row(final, columns, edits)
                yield json.dumps(row, ensure_ascii=False) + "\n"

    def iter_dropped() -> Iterator[str]:
        for draft in iter_drafts(rows):
            verdict, final, edits = judge(draft, decisions.get(draft.key))
            if reason := _LEFT_OUT.get(verdict):
                row = make_row(final, columns, edits)
                yield Dropped(reason=reason, detail=_describe(final), row=row).model_dump_json()
                yield "\n"

    write_lines(out / ROWS, iter_lines())
    write_lines(out / DROPPED, iter_dropped())
    return dict(counts)


def judge(draft: Draft, decision: Decision | None) -> tuple[str, Draft, list[str]]:
    """What becomes of a draft, its last form, and what people did to it."""
    if not draft.needs_review:
        mended = draft.translation is not None and draft.translation.retried
        return ("mended" if mended else "passed"), draft, []
    if decision is None:
        return "waiting", draft, []
    if decision.action == "drop":
        return "dropped", draft, []
    if decision.action == "edit":
        edits = [f"edited: {', '.join(sorted(decision.fields))}"]
        return "edited", edit_draft(draft, decision.fields), edits
    failed = sorted({each.check for each in draft.findings if each.severity == "error"})
    return "accepted", draft, [f"accepted: {', '.join(failed)}"]


def _describe(draft: Draft) -> str:
    errors = [each for each in draft.findings if each.severity == "error"]
    return "; ".join(f"{each.field} {each.check}: {each.detail}" for each in errors)


def make_row(draft: Draft, columns: Columns, edits: list[str]) -> dict[str, Any]:
    """A row of the data set: its texts, and where they come from and how they came about."""
    row, origin, by = draft.translated, draft.origin, draft.translation
    if columns == "alpaca":
        answer = f"{row.rationale}\n{row.target}" if row.target else row.rationale
        texts = {
            "instruction": row.source,
            "input": row.input,
            "output": answer,
            "data_source": row.task,
        }
    else:
        texts = {
            "source": f"{row.source}\n\n{row.input}" if row.input else row.source,
            "rationale": row.rationale,
            "target": row.target,
            "task": row.task,
            "type": row.type,
        }
    return {
        **texts,
        "origin": origin.model_dump(),
        "translation": None
        if by is None
        else {
            "service": by.service,
            "parameters": _dump(_hide_address(by.parameters)),
            "retried": _dump({name: _hide_address(each) for name, each in by.retried.items()}),
        },
        "checks_passed": list_passed(draft),
        "edits": edits,
    }


def _hide_address(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without a server's address, which is private."""
    return {name: value for name, value in parameters.items() if name != "base_url"}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
