"""Attention in a pack: every example attends to itself, at the cost of doing just that.

transformers keeps the examples of a pack apart with a mask, and computes all that the mask then
throws away: at 4,096 tokens of 300 a piece most of attention. Here each example is attended to by
itself, in one kernel of PyTorch's where a GPU has it, else one example after another.

Whether it does keep them apart is not believed but looked at (``isolation``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask


def find_kernel() -> Callable[..., Any] | None:
    """PyTorch's kernel for packs, where there is one that knows windows and grouped queries."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # PyTorch 2.10 and newer
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return varlen_attn if {"scale", "window_size", "enable_gqa"} <= set(known) else None


_kernel = find_kernel()
_KERNEL_DEVICES, _KERNEL_DTYPES = ("cuda",), (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Pack:
    """One forward pass. Shapes: T tokens of all its examples, N of them labels.

    ``predict_at`` (N,) are the positions whose output predicts ``labels`` (N,), and
    ``weights`` (N,) what each target's loss counts in the optimizer step's loss. ``starts`` is
    where each example begins, and T at its end; ``longest`` the tokens of the longest;
    ``numbers`` which example of its batch each is (-1: none).
    """

    input_ids: Tensor  # (1, T) int64
    position_ids: Tensor  # (1, T) int64
    predict_at: Tensor  # (N,) int64
    labels: Tensor  # (N,) int64
    weights: Tensor  # (N,) float32
    starts: Tensor  # (examples + 1,) int32
    longest: int
    numbers: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """What the pass reads."""
        return len(self.input_ids[0])

    def to(self, device: torch.device) -> Pack:
        """The same pack on ``device``."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


PACKED = "kot_packed"
"""Our name among transformers' attention implementations."""


def attend_packed(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    sliding_window: int | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> Any:
    """Causal attention of each example of a pack to itself; of any other call as SDPA has it.

    Shapes: query (1, heads, T, D), key and value (1, heads or fewer, T, D), result (1, T, heads,
    D). ``cu_seq_lens_q`` (examples + 1,) int32 is where each example begins, and T; without it the
    call is no pack. The mask of a pack is not looked at.
    """
    usual = {"scaling": scaling, "dropout": dropout, **others}
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **usual)
    # Under autocast RoPE in float32 makes float32 queries of float32 weights, beside values that
    # are not: all three take autocast's dtype, as in transformers' wrappers of flash attention.
    dtype = find_product_dtype(query)
    query, key, value = (each.to(dtype) for each in (query, key, value))
    is_taken = query.device.type in _KERNEL_DEVICES and dtype in _KERNEL_DTYPES and not dropout
    if _kernel is not None and is_taken:
        queries, keys, values = (each[0].transpose(0, 1) for each in (query, key, value))
        at = (cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)
        window = (sliding_window - 1 if sliding_window else -1, 0)
        gqa = query.shape[1] != key.shape[1]
        options = {"scale": scaling, "window_size": window, "enable_gqa": gqa}
        return _kernel(queries, keys, values, *at, **options)[None], None
    return _attend_each(module, query, key, value, cu_seq_lens_q, sliding_window, usual), None


def find_product_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which products of ``tensor`` are computed: autocast's, else its own."""
    device = tensor.device.type
    is_cast = torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if is_cast else tensor.dtype


@torch.compiler.disable  # type: ignore[untyped-decorator]  # every pack has other lengths
def _attend_each(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    window: int | None,
    options: dict[str, Any],
) -> Tensor:
    outputs = []
    lengths = starts.diff().tolist()
    parts = (each.split(lengths, dim=2) for each in (query, key, value))
    for length, *part in zip(lengths, *parts, strict=True):
        mask = None
        if window and length > window:
            position = torch.arange(length, device=query.device)
            distance = position[:, None] - position
            mask = ((distance >= 0) & (distance < window))[None, None]
        outputs.append(sdpa_attention_forward(module, *part, mask, is_causal=True, **options)[0])
    return torch.cat(outputs, dim=1)


AttentionInterface.register(PACKED, attend_packed)
AttentionMaskInterface.register(PACKED, sdpa_mask)  # for calls that are no packs


def describe_pack(config: Any, pack: Pack) -> dict[str, Any]:
    """What a decoder is called with to take a pack, by its attention implementation.

    One example alone is an ordinary call, which models that know no packs take too.
    """
    # With a cache transformers takes no notice of the positions' restarts.
    arguments = {"input_ids": pack.input_ids, "use_cache": False}
    if len(pack.starts) > 2:
        arguments["position_ids"] = pack.position_ids
    if config.get_text_config()._attn_implementation == PACKED:
        # A mask of four dimensions is taken as ready made, so none is made.
        arguments["attention_mask"] = pack.input_ids.new_ones(1, 1, 1, 1, dtype=torch.bool)
        arguments["cu_seq_lens_q"] = pack.starts
        arguments["max_length_q"] = pack.longest
    return arguments
