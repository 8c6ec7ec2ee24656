"""Accuracy and macro F1 with 95 % intervals, and whether two models differ in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from kot_platypus.errors import DataError
from kot_platypus.records import Sample
from kot_platypus.results.intervals import Z95, wilson_interval
from kot_platypus.results.schema import ChoiceScore, Counts, Estimate, Paired, PairedTask

T = TypeVar("T", bound=PairedTask)

METRICS = {
    "macro_f1": "pred",
    "acc": "pred",
    "acc_norm": "pred_norm",
    "macro_f1_norm": "pred_norm",
}
"""Metric of scored choices -> the prediction it is computed from."""
EQUIVALENT = "equivalent"
"""Accuracy of stated answers in what they mean."""
NUM_RESAMPLES = 1000
UNPARSED = -1
"""The prediction where no answer was stated: never right, and no label to average over."""


def summarise_samples(samples: Sequence[Sample], *, seed: int = 42) -> ChoiceScore:
    """The metrics of one task at one number of shots.

    ``acc`` and ``macro_f1`` are over ``pred``, ``acc_norm`` and ``macro_f1_norm`` over
    ``pred_norm``.
    """
    golds = np.array([sample.gold for sample in samples])
    preds = np.array([sample.pred for sample in samples])
    preds_norm = np.array([sample.pred_norm for sample in samples])
    return ChoiceScore(
        acc=measure_accuracy(golds, preds),
        acc_norm=measure_accuracy(golds, preds_norm),
        macro_f1=measure_f1(golds, preds, seed=seed),
        macro_f1_norm=measure_f1(golds, preds_norm, seed=seed),
        n=len(samples),
        effective_shots=float(np.mean([sample.effective_shots for sample in samples])),
    )


def count_ties(logprobs: Iterable[Sequence[float]]) -> int:
    """How many questions' highest score several choices share, to the last bit."""
    return sum(list(scores).count(max(scores)) > 1 for scores in logprobs)


def measure_accuracy(golds: ArrayLike, preds: ArrayLike) -> Estimate:
    """The share of equal labels, with its Wilson interval."""
    correct = np.asarray(golds) == np.asarray(preds)
    interval = wilson_interval(int(correct.sum()), correct.size)
    return Estimate(value=float(correct.mean()), ci95=interval)


def measure_f1(golds: ArrayLike, preds: ArrayLike, *, seed: int = 42) -> Estimate:
    """Macro F1 over the labels that occur (scikit-learn's), with a bootstrap interval.

    Where all predictions are right, or all wrong, every resample is the same and a bootstrap says
    nothing: macro F1 is then the accuracy, and so is its interval. A prediction may be
    ``UNPARSED``.
    """
    golds, preds = np.asarray(golds), np.asarray(preds)
    value = compute_plain_f1(golds, preds)
    if (correct := int((golds == preds).sum())) in (0, golds.size):
        return Estimate(value=value, ci95=wilson_interval(correct, golds.size))
    resampled = compute_macro_f1(resample_confusions(golds, preds, seed=seed))
    return estimate_from(value, resampled)


def measure_shares(shares: NDArray[np.float64], *, seed: int = 42) -> Estimate:
    """The mean of a share for each question (n,), with a bootstrap interval over the questions."""
    value, n = float(shares.mean()), shares.size
    if np.ptp(shares) == 0:  # every resample is the same
        return Estimate(value=value, ci95=wilson_interval(round(value * n), n))
    draws = np.random.default_rng(seed).integers(n, size=(NUM_RESAMPLES, n))
    return estimate_from(value, shares[draws].mean(axis=1))


