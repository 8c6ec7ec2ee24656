"""A chat template that shows today: one day for a training, and for all who ask its model."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest
from transformers.utils import chat_template_utils

from kot_platypus.artifacts import hash_file, read_json
from kot_platypus.errors import ModelError, RecipeError
from kot_platypus.models import TRAINING_INFO, load_tokenizer, read_training_info
from kot_platypus.prompts import render_chat, write_date
from kot_platypus.recipe import ModelSection
from kot_platypus.records import Message
from kot_platypus.train import dates
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.serving import CHAT_TEMPLATE

from .conftest import StopAfter, section

# As Llama 3.2's: a caller's date_string, else the clock's, else a constant.
LLAMA3 = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}'
    '{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}{%- endif %}'
    "{{- 'Today Date: ' + date_string + '\\n' }}"
    "{%- for message in messages %}{{- message.role + ': ' + message.content + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}"
)
KOREAN = LLAMA3.replace('"%d %b %Y"', " '%Y년 %m월 %d일 %H:%M' ")
FIRST, NEXT = datetime.date(2026, 10, 31), datetime.date(2026, 11, 1)
ASKED = (Message(role="user", content="3+4는?"),)
CPU = ModelSection(device="cpu", dtype="float32")
CHAT = {"template": "chat", "num_epochs": 2, "save_steps": 1}


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch):
    """Sets the clock, ours and transformers'."""

    def set_clock(day: datetime.date) -> None:
        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(day.year, day.month, day.day)

        monkeypatch.setattr(dates, "datetime", Clock)
        monkeypatch.setattr(chat_template_utils, "datetime", Clock)

    return set_clock


@pytest.fixture
def dated(base: Path, tmp_path: Path) -> Path:
    """A base whose chat template shows the date."""
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "base").chmod(0o755)
    (tmp_path / "base" / CHAT_TEMPLATE).write_text(LLAMA3, encoding="utf-8")
    return tmp_path / "base"


def ask(folder: Path, adapter: Path | None = None) -> str:
    return render_chat(load_tokenizer(folder, adapter=adapter), ASKED, ask=True)


@pytest.mark.parametrize("chat_template", [LLAMA3, KOREAN])
def test_the_written_date_is_what_the_clock_shows_that_day(dated, today, chat_template):
    tokenizer = load_tokenizer(dated)
    tokenizer.chat_template = chat_template
    today(FIRST)
    shown = render_chat(tokenizer, ASKED, ask=True)
    tokenizer.chat_template = write_date(chat_template, FIRST)
    today(NEXT)
    assert render_chat(tokenizer, ASKED, ask=True) == shown
    assert "31" in shown


@pytest.mark.parametrize("asks", ["strftime_now(format)", "(strftime_now)('%Y')"])
def test_a_date_that_cannot_be_written_is_refused(asks):
    with pytest.raises(ModelError, match="makes its date of"):
        write_date("{{ " + asks + " }}", FIRST)


@pytest.mark.slow
def test_a_training_taken_up_after_midnight_encodes_the_same_rows(
    dated, few, tmp_path, today, capsys
):
    today(FIRST)
    train_adapter(few, dated, tmp_path / "whole", section(**CHAT), CPU)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(
            few, dated, tmp_path / "broken", section(**CHAT), CPU, callbacks=[StopAfter(2)]
        )
    today(NEXT)
    capsys.readouterr()
    train_adapter(few, dated, tmp_path / "broken", section(**CHAT), CPU)
    assert "the date: 2026-10-31 in every row" in capsys.readouterr().err
    weights = "adapter/adapter_model.safetensors"
    assert hash_file(tmp_path / "broken" / weights) == hash_file(tmp_path / "whole" / weights)
    # Begun on the next day it is another training, and the recipe's date makes it this one.
    train_adapter(few, dated, tmp_path / "next", section(**CHAT), CPU)
    train_adapter(few, dated, tmp_path / "named", section(**CHAT, date=FIRST), CPU)
    assert hash_file(tmp_path / "next" / weights) != hash_file(tmp_path / "whole" / weights)
    assert hash_file(tmp_path / "named" / weights) == hash_file(tmp_path / "whole" / weights)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_trained_model_is_asked_with_the_day_of_its_training(
    dated, few, tmp_path, today, method
):
    today(FIRST)
    train_adapter(few, dated, tmp_path / "out", section(**CHAT, method=method), CPU)
    shown = ask(dated)
    today(NEXT)
    assert "31 Oct 2026" in shown
    assert "01 Nov 2026" in ask(dated)
    if method == "full":
        folder = tmp_path / "out" / "model"
    else:
        adapter, folder = tmp_path / "out" / "adapter", tmp_path / "merged"
        assert ask(dated, adapter) == shown
        merge_adapter(dated, adapter, folder)
    assert ask(folder) == shown
    assert read_training_info(folder).date == FIRST
    assert read_json(folder / TRAINING_INFO)["date"] == "2026-10-31"
    assert (folder / CHAT_TEMPLATE).read_text(encoding="utf-8") == write_date(LLAMA3, FIRST)


def test_the_adapter_of_a_checkpoint_is_asked_with_that_day_too(dated, few, tmp_path, today):
    today(FIRST)
    kept = section(**CHAT, save_total_limit=1, max_steps=2)
    train_adapter(few, dated, tmp_path / "x", kept, CPU)
    today(NEXT)
    assert "31 Oct 2026" in ask(dated, tmp_path / "x" / "checkpoint-2")


def test_a_training_without_a_date_keeps_its_settings_and_says_none(base, few, tmp_path):
    train_adapter(few, base, tmp_path / "out", section(), CPU)
    assert "date" not in read_json(tmp_path / "out" / "manifest.json")["config"]
    assert "date" not in read_json(tmp_path / "out" / "adapter" / TRAINING_INFO)


def test_a_date_that_no_prompt_shows_is_refused(base, few, tmp_path):
    with pytest.raises(RecipeError, match=r"train\.date=2026-10-31, which no prompt shows"):
        train_adapter(few, base, tmp_path / "out", section(date=FIRST), CPU)
    assert not (tmp_path / "out").exists()
