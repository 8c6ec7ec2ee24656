from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from kot_platypus.artifacts import write_json, write_jsonl
from kot_platypus.errors import DataError, UsageError
from kot_platypus.records import Answer
from kot_platypus.report.comparison_table import comparison_table
from kot_platypus.results.comparison import compare_evaluations, compare_models

from ..evaluation_builder import make_samples, write_evaluation

RIGHT, WRONG = [0, 1] * 5, [1, 0] * 5


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return write_evaluation(tmp_path / "a", {("copa", 0): RIGHT, ("copa", 5): RIGHT})


def test_common_rows_are_compared_and_the_others_named(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 5): WRONG, ("wic", 0): RIGHT})
    facts = compare_evaluations(a, b)
    (row,) = facts["rows"]
    assert (row["task"], row["num_fewshot"], row["n"]) == ("copa", 5, 10)
    assert row["values"] == {"a": 1, "b": 0}
    assert row["difference"]["value"] == 1
    assert row["difference"]["ci95"] == pytest.approx([0.4449, 1], abs=1e-4)  # (10-z2)/(10+z2)
    assert facts["only_a"] == [{"task": "copa", "num_fewshot": 0}]
    assert facts["only_b"] == [{"task": "wic", "num_fewshot": 0}]


def test_facts_are_json_and_name_what_was_compared(a):
    facts = json.loads(json.dumps(compare_evaluations(a, a, "acc")))
    assert facts["a"] == facts["b"] == {"folder": str(a), "model": "ab" * 32}
    assert (facts["protocol"], facts["metric"]) == ("polyglot", "acc")


def test_another_protocol_is_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT}, protocol="lm-eval")
    with pytest.raises(DataError, match="copa was scored with the protocol polyglot in A and lm-e"):
        compare_evaluations(a, b)


def test_another_version_of_a_protocol_is_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT}, fingerprints={"copa": "changed"})
    with pytest.raises(
        DataError, match=r"polyglot \(polyglot\) in A and polyglot \(changed\) in B"
    ):
        compare_evaluations(a, b)


def test_protocol_extended_by_another_task_stays_comparable(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT}, fingerprints={"mine": "new"})
    assert len(compare_evaluations(a, b)["rows"]) == 1


def test_protocol_may_differ_where_nothing_is_compared(a, tmp_path):
    preds = {("copa", 0): RIGHT, ("wic", 0): RIGHT}
    b = write_evaluation(tmp_path / "b", preds, fingerprints={"wic": "another"})
    assert len(compare_evaluations(a, b)["rows"]) == 1


def test_other_data_are_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT}, data={"copa": "changed"})
    with pytest.raises(DataError, match="copa was scored on different data"):
        compare_evaluations(a, b)


def test_another_limit_is_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT[:4]})
    with pytest.raises(DataError, match="copa at 0 shots: A answered 10 questions and B 4"):
        compare_evaluations(a, b)


def test_other_gold_labels_are_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT}, gold=1)
    with pytest.raises(DataError, match="different questions"):
        compare_evaluations(a, b)


def test_nothing_in_common_is_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 10): RIGHT})
    with pytest.raises(DataError, match="no task at the same number of shots"):
        compare_evaluations(a, b)


def test_unknown_metric_is_refused(a):
    with pytest.raises(UsageError, match=r"'f1'.*macro_f1_norm"):
        compare_evaluations(a, a, "f1")


@pytest.mark.parametrize("facts", [{"model": "x", "protocol": {"name": "polyglot"}}, [1], None])
def test_results_of_another_shape_are_refused(a, facts):
    write_json(a / "results.json", facts)
    with pytest.raises(DataError, match=r"results.json: .*expected model, protocol and data"):
        compare_evaluations(a, a)


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

    right = {"base": (True, False, False, False), "cot": (True, True, True, False)}
    right["answer"] = (False, True, False, False)
    for name, verdicts in right.items():
        rows = [answer(i, verdict) for i, verdict in enumerate(verdicts)]
        write_jsonl(tmp_path / name / "problems" / "answers.jsonl", rows)
    for name, preds in {"base": (0, 0, 0, 0), "cot": (0, 1, 0, 1)}.items():
        rows = make_samples({("copa", 0): preds})
        write_jsonl(tmp_path / name / "kobest" / "samples.jsonl", rows)
    compare_models(tmp_path, tuned="cot")
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    differences = {row["b"]: row["difference"]["value"] for row in comparison["problems"]}
    assert differences == {"answer": 0.5, "base": 0.5}
    (kobest,) = comparison["kobest"]
    assert (kobest["a"], kobest["b"], kobest["task"], kobest["n"]) == ("cot", "base", "copa", 4)
    assert kobest["difference"]["value"] == pytest.approx(1 - 1 / 3)  # macro F1 of all 0 is 1/3


def test_a_side_that_reads_badly_without_bos_is_named(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): WRONG})
    reading = {"nats_without": 6.84, "nats_with": 2.47, "reads_badly": True}
    found = json.loads((b / "results.json").read_text())
    (b / "results.json").write_text(json.dumps({**found, "bos": reading}))
    facts = compare_evaluations(a, b)
    assert facts["b"]["bos"] == reading
    assert "bos" not in facts["a"]
    console = Console(width=200, file=io.StringIO())
    console.print(comparison_table(facts))
    assert "B: This model reads badly without BOS: 6.8 against 2.5" in console.file.getvalue()
