from __future__ import annotations

import json

import numpy as np
import pytest

from kot_platypus.artifacts import write_jsonl
from kot_platypus.errors import DataError
from kot_platypus.evaluate.comparison import compare_f1, compare_models, compare_paired
from kot_platypus.records import Answer, Sample


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


def test_models_are_compared_on_what_both_answered(tmp_path):
    def answer(doc_id: int, correct: bool) -> Answer:
        return Answer(
            doc_id=doc_id,
            task="chain",
            source="",
            target="",
            output="",
            answer=None,
            correct=correct,
            num_tokens=1,
        )

    def sample(doc_id: int, pred: int) -> Sample:
        return Sample(
            task="copa",
            num_fewshot=0,
            doc_id=doc_id,
            logprobs=(0, 0),
            gold=doc_id % 2,
            pred=pred,
            pred_norm=pred,
            effective_shots=0,
        )

    right = {"base": (True, False, False, False), "cot": (True, True, True, False)}
    right["answer"] = (False, True, False, False)
    for name, verdicts in right.items():
        rows = [answer(i, verdict) for i, verdict in enumerate(verdicts)]
        write_jsonl(tmp_path / name / "problems" / "answers.jsonl", rows)
    for name, preds in {"base": (0, 0, 0, 0), "cot": (0, 1, 0, 1)}.items():
        rows = [sample(i, pred) for i, pred in enumerate(preds)]
        write_jsonl(tmp_path / name / "kobest" / "samples.jsonl", rows)
    compare_models(tmp_path, tuned="cot")
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    differences = {row["b"]: row["difference"]["value"] for row in comparison["problems"]}
    assert differences == {"answer": 0.5, "base": 0.5}
    (kobest,) = comparison["kobest"]
    assert (kobest["task"], kobest["n"]) == ("copa", 4)
    assert kobest["difference"]["value"] == pytest.approx(1 - 1 / 3)  # macro F1 of all 0 is 1/3
