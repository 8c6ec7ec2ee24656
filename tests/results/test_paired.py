from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from kot_platypus.errors import DataError
from kot_platypus.results.metrics import (
    compare_f1,
    compare_paired,
    correct_holm,
    tango_interval,
)
from kot_platypus.results.schema import Counts

Z2 = 1.959963984540054**2


def test_mcnemar_by_hand():
    # Five questions only a gets right, none only b: p = 2 / 2**5.
    result = compare_paired([1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0])
    assert result.n == 8
    assert result.right_alone == Counts(a=5, b=0)
    assert result.difference.value == 5 / 8
    assert result.p_value == pytest.approx(0.0625)
    low, high = result.difference.ci95
    assert 0 < low < 5 / 8 < high <= 1  # (5 - 0)^2 / 5 > 1.96^2: a score test rejects 0, just so


def test_equal_models_do_not_differ():
    right = np.arange(50) % 3 == 0
    result = compare_paired(right, right)
    reach = Z2 / (50 + Z2)  # Tango's, by hand
    assert result.difference.value == 0
    assert result.difference.ci95 == pytest.approx([-reach, reach])
    assert result.right_alone == Counts(a=0, b=0)
    assert result.p_value == 1


@pytest.mark.parametrize("n", [1, 2, 3, 10, 500])
def test_where_all_questions_tell_one_way_the_interval_is_no_point(n):
    right, wrong = np.arange(n) % 2, 1 - np.arange(n) % 2
    wanted = [(n - Z2) / (n + Z2), 1.0]  # Tango's, by hand: sqrt(n (1 - d) / (1 + d)) = 1.96
    accuracy = compare_paired(right == right, wrong == right)
    f1 = compare_f1(right, right, wrong)
    assert accuracy.difference.ci95 == pytest.approx(tuple(wanted))
    assert f1 == accuracy.difference
    back = compare_f1(right, wrong, right)
    assert (back.value, back.ci95) == (-1, pytest.approx((-wanted[1], -wanted[0])))


def score_by_search(only_a, only_b, n, delta):
    """Tango's score by its definition: the likeliest shares with that difference, by search."""

    def loss(share):
        shares = np.array([share + delta, share, 1 - 2 * share - delta])
        counts = np.array([only_a, only_b, n - only_a - only_b])
        return -float((counts * np.log(np.maximum(shares, 1e-300))).sum())

    low, high = max(0.0, -delta), (1 - delta) / 2
    share = minimize_scalar(loss, bounds=(low, high), options={"xatol": 1e-13}).x
    return (only_a - only_b - n * delta) / np.sqrt(n * (2 * share + delta * (1 - delta)))


@pytest.mark.parametrize("counts", [(5, 0, 8), (0, 4, 40), (12, 2, 50), (0, 3, 3), (1, 0, 1000)])
def test_tangos_interval_ends_where_its_score_test_begins_to_reject(counts):
    low, high = tango_interval(*counts)
    assert -1 <= low < (counts[0] - counts[1]) / counts[2] < high or counts == (0, 3, 3)
    for end, score in ((low, Z2**0.5), (high, -(Z2**0.5))):
        if abs(end) < 1:
            assert score_by_search(*counts, end) == pytest.approx(score, abs=1e-4)


def test_tangos_interval_of_a_published_table():
    """Bentur et al. 2009 (1, 1, 7, 12), as Fagerland, Lydersen and Laake print it
    (Recommended tests and confidence intervals for paired binomial proportions, 2014)."""
    assert tango_interval(1, 7, 21) == pytest.approx([-0.517, -0.026], abs=5e-4)


def test_one_way_excludes_no_difference_only_where_a_score_test_does():
    """(b - c)^2 / (b + c) > 3.84: from four questions on; a bootstrap says so of any three of 8."""
    for only_a in range(1, 8):
        low, _ = tango_interval(only_a, 0, 8)
        assert (low > 0) == (only_a > Z2)


def test_equal_predictions_have_an_interval_in_f1_too():
    golds, preds = [0, 1] * 5, [0, 1, 1, 1, 0] * 2
    low, high = compare_f1(golds, preds, preds).ci95
    assert (low, high) == pytest.approx((-Z2 / (10 + Z2), Z2 / (10 + Z2)))


def test_the_sign_turns_with_the_models():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 300)) < [[0.7], [0.5]]
    forth, back = compare_paired(a, b), compare_paired(b, a)
    assert forth.difference.value == -back.difference.value > 0
    assert forth.p_value == back.p_value < 0.05
    assert forth.difference.ci95[0] > 0


def test_f1_difference_by_hand():
    golds = [0, 0, 1, 1] * 20
    result = compare_f1(golds, golds, [0, 1, 1, 1] * 20)
    expected = 1 - (2 / 3 + 4 / 5) / 2
    assert result.value == pytest.approx(expected)
    low, high = result.ci95
    assert low < expected < high


def test_different_questions_are_refused():
    with pytest.raises(DataError, match="2 and 3 questions"):
        compare_paired([1, 0], [1, 0, 1])
    with pytest.raises(DataError, match="0 and 0"):
        compare_f1([], [], [])


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 3x, then held at 2 * 0.03, 4x
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, corrected):
    assert correct_holm(p_values) == pytest.approx(corrected)


def test_holm_keeps_the_order_of_the_p_values():
    p_values = np.random.default_rng(0).random(20) ** 3
    corrected = np.array(correct_holm(list(p_values)))
    assert (np.diff(corrected[np.argsort(p_values)]) >= 0).all()
    assert (corrected >= p_values).all()
    assert corrected.min() == pytest.approx(20 * p_values.min())
