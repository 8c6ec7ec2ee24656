from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from tokenizers import decoders
from typer.testing import CliRunner, Result

from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli import app
from kot_platypus.errors import DataError
from kot_platypus.models import load_tokenizer
from kot_platypus.recipe import TrainSection
from kot_platypus.records import Dialogue, Example, Message
from kot_platypus.train.items import Encoded
from kot_platypus.train.preview import count_rows, preview_rows, split_runs

from .chat_templates import LLAMA2

SECTION = TrainSection(cutoff_len=64)
FITS = Example(source="3+4는?", target="7", rationale="셋에 넷을 더한다.")
LONG = Example(source="세라", target="끝", rationale="하나 둘 셋 넷 다섯 " * 40)
EMPTY = Example(source="말이 없다", target="")
DIM, GREEN, PLAIN = "\x1b[2m", "\x1b[1;32m", "\x1b[0m"


@pytest.fixture
def tokenizer(shared: Path):
    return load_tokenizer(shared / "models" / "tiny-llama-ko")


def show(rows, tokenizer, section=SECTION, count=3, **options) -> str:
    console = Console(file=io.StringIO(), width=200, **options)
    console.print(preview_rows(rows, section, tokenizer, count))
    return console.file.getvalue()


# --- what is shown of a row --------------------------------------------------------------------


def test_trained_part_has_the_colour_and_the_prompt_has_not(tokenizer):
    text = show([FITS], tokenizer, force_terminal=True, color_system="standard")
    assert f"{DIM}질문: 3+4는?{PLAIN}" in text
    assert f"{GREEN}셋에 넷을 더한다.{PLAIN}" in text
    assert f"{GREEN}정답: 7</s>{PLAIN}" in text


def test_each_answer_of_a_conversation_has_the_colour(tokenizer):
    tokenizer.chat_template = LLAMA2
    talk = Dialogue(
        messages=tuple(
            Message(role=role, content=content)
            for role, content in zip(["user", "assistant"] * 2, "가나다라", strict=True)
        )
    )
    section = TrainSection(template="chat")
    text = show([talk], tokenizer, section, force_terminal=True, color_system="standard")
    assert f"{GREEN} 나 </s>{PLAIN}{DIM}[INST] 다 [/INST]{PLAIN}{GREEN} 라 </s>{PLAIN}" in text


def test_trained_part_keeps_the_space_that_a_tokenizer_takes_off_what_it_decodes(tokenizer):
    """Llama 2's does."""
    inner = tokenizer.backend_tokenizer
    inner.decoder = decoders.Sequence([inner.decoder, decoders.Strip(" ", 1, 0)])
    row = FITS.model_copy(update={"rationale": " 셋"})
    text = show([row], tokenizer, force_terminal=True, color_system="standard")
    assert f"{GREEN} 셋{PLAIN}" in text


def test_text_is_shown_as_it_is_and_never_as_markup(tokenizer):
    row = FITS.model_copy(update={"source": "[bold]굵게[/bold] [/] [red", "rationale": ":smile:"})
    text = show([row], tokenizer)
    assert "[bold]굵게[/bold] [/] [red" in text
    assert ":smile:" in text


def test_counts_are_those_of_the_encoding(tokenizer):
    text = show([FITS], tokenizer)
    shown = len(tokenizer("질문: 3+4는?\n답변:\n")["input_ids"])
    learnt = len(tokenizer("셋에 넷을 더한다.\n정답: 7</s>")["input_ids"])
    assert f"{shown + learnt} tokens: {shown} prompt, {learnt} labels\n" in text


def test_cut_and_dropped_rows_say_so(tokenizer):
    text = show([LONG, EMPTY], tokenizer)
    assert "64 tokens: " in text
    assert " truncated\n" in text
    assert "말이 없다" in text
    assert "dropped: nothing is left to learn" in text


def test_only_as_many_rows_as_asked_are_shown(tokenizer):
    assert show([FITS] * 5, tokenizer, count=2).count("row ") == 2


# --- totals ------------------------------------------------------------------------------------


def test_totals_are_those_of_all_rows():
    items = [Encoded((1,) * 10, 4), None, Encoded((1,) * 6, 3, frozenset({4}), num_truncated=2)]
    totals = count_rows(items)
    assert vars(totals) == {
        "rows": 3, "dropped": 1, "truncated": 1, "tokens": 16, "max_tokens": 10, "labels": 8,
    }  # fmt: skip
    assert str(totals) == (
        "3 rows: 2 to train on, 1 dropped, 1 truncated\n"
        "16 tokens: mean 8.0 a row, at most 10; 50.0% labels"
    )


