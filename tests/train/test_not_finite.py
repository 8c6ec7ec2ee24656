"""Infinities and NaNs end a training at once, in one line, and never look like success."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from kot_platypus.artifacts import hash_file
from kot_platypus.errors import ModelError
from kot_platypus.models import TrainingInfo, load_model
from kot_platypus.recipe import ModelSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.methods import load_trainable, save_trained
from kot_platypus.train.setup import make_arguments, make_trainer

from .conftest import section
from .test_parallel import LAUNCH

SECTION = section(lora_dropout=0.1, save_steps=2)


def assert_no_result(out: Path) -> None:
    assert not (out / "adapter").exists()
    assert not (out / "model").exists()
    manifest = out / "manifest.json"  # none where it ended before anything was made
    assert not manifest.is_file() or json.loads(manifest.read_text())["status"] != "done"


class Spoil(TrainerCallback):
    """Makes a trained weight NaN after a number of steps, as a fault of the hardware may."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_step_end(self, args, state, control, model=None, **_: object) -> None:
        if state.global_step == self._steps:
            weight = next(p for p in model.parameters() if p.requires_grad)
            with torch.no_grad():
                weight[0, 0] = torch.nan


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_rate_that_explodes_ends_at_that_step_and_says_so(data, base, tmp_path, method, dtype):
    model = ModelSection(device="cpu", dtype=dtype)
    explosive = section(method=method, learning_rate=1e30)
    with pytest.raises(ModelError, match=rf"at step [23] .* not finite in {dtype}; .*Lower train"):
        train_adapter(data, base, tmp_path / "out", explosive, model)
    assert_no_result(tmp_path / "out")


def test_half_precision_that_overflows_names_the_dtype(data, base, tmp_path):
    large = load_model(base, dtype="float32", device="cpu")
    with torch.no_grad():
        large.model.norm.weight.mul_(1e4)  # logits beyond 65,504; the hidden states are numbers
    large.save_pretrained(tmp_path / "large")
    for file in base.glob("tokenizer*"):
        (tmp_path / "large" / file.name).write_bytes(file.read_bytes())
    model = ModelSection(device="cpu", dtype="float16")
    for name, tokens in (("packed", 256), ("alone", 1)):
        with pytest.raises(ModelError, match=r"not finite in float16"):
            train_adapter(
                data,
                tmp_path / "large",
                tmp_path / name,
                section(max_tokens_per_pass=tokens),
                model,
            )
        assert_no_result(tmp_path / name)


@pytest.mark.slow
def test_the_last_good_checkpoint_is_kept_and_gone_on_from(data, base, tmp_path):
    model = ModelSection(device="cpu", dtype="float32")
    train_adapter(data, base, tmp_path / "whole", SECTION, model)
    out = tmp_path / "spoilt"
    with pytest.raises(ModelError, match="at step 6 the training's loss became not finite"):
        train_adapter(data, base, out, SECTION, model, callbacks=[Spoil(5)])
    assert_no_result(out)
    names = sorted(path.name for path in (out / "checkpoints").glob("checkpoint-*"))
    assert names == ["checkpoint-2", "checkpoint-4"]
    train_adapter(data, base, out, SECTION, model)
    file = Path("adapter") / "adapter_model.safetensors"
    assert hash_file(out / file) == hash_file(tmp_path / "whole" / file)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 7], ids=["at a checkpoint", "at the end"])
def test_weights_that_are_no_numbers_are_never_saved(data, base, tmp_path, steps):
    model = ModelSection(device="cpu", dtype="float32")
    with pytest.raises(ModelError, match="not finite in float32"):
        train_adapter(data, base, tmp_path / "out", SECTION, model, callbacks=[Spoil(steps)])
    assert_no_result(tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(file).values())


def test_what_a_bases_dtype_cannot_hold_is_not_written(base, tmp_path):
    half = tmp_path / "half"
    load_model(base, dtype="float16", device="cpu").save_pretrained(half)
    where = {"dtype": "float32", "device": "cpu"}
    model, _ = load_trainable(half, section(method="full"), **where)
    with torch.no_grad():
        model.model.norm.weight[0] = 1e6
    with pytest.raises(ModelError, match=r"model\.norm\.weight is not finite in float16"):
        save_trained(model, tmp_path, half, TrainingInfo())
    assert not (tmp_path / "model").exists()


def test_steps_that_the_scaler_leaves_out_are_no_fault_until_its_scale_is_used_up(base, tmp_path):
    model, _ = load_trainable(base, SECTION, dtype="float32", device="cpu")
    arguments = make_arguments(SECTION, 4, tmp_path, seed=0, dtype="float32", device="cpu")
    trainer = make_trainer(model, [], SECTION, arguments)
    infinite = torch.tensor(torch.inf)
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    assert trainer._get_grad_norm(model, infinite) == torch.inf
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=0.5)
    with pytest.raises(ModelError, match="gradient became not finite"):
        trainer._get_grad_norm(model, infinite)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_processes_stop_with_one_line(data, base, tmp_path):
    command = [*LAUNCH, "2", "-m", "kot_platypus", "train", "demo", "--data", str(data)]
    for value in (
        f"model.name={base}",
        "model.device=cpu",
        "model.dtype=float32",
        "train.batch_size=4",
        "train.learning_rate=1e30",
    ):
        command += ["--set", value]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment,
    )
    assert done.returncode != 0
    assert "not finite in float32" in done.stderr
    assert "Error: " not in done.stderr.partition("torch.distributed")[0], "a traceback"
    assert_no_result(tmp_path / "out")
