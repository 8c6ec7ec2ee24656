from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tokenizers.processors import TemplateProcessing
from typer.testing import CliRunner

from kot_platypus.artifacts import write_json
from kot_platypus.cli import app
from kot_platypus.errors import DataError, ServiceError
from kot_platypus.models import TRAINING_INFO, load_tokenizer
from kot_platypus.prompts import load_template, load_templates, render_chat
from kot_platypus.records import Example, Message
from kot_platypus.train.serving import (
    CHAT_TEMPLATE,
    MODELFILE,
    PROBES,
    check_server,
    find_start,
    prepare_serving,
)
from tests.data.loopback import JsonHandler, serve

from .conftest import encode_example

PLAIN = [name for name, template in load_templates().items() if not template.chat]
TINY = ("tiny-llama-ko", "tiny-polyglot-ko")


def make_merged(shared: Path, folder: Path, tiny: str, template: str = "kot") -> Path:
    """A model's folder as merging leaves it."""
    shutil.copytree(shared / "models" / tiny, folder)
    folder.chmod(0o755)
    write_json(folder / TRAINING_INFO, {"template": load_template(template).model_dump()})
    prepare_serving(folder)
    return folder


def encode_prompt(folder: Path, template: str, question: str) -> list[int]:
    """The prompt's tokens in training, by training's own code."""
    row = Example(source=question, target="7")
    encoded = encode_example(
        row, load_template(template), "rationale_answer", load_tokenizer(folder), 4096
    )
    assert encoded is not None
    return list(encoded.ids[: encoded.prompt_len])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("tiny", TINY)
@pytest.mark.parametrize("template", PLAIN)
def test_messages_render_as_the_prompt_of_training(shared, tmp_path, tiny, template):
    folder = make_merged(shared, tmp_path / "merged", tiny, template)
    tokenizer = load_tokenizer(folder)
    for probe in PROBES:
        message = {"role": "user", "content": probe}
        ids = tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        assert ids == encode_prompt(folder, template, probe)


def test_earlier_turns_are_worked_examples(shared, tmp_path):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko")
    kot, tokenizer = load_template("kot"), load_tokenizer(folder)
    shot = Example(source="1+1은?", rationale="하나에 하나를 더한다.", target="2")
    turns = (*kot.render_turns(shot), Message(role="user", content="3+4는?"))
    asked = [turns[0].model_copy(update={"content": "1+1은?"}), *turns[1:]]
    expected = f"{kot.render_shot(shot)}\n\n{kot.render_prompt('3+4는?')}"
    assert render_chat(tokenizer, asked, ask=True).removeprefix(tokenizer.bos_token) == expected


def test_an_end_that_is_also_the_start_is_not_put_before_a_prompt(shared):
    """As with GPT-2's kin, where BOS and EOS are one token, once EOS is put behind texts."""
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end[0]}", special_tokens=[end]
    )
    assert find_start(tokenizer) == ""
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{end[0]} $A {end[0]}", special_tokens=[end]
    )
    assert find_start(tokenizer) == end[0]


def test_a_system_message_is_refused(shared, tmp_path):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko")
    with pytest.raises(DataError, match="user and assistant only"):
        render_chat(load_tokenizer(folder), [Message(role="system", content="x")], ask=True)


@pytest.mark.parametrize("template", PLAIN)
def test_modelfile_holds_the_prompt_of_training(shared, tmp_path, template):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko", template)
    content = (folder / MODELFILE).read_text(encoding="utf-8")
    shown = content.partition('TEMPLATE """')[2].partition('"""')[0]
    rendered = shown.replace("{{ .Prompt }}", "3+4는?")
    assert rendered == load_template(template).render_prompt("3+4는?")


def test_a_model_trained_in_a_chat_template_keeps_it(shared, tmp_path):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko", "chat")
    assert not (folder / CHAT_TEMPLATE).exists()
    assert not (folder / MODELFILE).exists()


# --- servers -----------------------------------------------------------------------------------


class _Tokenize(JsonHandler):
    """What vLLM answers at /tokenize, with any tokens."""

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.read_body())
        self.reply(200, {"tokens": self.service(body["messages"])})


def test_a_server_that_renders_otherwise_is_found_out(shared, tmp_path):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko")
    tokenizer = load_tokenizer(folder)

    def render(messages):
        return encode_prompt(folder, "kot", messages[0]["content"])

    def strip(messages):
        return encode_prompt(folder, "kot", messages[0]["content"].strip())

    with serve(_Tokenize, render) as url:
        assert check_server(folder, f"{url}/v1", "x") == "tokens"
    with serve(_Tokenize, strip) as url, pytest.raises(ServiceError, match="as in training"):
        check_server(folder, url, "x")
    assert tokenizer.bos_token


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve_transformers(folder: Path) -> Iterator[str]:
    """``transformers serve``, as its users start it."""
    port = find_port()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_transformers_serve_asks_as_training_did(shared, tmp_path):
    folder = make_merged(shared, tmp_path / "merged", "tiny-llama-ko")
    with serve_transformers(folder) as url:
        result = CliRunner().invoke(app, ["serve-check", str(folder), "--base-url", f"{url}/v1"])
        assert result.output == (
            "The server's prompts are those of training: the number of tokens (it does not tell "
            "them).\n"
        )
    result = CliRunner().invoke(app, ["serve-check", str(folder), "--base-url", f"{url}/v1"])
    assert result.exit_code == 1
    assert "expected an OpenAI-compatible server" in " ".join(result.output.split())
