"""Folders that cannot be loaded: one line with the real reason, through the real command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner, Result

from kot_platypus.cli import app
from tests.models.folders import copy_model

WEIGHTS = "model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"
CODE = """
from transformers import LlamaConfig, LlamaForCausalLM
class MineConfig(LlamaConfig):
    model_type = "mine"
class MineForCausalLM(LlamaForCausalLM):
    config_class = MineConfig
"""


def edit(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})


def quantize(method: str) -> Callable[[Path], None]:
    settings = {"quant_method": method, "bits": 4, "group_size": 128, "zero_point": True}
    return lambda folder: edit(folder, quantization_config=settings | {"desc_act": False})


def bring_code(code: str) -> Callable[[Path], None]:
    def bring(folder: Path) -> None:
        (folder / "modeling_mine.py").write_text(code)
        auto = {"AutoConfig": "MineConfig", "AutoModelForCausalLM": "MineForCausalLM"}
        auto = {key: f"modeling_mine.{name}" for key, name in auto.items()}
        edit(folder, model_type="mine", auto_map=auto)

    return bring


def become(model_type: str, **values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, model_type=model_type, **values)


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return replace


def truncate(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-100])


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def lose_shard(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(state)}
    first = {name: state[name] for name in state if "00001" in files[name]}
    save_file(first, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": files}))


def leave_gguf(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-q4_k_m.gguf")


def become_bert(folder: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    for name in ("config.json", "generation_config.json", WEIGHTS):
        (folder / name).unlink()
    sizes = {"vocab_size": 4000, "hidden_size": 16, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(**sizes)).save_pretrained(folder)


def become_other(kind: str, **options: Any) -> Callable[[Path], None]:
    """The model saved by another class of Llama's: its backbone, or a classifier."""

    def save(folder: Path) -> None:
        getattr(transformers, kind).from_pretrained(folder, **options).save_pretrained(folder)

    return save


def drop_layer(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if "layers.1." not in key}


def compile_names(state: dict[str, Any]) -> dict[str, Any]:
    return {f"_orig_mod.{key}": value for key, value in state.items()}


FOLDERS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "no weights": (remove(WEIGHTS), ("holds no weights", "model.safetensors or pytorch_model.bin")),
    "empty weights": (write(WEIGHTS, b""), ("is empty",)),
    "LFS weights": (write(WEIGHTS, POINTER), ("pointer of Git LFS", "lfs pull")),
    "LFS config": (write("config.json", POINTER), ("config.json is a pointer",)),
    "LFS tokenizer": (write("tokenizer.json", POINTER), ("tokenizer.json is a pointer",)),
    "garbage": (write(WEIGHTS, b"no safetensors" * 99), ("is no safetensors file",)),
    "truncated": (truncate, (" bytes", "as its header says")),
    "absent shard": (lose_shard, ("lacks model-00002-of-00002.safetensors",)),
    "other weights": (leave_gguf, ("llama.cpp (model-q4_k_m.gguf)", "made from")),
    "torn config": (write("config.json", b'{"model_type": '), ("config.json is not JSON",)),
    "list config": (write("config.json", b"[]"), ("config.json holds no object",)),
    "no layer": (lambda f: rewrite(f, drop_layer), ("no weights for model.layers.1.",)),
    "other names": (lambda f: rewrite(f, compile_names), ("They hold _orig_mod.lm_head.weight",)),
    "too few layers": (lambda f: edit(f, num_hidden_layers=1), ("hold model.layers.1.", "count")),
    "too many layers": (lambda f: edit(f, num_hidden_layers=4), ("no weights for", "layers.2.")),
    "other width": (lambda f: edit(f, hidden_size=128), ("lm_head.weight is [2000, 64]",)),
    "no number": (lambda f: edit(f, hidden_size="big"), ("hidden_size",)),
    "unknown type": (become("midm"), ("knows no model_type 'midm'", "Update transformers")),
    "seq2seq": (become("t5", is_encoder_decoder=True), ("encoder with a decoder",)),
    "encoder": (become_bert, ("no model that writes text from left to right (BertForMaskedLM)",)),
    "backbone": (
        become_other("LlamaModel"),
        ("is a LlamaModel, without the layer that predicts tokens (lm_head.weight)",),
    ),
    "classifier": (
        become_other("LlamaForSequenceClassification", num_labels=2),
        ("is a LlamaForSequenceClassification, without", "expected a causal language model"),
    ),
    "gptq": (quantize("gptq"), ("quantised by gptq (which needs optimum)", "made from")),
    "awq": (quantize("awq"), ("quantised by awq (which needs gptqmodel)", "made from")),
    "own code": (bring_code(CODE), ("code of its own (modeling_mine.py)", "--trust-remote-code")),
    "no tokenizer": (
        lambda f: [(f / name).unlink() for name in ("tokenizer.json", "tokenizer.model")] and None,
        ("has no tokenizer",),
    ),
    "empty tokenizer": (write("tokenizer.json", b"{}"), ("the tokenizer does not load",)),
    "torn tokenizer": (write("tokenizer.json", b'{"model": '), ("the tokenizer does not load",)),
    "other tokenizer": (
        write("tokenizer.json", b'{"model": {"type": "none"}}'),
        ("the tokenizer does not load",),
    ),
}
TRUSTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "name that is gone": (
        "from transformers.utils import is_torch_fx_available\n" + CODE,
        ("own code fails with transformers", "'is_torch_fx_available'"),
    ),
    "package that is missing": ("import no_such_package\n" + CODE, ("no_such_package",)),
    "no Python": ("def (:\n" + CODE, ("own code fails", "SyntaxError")),
    "attribute": (
        CODE + "    def __init__(self, config):\n        self.x = config.nothing\n",
        ("own code fails", "nothing"),
    ),
}


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    return copy_model(shared / "models" / "tiny-llama2-ko", tmp_path / "model")


