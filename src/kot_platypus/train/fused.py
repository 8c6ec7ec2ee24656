"""LoRA's linear layers with one step of autograd each, on a CPU.

PEFT's layer is a dozen small operations: the input cast to float32 and back, a product, its scaling
and its sum with the base's. In 16 bits they take about as long as the base's product itself,
since each of them reads and writes whole activations.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners import lora
from torch import Tensor, nn
from torch.nn import functional as F

from kot_platypus.train.attention import find_product_dtype


def fuse_adapters(model: nn.Module) -> None:
    """From now on ``model``'s plain LoRA layers compute the same with less traffic."""
    for module in model.modules():
        if type(module) is lora.Linear and type(module.base_layer) is nn.Linear:
            module.__class__ = FusedLora


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
