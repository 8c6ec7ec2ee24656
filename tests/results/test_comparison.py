from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from kot_platypus.artifacts import write_json, write_jsonl
from kot_platypus.errors import DataError, UsageError
from kot_platypus.evaluate.answers import summarise_answers
from kot_platypus.records import Answer, BosReading
from kot_platypus.report.comparison_table import comparison_table
from kot_platypus.results.answers import Column, Place
from kot_platypus.results.comparison import compare_columns, compare_evaluations, compare_models
from kot_platypus.results.metrics import METRICS
from kot_platypus.results.schema import Counts, Sides, dump_part

from ..evaluation_builder import write_evaluation

FILES = Path(__file__).parent / "files"
RIGHT, WRONG = [0, 1] * 5, [1, 0] * 5


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return write_evaluation(tmp_path / "a", {("copa", 0): RIGHT, ("copa", 5): RIGHT})


def test_common_rows_are_compared_and_the_others_named(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 5): WRONG, ("wic", 0): RIGHT})
    found = compare_evaluations(a, b)
    (row,) = found.rows
    assert (row.task, row.num_fewshot, row.n) == ("copa", 5, 10)
    assert (row.values.a, row.values.b) == (1, 0)
    assert row.difference.value == 1
    assert row.difference.ci95 == pytest.approx((0.4449, 1), abs=1e-4)  # (10-z2)/(10+z2)
    assert [(key.task, key.num_fewshot) for key in found.only_a] == [("copa", 0)]
    assert [(key.task, key.num_fewshot) for key in found.only_b] == [("wic", 0)]


def test_facts_are_json_and_name_what_was_compared(a):
    facts = json.loads(json.dumps(dump_part(compare_evaluations(a, a, "acc"))))
    assert facts["a"] == facts["b"] == {"folder": str(a), "model": "ab" * 32}
    assert (facts["protocol"], facts["metric"]) == ("polyglot", "acc")
    assert {row["test"] for row in facts["rows"]} == {"choices"}


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
    assert len(compare_evaluations(a, b).rows) == 1


def test_protocol_may_differ_where_nothing_is_compared(a, tmp_path):
    preds = {("copa", 0): RIGHT, ("wic", 0): RIGHT}
    b = write_evaluation(tmp_path / "b", preds, fingerprints={"wic": "another"})
    assert len(compare_evaluations(a, b).rows) == 1


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


def test_an_evaluation_that_is_not_finished_is_refused(a, tmp_path):
    b = write_evaluation(tmp_path / "b", {("copa", 0): RIGHT})
    write_json(b / "manifest.json", {"stage": "choices", "status": "running"})
    with pytest.raises(DataError, match="is not finished"):
        compare_evaluations(a, b)


@pytest.mark.parametrize(
    ("metric", "a", "b"),
    [("acc", 0.75, 0.5), ("macro_f1", (2 / 3 + 4 / 5) / 2, 1 / 3)],
)
def test_values_and_difference_are_of_the_chosen_metric(metric, a, b, tmp_path):
    folders = [
        write_evaluation(tmp_path / name, {("copa", 0): preds})
        for name, preds in {"a": [0, 1, 1, 1], "b": [0, 0, 0, 0]}.items()
    ]
    (row,) = compare_evaluations(*folders, metric).rows
    assert dict(row.values) == pytest.approx({"a": a, "b": b})
    assert row.difference.value == pytest.approx(a - b)
    assert row.right_alone == Counts(a=2, b=1)
    assert row.p_value == 1


def test_predictions_wrong_in_different_ways_are_not_identical():
    a, b, c = (Column([0, 1, 2], [False, True, True], said) for said in ([1, 0, 1], [2, 0, 1], []))
    assert compare_columns(Place("copa", 0), a, a).identical
    assert not compare_columns(Place("copa", 0), a, b).identical
    assert not compare_columns(Place("copa", 0), c, c).identical  # nothing is known to be said


@pytest.mark.parametrize("metric", METRICS)
def test_metric_looks_at_its_own_prediction(metric, tmp_path):
    a, b = (
        write_evaluation(tmp_path / str(norm), {("copa", 0): RIGHT}, pred_norm=norm)
        for norm in (0, 1)
    )
    (row,) = compare_evaluations(a, b, metric).rows
    assert row.identical == (not metric.endswith("_norm"))


def test_holm_is_over_all_rows_that_both_have(a, tmp_path):  # p = 2 / 2**10 where they meet
    b = write_evaluation(
        tmp_path / "b", {("copa", 0): WRONG, ("copa", 5): RIGHT, ("wic", 0): RIGHT}
    )
    rows = compare_evaluations(a, b).rows
    assert [(row.task, row.num_fewshot) for row in rows] == [("copa", 0), ("copa", 5)]
    assert [row.p_value for row in rows] == pytest.approx([2 / 2**10, 1])
    assert [row.p_holm for row in rows] == pytest.approx([4 / 2**10, 1])


