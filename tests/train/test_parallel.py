"""Training in several real processes, which talk through gloo as on machines without GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import TrainerCallback

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import UsageError
from kot_platypus.models import load_model
from kot_platypus.recipe import ModelSection, TrainSection, load_recipe
from kot_platypus.run import run_recipe
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded
from kot_platypus.train.packing import pack_batch
from kot_platypus.train.preferences import accept_packs

from .conftest import StopAfter, section

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
# 16 examples of many lengths in steps of 5: the packs fall unevenly, and the last step's one
# example leaves the second process without any.
NUM_EXAMPLES, BATCH_SIZE = 16, 5
SETTINGS: dict[str, Mapping[str, object]] = {
    "example": {},
    "token": {"loss_weighting": "token"},
}
SLOW_SETTINGS: dict[str, Mapping[str, object]] = {
    "full": {"method": "full", "learning_rate": 1e-3},
    "dora": {"method": "dora"},
    "checkpointing": {"gradient_checkpointing": True},
    "noise": {"neftune_noise_alpha": 5, "loraplus_lr_ratio": 4},
    "pissa": {"init_lora_weights": "pissa", "learning_rate": 1e-4},
    "tokens": {"template": "think", "new_tokens": ["<think>", "</think>"]},
}


def make_section(changes: Mapping[str, object]) -> TrainSection:
    values = {
        "batch_size": BATCH_SIZE,
        "last_batch": "keep",
        "learning_rate": 1e-3,
        "max_tokens_per_pass": 200,
        "lora_r": 4,
        "lora_dropout": 0,
        "save_steps": 2,
    }
    return TrainSection.model_validate(values | dict(changes))


def train(root: Path, base: Path, name: str, changes: Mapping[str, object], **options) -> None:
    model = ModelSection(device="cpu", dtype="float32")
    train_adapter(root / "train.jsonl", base, root / name, make_section(changes), model, **options)


class DieAfter(TrainerCallback):
    """Ends the process as a kill does, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_step_end(self, args, state, control, **_: object) -> None:
        if state.global_step == self._steps:
            os._exit(9)


def compare_sharded(base: Path) -> None:
    """Whether FSDP's shards get the gradient of the whole model, in two processes of this."""
    dist.init_process_group("gloo")
    batch = [Encoded(tuple(range(5, 20 + 7 * i)), 4 + i) for i in range(7)]
    whole, model = (load_model(base, dtype="float32", device="cpu") for _ in range(2))
    for each in (whole, model):
        accept_packs(each, section())
    for pack in pack_batch(batch, 60, "example"):
        whole(pack).backward()
    mesh = init_device_mesh("cpu", (2,))
    for part in (*model.model.layers, model):
        fully_shard(part, mesh=mesh)
    for pack in pack_batch(batch, 60, "example", rank=dist.get_rank(), num_processes=2):
        (model(pack) * 2).backward()
    for (name, expected), found in zip(whole.named_parameters(), model.parameters(), strict=True):
        difference = found.grad.full_tensor() - expected.grad
        assert difference.norm() < 1e-5 * expected.grad.norm(), name
    dist.destroy_process_group()


def main() -> None:
    """What each process does: ``root base prefix settings(JSON) [steps to die after]``."""
    if sys.argv[1] == "shards":
        compare_sharded(Path(sys.argv[2]))
        return
    root, base, prefix = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    callbacks = [DieAfter(int(steps)) for steps in sys.argv[5:]]
    for name, changes in json.loads(sys.argv[4]).items():
        train(root, base, prefix + name, changes, callbacks=callbacks)


