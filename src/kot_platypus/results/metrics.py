"""Accuracy and macro F1 with 95 % confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import f1_score

from kot_platypus.records import Sample
from kot_platypus.results.schema import ChoiceScore, Estimate

METRICS = {
    "macro_f1": "pred",
    "acc": "pred",
    "acc_norm": "pred_norm",
    "macro_f1_norm": "pred_norm",
}
"""Metric -> the prediction it is computed from."""
NUM_RESAMPLES = 1000
UNPARSED = -1
"""The prediction where no answer was stated: never right, and no label to average over."""
Z95 = float(norm.ppf(0.975))


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


def estimate_from(value: float, resampled: NDArray[np.float64]) -> Estimate:
    """A figure with the interval that holds 95 % of its bootstrap resamples."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value=value, ci95=(float(low), float(high)))


def compute_plain_f1(golds: NDArray[Any], preds: NDArray[Any]) -> float:
    """Macro F1 by scikit-learn, over the labels that occur."""
    labels = sorted({*golds.tolist(), *preds.tolist()} - {UNPARSED})
    return float(f1_score(golds, preds, labels=labels, average="macro"))


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927). (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = correct / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * ((p * (1 - p) / n + z2 / (4 * n * n)) ** 0.5)
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return low, high


def resample_confusions(
    golds: ArrayLike, preds: ArrayLike, *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> NDArray[np.int64]:
    """Confusion matrices (num_resamples, ...) [gold, pred] of bootstrap resamples of the pairs.

    Drawing n pairs with replacement and counting is one draw from a multinomial distribution over
    the cells, so no pair is ever copied.
    """
    counts = count_pairs(golds, preds)
    n = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=num_resamples)
    return draws.reshape(num_resamples, *counts.shape).astype(np.int64)


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
