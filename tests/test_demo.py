"""The demo in small, whatever this machine's `auto` is: in float32, and in bfloat16 beside it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kot_platypus.artifacts import read_json, read_jsonl
from kot_platypus.recipe import load_recipe
from kot_platypus.records import Sample
from kot_platypus.run import plan_steps, run_recipe

DTYPES = ("float32", "bfloat16")
SMALL = (
    "data.sources=[{name: problems, rows: 8, families: [chain]}, {name: korean-cot, rows: 4}]",
    "data.heldout_problems=8",
    "seeds=[1, 2]",
    "evaluate.limit=2",
    "reason.max_new_tokens=16",
    "model.device=cpu",
)


def run_tiny(shared: Path, out: Path, dtype: str) -> None:
    """In this process, with two layers of random weights."""
    model = [f"model.name={shared / 'models' / 'tiny-llama-ko'}", f"model.dtype={dtype}"]
    run_recipe(load_recipe("demo", [*SMALL, *model]), out)


def run_gemma(_: Path, out: Path, dtype: str) -> None:
    """As ``KOT_DTYPE=... make demo`` does."""
    program = [sys.executable, "-m", "kot_platypus", "run", "demo", "--out", str(out)]
    options = [word for setting in SMALL for word in ("--set", setting)]
    environment = {**os.environ, "KOT_DTYPE": dtype}
    subprocess.run([*program, *options], check=True, env=environment)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(run_tiny, id="tiny", marks=pytest.mark.slow),
        pytest.param(run_gemma, id="gemma", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def runs(request: pytest.FixtureRequest, shared: Path, tmp_path_factory) -> dict[str, Path]:
    """The finished run folder of each dtype."""
    run: Callable[[Path, Path, str], None] = request.param
    found = {dtype: tmp_path_factory.mktemp("demo") / dtype for dtype in DTYPES}
    for dtype, out in found.items():
        run(shared, out, dtype)
    return found


def read_first_loss(run: Path) -> float:
    with (run / "train" / "cot" / "log.jsonl").open() as log:
        return float(json.loads(next(log))["loss"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_demo_computes_in_the_dtype_asked_for_and_ends_in_a_report(runs, dtype):
    run = runs[dtype]
    stages = [step for step in plan_steps(load_recipe("demo", SMALL), run) if step.folder]
    assert {step.state for step in stages} == {"done"}
    configs = [read_json(step.folder / "manifest.json")["config"] for step in stages]
    computed = [config["dtype"] for config in configs if "dtype" in config]
    # Four trainings, of KoBEST two scored and two reasoned, five of the problems.
    assert computed == [dtype] * 13
    assert [(run / name).is_file() for name in ("report.html", "README.md")] == [True, True]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_loss_of_the_demo_is_a_number(runs, dtype):
    logs = [path.read_text().splitlines() for path in runs[dtype].rglob("train/*/log.jsonl")]
    losses = [json.loads(line)["loss"] for log in logs for line in log]
    assert len(losses) == 4 * 3
    assert all(0 < loss < 20 for loss in losses)


def test_scores_in_bfloat16_are_those_of_float32_rounded(runs):
    """A bfloat16 number is up to 1/256 off its float32; a sum of many such, a little more."""
    full, half = (
        read_jsonl(runs[dtype] / "evaluate" / "base" / "kobest" / "samples.jsonl", Sample)
        for dtype in DTYPES
    )
    assert len(full) == len(half) == 5 * 2 * 2
    for a, b in zip(full, half, strict=True):
        assert (a.task, a.num_fewshot, a.doc_id) == (b.task, b.num_fewshot, b.doc_id)
        assert all(map(math.isfinite, b.logprobs))
        assert b.logprobs == pytest.approx(a.logprobs, rel=0.05, abs=0.5)


def test_training_in_bfloat16_begins_where_float32_does(runs):
    full, half = (read_first_loss(runs[dtype]) for dtype in DTYPES)
    assert half == pytest.approx(full, rel=0.02)
