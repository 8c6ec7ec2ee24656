"""QLoRA: a base held in 4 bits on the device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kot_platypus.evaluate.decoding import Decoder, Job
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.models import load_model
from kot_platypus.recipe import TrainSection
from kot_platypus.train.methods import load_trainable

from .models import make_ids
from .test_training import EPS, GRADIENT_TOLERANCES, run_packed, run_separately
from .training import read_losses, relative, train, write_base, write_rows

pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.gpu

HALVES = ("bfloat16", "float16")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantized")
    write_rows(folder / "train.jsonl")
    for family in ("llama", "gemma3"):
        write_base(folder / family, family)
    return folder


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_model_in_4_bits_is_accepted_and_writes(family, dtype, root, device):
    model = load_model(root / family, dtype=dtype, device=device, in_4_bits=True)
    assert Scorer(model).obstacle is None
    (job,) = Decoder(model, ()).write([Job(0, make_ids(30, 0))], 8)
    assert len(job.written) == 8


@pytest.mark.parametrize("dtype", HALVES)
def test_packed_gradient_is_that_of_separate_passes(dtype, root, device, record_property):
    section = TrainSection(method="qlora", lora_dropout=0)
    model = load_trainable(root / "llama", section, dtype=dtype, device=device)[0]
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # zero at first, and with it half of the gradient
            torch.nn.init.normal_(weight, std=0.02)
    with torch.autocast(device, getattr(torch, dtype)):
        distance = relative(run_packed(model), run_separately(model))
    record_property("relative distance", f"{distance:.1e}")
    # Both are in 16 bits, each with its own roundings.
    assert distance < 2 * GRADIENT_TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", HALVES)
def test_losses_are_those_of_a_base_that_is_not_quantised(dtype, root, tmp_path, device):
    """Up to what 4 bits change: some hundredths of a loss of 6 nats."""
    data, base = root / "train.jsonl", root / "llama"
    exact = read_losses(train(data, base, tmp_path / "lora", "cpu", "float32"))
    found = read_losses(train(data, base, tmp_path / "x", device, dtype, method="qlora"))
    assert (found / exact - 1).abs().max() < 0.05 + 4 * EPS[dtype]
    assert found[-1] < 0.97 * found[0]
