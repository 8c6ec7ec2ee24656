"""A paired test beside each row of a leaderboard: without one an order would say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from kot_platypus.errors import KotError
from kot_platypus.results.answers import Column, Evaluated, Place, load_test
from kot_platypus.results.paired import METRICS, compare_paired, correct_holm
from kot_platypus.results.schema import ALL, ScoreRow


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
    metric = row.metric if row.metric in METRICS else "acc"
    test = _load(folder / row.file, metric)
    task = ALL if row.task == f"problems: {ALL}" else row.task
    places = (Place(name, row.num_fewshot or 0, row.way) for name in (task, f"kobest_{task}"))
    columns = test.columns if test else {}
    return next((columns[place] for place in places if place in columns), None)


@lru_cache(maxsize=256)
def _load(path: Path, metric: str) -> Evaluated | None:
    try:
        return load_test(path, "", metric)
    except KotError:
        return None
