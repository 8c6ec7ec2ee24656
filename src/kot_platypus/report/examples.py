"""Which problems the page shows side by side: by a fixed rule, so that none is cherry-picked."""

from __future__ import annotations

from typing import NamedTuple

from kot_platypus.records import Answer
from kot_platypus.report.sentences import name_condition
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import AT_ONCE, SEED, TUNED

NUM_DIFFERING, NUM_FAILED = 4, 2
NUM_CHANGED = 3


class Attempt(NamedTuple):
    """What one model wrote."""

    who: str
    model: str
    answer: Answer


class ShownProblem(NamedTuple):
    """One problem and every model's attempt."""

    number: int
    answer: Answer
    attempts: tuple[Attempt, ...]


class Changes(NamedTuple):
    """The problems that the tuned model solves only with its rationale, and only without."""

    n: int
    num_repaired: int
    num_broken: int
    repaired: tuple[ShownProblem, ...]
    """The first of them, in the order of the test."""
    broken: tuple[ShownProblem, ...]


def describe_rule(results: RunResults) -> str:
    """The rule in words, for the page."""
    tuned = name_condition(results.recipe, TUNED)
    if len(results.answers.keys() - {AT_ONCE}) < 2:
        return (
            f"The first {NUM_FAILED} problems, in the order of the test, that the model got wrong."
        )
    return (
        f"The first {NUM_DIFFERING} problems, in the order of the test, that some models got right "
        f"and others wrong; then the first {NUM_FAILED} others that \u201c{tuned}\u201d got wrong."
    )


def choose_problems(results: RunResults) -> list[ShownProblem]:
    """The problems that ``describe_rule`` describes."""
    by_model = {
        who: {answer.doc_id: answer for answer in rows}
        for who, rows in results.answers.items()
        if not who.startswith(SEED)
    }
    if TUNED not in by_model:
        return []
    # The model that answers at once is shown apart, in what the rationale changed.
    by_model.pop(AT_ONCE, None)
    shared = set.intersection(*(set(rows) for rows in by_model.values()))
    everyone = [[rows[doc_id] for rows in by_model.values()] for doc_id in sorted(shared)]
    differing = [a[0].doc_id for a in everyone if len({x.correct for x in a}) > 1][:NUM_DIFFERING]
    wrong = [i for i in sorted(shared) if not by_model[TUNED][i].correct and i not in differing]
    return [_show(results, by_model, i) for i in [*differing, *wrong[:NUM_FAILED]]]


def choose_changes(results: RunResults) -> Changes | None:
    """What the tuned model's rationale repaired and broke; None where that was not tried."""
    pair = (AT_ONCE, TUNED)
    if not results.answers.keys() >= set(pair):
        return None
    by_model = {who: {answer.doc_id: answer for answer in results.answers[who]} for who in pair}
    direct, cot = by_model.values()
    both = sorted(direct.keys() & cot.keys())
    repaired = [i for i in both if cot[i].correct and not direct[i].correct]
    broken = [i for i in both if direct[i].correct and not cot[i].correct]
    shown = (
        tuple(_show(results, by_model, i) for i in places[:NUM_CHANGED])
        for places in (repaired, broken)
    )
    return Changes(len(both), len(repaired), len(broken), *shown)


def _show(results: RunResults, by_model: dict[str, dict[int, Answer]], doc_id: int) -> ShownProblem:
    return ShownProblem(
        doc_id + 1,
        by_model[TUNED][doc_id],
        tuple(
            Attempt(who, name_condition(results.recipe, who), rows[doc_id])
            for who, rows in by_model.items()
        ),
    )
