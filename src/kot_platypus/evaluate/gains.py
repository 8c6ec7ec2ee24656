"""What reasoning gained: each way of answering, and their paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kot_platypus.records import Judgement, Outcome, Reply
from kot_platypus.results.metrics import (
    UNPARSED,
    compare_f1,
    compare_paired,
    measure_accuracy,
    measure_f1,
)
from kot_platypus.results.schema import ALL, Gain, PairedEstimate, ReasoningScore, WayScore

WAYS = ("cot", "cot_scored", "direct")


def group_outcomes(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The questions of each task; where tasks are kinds of one set of problems, ``all`` first."""
    tasks: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        tasks.setdefault(outcome.task or ALL, []).append(outcome)
    is_open = any(outcome.gold is None for outcome in outcomes)
    return {ALL: list(outcomes), **tasks} if is_open and len(tasks) > 1 else tasks


def summarise_outcomes(
    outcomes: Sequence[Outcome], attempts: Sequence[Reply] = (), *, seed: int = 42
) -> dict[str, ReasoningScore]:
    """For each task: every way's figures, reasoning minus direct, and what changed."""
    replies: dict[tuple[str, int], set[str]] = {}
    for attempt in attempts:
        replies.setdefault((attempt.task, attempt.doc_id), set()).add(attempt.output)
    found = {}
    for task, group in group_outcomes(outcomes).items():
        counts = [len(replies.get((each.task, each.doc_id), ())) for each in group]
        found[task] = _summarise(group, sum(counts) / len(counts), seed)
    return found


def _summarise(outcomes: Sequence[Outcome], distinct: float, seed: int) -> ReasoningScore:
    ways: dict[str, list[Judgement]] = {}
    for way in WAYS:
        verdicts = [getattr(outcome, way) for outcome in outcomes]
        if None not in verdicts:
            ways[way] = verdicts
    direct = ways["direct"]
    golds = [outcome.gold for outcome in outcomes if outcome.gold is not None]
    golds = golds if len(golds) == len(outcomes) else []
    changed = compare_paired([v.correct for v in ways["cot"]], [v.correct for v in direct])
    return ReasoningScore(
        n=len(outcomes),
        **{way: _measure(golds, verdicts, seed) for way, verdicts in ways.items()},
        difference={
            way: _compare(golds, verdicts, direct, seed)
            for way, verdicts in ways.items()
            if way != "direct"
        },
        repaired=changed.right_alone.a,
        broken=changed.right_alone.b,
        distinct=distinct,
    )


def _measure(golds: Sequence[int], verdicts: Sequence[Judgement], seed: int) -> WayScore:
    """One way's figures. ``golds`` are the right choices, none where questions are open."""
    correct = [verdict.correct for verdict in verdicts]
    tokens = [verdict.num_tokens for verdict in verdicts]
    f1 = {"macro_f1": measure_f1(golds, _list_labels(verdicts), seed=seed)} if golds else {}
    stated = [v.choice if golds else v.answer for v in verdicts]
    return WayScore(
        accuracy=measure_accuracy(np.ones(len(correct), bool), correct),
        **f1,
        num_parsed=sum(value is not None for value in stated),
        num_tokens=sum(tokens),
        mean_tokens=sum(tokens) / len(tokens),
    )


def _compare(
    golds: Sequence[int], a: Sequence[Judgement], b: Sequence[Judgement], seed: int
) -> Gain:
    pair = compare_paired([v.correct for v in a], [v.correct for v in b], seed=seed)
    accuracy = PairedEstimate(
        **dict(pair.difference), n=pair.n, right_alone=pair.right_alone, p_value=pair.p_value
    )
    if not golds:
        return Gain(accuracy=accuracy)
    f1 = compare_f1(golds, _list_labels(a), _list_labels(b), seed=seed)
    return Gain(accuracy=accuracy, macro_f1=f1)


def _list_labels(verdicts: Sequence[Judgement]) -> list[int]:
    return [UNPARSED if v.choice is None else v.choice for v in verdicts]
