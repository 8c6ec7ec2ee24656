"""Two processes with a GPU each (or, in rehearsal, two on the CPU) do what one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .training import read_losses, read_weights, relative, train, write_base, write_rows

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _two_gpus(device: str) -> None:
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip(f"{torch.cuda.device_count()} GPU, and two are needed")


def launch(*command: object) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*launcher, *map(str, command)], check=False, capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_two_processes_train_the_adapter_of_one(tmp_path, device):
    data, base = write_rows(tmp_path / "train.jsonl"), write_base(tmp_path / "base")
    one = train(data, base, tmp_path / "one", device, "float32")
    launch("-m", "tests.gpu.training", data, base, tmp_path / "two", device)
    assert (read_losses(tmp_path / "two") / read_losses(one) - 1).abs().max() < 1e-4
    assert relative(read_weights(tmp_path / "two"), read_weights(one)) < 1e-3


def test_two_processes_score_as_one(tmp_path, device):
    base = write_base(tmp_path / "base")
    options = ["eval", "--model", base, "--kobest-dir", "mini", "--tasks", "copa,sentineg"]
    options += ["--num-fewshot", 1, "--limit", 8, "--device", device, "--dtype", "float32"]
    command = [sys.executable, "-m", "kot_platypus", *map(str, options)]
    subprocess.run([*command, "--out", str(tmp_path / "one")], check=True)
    launch("-m", "kot_platypus", *options, "--out", tmp_path / "two")
    tables = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two")]
    assert tables[0]["results"].keys() == {"copa", "sentineg"}
    assert tables[0]["results"] == tables[1]["results"]
