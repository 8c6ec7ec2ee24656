"""A paired test beside each row of a leaderboard: without one an order would say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from kot_platypus.errors import KotError
from kot_platypus.results.answers import LM_EVAL, Column, Evaluated, Place, load_test
from kot_platypus.results.collect import ScoreRow
from kot_platypus.results.metrics import compare_paired, correct_holm
from kot_platypus.results.schema import ALL


def add_tests(folder: Path, rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """The rows of one block, each with ``p_holm`` against the best with as many shots.

    McNemar's exact test of which answers are right, corrected for the rows of those shots. None for
    the best, and where the answers of both do not lie below ``folder``.
    """
    shots = [-1 if row.num_fewshot is None else row.num_fewshot for row in rows]
    order = sorted(range(len(rows)), key=lambda place: (shots[place], -rows[place].signed_value))
    tested = list(rows)
    for _, group in groupby(order, key=lambda place: shots[place]):
        best, *others = group
        column = _find_column(folder, rows[best])
        found = {place: _test(column, _find_column(folder, rows[place])) for place in others}
        known = {place: p for place, p in found.items() if p is not None}
        for place, p_holm in zip(known, correct_holm(list(known.values())), strict=True):
            tested[place] = rows[place].model_copy(update={"p_holm": p_holm})
    return tested


def _test(a: Column | None, b: Column | None) -> float | None:
    if a is None or b is None or list(a.questions) != list(b.questions):
        return None
    return compare_paired(a.correct, b.correct).p_value


def _find_column(folder: Path, row: ScoreRow) -> Column | None:
    """The answers behind a row; None where they are gone, or were of a part of a test."""
    metric, _, chosen = row.metric.partition(" (")
    test = _load(folder / row.file, metric)
    if test is None:
        return None
    task = ALL if row.task == f"problems: {ALL}" else row.task
    if test.kind == LM_EVAL and chosen:  # a filter's answers go by its name
        task = f"{task} ({chosen}"
    places = (Place(name, row.num_fewshot or 0, row.way) for name in (task, f"kobest_{task}"))
    column = next((test.columns[place] for place in places if place in test.columns), None)
    # In lm-eval's files another metric of the task may be all that says right or wrong.
    says_right = (metric, "acc") if metric in ("f1", "macro_f1") else (metric,)
    is_other = test.kind == LM_EVAL and column is not None and column.metric not in says_right
    return None if is_other else column


@lru_cache(maxsize=256)
def _load(path: Path, metric: str) -> Evaluated | None:
    try:
        return load_test(path, "", metric)
    except KotError:
        return None
