"""Rounds of self-teaching: what a round learns from, and what it says where nothing held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kot_platypus import run_stages
from kot_platypus.artifacts import read_jsonl, read_manifest
from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.texts import Generated, Prompt, Settings
from kot_platypus.recipe import Recipe, load_recipe
from kot_platypus.records import Example

SETTINGS = (
    "data.sources=[{name: problems, rows: 3, families: [chain]}]",
    "data.questions=[{name: problems, rows: 8, families: [chain]}]",
    "data.heldout_problems=4",
    "self_taught.num_samples=2",
    "self_taught.verify_steps=false",
)


class Solver(ModelUnderTest):
    """Knows the answers; of every second question it gets a step wrong, or all of them."""

    name = identity = key = "solver"
    about = {"model": "solver"}  # noqa: RUF012

    def __init__(self, solutions: Sequence[Example], *, is_right: bool = True) -> None:
        self.solutions, self.is_right = solutions, is_right

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        for place, prompt in enumerate(prompts):
            (number,) = (i for i, row in enumerate(self.solutions) if row.source in prompt.text)
            row = self.solutions[number]
            rationale = row.rationale.replace("1번 ", "2번 ") if number % 2 else row.rationale
            answer = row.target if self.is_right else "아무도"
            text = f"{rationale}\n정답: {answer}"
            yield place, Generated(text=text, num_tokens=9, truncated=False)


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("self-taught", SETTINGS)


@pytest.fixture
def out(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    run_stages.build_data(recipe, tmp_path / "data")
    return tmp_path


def solve(out: Path, recipe: Recipe) -> list[Example]:
    """The questions with the rationales that the data stage took away."""
    from kot_platypus.data.build import load_sources

    asked = {row.source for row in read_jsonl(out / "data" / "questions.jsonl", Example)}
    (rows,) = load_sources(recipe.data.questions, recipe.seed + len(recipe.data.sources))
    return [row for row in rows if isinstance(row, Example) and row.source in asked]


def teach(out: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, **how: bool) -> None:
    solver = Solver(solve(out, recipe), **how)
    monkeypatch.setattr(run_stages, "open_model", lambda *_: solver)
    run_stages.teach(recipe, out, "round-0", out / "rounds" / "round-1.jsonl")


def test_questions_have_answers_no_rationales_and_nothing_that_is_trained_on(out):
    questions = read_jsonl(out / "data" / "questions.jsonl", Example)
    assert len(questions) == 8
    assert {(bool(row.target), row.rationale) for row in questions} == {(True, "")}
    given = read_jsonl(out / "data" / "train.jsonl", Example)
    assert not {row.source for row in given} & {row.source for row in questions}


def test_a_round_learns_from_the_given_rows_and_from_what_held(out, recipe, monkeypatch):
    teach(out, recipe, monkeypatch)
    rows = read_jsonl(out / "rounds" / "round-1.jsonl", Example)
    given = read_jsonl(out / "data" / "train.jsonl", Example)
    assert rows[:3] == given
    own = {row.source: row.rationale for row in solve(out, recipe)}
    assert [row.source for row in rows[3:]] == [
        row.source for row in read_jsonl(out / "data" / "questions.jsonl", Example)
    ]
    facts = read_manifest(out / "rounds" / "round-1")
    proved = sum(own[row.source] == row.rationale for row in rows[3:])
    assert (facts["rows"], facts["pass_rate"], facts["proved"]) == (8, 1.0, proved)
    assert 0 < proved < 8


def test_a_kill_before_the_rows_are_written_changes_none(out, recipe, monkeypatch):
    teach(out, recipe, monkeypatch)
    rows = out / "rounds" / "round-1.jsonl"
    expected = rows.read_bytes()
    rows.unlink()
    teach(out, recipe, monkeypatch, is_right=False)  # nothing is asked again
    assert rows.read_bytes() == expected


def test_only_rationales_whose_every_step_holds_are_kept_on_demand(out, recipe, monkeypatch):
    section = recipe.self_taught.model_copy(update={"verify_steps": True})
    teach(out, recipe.model_copy(update={"self_taught": section}), monkeypatch)
    facts = read_manifest(out / "rounds" / "round-1")
    assert facts["rows"] == facts["proved"] == 4
    assert facts["dropped"] == {"a step does not hold": 8, "not chosen": 4}


def test_a_round_that_keeps_nothing_is_no_success(out, recipe, monkeypatch):
    with pytest.raises(DataError, match="round-1 of self-teaching kept nothing to learn from"):
        teach(out, recipe, monkeypatch, is_right=False)
    assert not (out / "rounds" / "round-1.jsonl").exists()


def test_steps_of_rows_that_were_not_generated_cannot_be_proved(out, recipe, monkeypatch):
    questions = out / "data" / "questions.jsonl"
    rows = [row.model_copy(update={"task": "mine"}) for row in read_jsonl(questions, Example)]
    questions.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    section = recipe.self_taught.model_copy(update={"verify_steps": True})
    with pytest.raises(UsageError, match="questions that are not generated"):
        teach(out, recipe.model_copy(update={"self_taught": section}), monkeypatch)


@pytest.mark.parametrize("changed", ["data.questions=[]", "self_taught=null"])
def test_rounds_and_questions_come_together(changed):
    with pytest.raises(RecipeError, match=r"`self_taught` and `data\.questions` together"):
        load_recipe("self-taught", [changed])
