"""``changes.md``: the questions that reasoning repaired and broke, each with all that was written.

Texts of data and models stand in fenced blocks, whose fences are longer than any in the text, so
that no reader of Markdown takes them for anything but text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kot_platypus.markdown import count_ticks, fence
from kot_platypus.records import Judgement, Outcome, Reply


def write_changes(outcomes: Sequence[Outcome], attempts: Sequence[Reply]) -> str:
    """All repaired questions, then all broken ones, in their order."""
    replies: dict[tuple[str, int], list[Reply]] = {}
    for attempt in attempts:
        replies.setdefault((attempt.task, attempt.doc_id), []).append(attempt)
    repaired = [o for o in outcomes if o.cot.correct and not o.direct.correct]
    broken = [o for o in outcomes if o.direct.correct and not o.cot.correct]
    parts = [
        "# What reasoning changed\n",
        f"Of {len(outcomes):,} questions, {len(repaired):,} are answered rightly with reasoning "
        f"only (repaired), and {len(broken):,} without only (broken).\n",
    ]
    for title, group in (("Repaired", repaired), ("Broken", broken)):
        parts.append(f"## {title} ({len(group):,})\n")
        parts += [_write_question(o, replies[o.task, o.doc_id]) for o in group]
    return "\n".join(parts)


def _write_question(outcome: Outcome, attempts: Sequence[Reply]) -> str:
    name = re.sub(r"\W+", " ", outcome.task).strip()
    parts = [
        f"### {name} {outcome.doc_id}\n".replace("###  ", "### "),
        _fence(outcome.source),
        f"Right: {_quote(outcome.target)}. With reasoning: {_state(outcome.cot)}. "
        f"Without: {_state(outcome.direct)}.\n",
    ]
    for attempt in attempts:
        if len(attempts) > 1:
            parts.append(f"Sample {attempt.sample}:\n")
        parts.append(_fence(attempt.output))
    return "\n".join(parts)


def _state(verdict: Judgement) -> str:
    return "nothing stated" if verdict.answer is None else _quote(verdict.answer)


def _fence(text: str) -> str:
    return fence(text.rstrip(), "text") + "\n"


def _quote(text: str) -> str:
    ticks = "`" * (count_ticks(text) + 1)
    return f"{ticks} {' '.join(text.split())} {ticks}"
