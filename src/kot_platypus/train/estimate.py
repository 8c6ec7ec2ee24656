"""What a training will take: memory, counted on a model without weights, and time, measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations import moe

from kot_platypus.methods import METHODS
from kot_platypus.models import build_empty_model
from kot_platypus.models.parts import find_decoder
from kot_platypus.models.rows import add_rows
from kot_platypus.recipe import TrainSection
from kot_platypus.schedule import count_epoch_steps, count_examples, count_steps
from kot_platypus.train.attention import Pack, describe_pack
from kot_platypus.train.isolation import isolate_examples
from kot_platypus.train.items import Encoded
from kot_platypus.train.loss import find_block, pack_loss, unwrap, weigh_items
from kot_platypus.train.methods import make_trainable
from kot_platypus.train.packing import assign_packs, build_pack

_ADAM_STATES = 2
_SMALLEST_8_BIT, _BLOCK_8_BIT = 4096, 256  # weights, in bitsandbytes
_COUNTING_ATTENTION = "kot_counting"
_FIRST_TOKENS = 64
_TARGET_S = 2.0


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


def prepare_empty(
    model: Any, section: TrainSection, dtype: str, added: Collection[int] = ()
) -> Any:
    """An empty model as ``load_trainable`` will give it, but for QLoRA's 4 bits.

    Raises ModelError when the model has none of ``lora_target_modules``.
    """
    held = METHODS[section.method].base_dtype(dtype)
    plain = section.model_copy(update={"init_lora_weights": True})  # there are no values to take
    add_rows(model, added)
    return make_trainable(model.to(getattr(torch, held)), plain, added)


def estimate_training(model: Any, section: TrainSection, lengths: Lengths) -> Estimate:
    """Count what training ``model`` (of ``prepare_empty``) on examples of these lengths takes.

    Packs are those of the examples in their order; shuffled ones differ by a pass here and there.
    """
    steps = count_steps(len(lengths.tokens), section)
    batch = min(section.batch_size, len(lengths.tokens))
    per_epoch = count_epoch_steps(len(lengths.tokens), section)
    batches = [
        lengths.tokens[start : start + batch] for start in range(0, per_epoch * batch, batch)
    ]
    passes = [_list_passes(tokens, section) for tokens in batches[:steps]]
    epochs, rest = divmod(steps, per_epoch)
    num_passes = [len(each) for each in passes]
    seen = count_examples(len(lengths.tokens), section)
    largest = max(chain.from_iterable(passes))
    parameters = list(model.parameters())
    return Estimate(
        parameters=sum(p.numel() for name, p in model.named_parameters() if not _is_added(name)),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        optimizer_steps=steps,
        passes=epochs * sum(num_passes) + sum(num_passes[:rest]),
        tokens=round(seen * lengths.mean_tokens),
        trained_tokens=round(seen * lengths.mean_labels),
        largest_pass=largest,
        memory=_count_memory(model, section, largest),
    )


def _list_passes(tokens: Sequence[int], section: TrainSection) -> list[int]:
    """The tokens of each pass of a batch."""
    packs = assign_packs(tokens, section.max_tokens_per_pass)
    return [sum(tokens[i] for i in pack) for pack in packs]


def _is_added(name: str) -> bool:
    return any(sign in name for sign in (".lora_", ".trainable_tokens_", ".modules_to_save."))


def _count_memory(model: Any, section: TrainSection, num_tokens: int) -> dict[str, int]:
    named = dict(model.named_parameters())
    added = [p for name, p in named.items() if _is_added(name)]
    trained = [p for p in named.values() if p.requires_grad]
    inner = unwrap(model)
    tables = {id(m.weight) for m in inner.modules() if isinstance(m, nn.Embedding)}
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
        "optimizer states": _ADAM_STATES * sum(_count_moment(p, section, tables) for p in trained),
        "activations": count_activations(model, section, num_tokens),
        "logits": num_tokens * min(head.shape[0], find_block(num_tokens)) * per_logit,
    }


def _count_moment(weight: Tensor, section: TrainSection, tables: Collection[int]) -> int:
    """Bytes of one of Adam's two moments.

    In 8 bits a block of 256 has a float32 scale; bitsandbytes leaves small tensors and the
    ``tables`` of embeddings (their ids) in 32.
    """
    size = int(weight.numel())
    if "8bit" not in section.optim or size < _SMALLEST_8_BIT or id(weight) in tables:
        return 4 * size
    return size + 4 * math.ceil(size / _BLOCK_8_BIT)


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
    inner = unwrap(model)
    config, dtype = inner.config.get_text_config(), next(inner.parameters()).dtype
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
    config = unwrap(model).config.get_text_config()
    attention, config._attn_implementation = config._attn_implementation, _COUNTING_ATTENTION
    try:
        ids = torch.empty(1, num_tokens, dtype=torch.int64, device="meta")
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with _count_experts(config), hooks:
            output = find_decoder(unwrap(model.train()))(input_ids=ids, use_cache=False)
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


# --- time: one decoder layer, forward and backward, for a few seconds -----------------------------


@dataclass(frozen=True)
class Measurement:
    """Seconds of one layer and of the output layer with its loss, for a pass of ``num_tokens``."""

    num_tokens: int
    layer_s: float
    head_s: float
    num_layers: int

    def extrapolate(self, tokens: int) -> float:
        """Seconds for ``tokens`` through all layers, in proportion."""
        return tokens / self.num_tokens * (self.num_layers * self.layer_s + self.head_s)


def measure_pass(
    model: Any, section: TrainSection, lengths: Lengths, *, device: str, dtype: str
) -> Measurement:
    """Time one layer of ``model``'s architecture, forward and backward, adapter included.

    Its weights are constants: the time of a matrix product does not depend on the numbers. A short
    pass decides how long the measured one may be.
    """
    layer = _build_layer(model, section, device, dtype)
    most = max(section.max_tokens_per_pass, round(lengths.mean_tokens))
    first = _build_pack(lengths, min(_FIRST_TOKENS, most), device)
    _run_layer(layer, first)  # what is only done once is done now
    rate = len(first.input_ids[0]) / _time(lambda: _run_layer(layer, first), device)
    limit = max(_FIRST_TOKENS, int(rate * _TARGET_S))
    pack = _build_pack(lengths, min(limit, most), device)
    layer_s = _time(lambda: _run_layer(layer, pack), device)
    whole_s = _time(lambda: pack_loss(layer, pack).backward(), device)
    return Measurement(
        num_tokens=len(pack.input_ids[0]),
        layer_s=layer_s,
        head_s=max(whole_s - layer_s, 0.0),
        num_layers=unwrap(model).config.get_text_config().num_hidden_layers,
    )


def _build_layer(model: Any, section: TrainSection, device: str, dtype: str) -> Any:
    config = deepcopy(unwrap(model).config)
    text = config.get_text_config()
    text.num_hidden_layers = 1
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:1]
    layer = prepare_empty(build_empty_model(config.to_dict()), section, dtype)
    layer = layer.to_empty(device=torch.device(device)).train()
    for tensor in chain(layer.parameters(), layer.buffers()):
        if tensor.is_floating_point():
            tensor.data.fill_(0.01)
    isolate_examples(unwrap(layer))
    # All layers but the first have to pass a gradient on.
    layer.enable_input_require_grads()
    return layer


def _build_pack(lengths: Lengths, num_tokens: int, device: str) -> Pack:
    """A pack of equal examples of the mean length, cut to ``num_tokens`` when longer."""
    length = max(2, min(round(lengths.mean_tokens), num_tokens))
    share = lengths.mean_labels / lengths.mean_tokens
    prompt_len = min(max(1, round(length * (1 - share))), length - 1)
    examples = [Encoded((1,) * length, prompt_len)] * max(1, num_tokens // length)
    weights = weigh_items(examples, "example")
    return build_pack(examples, weights, range(len(examples))).to(torch.device(device))


def _run_layer(model: Any, pack: Pack) -> None:
    inner = unwrap(model)
    output = find_decoder(inner)(**describe_pack(inner.config, pack))
    output.last_hidden_state.sum().backward()


def _time(action: Callable[[], None], device: str) -> float:
    """Seconds of one call, waiting for the device."""
    _wait(device)
    started = time.perf_counter()
    action()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device != "cpu":
        getattr(torch, device).synchronize()
