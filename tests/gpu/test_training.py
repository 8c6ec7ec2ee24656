"""Training on the device: the gradient of separate passes, and the CPU's losses in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._triton import has_triton

from kot_platypus.artifacts import hash_file
from kot_platypus.errors import KotError
from kot_platypus.train.isolation import isolate_examples
from kot_platypus.train.loss import pack_loss
from kot_platypus.train.packing import pack_batch

from .models import DTYPES, FAMILIES, make_exact, make_model, place
from .training import (
    StopAfter,
    make_batch,
    read_losses,
    read_weights,
    relative,
    train,
    write_base,
    write_rows,
)

pytestmark = pytest.mark.gpu

EPS = {dtype: torch.finfo(getattr(torch, dtype)).eps for dtype in DTYPES}
# Of a gradient's relative distance: forward and back some 40 roundings in a row, each of half of
# `eps` and as if drawn, are 3 `eps`; in float32 sums in another order are more than that.
GRADIENT_TOLERANCES = {
    "float32": 2e-5,
    "bfloat16": 6 * EPS["bfloat16"],
    "float16": 6 * EPS["float16"],
}


def read_gradient(model) -> Tensor:
    found = [p.grad.flatten().double().cpu() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return torch.cat(found)


def run_packed(model) -> Tensor:
    for pack in pack_batch(make_batch(), 300, "example"):
        pack_loss(model, pack.to(model.device)).backward()
    return read_gradient(model)


def run_separately(model) -> Tensor:
    """One plain pass an example, transformers' own logits, PyTorch's own loss."""
    batch = make_batch()
    for example in batch:
        ids = torch.tensor([example.ids], device=model.device)
        logits = model(ids, use_cache=False).logits[0, example.prompt_len - 1 : -1].float()
        loss = F.cross_entropy(logits, ids[0, example.prompt_len :])
        (loss / len(batch)).backward()
    return read_gradient(model)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_gradient_is_the_cpus_of_separate_passes(family, dtype, device, record_property):
    model = make_model(family)
    expected = run_separately(make_exact(model, dtype))
    placed = place(model, dtype, device)
    isolate_examples(placed)
    distance = relative(run_packed(placed), expected)
    record_property("relative distance", f"{distance:.1e}")
    assert distance < GRADIENT_TOLERANCES[dtype]


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_gradient_in_float32_is_the_devices_own_of_separate_passes(family, device):
    model = place(make_model(family), "float32", device)
    expected = run_separately(model)
    isolate_examples(model)
    assert relative(run_packed(model), expected) < GRADIENT_TOLERANCES["float32"]


# --- whole trainings ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_rows(folder / "train.jsonl")
    for family in ("llama", "gemma3"):
        write_base(folder / family, family)
    return folder


@pytest.fixture(scope="module")
def on_cpu(root: Path):
    """``on_cpu(family, method)``: the losses of the CPU in float32."""
    known: dict[tuple[str, str], Tensor] = {}

    def find(family: str, method: str) -> Tensor:
        out = root / f"cpu-{family}-{method}"
        if (family, method) not in known:
            train(root / "train.jsonl", root / family, out, "cpu", "float32", method=method)
            known[family, method] = read_losses(out)
        return known[family, method]

    return find


@pytest.mark.parametrize(
    ("family", "method", "dtype"),
    [
        *(("llama", "lora", dtype) for dtype in DTYPES),
        ("llama", "dora", "float32"),
        ("llama", "full", "float32"),
        ("llama", "full", "bfloat16"),
        ("gemma3", "lora", "float32"),
        ("gemma3", "lora", "bfloat16"),
    ],
)
def test_losses_are_the_cpus_in_float32(
    family, method, dtype, root, tmp_path, on_cpu, device, record_property
):
    expected = on_cpu(family, method)
    out = train(root / "train.jsonl", root / family, tmp_path / "x", device, dtype, method=method)
    distances = (read_losses(out) / expected - 1).abs()
    record_property("largest relative distance of a loss", f"{float(distances.max()):.1e}")
    assert expected[-1] < 0.97 * expected[0]
    # The mean of some thousand tokens' losses is nearer than one of them; but steps build upon
    # steps, and Adam's first ones turn a rounding of a gradient near 0 into a whole step.
    assert distances.max() < (1e-3 if dtype == "float32" else 4 * EPS[dtype])


def test_checkpointed_activations_change_no_loss(root, tmp_path, on_cpu, device):
    at = (device, "float32")
    out = train(
        root / "train.jsonl", root / "llama", tmp_path / "x", *at, gradient_checkpointing=True
    )
    assert (read_losses(out) / on_cpu("llama", "lora") - 1).abs().max() < 1e-3


def test_compiled_layers_change_no_loss(root, tmp_path, on_cpu, device):
    if device == "cpu":
        pytest.skip("compiled on the CPU elsewhere")
    if not has_triton():
        pytest.skip("no Triton, which compiles for a GPU")
    out = train(
        root / "train.jsonl", root / "llama", tmp_path / "x", device, "float32", torch_compile=True
    )
    assert (read_losses(out) / on_cpu("llama", "lora") - 1).abs().max() < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_training_is_the_uninterrupted_one(
    dtype, root, tmp_path, device, record_property
):
    """Bit for bit, unless the device's kernels give two equal trainings different bits."""
    data, base, dropout = root / "train.jsonl", root / "llama", {"lora_dropout": 0.2}
    whole, again = (
        train(data, base, tmp_path / name, device, dtype, **dropout) for name in ("whole", "again")
    )
    resumed = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        train(data, base, resumed, device, dtype, callbacks=[StopAfter(4)], **dropout)
    train(data, base, resumed, device, dtype, **dropout)
    hashes = [
        hash_file(out / "adapter" / "adapter_model.safetensors") for out in (whole, again, resumed)
    ]
    record_property("two equal trainings are equal", hashes[0] == hashes[1])
    record_property("resumed is equal", hashes[0] == hashes[2])
    if hashes[0] == hashes[1]:
        assert hashes[2] == hashes[0]
    own = relative(read_weights(again), read_weights(whole))
    assert relative(read_weights(resumed), read_weights(whole)) <= max(4 * own, 1e-12)
    # Other random numbers after the checkpoint would be another training.
    other = train(data, base, tmp_path / "other", device, dtype, lora_dropout=0.3)
    assert relative(read_weights(other), read_weights(whole)) > 100 * max(own, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_training_that_is_not_finite_does_not_end_well(dtype, root, tmp_path, device):
    with pytest.raises(KotError, match="finite"):
        train(
            root / "train.jsonl", root / "llama", tmp_path / "x", device, dtype, learning_rate=1e30
        )
