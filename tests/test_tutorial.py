"""The tutorial from a ShareGPT file to llama.cpp: its commands in order, on a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_json
from kot_platypus.cli import app
from kot_platypus.formats import read_rows
from kot_platypus.models import load_tokenizer
from kot_platypus.records import Dialogue
from tests.test_docs import DOCS, find_commands
from tests.train.test_gguf_file import _llama_cpp, find_gaps, post, serve_llama_cpp  # noqa: F401

FOLDER = DOCS / "tutorial"
PAGE = FOLDER / "think.md"
FILES = {
    "dialogues.json": "dialogues.json",
    "think.yaml": "think.yaml",
    "think.jinja": "base/chat_template.jinja",
}
SAID = "<start_of_turn>model\n<think>\n3 + 4 = 7이다.\n</think>\n\n7개예요.<end_of_turn>"


def test_rows_are_dialogues_that_think():
    rows = [row for row in read_rows(FOLDER / "dialogues.json") if isinstance(row, Dialogue)]
    assert len({row.messages[0].content for row in rows}) == 60
    said = [turn.content for row in rows for turn in row.messages if turn.role == "assistant"]
    assert all(text.startswith("<think>\n") and text.count("\n</think>\n\n") == 1 for text in said)


@pytest.mark.slow
@pytest.mark.usefixtures("_llama_cpp")
def test_commands_run_in_order(shared, tmp_path, monkeypatch):
    shutil.copytree(shared / "models" / "tiny-llama2-ko", tmp_path / "base")
    (tmp_path / "base").chmod(0o755)
    for name, target in FILES.items():
        shutil.copyfile(FOLDER / name, tmp_path / target)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOT_DTYPE", "float32")
    commands = find_commands(PAGE)
    served = [arguments for arguments in commands if arguments[0] == "serve-check"]
    for arguments in commands:
        if arguments not in served:
            run(*arguments)
    training = read_json(Path("adapters/think/manifest.json"))
    assert training["validation"]["num_rows"] == 12
    with serve_llama_cpp(Path("think.gguf")) as url:
        for arguments in served:
            asked = [f"{url}/v1" if each.startswith("http") else each for each in arguments]
            assert "those of training: every token" in run(*asked)
        check_tokens(Path("merged"), url)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (arguments, result.output)
    return " ".join(result.output.split())


def check_tokens(merged: Path, url: str) -> None:
    """llama.cpp reads new tokens as we do, also in plain text, and writes them."""
    tokenizer = load_tokenizer(merged)
    ids = tokenizer(SAID, add_special_tokens=False)["input_ids"]
    new = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    assert [id_ for id_ in ids if id_ in new] == new
    for parse_special in (True, False):
        asked = {"content": SAID, "add_special": False, "parse_special": parse_special}
        assert post(f"{url}/tokenize", asked)["tokens"] == ids
    assert "<think>" in post(f"{url}/detokenize", {"tokens": ids})["content"]
    greedy = {"prompt": ids, "n_predict": 16, "temperature": 0, "return_tokens": True}
    theirs = post(f"{url}/completion", greedy)["tokens"]
    assert find_gaps(merged, ids, theirs).max() < 0.05
