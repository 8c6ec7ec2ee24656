from __future__ import annotations

import numpy as np
import pytest

from kot_platypus.errors import DataError
from kot_platypus.evaluate.paired import (
    METRICS,
    compare_f1,
    compare_paired,
    compare_predictions,
    compare_samples,
    correct_holm,
)

from ..evaluation_builder import make_samples


def test_mcnemar_by_hand():
    # Five questions only a gets right, none only b: p = 2 / 2**5.
    result = compare_paired([1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0])
    assert result["n"] == 8
    assert result["right_alone"] == {"a": 5, "b": 0}
    assert result["difference"]["value"] == 5 / 8
    assert result["p_value"] == pytest.approx(0.0625)
    low, high = result["difference"]["ci95"]
    assert 0.2 < low < 5 / 8 < high <= 1


def test_equal_models_do_not_differ():
    right = np.arange(50) % 3 == 0
    result = compare_paired(right, right)
    assert result["difference"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert result["right_alone"] == {"a": 0, "b": 0}
    assert result["p_value"] == 1


def test_the_sign_turns_with_the_models():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 300)) < [[0.7], [0.5]]
    forth, back = compare_paired(a, b), compare_paired(b, a)
    assert forth["difference"]["value"] == -back["difference"]["value"] > 0
    assert forth["p_value"] == back["p_value"] < 0.05
    assert forth["difference"]["ci95"][0] > 0


def test_f1_difference_by_hand():
    golds = [0, 0, 1, 1] * 20
    result = compare_f1(golds, golds, [0, 1, 1, 1] * 20)
    expected = 1 - (2 / 3 + 4 / 5) / 2
    assert result["difference"]["value"] == pytest.approx(expected)
    low, high = result["difference"]["ci95"]
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


@pytest.mark.parametrize(
    ("metric", "a", "b"),
    [("acc", 0.75, 0.5), ("macro_f1", (2 / 3 + 4 / 5) / 2, 1 / 3)],
)
def test_values_and_difference_are_of_the_chosen_metric(metric, a, b):
    result = compare_predictions([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0], metric)
    assert result["values"] == pytest.approx({"a": a, "b": b})
    assert result["difference"]["value"] == pytest.approx(a - b)
    assert result["right_alone"] == {"a": 2, "b": 1}
    assert result["p_value"] == 1


def test_predictions_wrong_in_different_ways_are_not_identical():
    assert not compare_predictions([0, 0, 1], [1, 0, 1], [2, 0, 1], "acc")["identical"]
    assert compare_predictions([0, 0, 1], [1, 0, 1], [1, 0, 1], "acc")["identical"]


@pytest.mark.parametrize("metric", METRICS)
def test_metric_looks_at_its_own_prediction(metric):
    a = make_samples({("copa", 0): [0, 1, 0, 1]}, pred_norm=0)
    b = make_samples({("copa", 0): [0, 1, 0, 1]}, pred_norm=1)
    (row,) = compare_samples(a, b, metric)
    assert row["identical"] == (not metric.endswith("_norm"))


def test_holm_is_over_all_rows_that_both_have():
    right, wrong = [0, 1] * 5, [1, 0] * 5  # p = 2 / 2**10 where they meet
    a = make_samples({("copa", 0): right, ("copa", 5): right, ("wic", 0): right})
    b = make_samples({("copa", 0): wrong, ("copa", 5): right, ("boolq", 0): right})
    rows = compare_samples(a, b)
    assert [(row["task"], row["num_fewshot"]) for row in rows] == [("copa", 0), ("copa", 5)]
    assert [row["p_value"] for row in rows] == pytest.approx([2 / 2**10, 1])
    assert [row["p_holm"] for row in rows] == pytest.approx([4 / 2**10, 1])


def test_shots_that_fit_are_told_for_each_model():
    a = make_samples({("copa", 50): [0, 1]}, effective_shots=50)
    b = make_samples({("copa", 50): [0, 1]}, effective_shots=20)
    (row,) = compare_samples(a, b)
    assert row["effective_shots"] == {"a": 50, "b": 20}
