from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score

from kot_platypus.records import Sample
from kot_platypus.results.intervals import Z95, wilson_interval
from kot_platypus.results.metrics import (
    UNPARSED,
    compare_paired,
    compare_seeds,
    compute_macro_f1,
    count_pairs,
    measure_accuracy,
    measure_f1,
    resample_confusions,
    summarise_samples,
)

Z2 = norm.ppf(0.975) ** 2


def test_the_quantile_is_that_of_the_normal_distribution():
    assert norm.ppf(0.975) == Z95


def test_wilson_by_hand():
    low, high = wilson_interval(8, 10)
    assert (low, high) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "n"), [(0, 7), (7, 7), (3, 40), (501, 1000)])
def test_wilson_against_scipy(correct, n):
    expected = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson_interval(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_and_f1_by_hand():
    golds, preds = [0, 0, 1, 1], [0, 1, 1, 1]
    assert measure_accuracy(golds, preds).value == 0.75
    # Label 0: precision 1, recall 1/2; label 1: precision 2/3, recall 1.
    assert measure_f1(golds, preds).value == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_vectorised_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    for num_labels in (2, 4):
        golds, preds = rng.integers(0, num_labels, (2, 60))
        expected = f1_score(golds, preds, average="macro")
        assert compute_macro_f1(count_pairs(golds, preds)) == pytest.approx(expected)
    # A label that never occurs does not count, as in scikit-learn.
    assert compute_macro_f1(count_pairs([0, 2], [0, 2])) == 1.0


def test_what_is_unparsed_is_missed_and_no_label_of_its_own():
    golds, preds = [0, 0, 1, 1], [0, UNPARSED, 1, UNPARSED]
    # Both labels: precision 1, recall 1/2.
    assert measure_f1(golds, preds).value == pytest.approx(2 / 3)
    assert compute_macro_f1(count_pairs(golds, preds)) == pytest.approx(2 / 3)
    assert measure_accuracy(golds, preds).value == 0.5
    nothing = measure_f1([0, 1], [UNPARSED] * 2)
    assert (nothing.value, nothing.ci95) == (0, pytest.approx((0, Z2 / (2 + Z2))))


@pytest.mark.parametrize("n", [1, 2, 40])
def test_all_right_or_all_wrong_is_no_certainty(n):
    """Wilson's interval of n of n by hand: n / (n + 1.96^2) to 1."""
    golds = np.arange(n) % 2
    right, wrong = measure_f1(golds, golds), measure_f1(golds, 1 - golds)
    assert (right.value, right.ci95) == (1, pytest.approx((n / (n + Z2), 1)))
    assert (wrong.value, wrong.ci95) == (0, pytest.approx((0, Z2 / (n + Z2))))


def test_bootstrap_is_seeded_and_as_wide_as_a_plain_one():
    rng = np.random.default_rng(1)
    golds = rng.integers(0, 2, 200)
    preds = np.where(rng.random(200) < 0.7, golds, 1 - golds)
    interval = measure_f1(golds, preds, seed=3).ci95
    assert interval == measure_f1(golds, preds, seed=3).ci95
    assert interval != measure_f1(golds, preds, seed=4).ci95
    plain = []
    for _ in range(400):
        drawn = rng.integers(0, 200, 200)
        plain.append(f1_score(golds[drawn], preds[drawn], average="macro"))
    assert interval == pytest.approx(list(np.percentile(plain, [2.5, 97.5])), abs=0.02)
    assert (resample_confusions(golds, preds, seed=0).sum((1, 2)) == 200).all()


def test_summary_keeps_both_predictions_apart():
    rows = [(0, 0, 1), (1, 1, 1), (1, 0, 1)]
    samples = [
        Sample(
            task="copa",
            num_fewshot=5,
            doc_id=i,
            logprobs=(-1.0, -2.0),
            gold=gold,
            pred=pred,
            pred_norm=pred_norm,
            effective_shots=i,
        )
        for i, (gold, pred, pred_norm) in enumerate(rows)
    ]
    summary = summarise_samples(samples)
    assert summary.acc.value == pytest.approx(2 / 3)
    assert summary.acc_norm.value == pytest.approx(2 / 3)
    assert summary.macro_f1_norm.value == pytest.approx(0.4)
    assert summary.n == 3
    assert summary.effective_shots == 1.0


# --- several seeds -----------------------------------------------------------------------------


def test_one_seed_is_mcnemars_exact_test():
    rng = np.random.default_rng(3)
    for n in (5, 24, 60):
        a, b = rng.random((2, n)) < [[0.7], [0.4]]
        difference, p_value = compare_seeds([a], b)
        expected = compare_paired(a, b)
        assert p_value == pytest.approx(expected.p_value)
        assert difference.value == pytest.approx(expected.difference.value)


def test_p_value_of_seeds_counts_all_signs():
    a = np.array([[1, 1, 0, 1, 0, 1, 1], [1, 0, 0, 1, 1, 1, 1], [1, 1, 0, 1, 1, 1, 0]], bool)
    b = np.array([0, 1, 0, 0, 0, 1, 1], bool)
    means = a.mean(axis=0) - b
    signs = np.array(list(itertools.product([-1, 1], repeat=means.size)))
    far = np.abs(signs @ means) >= abs(means.sum()) - 1e-9
    difference, p_value = compare_seeds(a, b)
    assert p_value == pytest.approx(far.mean())
    assert difference.value == pytest.approx(means.mean())


def test_seeds_that_answer_as_the_other_model_does_are_not_surely_equal():
    right = np.array([1, 0, 1, 1, 0], bool)
    difference, p_value = compare_seeds([right, right], right)
    assert (difference, p_value) == (compare_paired(right, right).difference, 1.0)
    assert difference.ci95[0] < 0 < difference.ci95[1]


def test_interval_of_seeds_covers_questions_and_seeds():
    """The variance of a mean over both is about the sum of that over each."""
    rng = np.random.default_rng(0)
    rates = np.array([0.9, 0.7, 0.5, 0.8, 0.6])
    hits = rng.random((5, 400)) < rates[:, None]
    mean, p_value = compare_seeds(hits)
    each = hits.mean(axis=1)
    expected = 1.96 * (each.var() / 5 + hits.mean(axis=0).var() / 400) ** 0.5
    low, high = mean.ci95
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    assert (mean.value, p_value) == (pytest.approx(hits.mean()), 1.0)
    alike, _ = compare_seeds(np.repeat(hits[:1], 3, axis=0))
    one, _ = compare_seeds(hits[:1])
    assert np.diff(alike.ci95) == pytest.approx(np.diff(one.ci95), rel=0.1)
