"""Whether a pack's examples stay apart in a model, looked at before anything is trained.

What keeps them apart lies deep inside another library, so it is not believed. Three examples are
run in one pack: what one of them must not see is changed, and its hidden states must stay; the pack
is put in another order, and they must stay too. In 16 bits a hidden state moves by rounding alone,
so a move is measured against what would be seen of a true mix: the three as one text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from kot_platypus.errors import ModelError
from kot_platypus.models.limits import (
    CANNOT,
    draw_tokens,
    find_max_length,
    infinite_error,
    is_out_of_memory,
)
from kot_platypus.models.parts import choose_class, find_decoder
from kot_platypus.train.attention import PACKED, describe_pack
from kot_platypus.train.items import Encoded
from kot_platypus.train.packing import build_pack

_MAX_SHIFT = 0.2
"""Of the change that a true mix would make: how far a state may move with the pack's order."""
_LENGTHS = (20, 300, 20)  # the middle one beyond GPT-Neo's local attention of 256
_BORDER = 4
_PROBE = "kot_probe"
_SMALL = {"vocab_size": 1000, "intermediate_size": 256, "moe_intermediate_size": 64}
"""Sizes that say nothing of who sees whom."""
_FAR = 1 << 16


@dataclass(frozen=True)
class Movement:
    """How far hidden states move, relative to their size: the larger of all and of a border's.

    ``leak`` when neighbours change, ``shift`` when the order does, ``mix`` when the examples are
    one text; ``is_finite`` is whether all of them are numbers. ``rounding`` is the step between
    numbers about 1 in the model's dtype.
    """

    leak: float
    shift: float
    mix: float
    is_finite: bool
    rounding: float

    @property
    def keeps_apart(self) -> bool:
        """Whether the examples do not see each other, nor where in the pack they stand.

        The shapes of all passes are the same, so a state that does not see the change is the same,
        bit for bit, but where experts share out rows: hence a few roundings
        (``docs/decisions/0019`` has what was measured).
        """
        max_leak = max(1e-3, 4 * self.rounding)
        return self.leak <= max_leak * self.mix and self.shift <= _MAX_SHIFT * self.mix


def isolate_examples(model: Any, longest: int = 0) -> bool:
    """Choose the quickest attention that keeps a pack's examples apart; False when none does.

    ``longest`` is the tokens of the longest example to come: some models read all of a pack
    otherwise when one example is long. Raises ModelError when the hidden states are not finite.
    """
    config = model.config.get_text_config()
    usual = config._attn_implementation
    candidates = [usual]
    if usual == "sdpa" and model._supports_attention_backend and _tells_its_masks(model):
        candidates = [PACKED, usual]
    for name in candidates:
        model.set_attn_implementation(name)
        movement = measure_movement(model, longest)
        if movement is not None and not movement.is_finite:
            what = f"the values that {type(model).__name__} computes are"
            raise infinite_error(what, model.dtype, setting="model.dtype=")
        if movement is not None and movement.keeps_apart:
            return True
    model.set_attn_implementation(usual)
    return False


def isolates_in_small(model: Any, longest: int = 0, *, trust_remote_code: bool = False) -> bool:
    """Whether a model like ``model``, of few layers and tokens and of random weights, takes packs.

    For one that is too large to try out, or has no weights. One that cannot be made small (Jamba's
    layers follow from several values of its config) counts as one that takes none.
    """
    try:
        small = _build_small(model.config, trust_remote_code=trust_remote_code)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return False
    return isolate_examples(small, longest)


def _build_small(config: Any, *, trust_remote_code: bool) -> Any:
    config = deepcopy(config)
    text = config.get_text_config()
    kinds = list(dict.fromkeys(getattr(text, "layer_types", None) or ()))
    text.num_hidden_layers = max(2, len(kinds))
    if kinds:
        text.layer_types = (kinds * 2)[: text.num_hidden_layers]
    text.pad_token_id = None
    for size, most in _SMALL.items():
        if isinstance(getattr(text, size, None), int):
            setattr(text, size, min(getattr(text, size), most))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        auto_class = choose_class(config, trust_remote_code=trust_remote_code)
        small = auto_class.from_config(
            config, dtype=torch.float32, trust_remote_code=trust_remote_code
        )
    return small.eval()


# --- what moves --------------------------------------------------------------------------------


