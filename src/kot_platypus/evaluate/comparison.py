"""Whether two models differ: paired tests over the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from kot_platypus.artifacts import read_jsonl, write_json
from kot_platypus.errors import DataError
from kot_platypus.evaluate.metrics import NUM_RESAMPLES, compute_macro_f1
from kot_platypus.records import Answer, Sample


def compare_models(folder: Path, *, tuned: str = "cot") -> None:
    """Compare ``folder/<tuned>`` with every other model there; write ``folder/comparison.json``.

    Problems with all others, in accuracy; KoBEST with those scored on it, in macro F1.
    """
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != tuned)
    problems, kobest = [], []
    for other in others:
        pair = {"a": tuned, "b": other}
        answers = [folder / name / "problems" / "answers.jsonl" for name in (tuned, other)]
        if all(path.is_file() for path in answers):
            a, b = (read_jsonl(path, Answer) for path in answers)
            result = compare_paired([row.correct for row in a], [row.correct for row in b])
            problems.append({**pair, **result})
        samples = [folder / name / "kobest" / "samples.jsonl" for name in (tuned, other)]
        if all(path.is_file() for path in samples):
            a_rows, b_rows = (read_jsonl(path, Sample) for path in samples)
            kobest += [{**pair, **row} for row in _compare_samples(a_rows, b_rows)]
    write_json(folder / "comparison.json", {"problems": problems, "kobest": kobest})


def _compare_samples(a: Sequence[Sample], b: Sequence[Sample]) -> list[dict[str, Any]]:
    rows = []
    for task, num_fewshot in dict.fromkeys((row.task, row.num_fewshot) for row in a):
        group_a, group_b = (
            [row for row in samples if (row.task, row.num_fewshot) == (task, num_fewshot)]
            for samples in (a, b)
        )
        result = compare_f1(
            [row.gold for row in group_a],
            [row.pred for row in group_a],
            [row.pred for row in group_b],
        )
        significance = compare_paired(
            [row.pred == row.gold for row in group_a], [row.pred == row.gold for row in group_b]
        )
        rows.append(
            {
                "task": task,
                "num_fewshot": num_fewshot,
                "metric": "macro_f1",
                **result,
                "p_value": significance["p_value"],
            }
        )
    return rows


def compare_paired(correct_a: ArrayLike, correct_b: ArrayLike, *, seed: int = 42) -> dict[str, Any]:
    """How much more often a is right than b, on the same questions.

    Args:
        correct_a: For each question whether model a was right, bool (n,).
        correct_b: The same for model b.
        seed: Of the bootstrap.

    Returns:
        ``{"n", "difference": {"value", "ci95"}, "p_value"}``: a minus b in accuracy, with a paired
        bootstrap interval, and the exact McNemar test's two-sided p-value.

    Raises:
        DataError: different numbers of questions, or none.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    _check_lengths(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n = a.size
    # A question moves the difference by +1, -1 or 0, so resampling needs only their counts.
    shares = [only_a / n, only_b / n, (n - only_a - only_b) / n]
    draws = np.random.default_rng(seed).multinomial(n, shares, size=NUM_RESAMPLES)
    discordant = only_a + only_b
    p_value = binomtest(only_a, discordant).pvalue if discordant else 1.0
    differences = (draws[:, 0] - draws[:, 1]) / n
    return _summarise(n, (only_a - only_b) / n, differences, p_value=float(p_value))


def compare_f1(
    golds: ArrayLike, preds_a: ArrayLike, preds_b: ArrayLike, *, seed: int = 42
) -> dict[str, Any]:
    """How much higher a's macro F1 is than b's, on the same questions.

    Args:
        golds: Right labels, from 0, int (n,).
        preds_a: The labels that model a chose.
        preds_b: The labels that model b chose.
        seed: Of the bootstrap.

    Returns:
        As ``compare_paired``, but without ``p_value``: macro F1 has no exact test.

    Raises:
        DataError: different numbers of questions, or none.
    """
    gold, a, b = (np.asarray(labels) for labels in (golds, preds_a, preds_b))
    _check_lengths(gold, a)
    _check_lengths(gold, b)
    num_labels = int(max(gold.max(), a.max(), b.max())) + 1
    shape = (num_labels,) * 3
    cells = np.bincount(np.ravel_multi_index((gold, a, b), shape), minlength=num_labels**3)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(gold.size, cells / gold.size, size=NUM_RESAMPLES)
    triples = draws.reshape(-1, *shape)  # (resample, gold, a, b)
    differences = compute_macro_f1(triples.sum(3)) - compute_macro_f1(triples.sum(2))
    value = f1_score(gold, a, average="macro") - f1_score(gold, b, average="macro")
    return _summarise(gold.size, float(value), differences)


def _check_lengths(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.size == 0 or a.shape != b.shape:
        raise DataError(
            f"{a.size} and {b.size} questions",
            expected="results of the same questions, at least one",
            hint="Compare runs of the same tasks, limit and protocol.",
        )


def _summarise(
    n: int, value: float, differences: NDArray[np.float64], **facts: float
) -> dict[str, Any]:
    low, high = np.percentile(differences, [2.5, 97.5])
    return {"n": n, "difference": {"value": value, "ci95": [float(low), float(high)]}, **facts}