def test_shots_that_fit_are_told_for_each_model(tmp_path):
    a, b = (
        write_evaluation(tmp_path / str(n), {("copa", 50): RIGHT}, effective_shots=n)
        for n in (50, 20)
    )
    (row,) = compare_evaluations(a, b).rows
    assert row.effective_shots == Sides(a=50, b=20)


def test_unknown_metric_is_refused(a):
    with pytest.raises(UsageError, match=r"'f1'.*macro_f1_norm"):
        compare_evaluations(a, a, "f1")


@pytest.mark.parametrize("facts", [{"model": "x", "protocol": {"name": "polyglot"}}, [1], None])
def test_results_of_another_shape_are_refused(a, facts):
    write_json(a / "results.json", facts)
    with pytest.raises(DataError, match=r"results.json holds no results of kot"):
        compare_evaluations(a, a)


def test_no_message_of_pydantic_reaches_a_user(a):
    (a / "samples.jsonl").write_text('{"task": "copa"}\n')
    with pytest.raises(DataError, match="it lacks num_fewshot") as caught:
        compare_evaluations(a, a)
    assert "Field required" not in str(caught.value)


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
        results = {task: dump_part(score) for task, score in summarise_answers(rows).items()}
        facts = {"model": name, "num_fewshot": 0, "results": results}
        write_json(tmp_path / name / "problems" / "results.json", facts)
    for name, preds in {"base": (0, 0, 0, 0), "cot": (0, 1, 0, 1)}.items():
        write_evaluation(tmp_path / name / "kobest", {("copa", 0): preds})
    compare_models(tmp_path, 42)
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
    assert facts.b.bos == BosReading(**reading)
    assert facts.a.bos is None
    console = Console(width=200, file=io.StringIO())
    console.print(comparison_table(facts))
    assert "B: This model reads badly without BOS: 6.8 against 2.5" in console.file.getvalue()


# --- runs, reasoning, lm-eval ------------------------------------------------------------------


def write_answers(
    run: Path, who: str, right: list[bool], model: str, meant: list[bool] | None = None
) -> None:
    folder = run / "evaluate" / who / "problems"
    rows = [
        Answer(
            doc_id=i, task="chain", source=f"q{i}", target="7", output="", num_tokens=1,
            answer="7" if correct else "8", correct=correct, equivalent=meant[i] if meant else None,
        )
        for i, correct in enumerate(right)
    ]  # fmt: skip
    write_jsonl(folder / "answers.jsonl", rows)
    scores = {kind: dump_part(score) for kind, score in summarise_answers(rows).items()}
    write_json(folder / "results.json", {"model": model, "num_fewshot": 0, "results": scores})


def test_two_runs_are_compared_on_their_held_out_problems(tmp_path):
    """The README's own command: 57 of 64 against 49, 12 right alone against 4."""
    a, b = tmp_path / "demo", tmp_path / "two-epochs"
    write_answers(a, "cot", [True] * 45 + [True] * 12 + [False] * 4 + [False] * 3, "aa")
    write_answers(b, "cot", [True] * 45 + [False] * 12 + [True] * 4 + [False] * 3, "bb")
    write_answers(a, "base", [True] * 64, "cc")
    write_answers(b, "base", [True] * 64, "cc")
    write_answers(b, "answer", [True] * 64, "dd")
    found = compare_evaluations(a, b)
    (row,) = found.rows
    assert (row.test, row.who, row.n) == ("problems", "cot", 64)
    assert (row.values.a, row.values.b) == (57 / 64, 49 / 64)
    assert (row.right_alone.a, row.right_alone.b) == (12, 4)
    assert row.p_value == row.p_holm == pytest.approx(0.0768, abs=1e-4)
    assert found.left_out == ("base, held-out problems: the same model in A and B",)
    assert [key.who for key in found.only_b] == ["answer"]


def test_answers_are_compared_by_what_they_mean_where_that_is_asked_for(tmp_path):
    a, b, old = tmp_path / "a", tmp_path / "b", tmp_path / "old"
    write_answers(a, "cot", [True] + [False] * 7, "aa", [True] * 7 + [False])
    write_answers(b, "cot", [True] * 2 + [False] * 6, "bb", [True] * 2 + [False] * 6)
    write_answers(old, "cot", [True] * 8, "cc")
    (row,) = compare_evaluations(a, b, "equivalent").rows
    assert (row.metric, row.values.a, row.values.b) == ("equivalent", 7 / 8, 2 / 8)
    assert (row.right_alone.a, row.right_alone.b) == (5, 0)
    assert compare_evaluations(a, b).rows[0].values.a == 1 / 8
    with pytest.raises(UsageError, match="--metric equivalent, and nothing"):
        compare_evaluations(old, old, "equivalent")


