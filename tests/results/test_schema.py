"""The records are the files: what stages wrote before there was one schema, they write still."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from kot_platypus.artifacts import read_json, read_jsonl, write_json
from kot_platypus.errors import DataError
from kot_platypus.evaluate.answers import summarise_answers
from kot_platypus.evaluate.choices import summarise_runs
from kot_platypus.evaluate.gains import summarise_outcomes
from kot_platypus.records import Answer, Outcome, Reply, Sample
from kot_platypus.results.comparison import compare_models
from kot_platypus.results.schema import (
    ChoiceResults,
    Comparison,
    ProblemResults,
    ReasoningResults,
    dump_part,
    read_part,
    write_part,
)

FILES = Path(__file__).parent / "files"
CHOICES = sorted([*FILES.glob("runs/*/evaluate/*/kobest"), FILES / "scores/llama"])
PROBLEMS = sorted(FILES.glob("runs/*/evaluate/*/problems"))
REASONED = [FILES / "scores" / name for name in ("llama-cot", "llama-problems", "polyglot-cot")]


def name(folder: Path) -> str:
    return folder.relative_to(FILES).as_posix()


def assert_same_file(path: Path, facts: object, tmp_path: Path) -> None:
    write_json(tmp_path / "again.json", facts)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def dump_all(parts: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): dump_part(part) if isinstance(part, BaseModel) else dump_all(part)
        for key, part in parts.items()
    }


@pytest.mark.parametrize("folder", CHOICES, ids=name)
def test_choices_are_summarised_into_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    path = folder / "results.json"
    results = summarise_runs(read_jsonl(folder / "samples.jsonl", Sample))
    assert_same_file(path, read_json(path) | {"results": dump_all(results)}, tmp_path)
    write_part(tmp_path / "whole.json", read_part(path, ChoiceResults))
    assert (tmp_path / "whole.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("folder", PROBLEMS, ids=name)
def test_answers_are_summarised_into_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    path = folder / "results.json"
    results = summarise_answers(read_jsonl(folder / "answers.jsonl", Answer))
    assert_same_file(path, read_json(path) | {"results": dump_all(results)}, tmp_path)
    assert_same_file(path, dump_part(read_part(path, ProblemResults)), tmp_path)


@pytest.mark.parametrize("folder", REASONED, ids=name)
def test_reasoning_is_summarised_into_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    path = folder / "results.json"
    outcomes = read_jsonl(folder / "samples.jsonl", Outcome)
    results = summarise_outcomes(outcomes, read_jsonl(folder / "answers.jsonl", Reply))
    assert_same_file(path, read_json(path) | {"results": dump_all(results)}, tmp_path)
    read = dump_all(read_part(path, ReasoningResults).results)
    assert_same_file(path, read_json(path) | {"results": read}, tmp_path)


@pytest.mark.parametrize("run", ["first", "second"])
def test_a_runs_models_are_compared_into_the_same_bytes(run: str, tmp_path: Path) -> None:
    folder = FILES / "runs" / run / "evaluate"
    before = (folder / "comparison.json").read_bytes()
    shutil.copytree(folder, tmp_path / "evaluate")
    (tmp_path / "evaluate" / "comparison.json").unlink()
    compare_models(tmp_path / "evaluate", 42)
    assert (tmp_path / "evaluate" / "comparison.json").read_bytes() == before
    write_part(tmp_path / "again.json", read_part(folder / "comparison.json", Comparison))
    assert (tmp_path / "again.json").read_bytes() == before


@pytest.mark.parametrize(
    ("facts", "said"),
    [({}, "it lacks model"), ([], "the whole has"), ({"model": 1}, "model has another form")],
)
def test_what_is_not_understood_is_named_in_words_of_ours(
    facts: object, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_part(path, ChoiceResults)
    assert f"{path} is not understood: {said}" in caught.value.found
