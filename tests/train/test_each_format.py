"""A run with each format trains, and what it was trained with goes with the model."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from kot_platypus.app.chat import chat_with
from kot_platypus.errors import DataError, RunError
from kot_platypus.models import load_tokenizer
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter

from .chat_templates import LLAMA2

MODEL = ModelSection(device="cpu", dtype="float32")
SECTION = TrainSection(batch_size=2, learning_rate=1e-3, lora_r=2, lora_dropout=0.0)
CHAT = SECTION.model_copy(update={"template": "chat"})


@pytest.fixture
def base(shared: Path, tmp_path: Path) -> Path:
    """The tiny Llama, whose tokenizer has a chat template."""
    folder = tmp_path / "base"
    shutil.copytree(shared / "models" / "tiny-llama-ko", folder)
    folder.chmod(0o755)
    (folder / "chat_template.jinja").write_text(LLAMA2)
    return folder


def write_rows(folder: Path, name: str) -> Path:
    """Four rows of a format, in a file of the kind in which it is often found."""
    if name == "kocot":
        rows = [{"source": f"{i}+1은?", "target": i + 1, "rationale": "더한다."} for i in range(4)]
    elif name == "alpaca":
        path = folder / "rows.csv"
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(
                [
                    ("instruction", "input", "output"),
                    *[(f"{i} 다음", "", f"{i + 1}") for i in range(4)],
                ]
            )
        return path
    else:
        turns = [("user", "안녕"), ("assistant", "네."), ("user", "또"), ("assistant", "또요.")]
        messages = [{"role": role, "content": content} for role, content in turns]
        rows = [{"messages": messages}] * 4
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("name", "section"),
    [("kocot", SECTION), ("kocot", CHAT), ("alpaca", SECTION), ("alpaca", CHAT), ("chat", CHAT)],
    ids=["kocot", "kocot as chat", "alpaca", "alpaca as chat", "chat"],
)
def test_each_format_trains(base, tmp_path, name, section):
    train_adapter(write_rows(tmp_path, name), base, tmp_path / "out", section, MODEL)
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(log) == 2
    assert all(math.isfinite(row["loss"]) for row in log)
    assert (manifest["num_examples"], manifest["num_dropped"]) == (4, 0)
    assert 0 < manifest["trained_tokens_seen"] < manifest["tokens_seen"]


def test_chat_template_goes_with_the_adapter_and_the_merged_model(
    base, tmp_path, capsys, monkeypatch
):
    adapter = tmp_path / "out" / "adapter"
    train_adapter(write_rows(tmp_path, "chat"), base, tmp_path / "out", CHAT, MODEL)
    info = json.loads((adapter / "kot.json").read_text())
    assert (info["template"]["name"], info["chat_template"]) == ("chat", LLAMA2)
    merge_adapter(base, adapter, tmp_path / "merged")
    assert load_tokenizer(tmp_path / "merged").chat_template == LLAMA2
    monkeypatch.setenv("KOT_DTYPE", "float32")
    chat_with(tmp_path / "merged", ask="안녕", max_new_tokens=3)
    assert capsys.readouterr().out


def test_another_chat_template_is_another_training(base, tmp_path):
    rows = write_rows(tmp_path, "chat")
    train_adapter(rows, base, tmp_path / "out", CHAT, MODEL)
    (base / "chat_template.jinja").write_text(LLAMA2 + " ")
    with pytest.raises(RunError, match="chat_template"):
        train_adapter(rows, base, tmp_path / "out", CHAT, MODEL)


def test_rows_that_the_template_cannot_show_are_named(base, tmp_path):
    rows = write_rows(tmp_path, "chat")
    with pytest.raises(DataError, match=rf"{rows}, row 1: chat messages.*Set train.template=chat"):
        train_adapter(rows, base, tmp_path / "out", SECTION, MODEL)
    assert not (tmp_path / "out").exists()


def test_rows_of_which_nothing_can_be_learnt_are_an_error_that_says_why(base, tmp_path):
    rows = write_rows(tmp_path, "alpaca")
    with pytest.raises(DataError, match=r"none of the 4 rows .* with target 'answer'.*--preview"):
        train_adapter(
            rows, base, tmp_path / "out", SECTION.model_copy(update={"target": "answer"}), MODEL
        )
    assert not (tmp_path / "out").exists()
