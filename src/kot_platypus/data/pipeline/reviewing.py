"""What becomes of a checked draft: it passed, or a person decided, or it waits for one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kot_platypus.artifacts import hash_file, hash_value, read_jsonl, write_jsonl
from kot_platypus.chat_rows import TURNS, write_back
from kot_platypus.checks import CHECK_NAMES, KOREAN_CHECK_NAMES, SETTING_NAMES
from kot_platypus.data.pipeline.drafts import (
    DECISIONS,
    PROTECTION,
    QUEUE,
    ROWS,
    UNANSWERED,
    Decision,
    Draft,
    edit_draft,
    iter_drafts,
)
from kot_platypus.data.translation.judge import JUDGE
from kot_platypus.formats import write_values
from kot_platypus.records import Dialogue, Example, Record
from kot_platypus.row_formats import ENGLISH, OWN_COLUMNS, list_columns
from kot_platypus.stages import open_stage

DROPPED = "dropped.jsonl"
Columns = Literal["kocot", "alpaca", "chat"]
COLUMNS: dict[Columns, tuple[str, ...]] = {
    "kocot": ("source", "rationale", "target", "task", "type"),
    "alpaca": ("instruction", "input", "output", "data_source"),
    "chat": TURNS,
}
"""What every row of a data set has of its texts and kind, in this order."""
NUM_TEXTS = 3
"""The first columns of a question are texts, and have their English originals beside them."""
Reason = Literal["waiting for review", "dropped in review", "duplicate", "contaminated"]
_SET_APART = re.compile("^(row_)+")
_LEFT_OUT: dict[str, Reason] = {"waiting": "waiting for review", "dropped": "dropped in review"}


class Dropped(Record):
    """A row that is not in the data set, and why: a line of ``dropped.jsonl``."""

    reason: Reason
    detail: str
    row: dict[str, Any]


def review_rows(
    rows: Path, review: Path, out: Path, columns: Columns, checks: Sequence[str] = CHECK_NAMES
) -> Path:
    """Write the rows that passed or were let through, in their last form. Returns the file.

    What waits for a decision, or has one, goes into the queue in ``review``. ``checks`` are those
    that the rows were given to. Raises OutdatedError where ``out`` holds what was made of other
    decisions.
    """
    decisions = read_decisions(review)
    made = {key: each.model_dump(exclude={"decided_at"}) for key, each in decisions.items()}
    inputs = {"rows": hash_file(rows), "decisions": hash_value(made)}
    config = {"columns": columns, "checks": list(checks)}
    with open_stage(out, "review", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        drafts = iter_drafts(rows)
        write_jsonl(review / QUEUE, (each for each in drafts if _is_shown(each, made)))
        counts: Counter[str] = Counter()

        def iter_judged(*, left_out: bool) -> Iterator[tuple[str, Draft, dict[str, Any]]]:
            for draft in iter_drafts(rows):
                verdict, final, edits = _judge(draft, decisions.get(draft.key))
                if (verdict in _LEFT_OUT) == left_out:
                    counts[verdict] += 1
                    yield verdict, final, _make_row(final, columns, checks, edits)

        write_values(out / ROWS, (row for _, _, row in iter_judged(left_out=False)))
        dropped = (
            Dropped(reason=_LEFT_OUT[verdict], detail=_describe(final, decisions), row=row)
            for verdict, final, row in iter_judged(left_out=True)
        )
        write_jsonl(out / DROPPED, dropped)
        stage.facts = {"counts": dict(counts)}
    return out / ROWS


def read_decisions(review: Path) -> dict[str, Decision]:
    """What was decided so far, by the draft's key."""
    path = review / DECISIONS
    decisions = {each.key: each for each in read_jsonl(path, Decision)} if path.is_file() else {}
    return {key: each for key, each in decisions.items() if each.action != "undo"}


def _is_shown(draft: Draft, decisions: Container[str]) -> bool:
    """Whether a person should see it: of what passed, if a judge did not find it right."""
    is_doubted = any(each.check == JUDGE for each in draft.findings)
    return bool(draft.errors) or is_doubted or draft.key in decisions


