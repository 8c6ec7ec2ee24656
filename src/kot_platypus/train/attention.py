"""Attention in a pack: every example attends to itself, at the cost of doing just that.

transformers keeps the examples of a pack apart with a mask, and computes all that the mask then
throws away: at 4,096 tokens of 300 a piece most of attention. Here each example is attended to by
itself, in one kernel of PyTorch's where a GPU has it, else one example after another.

What keeps examples apart lies deep inside another library, so it is not believed but looked at:
``isolate_examples`` compares a pack with its examples alone before anything is trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from kot_platypus.errors import ModelError
from kot_platypus.train.encoding import Encoded
from kot_platypus.train.packing import Pack, pack_batch

try:
    from torch.nn.attention.varlen import varlen_attn  # PyTorch 2.10 and newer
except ImportError:
    varlen_attn = None

PACKED = "kot_packed"
"""Our name among transformers' attention implementations."""
_LAYER_TYPES = {"full_attention", "sliding_attention"}
_CHECKED_LENGTHS = (300, 20)  # beyond GPT-Neo's local attention of 256
_TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2}
"""Of the relative distance of hidden states; bfloat16 gets 5e-2. A leak is far beyond."""


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
) -> tuple[Tensor, None]:
    """Causal attention of each example of a pack to itself; of any other call as SDPA has it.

    Shapes: query (1, heads, T, D), key and value (1, heads or fewer, T, D), result (1, T, heads,
    D). ``cu_seq_lens_q`` (examples + 1,) int32 is where each example begins, and T; without it the
    call is no pack. The mask of a pack is not looked at.
    """
    if cu_seq_lens_q is None:
        options = {"scaling": scaling, "dropout": dropout, **others}
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return result
    is_half = query.dtype in (torch.float16, torch.bfloat16)
    if varlen_attn is not None and query.is_cuda and is_half and not dropout:
        queries, keys, values = (each[0].transpose(0, 1) for each in (query, key, value))
        at = (cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)
        window = (sliding_window - 1 if sliding_window else -1, 0)
        gqa = query.shape[1] != key.shape[1]
        options = {"scale": scaling, "window_size": window, "enable_gqa": gqa}
        return varlen_attn(queries, keys, values, *at, **options)[None], None
    options = {"scaling": scaling, "dropout": dropout, **others}
    return _attend_each(module, query, key, value, cu_seq_lens_q, sliding_window, options), None


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
    """What a decoder is called with to take a pack, by its attention implementation."""
    # With a cache transformers takes no notice of the positions' restarts.
    arguments = {
        "input_ids": pack.input_ids,
        "position_ids": pack.position_ids,
        "use_cache": False,
    }
    if config.get_text_config()._attn_implementation == PACKED:
        # A mask of four dimensions is taken as ready made, so none is made.
        arguments["attention_mask"] = pack.input_ids.new_ones(1, 1, 1, 1, dtype=torch.bool)
        arguments["cu_seq_lens_q"] = pack.starts
        arguments["max_length_q"] = pack.longest
    return arguments


def isolate_examples(model: Any) -> None:
    """Choose the quickest attention that keeps a pack's examples apart, and see that it does.

    Raises ModelError when none does: the model mixes examples in a way that transformers does not
    know of.
    """
    config = model.config.get_text_config()
    usual = config._attn_implementation
    candidates = [usual]
    if usual == "sdpa" and _takes_ours(model, config):
        candidates = [PACKED, usual]
    for name in candidates:
        model.set_attn_implementation(name)
        if _keeps_apart(model, config):
            return
    raise ModelError(
        f"{type(model).__name__} lets the examples of one pass see each other",
        expected="a model that transformers can train on packed examples",
        hint="Set train.max_tokens_per_pass=1: each example gets a pass of its own.",
    )


def _takes_ours(model: Any, config: Any) -> bool:
    types = set(getattr(config, "layer_types", None) or _LAYER_TYPES)
    return bool(model._supports_attention_backend) and types <= _LAYER_TYPES


@torch.no_grad()  # type: ignore[untyped-decorator]
def _keeps_apart(model: Any, config: Any) -> bool:
    """Whether a pack of two examples has the hidden states of the two alone."""
    limit = getattr(config, "max_position_embeddings", None) or max(_CHECKED_LENGTHS)
    generator = torch.Generator().manual_seed(0)
    examples = [
        torch.randint(config.vocab_size, (min(length, limit),), generator=generator).tolist()
        for length in _CHECKED_LENGTHS
    ]
    encoded = [Encoded(tuple(ids), 1) for ids in examples]
    (pack,) = pack_batch(encoded, sum(_CHECKED_LENGTHS), "token")
    was_training = model.training
    model.eval()
    try:
        together = _run(model, **describe_pack(config, pack.to(model.device)))
        rows = (torch.tensor([ids], device=model.device) for ids in examples)
        alone = torch.cat([_run(model, input_ids=row, use_cache=False) for row in rows], dim=1)
    except (TypeError, RuntimeError, ValueError):  # it takes no packs, or its kernel not this GPU
        return False
    finally:
        model.train(was_training)
    # What a convolution or a state carries over soon fades: seen where the second example begins.
    border = slice(len(examples[0]), len(examples[0]) + 4)
    tolerance = _TOLERANCES.get(model.dtype, 5e-2)
    return all(
        bool((together[:, part] - alone[:, part]).norm() < tolerance * alone[:, part].norm())
        for part in (slice(None), border)
    )


def _run(model: Any, **arguments: Any) -> Tensor:
    """The last hidden states (1, T, H) in float32, or the logits if the model has no such part."""
    hidden: Tensor = model.base_model(**arguments)[0]
    return hidden.float()
