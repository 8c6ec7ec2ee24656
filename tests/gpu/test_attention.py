"""Packed attention in one kernel (`varlen_attn` on CUDA) against masked attention in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from kot_platypus.train import attention
from kot_platypus.train.attention import PACKED, attend_packed
from kot_platypus.train.isolation import isolate_examples

from .models import DTYPES, FAMILIES, SIZES, make_model, place

pytestmark = pytest.mark.gpu

LENGTHS = (1, 70, 129, 3, 200)
HALVES = ("bfloat16", "float16")


def attend_masked(query: Tensor, key: Tensor, value: Tensor, window: int | None) -> Tensor:
    """The textbook: all tokens' scores, a mask, a softmax. (1, heads, T, D) -> (1, T, heads, D)."""
    groups = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    owner = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    rows = torch.arange(sum(LENGTHS))
    distance = rows[:, None] - rows
    sees = (owner[:, None] == owner) & (distance >= 0)
    if window:
        sees &= distance < window
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~sees.to(scores.device), -torch.inf).softmax(-1)
    return (weights @ value).transpose(1, 2)


def make_inputs(heads: tuple[int, int], head_dim: int, dtype: str) -> list[Tensor]:
    """Query, key, value and the output's gradient, as ``dtype`` holds them, in float64."""
    generator = torch.Generator().manual_seed(0)
    counts = (heads[0], heads[1], heads[1], heads[0])
    sizes = ((1, count, sum(LENGTHS), head_dim) for count in counts)
    tensors = [torch.randn(size, generator=generator).to(getattr(torch, dtype)) for size in sizes]
    return [tensor.double() for tensor in tensors]


@pytest.fixture
def kernel_calls(monkeypatch) -> list[int]:
    """How often PyTorch's kernel was called."""
    calls: list[int] = []
    kernel = attention._kernel

    def count(*args, **kwargs):
        calls.append(1)
        return kernel(*args, **kwargs)

    monkeypatch.setattr(attention, "_kernel", count if kernel else None)
    return calls


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [None, 16, 128])
@pytest.mark.parametrize("head_dim", [64, 128, 256])
@pytest.mark.parametrize("heads", [(4, 4), (8, 2)], ids=["own", "shared"])
def test_output_and_gradients_are_masked_attentions(
    heads, head_dim, window, dtype, device, kernel_calls
):
    *inputs, gradient = make_inputs(heads, head_dim, dtype)
    exact = [each.clone().requires_grad_() for each in inputs]
    expected = attend_masked(*exact, window)
    expected.backward(gradient.transpose(1, 2))

    at = {"device": device, "dtype": getattr(torch, dtype)}
    packed = [each.to(**at).requires_grad_() for each in inputs]
    starts = torch.tensor([0, *LENGTHS]).cumsum(0).to(device=device, dtype=torch.int32)
    module = nn.Module().train()
    module.num_key_value_groups, module.is_causal = heads[0] // heads[1], True
    options = {"cu_seq_lens_q": starts, "max_length_q": max(LENGTHS)}
    options |= {"sliding_window": window, "scaling": head_dim**-0.5}
    found, _ = attend_packed(module, *packed, None, **options)
    found.backward(gradient.transpose(1, 2).to(**at))

    if needs_kernel(device, dtype):
        assert kernel_calls
    # Each number is a sum of up to 200 products, each rounded once: as if drawn, some eps of it.
    tolerance = 8 * torch.finfo(at["dtype"]).eps
    pairs = [(found, expected), *((a.grad, b.grad) for a, b in zip(packed, exact, strict=True))]
    for ours, theirs in pairs:
        distance = (ours.detach().cpu().double() - theirs.detach()).norm() / theirs.norm()
        assert distance < tolerance


def needs_kernel(device: str, dtype: str) -> bool:
    """Whether the one kernel is there: PyTorch 2.11 or newer, 16 bits, Ampere or newer."""
    if device != "cuda" or dtype not in HALVES or attention._kernel is None:
        return False
    return torch.cuda.get_device_capability() >= (8, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_it(family, dtype, device, kernel_calls):
    model = place(make_model(family), dtype, device)
    assert isolate_examples(model)
    assert model.config._attn_implementation == PACKED
    if needs_kernel(device, dtype):
        assert kernel_calls


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_that_leaks_is_found_out(dtype, device, monkeypatch):
    """As if a kernel took a pack for one text."""
    torch.manual_seed(0)
    model = place(LlamaForCausalLM(LlamaConfig(**SIZES)), dtype, device)

    def leak(module, query, key, value, mask, **others):
        attend = torch.nn.functional.scaled_dot_product_attention
        return attend(query, key, value, is_causal=True).transpose(1, 2), None

    monkeypatch.setitem(attention.AttentionInterface._global_mapping, PACKED, leak)
    monkeypatch.setitem(attention.AttentionInterface._global_mapping, "sdpa", leak)
    assert not isolate_examples(model)
