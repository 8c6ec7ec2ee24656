"""Whether two models differ: paired statistics over the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest

from kot_platypus.errors import DataError
from kot_platypus.results.metrics import (
    NUM_RESAMPLES,
    UNPARSED,
    Z95,
    compute_macro_f1,
    compute_plain_f1,
    estimate_from,
)
from kot_platypus.results.schema import Counts, Estimate, Paired, PairedTask

T = TypeVar("T", bound=PairedTask)


def correct_rows(rows: Sequence[T]) -> list[T]:
    """The rows with ``p_holm`` corrected for all of them."""
    corrected = correct_holm([row.p_value for row in rows])
    return [
        row.model_copy(update={"p_holm": p_holm})
        for row, p_holm in zip(rows, corrected, strict=True)
    ]


def compare_paired(correct_a: ArrayLike, correct_b: ArrayLike, *, seed: int = 42) -> Paired:
    """How much more often a is right than b, on the same questions.

    The interval is a paired bootstrap's, or Tango's where no question, or only questions of one
    side, tell them apart.

    Args:
        correct_a: For each question whether model a was right, bool (n,).
        correct_b: The same for model b.
        seed: Of the bootstrap.

    Raises:
        DataError: different numbers of questions, or none.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    _check_lengths(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n, value = a.size, (only_a - only_b) / a.size
    if 0 in (only_a, only_b):  # no resample would turn to the other side
        difference = Estimate(value=value, ci95=tango_interval(only_a, only_b, n))
    else:
        # A question moves the difference by +1, -1 or 0, so resampling needs only their counts.
        shares = [only_a / n, only_b / n, (n - only_a - only_b) / n]
        draws = np.random.default_rng(seed).multinomial(n, shares, size=NUM_RESAMPLES)
        difference = estimate_from(value, (draws[:, 0] - draws[:, 1]) / n)
    discordant = only_a + only_b
    return Paired(
        n=n,
        difference=difference,
        right_alone=Counts(a=only_a, b=only_b),
        p_value=float(binomtest(only_a, discordant).pvalue) if discordant else 1.0,
    )


def tango_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a difference of paired proportions, (only_a - only_b) / n.

    Tango 1998, Statistics in Medicine 17:891-908: the differences that a score test would not
    reject. It is as wide as it should be also where all differences go one way.
    """

    def score(delta: float) -> float:
        # ``share``: of questions that only b gets right, likeliest where the difference is delta.
        b = (2 * n - only_a + only_b) * delta - only_a - only_b
        root = np.sqrt(max(0.0, b * b + 8 * n * only_b * delta * (1 - delta)))
        share = (root - b) / (4 * n)
        variance = n * (2 * share + delta * (1 - delta))
        return float((only_a - only_b - n * delta) / np.sqrt(max(variance, 1e-300)))

    value, edge = (only_a - only_b) / n, 1 - 1e-12
    low, high = -1.0, 1.0
    if score(-edge) > Z95:
        low = brentq(lambda delta: score(delta) - Z95, -edge, value)
    if score(edge) < -Z95:
        high = brentq(lambda delta: score(delta) + Z95, value, edge)
    return float(low), float(high)


def compare_f1(
    golds: ArrayLike, preds_a: ArrayLike, preds_b: ArrayLike, *, seed: int = 42
) -> Estimate:
    """How much higher a's macro F1 is than b's, on the same questions.

    Args:
        golds: Right labels, from 0, int (n,).
        preds_a: The labels that model a chose, or ``UNPARSED``.
        preds_b: The labels that model b chose.
        seed: Of the bootstrap.

    Returns:
        The difference. Macro F1 has no exact test, so no p-value. Where all resamples are the same
        (equal predictions; all right against all wrong) its difference is that of the accuracy,
        and so is its interval.

    Raises:
        DataError: different numbers of questions, or none.
    """
    gold, a, b = (np.asarray(labels) for labels in (golds, preds_a, preds_b))
    _check_lengths(gold, a)
    _check_lengths(gold, b)
    size = int(max(gold.max(), a.max(), b.max())) + 2
    # Only the triples that occur are drawn: with many labels most never do.
    triples, counts = np.unique(np.stack([gold, a, b]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(gold.size, counts / gold.size, size=NUM_RESAMPLES)

    def measure(preds: NDArray[Any]) -> NDArray[np.float64]:
        confusions = np.zeros((size, size, NUM_RESAMPLES), np.int64)
        np.add.at(confusions, (triples[0] - UNPARSED, preds - UNPARSED), draws.T)
        return compute_macro_f1(np.moveaxis(confusions, 2, 0))

    differences = measure(triples[1]) - measure(triples[2])
    value = compute_plain_f1(gold, a) - compute_plain_f1(gold, b)
    accuracy = compare_paired(a == gold, b == gold).difference
    if np.ptp(differences) < 1e-12 and abs(value - accuracy.value) < 1e-12:
        return accuracy
    return estimate_from(value, differences)


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in the given order (Holm 1979, step-down).

    The chance that any of them falls below 0.05 while no model differs is then at most 5 %.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        # A larger p-value never ends up below a smaller one.
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def _check_lengths(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.size == 0 or a.shape != b.shape:
        raise DataError(
            f"{a.size} and {b.size} questions",
            expected="results of the same questions, at least one",
            hint="Compare runs of the same tasks, limit and protocol.",
        )