def test_totals_of_nothing_but_dropped_rows_divide_by_nothing():
    assert str(count_rows([None])) == "1 rows: 0 to train on, 1 dropped, 0 truncated"


def test_runs_join_to_the_ids():
    item = Encoded(tuple(range(9)), 2, frozenset({4, 5, 8}))
    runs = list(split_runs(item))
    assert runs == [(False, [0, 1]), (True, [2, 3]), (False, [4, 5]), (True, [6, 7]), (False, [8])]


def test_no_rows_are_a_data_error(tokenizer):
    with pytest.raises(DataError, match="no rows"):
        preview_rows([], SECTION, tokenizer, 3)


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def base(shared: Path, tmp_path: Path) -> Path:
    """A model's folder without its weights."""
    folder = tmp_path / "base"
    weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(shared / "models" / "tiny-polyglot-ko", folder, ignore=weights)
    return folder


def kot_train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "demo", *map(str, arguments)])


def test_command_previews_a_file_without_the_models_weights(base, tmp_path):
    row = {"instruction": "옮겨라", "input": "Hello", "output": "안녕"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row))
    settings = ("--set", f"model.name={base}", "--set", "train.template=alpaca")
    result = kot_train("--data", tmp_path / "mine.jsonl", "--preview", *settings)
    assert result.exit_code == 0, result.output
    assert "### Input:\nHello\n" in result.stdout
    assert "안녕<|endoftext|>" in result.stdout
    assert "1 rows: 1 to train on" in result.stdout


def test_command_previews_several_files_by_their_own_columns(base, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"문제,답\n{name}?,{name}\nc?,c\n", "utf-8")
    given = ("--data", tmp_path / "a.csv", "--data", f"{tmp_path}/b.csv:0.5")
    columns = ("--columns", "source=문제,target=답")
    result = kot_train(*given, *columns, "--preview", "--set", f"model.name={base}")
    assert result.exit_code == 0, result.output
    assert "3 rows: 3 to train on" in result.stdout
    assert f"1 of {tmp_path}/b.csv (of 2)" in " ".join(result.stderr.split())


def test_command_previews_what_is_learnt_as_it_stands(base, tmp_path):
    (tmp_path / "a.csv").write_text('source,target\n3+4는?,"7 "\n', "utf-8")
    result = kot_train("--data", tmp_path / "a.csv", "--preview", "--set", f"model.name={base}")
    assert "of 1 rows: 1 with spaces around the target" in " ".join(result.stdout.split())


def test_columns_without_rows_are_one_line(base):
    result = kot_train("--preview", "--columns", "source=a", "--set", f"model.name={base}")
    assert result.exit_code == 2
    assert "--columns without --data" in result.stderr


def test_command_previews_the_recipes_own_sources(base):
    result = kot_train("--preview", "--rows", 1, "--set", f"model.name={base}")
    assert result.exit_code == 0, result.output
    assert "108 rows: 108 to train on" in result.stdout


def test_template_chat_without_one_is_one_line(base):
    settings = ("--set", f"model.name={base}", "--set", "train.template=chat")
    result = kot_train("--preview", *settings)
    assert result.exit_code == 1
    assert "tokenizer has no chat template" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["--data", "--out"])
def test_training_without_data_or_folder_is_wrong_usage(tmp_path, missing):
    (tmp_path / "mine.jsonl").write_text("")
    given = {"--data": tmp_path / "mine.jsonl", "--out": tmp_path / "out"}
    del given[missing]
    result = kot_train(*(part for pair in given.items() for part in pair))
    assert result.exit_code == 2
    assert f"{missing} is missing" in result.stderr


def test_rows_to_validate_on_are_not_shown_as_trained_on(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    rows = [FITS.model_copy(update={"source": f"{i}+4는?"}) for i in range(10)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    model = f"model.name={shared / 'models' / 'tiny-llama-ko'}"
    command = ["train", "demo", "--preview", "--data", str(tmp_path / "rows.jsonl"), "--rows", "10"]
    result = CliRunner().invoke(app, [*command, "--set", model, "--set", "train.validation=0.3"])
    assert "7 rows: 7 to train on" in result.stdout
    shown = [int(number) for number in re.findall(r"row (\d+)", result.stdout)]
    assert all(f"{number - 1}+4는?" in result.stdout for number in shown)
    assert len(shown) == 7
