"""How long a forward and backward pass takes here: one decoder layer, timed for a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from kot_platypus.models import build_empty_model
from kot_platypus.recipe import TrainSection
from kot_platypus.train.attention import Pack, describe_pack
from kot_platypus.train.encoding import Encoded
from kot_platypus.train.estimate import Lengths, prepare_empty, unwrap
from kot_platypus.train.isolation import isolate_examples
from kot_platypus.train.loss import pack_loss
from kot_platypus.train.packing import pack_batch

_FIRST_TOKENS = 64
_TARGET_S = 2.0


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
        num_layers=unwrap(model).config.num_hidden_layers,
    )


def _build_layer(model: Any, section: TrainSection, device: str, dtype: str) -> Any:
    config = deepcopy(unwrap(model).config)
    config.num_hidden_layers = 1
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:1]
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
    (pack,) = pack_batch(examples, len(examples) * length, "example")
    return pack.to(torch.device(device))


def _run_layer(model: Any, pack: Pack) -> None:
    inner = unwrap(model)
    output = inner.base_model(**describe_pack(inner.config, pack))
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
