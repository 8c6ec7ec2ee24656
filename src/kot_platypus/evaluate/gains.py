"""What reasoning gained: each way of answering, and their paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kot_platypus.evaluate.replies import is_right, means_right
from kot_platypus.records import Answer, Judgement, Outcome, Reply
from kot_platypus.results.metrics import (
    UNPARSED,
    compare_f1,
    compare_paired,
    measure_accuracy,
    measure_f1,
    measure_shares,
)
from kot_platypus.results.schema import (
    ALL,
    Gain,
    PairedEstimate,
    Rationales,
    ReasoningScore,
    SampleScore,
    WayScore,
)

WAYS = ("cot", "cot_scored", "direct")


def group_outcomes(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The questions of each task; before them all together, where tasks are kinds of one set.

    Those of a suite, whose name is before their own (``hrm8k/KSM``), or ``all``.
    """
    tasks: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        tasks.setdefault(outcome.task or ALL, []).append(outcome)
    suites = {task.partition("/")[0] for task in tasks}
    whole = suites.pop() if len(suites) == 1 and all("/" in task for task in tasks) else ""
    if not whole and any(outcome.gold is None for outcome in outcomes):
        whole = ALL
    return {whole: list(outcomes), **tasks} if whole and len(tasks) > 1 else tasks


def summarise_outcomes(
    outcomes: Sequence[Outcome], attempts: Sequence[Reply] = (), *, seed: int = 42
) -> dict[str, ReasoningScore]:
    """For each task: every way's figures, reasoning minus direct, and what changed."""
    replies: dict[tuple[str, int], list[Reply]] = {}
    for attempt in attempts:
        replies.setdefault((attempt.task, attempt.doc_id), []).append(attempt)
    return {
        task: _summarise(group, [replies.get((each.task, each.doc_id), []) for each in group], seed)
        for task, group in group_outcomes(outcomes).items()
    }


def summarise_replies(
    outcomes: Sequence[Outcome], replies: Sequence[Sequence[Reply]], *, seed: int = 42
) -> SampleScore:
    """What single replies are worth; every question has as many. Intervals count questions."""
    num_samples = len(replies[0])
    counts = {
        judge: np.array(
            [
                sum(judge(asked, reply) for reply in mine)
                for asked, mine in zip(outcomes, replies, strict=True)
            ]
        )
        for judge in (is_right, means_right)
    }
    tries = sorted({2**power for power in range(num_samples.bit_length())} | {num_samples})
    literal, meant = counts[is_right], counts[means_right]
    return SampleScore(
        num_samples=num_samples,
        accuracy=measure_shares(literal / num_samples, seed=seed),
        equivalent=measure_shares(meant / num_samples, seed=seed),
        pass_at={k: compute_pass_at(literal, num_samples, k) for k in tries},
        pass_at_equivalent={k: compute_pass_at(meant, num_samples, k) for k in tries},
    )


def compute_pass_at(correct: NDArray[np.int64], num_samples: int, k: int) -> float:
    """The chance that one of k replies is right, of ``correct`` (questions,) among the samples.

    The unbiased estimator of Chen et al. 2021, arXiv 2107.03374.
    """
    missed = [comb(num_samples - int(count), k) / comb(num_samples, k) for count in correct]
    return 1 - sum(missed) / len(missed)


def _summarise(
    outcomes: Sequence[Outcome], replies: Sequence[Sequence[Reply]], seed: int
) -> ReasoningScore:
    ways: dict[str, list[Judgement]] = {}
    for way in WAYS:
        verdicts = [getattr(outcome, way) for outcome in outcomes]
        if None not in verdicts:
            ways[way] = verdicts
    direct = ways["direct"]
    golds = [outcome.gold for outcome in outcomes if outcome.gold is not None]
    golds = golds if len(golds) == len(outcomes) else []
    changed = compare_paired([v.correct for v in ways["cot"]], [v.correct for v in direct])
    distinct = sum(len({reply.output for reply in mine}) for mine in replies) / len(replies)
    several = {}
    if len(replies[0]) > 1 and all(v.equivalent is not None for v in ways["cot"]):
        several["samples"] = summarise_replies(outcomes, replies, seed=seed)
    scores = {way: _measure(golds, verdicts, seed) for way, verdicts in ways.items()}
    if rationales := summarise_rationales([reply for mine in replies for reply in mine]):
        scores["cot"] = scores["cot"].model_copy(update={"rationales": rationales})
    return ReasoningScore(
        n=len(outcomes),
        **scores,
        difference={
            way: _compare(golds, verdicts, direct, seed)
            for way, verdicts in ways.items()
            if way != "direct"
        },
        repaired=changed.right_alone.a,
        broken=changed.right_alone.b,
        distinct=distinct,
        **several,
    )


def summarise_rationales(replies: Sequence[Reply | Answer]) -> Rationales | None:
    """What the rationales of a way's replies are worth; None where there are none."""
    found = [reply.rationale for reply in replies if reply.rationale is not None]
    if not found:
        return None
    return Rationales(
        n=len(found),
        korean=sum(each.korean for each in found) / len(found),
        loops=sum(each.loops for each in found),
        contradictions=sum(each.contradicts for each in found),
    )


def _measure(golds: Sequence[int], verdicts: Sequence[Judgement], seed: int) -> WayScore:
    """One way's figures. ``golds`` are the right choices, none where questions are open."""
    f1 = {"macro_f1": measure_f1(golds, _list_labels(verdicts), seed=seed)} if golds else {}
    stated = [v.choice if golds else v.answer for v in verdicts]
    return WayScore(
        **measure_stated(verdicts),
        **f1,
        num_parsed=sum(value is not None for value in stated),
        num_tokens=sum(verdict.num_tokens for verdict in verdicts),
    )


def measure_stated(verdicts: Sequence[Judgement | Answer]) -> dict[str, Any]:
    """What scores of problems and of ways say alike; what is not known, or 0, is left out."""
    right = np.ones(len(verdicts), bool)
    cut = [v.num_truncated if isinstance(v, Judgement) else v.truncated for v in verdicts]
    meant = [v.equivalent for v in verdicts if v.equivalent is not None]
    return {
        "accuracy": measure_accuracy(right, [verdict.correct for verdict in verdicts]),
        **({"equivalent": measure_accuracy(right, meant)} if len(meant) == len(verdicts) else {}),
        **({"num_truncated": sum(cut)} if any(cut) else {}),
        "mean_tokens": sum(verdict.num_tokens for verdict in verdicts) / len(verdicts),
    }


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
