"""What a training will take, counted before it begins on a model without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from kot_platypus.errors import RecipeError
from kot_platypus.recipe import TrainSection
from kot_platypus.train.fit import _num_steps as count_steps
from kot_platypus.train.loss import _CHUNK_ROWS as CHUNK_ROWS
from kot_platypus.train.methods import add_lora
from kot_platypus.train.packing import assign_packs

_ADAM_STATES = 2
_COUNTING_ATTENTION = "kot_counting"


@dataclass(frozen=True)
class Lengths:
    """Of every example: its tokens, and how many of them are learnt."""

    tokens: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def mean_tokens(self) -> float:
        """Tokens of an example."""
        return sum(self.tokens) / len(self.tokens)

    @property
    def mean_targets(self) -> float:
        """Learnt tokens of an example."""
        return sum(self.targets) / len(self.targets)


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


def add_adapter(model: Any, section: TrainSection, dtype: str) -> Any:
    """An empty model as it will be trained: held in ``dtype``, the adapter in float32.

    Raises ModelError when the model has none of ``lora_target_modules``, and RecipeError for the
    methods that are not counted yet.
    """
    if section.method in ("full", "qlora"):
        raise RecipeError(
            f"--dry-run does not count train.method {section.method}",
            expected="lora or dora",
            hint="Leave out --dry-run, or set train.method=lora.",
        )
    return add_lora(model.to(getattr(torch, dtype)), section)


def estimate_training(model: Any, section: TrainSection, lengths: Lengths) -> Estimate:
    """Count what training ``model`` (of ``add_adapter``) on examples of these lengths takes.

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
    shown = section.num_epochs * min(per_epoch * batch, len(lengths.tokens))
    largest = max(sum(pack) for pack in packs)
    parameters = list(model.parameters())
    return Estimate(
        parameters=sum(p.numel() for p in model.get_base_model().parameters())
        - sum(p.numel() for p in parameters if p.requires_grad),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        optimizer_steps=steps,
        passes=section.num_epochs * len(packs),
        tokens=round(shown * lengths.mean_tokens),
        trained_tokens=round(shown * lengths.mean_targets),
        largest_pass=largest,
        memory=_count_memory(model, parameters, largest),
    )


def _count_memory(model: Any, parameters: Sequence[Tensor], num_tokens: int) -> dict[str, int]:
    frozen = [p for p in parameters if not p.requires_grad]
    trained = [p for p in parameters if p.requires_grad]
    head = model.get_base_model().get_output_embeddings().weight
    # Logits and their gradient in the model's dtype, the softmax in float32; one tensor if equal.
    per_logit = 4 if head.dtype == torch.float32 else 4 + 2 * head.element_size()
    return {
        "base weights": _count_bytes(frozen),
        "adapter weights": _count_bytes(trained),
        "gradients": _count_bytes(trained),
        "optimizer states": _ADAM_STATES * _count_bytes(trained),
        "activations": count_activations(model, num_tokens),
        "logits": CHUNK_ROWS * head.shape[0] * per_logit,
    }


def _count_bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def count_activations(model: Any, num_tokens: int) -> int:
    """Bytes that a forward pass of ``num_tokens`` keeps for its backward pass.

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
    config = model.get_base_model().config
    attention, config._attn_implementation = config._attn_implementation, _COUNTING_ATTENTION
    try:
        ids = torch.empty(1, num_tokens, dtype=torch.int64, device="meta")
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = model.train().get_base_model().base_model(input_ids=ids, use_cache=False)
        del output  # held until now, so that no storage's number was given twice
    finally:
        config._attn_implementation = attention
    return sum(kept.values())


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