@torch.no_grad()  # type: ignore[untyped-decorator]
def measure_movement(model: Any, longest: int = 0) -> Movement | None:
    """Run the packs and compare. None when the model takes no packs, or its kernel not this GPU."""
    limit = find_max_length(model)
    short = min(_LENGTHS[0], limit // 8)
    lengths = (short, min(_LENGTHS[1], limit - 2 * short), short)
    first, middle, last, other, another = (
        Encoded(tuple(draw_tokens(model, count, seed)), 1)
        for seed, count in enumerate((*lengths, short, short))
    )
    text = torch.tensor([[*first.ids, *middle.ids, *last.ids]], device=model.device)
    try:
        with _no_dropout(model):
            mixed = _run_plain(model, text)
            plain = _run_pack(model, [first, middle, last])
            changed = _run_pack(model, [other, middle, another], far=min(longest, limit))
            moved = _run_pack(model, [middle, first, last])
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return None
    a, b = lengths[0], sum(lengths[:2])
    moved = torch.cat([moved[b - a : b], moved[: b - a], moved[b:]])
    part = slice(a, b)
    return Movement(
        leak=_compare(changed[part], plain[part]),
        shift=max(_compare(moved[p], plain[p]) for p in (slice(a), part, slice(b, None))),
        mix=_compare(mixed[part], plain[part]),
        rounding=torch.finfo(model.dtype).eps,
        is_finite=all(bool(each.isfinite().all()) for each in (plain, changed, moved, mixed)),
    )


@contextmanager
def _no_dropout(model: Any) -> Iterator[None]:
    """The model in evaluation mode, but for layers in 4 bits, which have no dropout."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _compare(found: Tensor, expected: Tensor) -> float:
    """Relative distance. What a convolution or a state carries over soon fades: see the border."""
    return max(
        float((found[part] - expected[part]).norm() / expected[part].norm())
        for part in (slice(None), slice(_BORDER))
    )


def _run_pack(model: Any, examples: list[Encoded], *, far: int = 0) -> Tensor:
    """The hidden states (T, H) of a pack, whose last example may stand at ``far`` positions."""
    pack = build_pack(examples, [1.0] * len(examples), range(len(examples)))
    arguments = describe_pack(model.config, pack.to(model.device))
    size = len(examples[-1].ids)
    if far - size > len(examples[1].ids):
        arguments["position_ids"][0, -size:] += far - size
    return _run(model, **arguments)


def _run_plain(model: Any, ids: Tensor) -> Tensor:
    """The hidden states of an ordinary call. Raises ModelError when even that fails."""
    try:
        return _run(model, input_ids=ids, use_cache=False)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{type(model).__name__} does not run ({str(error).strip()[:200]})",
            expected="a model that reads text",
            hint="Try another train.method or model.dtype.",
        ) from error


def _run(model: Any, **arguments: Any) -> Tensor:
    """The last hidden states (T, H) in float32, or the logits if the model has no such part."""
    hidden: Tensor = find_decoder(model)(**arguments)[0][0]
    return hidden.float()


# --- what our attention does not look at -------------------------------------------------------


def _tells_its_masks(model: Any) -> bool:
    """Whether all that a layer's mask hides is what lies ahead and beyond the window it is told.

    Our attention looks at no mask: a window it is not told of, or a chunk, would be forgotten, and
    a window of 4,096 is far beyond what is run here. So the last row of a mask for 65,536 tokens is
    made, and read by the layers that it is made for.
    """
    agrees: list[bool] = []

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
    ) -> Any:
        seen = min(options.pop("sliding_window", None) or _FAR, _FAR)
        expected = torch.arange(_FAR) >= _FAR - seen
        row = torch.empty(0) if mask is None else mask.reshape(-1).cpu()
        agrees.append(torch.equal(row, expected))
        options = {"is_causal": True, **options}
        return sdpa_attention_forward(module, query, key, value, None, **options)

    def make_mask(**arguments: Any) -> Any:
        far = {"q_length": 1, "kv_length": _FAR, "q_offset": _FAR - 1, "kv_offset": 0}
        return sdpa_mask(**{**arguments, **far, "allow_is_causal_skip": False})

    AttentionInterface.register(_PROBE, attend)
    AttentionMaskInterface.register(_PROBE, make_mask)
    usual = model.config.get_text_config()._attn_implementation
    try:
        model.set_attn_implementation(_PROBE)
        with torch.no_grad(), _no_dropout(model):
            ids = torch.zeros(1, 2, dtype=torch.int64, device=model.device)
            find_decoder(model)(input_ids=ids, use_cache=False)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return False
    finally:
        model.set_attn_implementation(usual)
    return bool(agrees) and all(agrees)
