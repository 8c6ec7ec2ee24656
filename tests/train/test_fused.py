"""LoRA's layers and norms as one step of autograd: the plain results, or the plain layer."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from kot_platypus.train.fused import FusedLora, _LoraProduct, fuse_layers

ROWS = (1, 40, 32)


def adapt(
    *, has_bias: bool = False, dtype: torch.dtype = torch.float32, **settings: object
) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(32, 48, bias=has_bias), nn.GELU(), nn.Linear(48, 24, bias=has_bias)
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["0", "2"], **settings)
    model = get_peft_model(nn.Sequential(*layers).to(dtype), config).train()
    for weight in model.parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.2)
    return model


def run(model: nn.Module, *, cast: bool = False) -> list[Tensor]:
    """The output, the gradient of the input, and those of the adapter."""
    generator = torch.Generator().manual_seed(1)
    dtype = torch.float32 if cast else next(model.parameters()).dtype
    x = torch.randn(ROWS, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    seen = torch.randn(*ROWS[:2], 24, generator=generator)
    torch.manual_seed(2)  # dropout's
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        output = model(x)
    (output * seen).sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    return [output.detach(), x.grad, *(p.grad for p in trained)]


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(
        float((a.double() - b.double()).norm() / b.double().norm())
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_fused_layers_are_pefts_with_its_dropout(has_bias, dropout):
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        plain = adapt(has_bias=has_bias, lora_dropout=dropout).to(dtype)
        fused = deepcopy(plain)
        fuse_layers(fused)
        assert sum(isinstance(module, FusedLora) for module in fused.modules()) == 2
        assert distance(run(fused), run(plain)) < tolerance


def test_in_bfloat16_fused_layers_are_as_near_to_the_truth_as_pefts():
    plain = adapt(dtype=torch.bfloat16)
    truth = run(deepcopy(plain).double())
    fused = deepcopy(plain)
    fuse_layers(fused)
    found, usual = run(fused, cast=True), run(plain, cast=True)
    assert [each.dtype for each in found] == [each.dtype for each in usual]
    assert distance(found, truth) < 1.1 * distance(usual, truth) < 2e-2


def test_small_gradients_in_float16_are_not_lost():
    plain = adapt(dtype=torch.float16)
    for name, weight in plain.named_parameters():
        if "lora_B" in name:  # as after a training's first steps
            weight.data *= 1e-3
    fused, truth = deepcopy(plain), deepcopy(plain).double()
    fuse_layers(fused)
    x, seen = torch.randn(ROWS), torch.randn(*ROWS[:2], 24) * 1e-4
    found, expected = [], []
    for model, gradients in ((fused, found), (truth, expected)):
        output = model(x.to(next(model.parameters()).dtype))
        (output * seen.to(output.dtype)).sum().backward()
        gradients += [p.grad for p in model.parameters() if p.requires_grad]
    assert distance(found, expected) < 1e-2


def change_nothing(model: nn.Module) -> None:
    pass


def merge(model: nn.Module) -> None:
    model.base_model.merge_adapter()


def disable(model: nn.Module) -> None:
    model.base_model.disable_adapter_layers()


def add_another(model: nn.Module) -> None:
    model.add_adapter("other", LoraConfig(r=2, target_modules=["0"], init_lora_weights=False))
    model.base_model.set_adapter(["default", "other"])


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (change_nothing, {"use_dora": True}),
        (change_nothing, {"lora_bias": True}),
        (change_nothing, {"bias": "all"}),
        (merge, {}),
        (disable, {}),
        (add_another, {}),
    ],
)
def test_unusual_layers_are_left_to_peft(change, settings, monkeypatch):
    plain = adapt(has_bias=True, **settings)
    change(plain)
    fused = deepcopy(plain)
    fuse_layers(fused)
    x = torch.randn(ROWS)
    expected = plain(x)
    monkeypatch.setattr(_LoraProduct, "apply", lambda *_: pytest.fail("was fused"))
    assert torch.equal(fused.base_model.model[0](x), plain.base_model.model[0](x))
    if change is not add_another:
        assert torch.equal(fused(x), expected)


def test_result_may_be_changed_in_place():
    """As Llama 4 does: a view made by the step would be refused."""
    plain = adapt()
    fused = deepcopy(plain)
    fuse_layers(fused)
    for model in (plain, fused):
        model.register_forward_hook(lambda module, inputs, output: output.mul_(2))
    assert distance(run(fused), run(plain)) < 1e-6


# --- RMSNorm -----------------------------------------------------------------------------------


class ScaledTwiceRMSNorm(LlamaRMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def make_norm(cls: type[nn.Module]) -> nn.Module:
    norm = cls(32)
    nn.init.normal_(norm.weight, std=0.3)
    return norm.requires_grad_(False)


def normalise(norm: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    """The output and the gradient of an input with heads before tokens, not contiguous.

    The input is one of bfloat16, whatever its dtype.
    """
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 40, 4, 32, generator=generator).bfloat16().to(dtype)
    x = x.transpose(1, 2).requires_grad_()
    seen = torch.randn(x.shape, generator=generator)
    output = norm(x)
    (output * seen).sum().backward()
    return [output.detach(), x.grad]


@pytest.mark.parametrize("cls", [LlamaRMSNorm, Gemma3RMSNorm, Qwen3RMSNorm])
def test_a_fused_norm_is_transformers(cls):
    plain = make_norm(cls)
    fused = deepcopy(plain)
    fuse_layers(nn.Sequential(fused))
    assert "forward" in vars(fused)
    assert distance(normalise(fused, torch.float32), normalise(plain, torch.float32)) < 1e-6
    plain, fused = plain.bfloat16(), fused.bfloat16()
    truth = normalise(deepcopy(plain).float(), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):  # as in training; it has products in bfloat16
        found, usual = normalise(fused, torch.bfloat16), normalise(plain, torch.bfloat16)
    assert [each.dtype for each in found] == [each.dtype for each in usual]
    assert distance(found, truth) <= 1.05 * distance(usual, truth) < 1e-2


def test_a_norm_that_computes_something_else_is_left_alone():
    odd = make_norm(ScaledTwiceRMSNorm)
    fuse_layers(nn.Sequential(odd))
    assert "forward" not in vars(odd)


def test_a_norm_that_is_trained_gets_its_gradient():
    norm = make_norm(Gemma3RMSNorm)
    fuse_layers(nn.Sequential(norm))
    norm.requires_grad_(True)
    normalise(norm, torch.float32)
    assert norm.weight.grad.norm() > 0


def test_a_copy_of_a_fused_norm_has_weights_of_its_own():
    norm = make_norm(LlamaRMSNorm)
    fuse_layers(nn.Sequential(norm))
    copied = deepcopy(norm)
    copied.weight.mul_(2)
    x = torch.randn(2, 32, requires_grad=True)
    assert torch.allclose(copied(x), 2 * norm(x))
    with torch.no_grad():
        assert torch.allclose(copied(x), 2 * norm(x))
