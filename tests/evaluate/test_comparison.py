from __future__ import annotations

import numpy as np
import pytest

from kot_platypus.errors import DataError
from kot_platypus.evaluate.comparison import compare_f1, compare_paired


def test_mcnemar_by_hand():
    # Five questions only a gets right, none only b: p = 2 / 2**5.
    result = compare_paired([1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0])
    assert result["n"] == 8
    assert result["difference"]["value"] == 5 / 8
    assert result["p_value"] == pytest.approx(0.0625)
    low, high = result["difference"]["ci95"]
    assert 0.2 < low < 5 / 8 < high <= 1


def test_equal_models_do_not_differ():
    right = np.arange(50) % 3 == 0
    result = compare_paired(right, right)
    assert result == {"n": 50, "difference": {"value": 0.0, "ci95": [0.0, 0.0]}, "p_value": 1.0}


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
