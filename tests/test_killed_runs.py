"""The promise of resume, end to end: kill -9 at random moments changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kot_platypus.artifacts import hash_file, read_jsonl, write_jsonl
from kot_platypus.records import Example
from tests.killing import draw_times, run_with_kills

RECIPE = """
name: tiny
description: every stage of a run on a tiny model
model: {{name: {model}, dtype: {dtype}, device: cpu}}
data:
  sources:
    - {{name: problems, rows: 32, families: [chain, change]}}
    - {{name: korean-cot, rows: 12}}
  heldout_problems: 16
train:
  baseline_targets: [answer]
  batch_size: 4
  learning_rate: 1.0e-3
  max_tokens_per_pass: 256
  lora_r: 4
  lora_dropout: 0.1
  save_steps: 2
evaluate: {{num_fewshot: [0, 1], limit: 6, kobest_dir: mini, max_batch_tokens: 256}}
reason: {{max_new_tokens: 12, batch_size: 4, base_num_fewshot: 1}}
"""

SELF_TAUGHT = """
name: tiny
description: a tiny model that says seven whatever it is asked teaches itself to
model: {{name: {model}, dtype: float32, device: cpu}}
data:
  sources: [{{name: file, path: {folder}/given.jsonl}}]
  questions: [{{name: file, path: {folder}/questions.jsonl}}]
  heldout: {folder}/heldout.jsonl
train:
  method: full
  batch_size: 4
  learning_rate: 5.0e-3
  num_epochs: 20
  max_tokens_per_pass: 256
  save_steps: 10
  last_batch: keep
evaluate: {{num_fewshot: [0], tasks: [copa], limit: 2, kobest_dir: mini, max_batch_tokens: 256}}
reason: {{max_new_tokens: 48, batch_size: 4, base_num_fewshot: 0, at_once: false}}
self_taught: {{rounds: 2, num_samples: 2}}
"""


def command(recipe: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "kot_platypus", "run", str(recipe), "--out", str(out)]


def own_cache(run: Path) -> dict[str, str]:
    """No run finds the scores of another."""
    return {**os.environ, "KOT_CACHE": f"{run}-cache"}


def results(run: Path) -> dict[str, str]:
    """Hashes of everything a run computes. Manifests and the report also tell how long it took."""
    patterns = ("*.jsonl", "results.json", "comparison.json", "*.safetensors", "recipe.yaml")
    files = sorted(path for pattern in patterns for path in run.rglob(pattern))
    return {file.relative_to(run).as_posix(): hash_file(file) for file in files}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("dtype", "num_kills"), [("float32", 10), ("bfloat16", 4)])
def test_kills_at_random_moments_end_in_the_result_of_an_uninterrupted_run(
    shared: Path, tmp_path: Path, dtype: str, num_kills: int
):
    recipe, model = tmp_path / "tiny.yaml", shared / "models" / "tiny-llama-ko"
    recipe.write_text(RECIPE.format(model=model, dtype=dtype), encoding="utf-8")
    assert_kills_change_nothing(recipe, tmp_path, num_kills)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_change_nothing_of_rounds_of_self_teaching(shared: Path, tmp_path: Path):
    recipe, model = tmp_path / "tiny.yaml", shared / "models" / "tiny-llama-ko"
    recipe.write_text(SELF_TAUGHT.format(model=model, folder=tmp_path), encoding="utf-8")
    said = "두 수를 더하면 7이 됩니다."
    rows = {
        "given": [Example(source=f"{i}와 {7 - i}?", rationale=said, target="7") for i in range(7)],
        "questions": [
            Example(source=f"{i}와 {total - i}을 더하면?", rationale=said, target=f"{total}")
            for i in range(1, 7)
            for total in (7, 9)
        ],
        "heldout": [Example(source=f"{i} 더하기 {8 - i}은?", target="7") for i in range(4)],
    }
    for name, examples in rows.items():
        write_jsonl(tmp_path / f"{name}.jsonl", examples)
    assert_kills_change_nothing(recipe, tmp_path, 6)
    for number in (1, 2):
        kept = tmp_path / "killed" / "rounds" / f"round-{number}.jsonl"
        assert {row.target for row in read_jsonl(kept, Example)} == {"7"}


def assert_kills_change_nothing(recipe: Path, folder: Path, num_kills: int) -> None:
    whole, killed = folder / "whole", folder / "killed"
    started = time.monotonic()
    subprocess.run(command(recipe, whole), check=True, env=own_cache(whole))
    duration_s = time.monotonic() - started

    # Start-up takes a third; the rest of the time lies anywhere in the work.
    moments = draw_times(7, 0.15 * duration_s, 0.6 * duration_s)
    kills = run_with_kills(
        command(recipe, killed), moments, env=own_cache(killed), at_most=num_kills
    )
    subprocess.run(command(recipe, killed), check=True, env=own_cache(killed))
    assert kills >= 3, "the run ended before it could be killed often enough to mean anything"
    assert results(killed) == results(whole)
    statuses = [json.loads(path.read_text())["status"] for path in killed.rglob("manifest.json")]
    assert set(statuses) == {"done"}
    assert not list(killed.rglob("*.part")), "half-written files are left"
