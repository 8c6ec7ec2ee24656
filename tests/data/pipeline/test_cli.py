"""The pipeline as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.data.executors import open_executor
from kot_platypus.data.pipeline.dataset import build_dataset
from kot_platypus.data.pipeline.decisions import SpotCheck
from kot_platypus.data.pipeline.drafts import iter_drafts
from tests.data.pipeline.apples import make_rows
from tests.data.pipeline.conftest import BENCHMARK, Builder
from tests.data.pipeline.test_dataset import decide, list_files, lose_sentence


@pytest.fixture
def recipe(builder: Builder) -> Path:
    return write_recipe(builder, 12)


def write_recipe(builder: Builder, rows: int) -> Path:
    made = builder.make_recipe(make_rows(rows), decontaminate={"against": []})
    path = builder.folder / "apples.yaml"
    path.write_text(yaml.safe_dump(made.model_dump(mode="json")), encoding="utf-8")
    return path


def type_build(builder: Builder, recipe: Path, *options: str) -> str:
    folders = ["--out", str(builder.out), "--ledger", str(builder.folder / "ledger")]
    result = CliRunner().invoke(app, ["data", "build", str(recipe), *folders, *options])
    return f"{result.exit_code}\n{result.output}"


def test_the_price_is_told_before_anything_is_sent(builder: Builder, recipe: Path):
    output = type_build(builder, recipe, "--estimate")
    assert output.startswith("0\nTo be sent: ")
    assert "US dollars" in output
    assert not builder.service.bodies


def test_what_came_out_and_what_it_cost_is_told(builder: Builder, recipe: Path):
    output = type_build(builder, recipe)
    assert f"Paid for in all: {builder.service.bill:,} characters." in output
    assert str(builder.out / "dataset" / "train.parquet") in output


@pytest.mark.parametrize("is_old", [False, True])
def test_a_folder_that_was_moved_keeps_its_bill(builder: Builder, recipe: Path, is_old: bool):
    type_build(builder, recipe)
    if is_old:
        (builder.out / "account.txt").unlink()
        type_build(builder, recipe)  # once more where it was
    builder.out = builder.out.rename(builder.folder / "moved")
    assert f"Paid for in all: {builder.service.bill:,} characters." in type_build(builder, recipe)


def test_who_has_rows_to_review_is_told_how(builder: Builder, recipe: Path):
    builder.service.translation = lose_sentence
    assert f"12 rows wait for a person: kot data review {builder.out}" in type_build(
        builder, recipe
    )


def test_one_row_is_said_as_one(builder: Builder):
    builder.service.translation = lose_sentence
    said = type_build(builder, write_recipe(builder, 1))
    assert f"1 row waits for a person: kot data review {builder.out}" in said
    assert str(SpotCheck(total=1)) == "Spot check: the one row that passed is not decided on yet."


def test_the_same_command_takes_the_decisions_in_and_says_what_they_come_to(
    builder: Builder, recipe: Path
):
    assert "Spot check: none of 12 rows" in type_build(builder, recipe)
    first, *_ = iter_drafts(builder.out / "review" / "passed.jsonl")
    decide(builder.out, "drop", first)
    output = type_build(builder, recipe)
    assert output.startswith("0\n")
    assert "Spot check of 1 of 12 drawn rows that passed: 1 dropped" in output


def test_a_spent_budget_is_one_line_and_no_failure_of_ours(builder: Builder, recipe: Path):
    output = type_build(builder, recipe, "--budget", "10")
    assert output.startswith("1\n")
    assert "no more than the budget of 10" in " ".join(output.split())
    assert "Traceback" not in output


def test_options_of_data_sets_are_refused_for_a_training_recipe(tmp_path: Path):
    arguments = ["data", "build", "demo", "--out", str(tmp_path / "x"), "--estimate"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "translates nothing" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_every_executor_makes_the_same_data_set(builder: Builder, tmp_path: Path, executor: str):
    rows = make_rows(700)
    rows.append({**rows[3], "task": "other"})
    recipe = builder.make_recipe(rows)
    builder.build(recipe)
    expected = list_files(builder.out)
    with open_executor(executor, workers=2) as workers:
        out = tmp_path / executor
        load = lambda: {"picnics": [BENCHMARK]}  # noqa: E731
        build_dataset(out, recipe, builder.account(), workers, load)
    assert list_files(out) == expected


@pytest.mark.parametrize("verb", ["build", "duplicates", "contamination"])
def test_former_option_of_executors_answers_with_the_new_one(verb: str):
    result = CliRunner().invoke(app, ["data", verb, "x.jsonl", "--out", "o", "--engine", "ray"])
    assert f"data {verb} has no --engine any more; use --executor." in result.output
