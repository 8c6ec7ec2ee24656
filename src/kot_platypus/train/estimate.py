"""What a training will take, counted before it begins on a model without weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations import moe

from kot_platypus.methods import METHODS
from kot_platypus.recipe import TrainSection
from kot_platypus.train.fit import count_steps
from kot_platypus.train.loss import CHUNK_ROWS
from kot_platypus.train.methods import make_trainable
from kot_platypus.train.packing import assign_packs

_ADAM_STATES = 2
_COUNTING_ATTENTION = "kot_counting"


@dataclass(frozen=True)
class Lengths:
    """Of every example: its tokens, and how many of them are labels."""

    tokens: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def mean_tokens(self) -> float:
        """Tokens of an example."""
        return sum(self.tokens) / len(self.tokens)

    @property
    def mean_labels(self) -> float:
        """Labels of an example."""
        return sum(self.labels) / len(self.labels)


@dataclass(frozen=True)
class Estimate:
    """The size of a training. ``memory`` is kind -> bytes while a pass is under way."""

    parameters: int
    trainable_parameters: int
    optimizer_steps: int
    passes: int
    tokens: int
    trained_tokens: int
    largest_pass: int
    memory: dict[str, int]


def prepare_empty(model: Any, section: TrainSection, dtype: str) -> Any:
    """An empty model as ``load_trainable`` will give it, but for QLoRA's 4 bits.

    Raises ModelError when the model has none of ``lora_target_modules``.
    """
    held = METHODS[section.method].base_dtype(dtype)
    return make_trainable(model.to(getattr(torch, held)), section)


def unwrap(model: Any) -> Any:
    """The transformers model, with or without an adapter in it."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def estimate_training(model: Any, section: TrainSection, lengths: Lengths) -> Estimate:
    """Count what training ``model`` (of ``prepare_empty``) on examples of these lengths takes.

    Packs are those of the examples in their order; shuffled ones differ by a pass here and there.
    """
    steps = count_steps(len(lengths.tokens), section)
    batch = min(section.batch_size, len(lengths.tokens))
    per_epoch = steps // section.num_epochs
    packs = [
        [lengths.tokens[start + i] for i in pack]
        for start in range(0, per_epoch * batch, batch)
        for pack in assign_packs(lengths.tokens[start : start + batch], section.max_tokens_per_pass)
    ]
    seen = section.num_epochs * min(per_epoch * batch, len(lengths.tokens))
    largest = max(sum(pack) for pack in packs)
    parameters = list(model.parameters())
    return Estimate(
        parameters=sum(p.numel() for name, p in model.named_parameters() if not _is_added(name)),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        optimizer_steps=steps,
        passes=section.num_epochs * len(packs),
        tokens=round(seen * lengths.mean_tokens),
        trained_tokens=round(seen * lengths.mean_labels),
        largest_pass=largest,
        memory=_count_memory(model, section, largest),
    )


def _is_added(name: str) -> bool:
    return ".lora_" in name


def _count_memory(model: Any, section: TrainSection, num_tokens: int) -> dict[str, int]:
    named = dict(model.named_parameters())
    added = [p for name, p in named.items() if _is_added(name)]
    trained = [p for p in named.values() if p.requires_grad]
    inner = unwrap(model)
    head = inner.get_output_embeddings().weight
    # Logits and their gradient in the model's dtype, the softmax in float32; one tensor if equal.
    per_logit = 4 if head.dtype == torch.float32 else 4 + 2 * head.element_size()
    base = _count_bytes([p for name, p in named.items() if not _is_added(name)])
    if METHODS[section.method].quantization:
        base -= _count_saved_by_4_bits(inner)
    return {
        "base weights": base,
        "adapter weights": _count_bytes(added),
        "gradients": _count_bytes(trained),
        "optimizer states": _ADAM_STATES * _count_bytes(trained),
        "activations": count_activations(model, section, num_tokens),
        "logits": CHUNK_ROWS * head.shape[0] * per_logit,
    }


def _count_saved_by_4_bits(inner: Any) -> int:
    """Bytes that NF4 saves: linear layers but the output layer, in 4.127 bits a weight.

    4 for the weight and 0.127 for its twice quantised scale (Dettmers et al. 2023).
    """
    layers = [m for m in inner.modules() if type(m) is nn.Linear and m.weight.dim() == 2]
    weights = [
        m.weight
        for m in layers
        if not m.weight.requires_grad and m is not inner.get_output_embeddings()
    ]
    return sum(round(w.numel() * (w.element_size() - 4.127 / 8)) for w in weights)


def _count_bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def count_activations(model: Any, section: TrainSection, num_tokens: int) -> int:
    """Bytes that a pass of ``num_tokens`` keeps for its backward pass.

    With ``gradient_checkpointing`` that is every layer's input, and all that one layer keeps.
    """
    everything = _count_kept(model, num_tokens)
    if not section.gradient_checkpointing:
        return everything
    config, dtype = unwrap(model).config, next(unwrap(model).parameters()).dtype
    inputs = config.num_hidden_layers * num_tokens * config.hidden_size * dtype.itemsize
    return int(inputs + everything / config.num_hidden_layers)


def _count_kept(model: Any, num_tokens: int) -> int:
    """Bytes that autograd keeps of a forward pass.

    Counted, not computed: the pass runs on the meta device, where tensors have sizes and no
    content. Attention keeps what its memory-efficient kernels keep: queries, keys, values, output.
    """
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    AttentionInterface.register(_COUNTING_ATTENTION, _count_attention)
    config = unwrap(model).config
    attention, config._attn_implementation = config._attn_implementation, _COUNTING_ATTENTION
    try:
        ids = torch.empty(1, num_tokens, dtype=torch.int64, device="meta")
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with _count_experts(config), hooks:
            output = unwrap(model.train()).base_model(input_ids=ids, use_cache=False)
        del output  # held until now, so that no storage's number was given twice
    finally:
        config._attn_implementation = attention
    return sum(kept.values())


@contextmanager
def _count_experts(config: Any) -> Iterator[None]:
    """Have experts run on the meta device: every row is multiplied by one expert's weights.

    Which expert's depends on numbers, which that device lacks; nor does it know the autocast that
    PEFT's layers on experts ask for.
    """
    usual = getattr(config, "_experts_implementation", None)
    config._experts_implementation = "grouped_mm"
    with (
        patch.object(moe, "_grouped_mm", lambda rows, weights, **_: rows @ weights[0], create=True),
        patch.object(torch, "autocast", lambda *_, **__: nullcontext()),
    ):
        try:
            yield
        finally:
            config._experts_implementation = usual


def _count_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    output: Tensor = _Attention.apply(query, key, value)
    return output.transpose(1, 2), None


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    """Attention's shapes, without its numbers."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output
