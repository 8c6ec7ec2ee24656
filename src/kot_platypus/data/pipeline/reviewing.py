"""What becomes of a checked draft: it passed, or a person decided, or it waits for one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kot_platypus.artifacts import hash_file, hash_value, read_manifest, write_jsonl
from kot_platypus.chat_rows import TURNS, write_back
from kot_platypus.checks import KOREAN_CHECK_NAMES, SETTING_NAMES
from kot_platypus.data.pipeline.decisions import (
    SETTLED,
    Agreement,
    SpotCheck,
    Votes,
    measure_agreement,
    read_votes,
)
from kot_platypus.data.pipeline.drafts import (
    PASSED,
    PROTECTION,
    QUEUE,
    ROWS,
    UNANSWERED,
    Draft,
    edit_draft,
    is_emptied,
    iter_drafts,
)
from kot_platypus.data.translation.judge import JUDGE
from kot_platypus.formats import write_values
from kot_platypus.progress import print_notice
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
_LEFT_OUT: dict[str, Reason] = {
    "waiting": "waiting for review",
    "emptied": "waiting for review",
    "dropped": "dropped in review",
}


class Dropped(Record):
    """A row that is not in the data set, and why: a line of ``dropped.jsonl``."""

    reason: Reason
    detail: str
    row: dict[str, Any]


class Sample(NamedTuple):
    """Which rows that passed are drawn for a spot check: those with the smallest hashes.

    With more rows, the sample has at most a few others.
    """

    rows: int
    seed: int


def review_rows(
    rows: Path,
    review: Path,
    out: Path,
    columns: Columns,
    sample: Sample,
    checks: Sequence[str],
) -> Path:
    """Write the rows that passed or were let through, in their last form. Returns the file.

    What waits for a decision, or has one, goes into the queue in ``review``, the sample of what
    passed beside it. ``checks`` are those that the rows were given to. Raises OutdatedError where
    ``out`` holds what was made of other decisions.
    """
    said = read_votes(review)
    inputs = {"rows": hash_file(rows), "decisions": _hash_decisions(said)}
    config = {
        "columns": columns,
        "checks": list(checks),
        "sample": sample._asdict(),
        "emptied": "waits",  # not so in folders of before, which are made again
    }
    with open_stage(out, "review", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        drawn = _write_queue(rows, review, said, sample)
        counts: Counter[str] = Counter()

        def iter_judged(*, left_out: bool) -> Iterator[tuple[str, Draft, dict[str, Any]]]:
            for draft in iter_drafts(rows):
                verdict, final, edits = _judge(draft, said.get(draft.key))
                if (verdict in _LEFT_OUT) == left_out:
                    counts[verdict] += 1
                    yield verdict, final, _make_row(final, columns, checks, edits)

        write_values(out / ROWS, (row for _, _, row in iter_judged(left_out=False)))
        dropped = (
            Dropped(reason=_LEFT_OUT[verdict], detail=_describe(final, said), row=row)
            for verdict, final, row in iter_judged(left_out=True)
        )
        write_jsonl(out / DROPPED, dropped)
        if emptied := counts.pop("emptied", 0):
            counts["waiting"] += emptied
            print_notice(f"{review}: decisions left a text of {emptied:,} rows empty: they wait.")
        agreement = measure_agreement(said)
        stage.facts = {
            "counts": dict(counts),
            "spot_check": _count_verdicts(drawn, said).model_dump(),
            "agreement": agreement and agreement.model_dump(),
        }
    return out / ROWS


def _hash_decisions(said: Mapping[str, Votes]) -> str:
    """Changes with what was said by whom, and before others could be seen; not with when."""
    made = {
        key: [
            {who: each.model_dump(exclude={"decided_at"}) for who, each in votes.by.items()},
            votes.actions,
        ]
        for key, votes in said.items()
    }
    return hash_value(made)


def _write_queue(rows: Path, review: Path, said: Container[str], sample: Sample) -> list[str]:
    """Write what people should see, and the sample of the rest. Returns the sample's keys.

    Of what passed they should see what a judge did not find right.
    """
    drawn: dict[str, Draft] = {}

    def iter_queued() -> Iterator[Draft]:
        nonlocal drawn
        for draft in iter_drafts(rows):
            key, is_doubted = draft.key, any(each.check == JUDGE for each in draft.findings)
            if draft.errors or is_doubted or key in said:
                yield draft
            if not (draft.errors or is_doubted):
                drawn[hash_value([sample.seed, key])] = draft
            if len(drawn) > 2 * sample.rows:
                drawn = dict(sorted(drawn.items())[: sample.rows])

    write_jsonl(review / QUEUE, iter_queued())
    passed = [draft for _, draft in sorted(drawn.items())[: sample.rows]]
    write_jsonl(review / PASSED, passed)
    return [draft.key for draft in passed]


def _count_verdicts(keys: Sequence[str], said: Mapping[str, Votes]) -> SpotCheck:
    votes = [said[key] for key in keys if key in said]
    actions = Counter[str](each.verdict.action for each in votes if each.verdict)
    disputed = sum(each.is_disputed for each in votes)
    return SpotCheck(total=len(keys), disputed=disputed, **actions)


def read_figures(reviewed: Path) -> tuple[SpotCheck, Agreement | None]:
    """What a finished review says of the rows that passed, and of its reviewers if several."""
    facts = read_manifest(reviewed)
    found = facts["agreement"] and Agreement.model_validate(facts["agreement"])
    return SpotCheck.model_validate(facts["spot_check"]), found


def _judge(draft: Draft, votes: Votes | None) -> tuple[str, Draft, list[str]]:
    """What becomes of a draft, its last form, and what people did to it."""
    if votes and votes.is_disputed:
        return "waiting", draft, []
    decision = votes.verdict if votes else None
    if decision and is_emptied(draft, decision):
        return "emptied", draft, []
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


def _describe(draft: Draft, said: Mapping[str, Votes]) -> str:
    """What the checks found in a row that is left out, and what those who decided on it said."""
    found = [f"{each.field} {each.check}: {each.detail}" for each in draft.errors]
    if votes := said.get(draft.key):
        found += ["reviewers disagree"] if votes.is_disputed else []
        settled = votes.by.get(SETTLED)
        for each in [settled] if settled else votes.by.values():
            found += [remark for remark in (each.reason, each.note) if remark]
    return "; ".join(dict.fromkeys(found))


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
