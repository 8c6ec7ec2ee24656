"""Which problems the page shows side by side: a fixed rule, so that nobody can cherry-pick."""

from __future__ import annotations

from typing import NamedTuple

from kot_platypus.records import Answer
from kot_platypus.report.wording import name_condition
from kot_platypus.results import TUNED, RunResults

NUM_DIFFERING, NUM_FAILED = 4, 2


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


def describe_rule(results: RunResults) -> str:
    """The rule in words, for the page."""
    tuned = name_condition(results.recipe, TUNED)
    if len(results.answers) < 2:
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
        who: {answer.doc_id: answer for answer in rows} for who, rows in results.answers.items()
    }
    if TUNED not in by_model:
        return []
    shared = set.intersection(*(set(rows) for rows in by_model.values()))
    everyone = [[rows[doc_id] for rows in by_model.values()] for doc_id in sorted(shared)]
    differing = [a[0].doc_id for a in everyone if len({x.correct for x in a}) > 1][:NUM_DIFFERING]
    wrong = [i for i in sorted(shared) if not by_model[TUNED][i].correct and i not in differing]
    return [
        ShownProblem(
            doc_id + 1,
            by_model[TUNED][doc_id],
            tuple(
                Attempt(who, name_condition(results.recipe, who), rows[doc_id])
                for who, rows in by_model.items()
            ),
        )
        for doc_id in [*differing, *wrong[:NUM_FAILED]]
    ]