def test_seeds_are_compared_together_and_each_is_kept(tmp_path):
    folder = tmp_path / "evaluate"
    write_answers(tmp_path, "cot", [True, True, True, False], "aa")
    write_answers(tmp_path, "cot-seed8", [True, True, False, False], "bb")
    write_answers(tmp_path, "base", [False, False, False, True], "cc")
    compare_models(folder, 7)
    comparison = json.loads((folder / "comparison.json").read_text())
    assert [pair["b"] for pair in comparison["problems"]] == ["base"]
    seeds = comparison["seeds"]
    assert seeds["accuracy"] == {"7": 0.75, "8": 0.5}
    assert seeds["mean"]["value"] == 0.625
    (base,) = seeds["differences"]
    assert (base["b"], base["n"], base["difference"]["value"]) == ("base", 4, 0.375)
    # Of the 16 choices of signs of 2, 2, 1 and -2 halves, 10 give a sum as far from 0 as 3.
    assert base["p_value"] == 10 / 16


def test_a_run_made_again_is_compared_and_identical():
    """``kot run runs/demo/recipe.yaml --out runs/again`` promises the same model."""
    found = compare_evaluations(FILES / "runs" / "first", FILES / "runs" / "first")
    assert {row.who for row in found.rows} >= {"cot"}
    assert all(row.difference.value == 0 and row.p_holm == 1 for row in found.rows)


def test_worked_examples_before_a_problem_are_the_models_affair_and_said():
    found = compare_evaluations(FILES / "runs/first", FILES / "runs/first/evaluate/base")
    (row,) = (row for row in found.rows if row.test == "problems")
    assert (row.num_fewshot, row.num_fewshot_b) == (0, 1)


def test_other_problems_are_left_out_and_the_rest_compared(a, tmp_path):
    runs = [tmp_path / name for name in ("one", "two")]
    for number, run in enumerate(runs):
        write_answers(run, "cot", [True] * (4 + number), "ab"[number])
        write_evaluation(run / "evaluate" / "cot" / "kobest", {("copa", 0): RIGHT})
        path = run / "evaluate" / "cot" / "kobest" / "results.json"
        write_json(path, json.loads(path.read_text()) | {"model": "ab"[number]})
    found = compare_evaluations(*runs)
    assert [row.test for row in found.rows] == ["choices"]
    assert found.left_out == ("all at 0 shots: A answered 4 questions and B 5",)


def test_a_run_beside_an_evaluation_is_its_trained_model(tmp_path):
    run, b = FILES / "runs" / "first", FILES / "scores" / "llama"
    found = compare_evaluations(run, b)
    assert {(row.test, row.who, row.num_fewshot) for row in found.rows} == {("choices", "", 0)}
    facts = json.loads((run / "evaluate" / "cot" / "kobest" / "results.json").read_text())
    values = {row.task: row.values.a for row in found.rows}
    for task, value in values.items():
        assert value == facts["results"][task]["0"]["macro_f1"]["value"]


def test_a_metric_that_nothing_has_is_refused():
    a, b = (FILES / "scores" / f"{name}-cot" for name in ("llama", "polyglot"))
    with pytest.raises(UsageError, match=r"--metric acc_norm, and nothing in .* that has it"):
        compare_evaluations(a, b, "acc_norm")


def test_reasoned_evaluations_are_compared_way_by_way():
    a, b = (FILES / "scores" / f"{name}-cot" for name in ("llama", "polyglot"))
    found = compare_evaluations(a, b)
    assert [(row.task, row.way) for row in found.rows] == [
        ("copa", "direct"), ("copa", "cot"), ("copa", "cot_scored"),
    ]  # fmt: skip
    scores = json.loads((a / "results.json").read_text())["results"]["copa"]
    assert found.rows[0].values.a == scores["direct"]["accuracy"]["value"]
    open_ones = compare_evaluations(
        FILES / "scores/llama-problems", FILES / "scores/llama-problems"
    )
    assert [(row.task, row.way, row.n) for row in open_ones.rows] == [
        ("all", "direct", 4), ("all", "cot", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("folder", ["scores/{}-lm-eval", "lm-eval/tiny-{}-ko"])
def test_lm_evals_samples_are_compared(folder, tmp_path):
    a, b = (FILES / folder.format(name) for name in ("llama", "polyglot"))
    found = compare_evaluations(a, b)
    assert found.rows
    assert all(row.test == "lm-eval" and row.metric != "macro_f1" for row in found.rows)
    shutil.copytree(b, tmp_path / "b")
    (path,) = (tmp_path / "b").glob("results*.json")
    facts = json.loads(path.read_text())
    for task in facts["configs"].values():
        task["doc_to_text"] = "?"
    write_json(path, facts)
    with pytest.raises(DataError, match=r"scored with the protocol lm-eval 0.4.13 \("):
        compare_evaluations(a, tmp_path / "b")


def test_results_of_two_tests_have_nothing_in_common(a):
    with pytest.raises(DataError, match="holds answers with reasoning and"):
        compare_evaluations(FILES / "scores" / "llama-cot", a)
