"""Answers in words while a model is trained: what they tell, and that they change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import hash_file
from kot_platypus.errors import RecipeError
from kot_platypus.evaluate.answers import answer_rows
from kot_platypus.evaluate.decoding import TextGenerator
from kot_platypus.evaluate.prompting import build_prompt, pose_row
from kot_platypus.evaluate.texts import Settings
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.records import Example
from kot_platypus.train.exam import Exam
from kot_platypus.train.fit import train_adapter

from .conftest import StopAfter, section


def settings(data: Path, **changes: Any) -> TrainSection:
    """Two epochs of two steps, validated on the rows that are learnt."""
    usual = {"num_epochs": 2, "validation": str(data), "lora_dropout": 0.1, "save_steps": 1}
    usual |= {"eval_generate_epochs": 1, "eval_generate_rows": 3, "eval_generate_tokens": 8}
    return section(**{**usual, "load_best_model_at_end": False, **changes})


def write_texts(model: Any, tokenizer: Any, rows: list[Example]) -> list[str]:
    prompts = [build_prompt(pose_row(row, 0), load_template("kot")) for row in rows]
    how = Settings(max_new_tokens=8, stop_line="정답:")
    return [text.text for _, text in sorted(TextGenerator(model, tokenizer).generate(prompts, how))]


class Asking:
    """Reads answers as the command does, and keeps the texts themselves."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []

    def __call__(self, model: Any, tokenizer: Any, template: Any, rows: Any, limit: int) -> Any:
        self.texts.append(write_texts(model, tokenizer, rows))
        self.rows = rows
        right, equivalent = answer_rows(model, tokenizer, template, rows, limit)
        assert 0 <= right <= equivalent <= len(rows)
        return 1, 2


def read_log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def hash_adapter(out: Path) -> str:
    return hash_file(out / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_the_training_is_the_same_and_so_is_one_taken_up_again(few, base, tmp_path, dtype):
    model = ModelSection(device="cpu", dtype=dtype)
    without, asked, again = (tmp_path / name for name in ("without", "asked", "again"))
    train_adapter(few, base, without, settings(few, eval_generate_epochs=None), model)
    asking, later = Asking(), Asking()
    train_adapter(few, base, asked, settings(few), model, answer=asking)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(
            few, base, again, settings(few), model, answer=later, callbacks=[StopAfter(3)]
        )
    train_adapter(few, base, again, settings(few), model, answer=later)

    assert hash_adapter(without) == hash_adapter(asked) == hash_adapter(again)
    assert asking.texts == later.texts
    assert len(asking.texts) == 2
    log = read_log(asked)
    assert log == read_log(again)
    assert [line["step"] for line in log if "eval_accuracy" in line] == [2, 4]
    assert (log[-1]["eval_accuracy"], log[-1]["eval_equivalent"]) == (1 / 3, 2 / 3)
    told = ("eval_accuracy", "eval_equivalent")
    plain = [{key: value for key, value in line.items() if key not in told} for line in log]
    assert plain == read_log(without)
    if dtype == "float32":  # what is asked is the model as it will be saved
        saved = load_model(base, dtype="float32", device="cpu", adapter=asked / "adapter")
        assert write_texts(saved, load_tokenizer(base), asking.rows) == asking.texts[-1]


@pytest.mark.parametrize(
    ("eval_steps", "every", "expected"),
    [(5, 10, [10, 20, 25]), (4, 10, [12, 20, 25]), (30, 10, [25])],
)
def test_it_is_taken_at_the_first_evaluation_after_so_many_epochs(eval_steps, every, expected):
    exam = Exam(answer_rows, None, load_template("kot"), (), 8, every, eval_steps)
    looks = sorted({*range(eval_steps, 26, eval_steps), 25})
    assert [step for step in looks if exam.is_due(step, 25)] == expected


def test_nobody_to_ask_is_an_error_and_so_are_rows_without_answers(few, base, tmp_path):
    model = ModelSection(device="cpu", dtype="float32")
    with pytest.raises(RecipeError, match="nobody to ask"):
        train_adapter(few, base, tmp_path / "a", settings(few), model)
    assert not (tmp_path / "a").exists()
    rows = (tmp_path / "open.jsonl").open("w", encoding="utf-8")
    with rows as file:
        file.write('{"instruction": "안녕?", "output": "네."}\n')
    held = settings(few, validation=str(tmp_path / "open.jsonl"))
    with pytest.raises(RecipeError, match="no validation row with a target"):
        train_adapter(few, base, tmp_path / "b", held, model, answer=answer_rows)