def estimate_from(value: float, resampled: NDArray[np.float64]) -> Estimate:
    """A figure with the interval that holds 95 % of its bootstrap resamples."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value=value, ci95=(float(low), float(high)))


def compute_plain_f1(golds: NDArray[Any], preds: NDArray[Any]) -> float:
    """Macro F1 by scikit-learn, over the labels that occur."""
    labels = sorted({*golds.tolist(), *preds.tolist()} - {UNPARSED})
    return float(f1_score(golds, preds, labels=labels, average="macro"))


def resample_confusions(golds: ArrayLike, preds: ArrayLike, *, seed: int) -> NDArray[np.int64]:
    """Confusion matrices (NUM_RESAMPLES, ...) [gold, pred] of bootstrap resamples of the pairs.

    Drawing n pairs with replacement and counting is one draw from a multinomial distribution over
    the cells, so no pair is ever copied.
    """
    counts = count_pairs(golds, preds)
    n = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=NUM_RESAMPLES)
    return draws.reshape(NUM_RESAMPLES, *counts.shape).astype(np.int64)


def count_pairs(golds: ArrayLike, preds: ArrayLike) -> NDArray[np.int64]:
    """The confusion matrix (L + 1, L + 1) [gold, pred] of ``UNPARSED`` and labels 0 to L - 1."""
    golds, preds = np.asarray(golds), np.asarray(preds)
    size = int(max(golds.max(), preds.max())) + 2
    cells = (golds - UNPARSED) * size + preds - UNPARSED
    flat = np.bincount(cells, minlength=size**2)
    return flat.reshape(size, size)


def compute_macro_f1(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Macro F1 of each confusion matrix (..., L + 1, L + 1), over the labels that occur in it.

    The first row and column are ``UNPARSED``, which is not averaged over.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)[..., 1:]
    occurrences = (confusions.sum(-1) + confusions.sum(-2))[..., 1:]  # as gold and as prediction
    f1 = 2 * hits / np.maximum(occurrences, 1)
    return np.asarray(f1.sum(-1) / (occurrences > 0).sum(-1))


# --- whether two models differ ------------------------------------------------------------------


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


def compare_seeds(
    correct: ArrayLike, other: ArrayLike | None = None, *, seed: int = 42
) -> tuple[Estimate, float]:
    """How much more often one training at S seeds is right than another model; its p-value.

    The interval is a bootstrap's over seeds and questions, each drawn with replacement: of few
    seeds it is a little narrow. Where all resamples are equal it is ``compare_paired``'s. The test
    is Fisher's randomisation test of the questions' mean differences, exact: the share of all 2^n
    choices of their signs that give a sum as far from 0. Of one seed it is McNemar's exact test.

    Args:
        correct: Whether each seed's model was right, bool (S, n).
        other: The same of the other model, bool (n,). None: the seeds alone, without a test.
        seed: Of the bootstrap.
    """
    hits = np.atleast_2d(np.asarray(correct, bool)).astype(np.int64)
    rivals = np.zeros(hits.shape[1], np.int64) if other is None else np.asarray(other, np.int64)
    _check_lengths(hits[0], rivals)
    seeds, n = hits.shape
    rng = np.random.default_rng(seed)
    means = np.empty(NUM_RESAMPLES)
    for draw in range(NUM_RESAMPLES):
        asked = rng.integers(n, size=n)
        drawn = hits[rng.integers(seeds, size=seeds)]
        means[draw] = drawn[:, asked].mean() - rivals[asked].mean()
    sums = hits.sum(axis=0) - seeds * rivals
    estimate = estimate_from(float(sums.mean()) / seeds, means)
    if np.ptp(means) == 0:
        estimate = compare_paired(hits[0], rivals, seed=seed).difference
    return estimate, 1.0 if other is None else _flip_signs(sums)


def _flip_signs(values: NDArray[np.int64]) -> float:
    """The share of all choices of signs whose sum is as far from 0 as that of ``values``."""
    shares = np.ones(1)
    for size in np.abs(values[values != 0]):  # of sums from -k to k
        grown = np.zeros(shares.size + 2 * size)
        grown[: shares.size] += shares / 2
        grown[2 * size :] += shares / 2
        shares = grown
    sums = np.abs(np.arange(shares.size) - shares.size // 2)
    return float(min(1.0, shares[sums >= abs(int(values.sum()))].sum()))


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
