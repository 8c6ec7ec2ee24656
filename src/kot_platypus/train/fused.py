"""LoRA's linear layers and RMSNorm with one step of autograd each, on a CPU.

PEFT's layer is a dozen small operations: the input cast to float32 and back, a product, its scaling
and its sum with the base's. In 16 bits they take about as long as the base's product itself,
since each of them reads and writes whole activations. A norm is as many, without a product.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from peft.tuners import lora
from torch import Tensor, nn
from torch.nn import functional as F

from kot_platypus.train.attention import find_product_dtype


def fuse_layers(model: nn.Module) -> None:
    """From now on ``model``'s plain LoRA layers and RMSNorms compute the same with less traffic."""
    for module in list(model.modules()):
        if type(module) is lora.Linear and type(module.base_layer) is nn.Linear:
            module.__class__ = FusedLora
        elif type(module).__name__.endswith("RMSNorm"):
            _fuse_norm(module)


class FusedLora(lora.Linear):  # type: ignore[misc]
    """PEFT's layer, which stays in charge of whatever is not one plain adapter being trained."""

    def forward(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
        """As PEFT's. Shapes: x (..., inputs), result (..., outputs)."""
        base, names = self.base_layer, self.active_adapters
        is_changed = self.lora_variant or any(self.lora_bias.values())
        is_unused = self.disable_adapters or self.merged or not torch.is_grad_enabled()
        is_trained = any(each.requires_grad for each in base.parameters())
        dtype = base.weight.dtype
        # In float16 an adapter's gradients are next to nothing; PEFT has them in float32.
        is_cast = dtype != find_product_dtype(base.weight) or dtype == torch.float16
        if args or options or len(names) > 1 or is_changed or is_unused or is_trained or is_cast:
            result: Tensor = super().forward(x, *args, **options)
            return result
        (name,) = names
        a, b, dropout = (each[name] for each in (self.lora_A, self.lora_B, self.lora_dropout))
        dropped = None
        if isinstance(dropout, nn.Dropout) and self.training:
            dropped = dropout(self._cast_input_dtype(x, a.weight.dtype))
        matrices = base.weight, base.bias, a.weight, b.weight
        fused: Tensor = _LoraProduct.apply(x, dropped, *matrices, self.scaling[name])
        return fused


class _LoraProduct(torch.autograd.Function):  # type: ignore[misc]
    """``x @ weight.T + bias + scaling * dropped @ a.T @ b.T``, in the dtype of ``weight``.

    Shapes: x and dropped (..., inputs), weight (outputs, inputs), bias (outputs,), a (r, inputs),
    b (outputs, r). ``dropped`` None is x itself. Weight and bias get no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
    ) -> Tensor:
        dtype = weight.dtype
        x_here = x.to(dtype)
        seen = (x_here if dropped is None else dropped.to(dtype)).flatten(0, -2)
        lowered = seen @ a.to(dtype).T
        # The result itself is given away, no view of it, which could not be changed in place.
        result = F.linear(x_here, weight, bias)
        result.view(-1, result.shape[-1]).addmm_(lowered, (b * scaling).to(dtype).T)
        ctx.save_for_backward(seen, lowered, weight, a, b)
        ctx.scaling, ctx.dtypes = scaling, (x.dtype, dropped.dtype if dropped is not None else None)
        return result

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        seen, lowered, weight, a, b = ctx.saved_tensors
        shape = *grad_outputs[0].shape[:-1], -1
        grad = grad_outputs[0].flatten(0, -2)
        grad_lowered = grad @ (b * ctx.scaling).to(grad.dtype)
        grad_a = (grad_lowered.T @ seen).to(a.dtype)
        grad_b = (lowered.T @ grad).T.to(b.dtype) * ctx.scaling
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        grad_dropped = None
        if ctx.dtypes[1] is not None:
            grad_dropped = (grad_lowered @ a.to(grad.dtype)).view(shape).to(ctx.dtypes[1])
        elif grad_x is not None:
            grad_x.addmm_(grad_lowered, a.to(grad.dtype))
        if grad_x is not None:
            grad_x = grad_x.view(shape).to(ctx.dtypes[0])
        return grad_x, grad_dropped, None, None, grad_a, grad_b, None


# --- RMSNorm -----------------------------------------------------------------------------------


def _fuse_norm(norm: Any) -> None:
    """Give ``norm`` a forward of one step, where it computes what that does.

    transformers has a class for each model. Most multiply by their weight, Gemma's by one more;
    which of them this is, if any, is looked at. Without gradient they compute as before.
    """
    weight = getattr(norm, "weight", None)
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if not isinstance(weight, Tensor) or weight.dim() != 1 or not isinstance(eps, float):
        return
    offset = _find_offset(norm, eps)
    if offset is not None:
        # No closure: a copy of the model shall normalise by its own weights.
        norm.forward = partial(_normalise, norm, norm.forward, offset, eps)


def _normalise(
    norm: Any, usual: Callable[[Tensor], Tensor], offset: int, eps: float, x: Tensor
) -> Tensor:
    if not torch.is_grad_enabled() or norm.weight.requires_grad:
        return usual(x)
    normalised: Tensor = _Norm.apply(x, norm.weight.float() + offset, eps)
    return normalised


@torch.no_grad()  # type: ignore[untyped-decorator]
def _find_offset(norm: Any, eps: float) -> int | None:
    """What is added to the weight that the normalised input is multiplied by; None: neither."""
    exact = deepcopy(norm).float()
    generator = torch.Generator().manual_seed(0)
    # A row as small as the root of eps, and a larger one.
    x = torch.randn(2, len(exact.weight), generator=generator) * torch.tensor([[eps**0.5], [3.0]])
    found = exact(x)
    for offset in (0, 1):
        if torch.allclose(found, _Norm.apply(x, exact.weight + offset, eps), rtol=1e-5, atol=1e-6):
            return offset
    return None


class _Norm(torch.autograd.Function):  # type: ignore[misc]
    """``x / sqrt(mean(x**2) + eps) * scale`` in float32, the result in the dtype of ``x``.

    Shapes: x (..., size), scale (size,). The scale gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        here = x.float()
        # No product of vectors: autocast would round it to 16 bits.
        inverse = here.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        ctx.save_for_backward(x, inverse, scale)
        return (here * inverse).mul_(scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, inverse, scale = ctx.saved_tensors
        grad, normed = grad_outputs[0].float() * scale, x.float() * inverse
        along = (grad * normed).mean(-1, keepdim=True)
        return grad.addcmul_(normed, along, value=-1).mul_(inverse).to(x.dtype), None, None
