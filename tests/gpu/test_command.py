"""The commands themselves on the device: score, train, merge, score again, reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.problems import make_problems

from .training import write_base, write_rows

pytestmark = pytest.mark.gpu


def run_kot(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "kot_platypus", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout + done.stderr


def read_results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text("utf-8"))["results"]


@pytest.mark.timeout(300)
def test_score_train_merge_score_and_reason(tmp_path, device):
    data, base = write_rows(tmp_path / "train.jsonl"), write_base(tmp_path / "base")
    write_jsonl(tmp_path / "problems.jsonl", make_problems(6, 2, "heldout", None))
    place = ["--device", device, "--dtype", "bfloat16"]
    score = ["--kobest-dir", "mini", "--tasks", "copa,hellaswag", "--num-fewshot", 1, *place]
    run_kot("eval", "--model", base, "--out", tmp_path / "before", *score)

    settings = {"model.name": base, "model.device": device, "model.dtype": "bfloat16"}
    settings |= {"train.batch_size": 4, "train.max_tokens_per_pass": 600}
    sets = [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
    run_kot("train", "demo", "--data", data, "--out", tmp_path / "trained", *sets)
    adapter = tmp_path / "trained" / "adapter"
    run_kot("merge", "--adapter", adapter, "--model", base, "--out", tmp_path / "merged")

    run_kot("eval", "--model", tmp_path / "merged", "--out", tmp_path / "after", *score)
    before, after = (read_results(tmp_path / name) for name in ("before", "after"))
    assert before.keys() == after.keys() == {"copa", "hellaswag"}
    assert all(0 <= task["1"]["acc"]["value"] <= 1 for task in before.values())
    problems = ["--problems", tmp_path / "problems.jsonl", "--max-new-tokens", 16]
    run_kot(
        "reason", "--model", tmp_path / "merged", *problems, "--out", tmp_path / "reason", *place
    )
    assert (tmp_path / "reason" / "results.json").is_file()


@pytest.mark.timeout(300)
def test_a_dry_run_measures_a_layer_here(tmp_path, device):
    """At 7B's size on a GPU, for a few seconds; the model in small in a rehearsal."""
    name = "kot-platypus2-7b" if device == "cuda" else "demo"
    sets = ["--set", f"model.device={device}", "--set", "model.dtype=bfloat16"]
    if device == "cpu":
        sets += ["--set", f"model.name={write_base(tmp_path / 'base')}"]
    assert "Measured: one layer" in " ".join(run_kot("train", name, "--dry-run", *sets).split())