def launch_main(*arguments: object) -> int:
    command = [*LAUNCH, "2", "-m", "tests.train.test_parallel", *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode


def launch(root: Path, base: Path, prefix: str, settings: Mapping[str, object], *steps: int) -> int:
    return launch_main(root, base, prefix, json.dumps(settings), *steps)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parallel")
    write_jsonl(folder / "train.jsonl", make_problems(NUM_EXAMPLES, 1, "train", None))
    return folder


def read_weights(out: Path) -> torch.Tensor:
    (file,) = out.glob("*/*model.safetensors")
    weights = load_file(file)
    return torch.cat([weights[name].flatten() for name in sorted(weights)])


def assert_same(one: Path, two: Path) -> None:
    """Same steps, losses and trained weights, within 1e-5."""
    texts = [(folder / "log.jsonl").read_text() for folder in (one, two)]
    logs = [[json.loads(row) for row in text.splitlines()] for text in texts]
    assert len(logs[0]) == -(-NUM_EXAMPLES // BATCH_SIZE)
    for a, b in zip(*logs, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert {**b, "loss": 0} == {**a, "loss": 0}
    a, b = read_weights(one), read_weights(two)
    assert ((a - b).norm() / a.norm()).item() < 1e-5
    assert not (two / "checkpoints").exists()


@pytest.fixture(scope="module")
def pairs(root: Path, base: Path) -> Path:
    for name, changes in SETTINGS.items():
        train(root, base, f"one-{name}", changes)
    assert launch(root, base, "two-", SETTINGS) == 0
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_follow_the_losses_of_one_to_the_same_adapter(pairs, name):
    assert_same(pairs / f"one-{name}", pairs / f"two-{name}")


@pytest.mark.slow
def test_the_two_weightings_differ_so_the_test_above_can_fail(pairs):
    a, b = read_weights(pairs / "two-example"), read_weights(pairs / "two-token")
    assert ((a - b).norm() / a.norm()).item() > 1e-3


def test_a_run_in_several_processes_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="kot run in 2 processes"):
        run_recipe(load_recipe("demo"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_follow_one_with_every_method(root, base):
    for name, changes in SLOW_SETTINGS.items():
        train(root, base, f"one-{name}", changes)
    assert launch(root, base, "two-", SLOW_SETTINGS) == 0
    for name in SLOW_SETTINGS:
        assert_same(root / f"one-{name}", root / f"two-{name}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_by_one_packed_in_two_processes_and_resumed_is_the_same_training(
    root, any_base, tmp_path
):
    """Of each architecture: a pass for each example, packs, packs of two processes, a kill."""
    (tmp_path / "train.jsonl").symlink_to(root / "train.jsonl")
    train(tmp_path, any_base, "one-by-one", {"max_tokens_per_pass": 1})
    train(tmp_path, any_base, "packed", {})
    assert launch(tmp_path, any_base, "two-", {"processes": {}}) == 0
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, any_base, "resumed", {}, callbacks=[StopAfter(3)])
    train(tmp_path, any_base, "resumed", {})
    for name in ("packed", "two-processes", "resumed"):
        assert_same(tmp_path / "one-by-one", tmp_path / name)
    assert torch.equal(read_weights(tmp_path / "packed"), read_weights(tmp_path / "resumed"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_shards_of_a_model_get_its_gradient(base):
    """The loss goes through the forward that FSDP wraps, and each process makes all passes."""
    assert launch_main("shards", base) == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_killed_processes_go_on_to_the_adapter_of_two_that_were_not(root, base):
    settings = {"dropout": {"lora_dropout": 0.2}}  # each process has a random state of its own
    assert launch(root, base, "whole-", settings) == 0
    assert launch(root, base, "killed-", settings, 3) != 0
    checkpoint = root / "killed-dropout" / "checkpoints" / "checkpoint-2"
    sealed = json.loads((checkpoint / "sealed.json").read_text())
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= sealed.keys()
    assert launch(root, base, "killed-", settings) == 0
    files = [root / f"{name}-dropout" for name in ("whole", "killed")]
    assert len({hash_file(f / "adapter" / "adapter_model.safetensors") for f in files}) == 1
    assert len({(f / "log.jsonl").read_text() for f in files}) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_find_the_validation_loss_of_one_also_after_a_kill(root, base):
    """One validation row leaves the second process without any; a share is split by both alike."""
    (row,) = make_problems(1, 2, "train", None)  # backwards, so that the loss also rises
    backwards = {"rationale": row.rationale[::-1], "target": row.source[::-1]}
    write_jsonl(root / "row.jsonl", [row.model_copy(update=backwards)])
    common = {"num_epochs": 3, "eval_steps": 2, "last_batch": "drop"}
    settings = {
        "file": {**common, "validation": str(root / "row.jsonl"), "learning_rate": 5e-3},
        "share": {**common, "validation": 0.3, "loss_weighting": "token"},
    }
    for name, changes in settings.items():
        train(root, base, f"one-{name}", changes)
    assert launch(root, base, "two-", settings) == 0
    assert launch(root, base, "killed-", settings, 3) != 0
    assert launch(root, base, "killed-", settings) == 0
    for name in settings:
        one, two, killed = (
            [
                json.loads(line)
                for line in (root / f"{who}-{name}" / "log.jsonl").read_text().splitlines()
            ]
            for who in ("one", "two", "killed")
        )
        assert [line.keys() for line in one] == [line.keys() for line in two]
        assert sum("eval_loss" in line for line in one) == len(one) // 2 + len(one) % 2
        for a, b in zip(one, two, strict=True):
            assert b == pytest.approx(a, rel=1e-5)
        assert killed == two
        weights = [read_weights(root / f"{who}-{name}") for who in ("one", "two", "killed")]
        assert ((weights[0] - weights[1]).norm() / weights[0].norm()).item() < 1e-5
        assert torch.equal(weights[1], weights[2])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_command_line_in_two_processes_writes_what_it_writes_in_one(root, base):
    overrides = [f"model.name={base}", "model.device=cpu", "model.dtype=float32"]
    overrides += [f"train.batch_size={BATCH_SIZE}", "train.last_batch=keep"]
    arguments = ["-m", "kot_platypus", "train", "demo", "--data", str(root / "train.jsonl")]
    for override in overrides:
        arguments += ["--set", override]
    for name, start in (("cli-one", [sys.executable]), ("cli-two", [*LAUNCH, "2"])):
        command = [*start, *arguments, "--out", str(root / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(root / name / "adapter")]
    assert_same(root / "cli-one", root / "cli-two")
    command = [*LAUNCH, "2", *arguments, "--set", "seed=7", "--out", str(root / "cli-two")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "holds another run: config.seed is 1, not 7" in refused
    assert "[rank1]" not in refused, "the other process ends with a traceback"


if __name__ == "__main__":
    main()
