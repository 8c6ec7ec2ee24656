"""A folder as Korean models of 2023 have it (.bin, tokenizer.model), through the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from kot_platypus.cli import app
from tests.models.folders import keep_pieces_only, save_as_bin

pytestmark = pytest.mark.usefixtures("cache")
RECIPE = """
name: small
description: a recipe of a test
model: {{name: {model}, dtype: float32, device: cpu}}
data: {{sources: [{{name: problems, rows: 4}}]}}
train: {{lora_r: 2, num_epochs: 1, batch_size: 2, warmup_steps: 0}}
"""
ROWS = [{"instruction": f"{n} 더하기 1은?", "input": "", "output": f"{n + 1}"} for n in range(4)]


@pytest.fixture(params=[1, 3], ids=["single", "sharded"])
def folder(base: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made = save_as_bin(base, tmp_path / "model", request.param)
    (made / "tokenizer.json").unlink()
    return made


def kot(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def evaluate(model: Path, out: Path, *options: object, kobest: object = "mini") -> Any:
    where = ["--dtype", "float32", "--device", "cpu", "--kobest-dir", kobest, "--out", out]
    kot("eval", "--model", model, "--num-fewshot", "0", *options, *where)
    return [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]


def test_scores_are_those_of_the_published_programs(folder, shared, tmp_path):
    """Log-likelihoods of transformers 4.33.3, on the model's safetensors and its own tokens."""
    goldens = json.loads((shared / "goldens" / "llama2_tokens.json").read_text())
    cell = next(each for each in goldens if each["protocol"] == "polyglot")
    kobest = shared / "kobest" / "v1.0"
    asked = ("--tasks", cell["task"], "--limit", cell["limit"], "--protocol", cell["protocol"])
    assert cell["num_fewshot"] == 0
    samples = evaluate(folder, tmp_path / "scores", *asked, kobest=kobest)
    scores = [logprob for sample in samples for logprob in sample["logprobs"]]
    assert np.allclose(scores, cell["loglikelihoods"], atol=1e-4)


def test_scores_are_those_of_safetensors_bit_for_bit(folder, base, tmp_path):
    asked = ("--tasks", "copa,wic", "--limit", "6")
    whole = keep_pieces_only(base, tmp_path / "whole")
    one, other = (
        evaluate(model, tmp_path / f"scores-{model.name}", *asked) for model in (folder, whole)
    )
    assert one == other


@pytest.mark.one_in(2)
def test_trained_merged_and_asked(folder, base, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "float32")
    (tmp_path / "small.yaml").write_text(RECIPE.format(model=folder))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    rows = ("--data", tmp_path / "rows.jsonl")
    kot("train", tmp_path / "small.yaml", *rows, "--out", tmp_path / "trained")
    adapter = tmp_path / "trained" / "adapter"
    old = Path(shutil.copytree(adapter, tmp_path / "old"))
    torch.save(load_file(old / "adapter_model.safetensors"), old / "adapter_model.bin")
    (old / "adapter_model.safetensors").unlink()
    one, other = (
        evaluate(folder, tmp_path / f"of-{each.name}", "--adapter", each, "--limit", "2")
        for each in (adapter, old)
    )
    assert one == other
    merged = tmp_path / "merged"
    said = kot("merge", "--model", folder, "--adapter", old, "--out", merged)
    assert "in memory" not in said
    old, new = load_file(base / "model.safetensors"), {}
    for file in merged.glob("*.safetensors"):
        new |= load_file(file)
    assert new.keys() == old.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all("proj" in name for name in changed)
    assert kot("chat", merged, "--ask", "3+4는?", "--compare", folder, "--max-new-tokens", "4")


def test_size_is_told_without_converting_anything(folder, base, tmp_path, cache):
    (tmp_path / "small.yaml").write_text(RECIPE.format(model=folder))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    command = ("train", tmp_path / "small.yaml", "--data", tmp_path / "rows.jsonl", "--dry-run")
    parameters = sum(t.numel() for t in load_file(base / "model.safetensors").values())
    assert f"{parameters:,}" in kot(*command, "--no-measure")
    assert not (cache / "weights").exists()
    assert kot(*command[:4], "--preview")
    assert not (cache / "weights").exists()