def evaluate(folder: Path, *options: object) -> Result:
    command = ["eval", "--model", folder, "--tasks", "copa", "--num-fewshot", "0", "--limit", "2"]
    where = ["--kobest-dir", "mini", "--dtype", "float32", "--device", "cpu"]
    out = ["--out", folder.parent / "out"]
    return CliRunner().invoke(app, [str(each) for each in (*command, *where, *out, *options)])


def assert_refused(result: Result, named: tuple[str, ...]) -> None:
    lines = [line for line in result.stderr.splitlines() if not line.startswith("  ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("kot: ")
    assert [name for name in named if name not in lines[0]] == [], lines[0]
    assert "Traceback" not in result.output
    assert not re.search(r"weights_only|ignore_mismatched", result.output)
    assert result.exit_code == 1


def test_sound_folder_is_scored(folder):
    assert evaluate(folder).exit_code == 0


@pytest.mark.parametrize("kind", ["torn config", "list config"])
def test_dry_run_names_the_same_reason(folder, kind):
    damage, named = FOLDERS[kind]
    damage(folder)
    settings = ["--set", f"model.name={folder}", "--set", "model.dtype=float32"]
    result = CliRunner().invoke(app, ["train", "demo", "--dry-run", *settings])
    assert_refused(result, named)
    assert "does not load" not in result.stderr


@pytest.mark.parametrize("kind", FOLDERS)
def test_folder_is_refused_in_one_line_that_names_the_reason(folder, kind):
    damage, named = FOLDERS[kind]
    damage(folder)
    assert_refused(evaluate(folder), named)


@pytest.mark.parametrize("kind", TRUSTED)
def test_code_that_fails_is_refused_in_one_line(folder, kind):
    code, named = TRUSTED[kind]
    bring_code(code)(folder)
    assert_refused(evaluate(folder, "--trust-remote-code"), named)


def test_code_of_its_own_runs_once_trusted(folder):
    bring_code(CODE)(folder)
    assert evaluate(folder, "--trust-remote-code").exit_code == 0


@pytest.mark.parametrize("write_file", [torch.save, lambda state, path: path.touch()])
def test_adapter_that_is_no_adapter_is_refused(folder, write_file):
    adapter = folder.parent / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}')
    write_file({}, adapter / "adapter_model.bin")
    result = evaluate(folder, "--adapter", adapter)
    assert_refused(result, ("adapter_model.bin",))


def test_what_is_left_out_of_a_model_is_said(folder):
    rewrite(folder, lambda state: state | {"classifier.weight": torch.ones(2, 2)})
    result = evaluate(folder)
    assert result.exit_code == 0
    assert "Left out of the model: classifier.weight" in result.stderr


def test_folder_of_gguf_alone_is_told_from_a_misspelt_one(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model-q4_k_m.gguf").write_bytes(b"GGUF")
    for name in ("m", "m/model-q4_k_m.gguf"):
        assert_refused(evaluate(tmp_path / name), ("llama.cpp", "made from"))


@pytest.mark.slow
def test_nothing_is_said_by_libraries(folder):
    """Neither by bitsandbytes, which PEFT imports, nor by PEFT, transformers or tqdm."""
    code = """
import sys
from pathlib import Path
from kot_platypus.models import load_model, load_tokenizer
folder, adapter = map(Path, sys.argv[1:])
load_model(folder, dtype="float32", device="cpu", adapter=adapter)
load_tokenizer(folder, adapter=adapter)
"""
    adapter = folder.parent / "adapter"
    model = AutoModelForCausalLM.from_pretrained(folder)
    with warnings.catch_warnings(action="ignore"):
        get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(adapter)
    command = [sys.executable, "-c", code, str(folder), str(adapter)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