def _judge(draft: Draft, decision: Decision | None) -> tuple[str, Draft, list[str]]:
    """What becomes of a draft, its last form, and what people did to it."""
    if decision is None or (decision.action == "accept" and not draft.errors):
        mended = draft.translation is not None and draft.translation.retried
        return "waiting" if draft.errors else "mended" if mended else "passed", draft, []
    if decision.action == "drop":
        return "dropped", draft, []
    if decision.action == "edit":
        edits = [f"edited: {', '.join(sorted(decision.fields))}"]
        return "edited", edit_draft(draft, decision.fields), edits
    failed = sorted({each.check for each in draft.errors})
    return "accepted", draft, [f"accepted: {', '.join(failed)}"]


def _describe(draft: Draft, decisions: Mapping[str, Decision]) -> str:
    """What the checks found in a row that is left out, and what who decided on it said."""
    found = [f"{each.field} {each.check}: {each.detail}" for each in draft.errors]
    if decision := decisions.get(draft.key):
        found += [each for each in (decision.reason, decision.note) if each]
    return "; ".join(found)


def _make_row(
    draft: Draft, columns: Columns, checks: Sequence[str], edits: list[str]
) -> dict[str, Any]:
    """A row of the data set: its columns, and where its texts come from and how they came about."""
    translation = None
    if by := draft.translation:
        translation = {
            "service": by.service,
            "parameters": _dump(_hide_address(by.parameters)),
            "retried": _dump({name: _hide_address(each) for name, each in by.retried.items()}),
        }
    if draft.is_korean:
        checks = [name for name in KOREAN_CHECK_NAMES if name in checks]
    else:
        asked = [name for name in SETTING_NAMES if by and name in by.parameters]
        checks = (UNANSWERED, PROTECTION, *checks, *asked)
    failed = {finding.check for finding in draft.errors}
    if draft.errors or edits or any(each.check == JUDGE for each in draft.findings):
        failed.add(JUDGE)  # which was shown what passed, and found this right, or did not
    return {
        **_list_columns(draft, columns),
        "origin": draft.origin.model_dump(),
        "translation": translation,
        "checks_passed": [name for name in checks if name not in failed],
        "edits": edits,
    }


def _list_columns(draft: Draft, columns: Columns) -> dict[str, Any]:
    """The texts of a row under a data set's names, the English ones as ``NAME_en``, and the rest.

    A conversation's stand under the names that it came with. Another column whose name is ours, or
    in a question one that a row's format could read, is ``row_NAME``.
    """
    was, now, values = draft.original, draft.translated, draft.values or {}
    taken, texts = {*OWN_COLUMNS}, dict[str, Any]()
    if isinstance(was, Dialogue) and isinstance(now, Dialogue):
        before, values = write_back(values, was, was), write_back(values, was, now)
        before = {name: text for name, text in before.items() if text != values[name]}
    else:
        assert isinstance(was, Example)
        assert isinstance(now, Example)
        before, texts = _name_texts(was, columns), _name_texts(now, columns)
        texts |= _name_kind(now, columns)
        taken |= texts.keys() | list_columns()
    english = {} if draft.is_korean else {name + ENGLISH: text for name, text in before.items()}
    taken |= english.keys()
    return {**texts, **{_set_apart(name, taken): values[name] for name in values}, **english}


def _name_texts(row: Example, columns: Columns) -> dict[str, Any]:
    """The texts of a question under a data set's names."""
    if columns == "alpaca":
        answer = f"{row.rationale}\n{row.target}" if row.target else row.rationale
        return {"instruction": row.source, "input": row.input, "output": answer}
    question = f"{row.source}\n\n{row.input}" if row.input else row.source
    return {"source": question, "rationale": row.rationale, "target": row.target}


def _name_kind(row: Example, columns: Columns) -> dict[str, str]:
    if columns == "alpaca":
        return {"data_source": row.task, **({"type": row.type} if row.type else {})}
    return {"task": row.task, "type": row.type}


def _set_apart(name: str, taken: Container[str]) -> str:
    """``row_NAME`` for a name that is taken. No two names become one."""
    return f"row_{name}" if _SET_APART.sub("", name) in taken else name


def _hide_address(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without a server's address, which is private."""
    return {name: value for name, value in parameters.items() if name != "base_url"}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
