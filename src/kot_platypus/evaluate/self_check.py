"""Whether a model can be trusted with many texts in one pass, in any dtype.

A model that reads row numbers instead of positions (ALiBi, a window counted in rows), or carries a
state from row to row (Mamba, convolutions), gives wrong scores without any sign of it. A sound one
gives others, too, by rounding: in bfloat16 the scores of Gemma 3 move by half a nat. So nothing is
compared with a fixed number of nats. Some tokens are read

    alone, and in company                         the difference
    in company, and with other tokens in it       the leak
    alone, and after another beginning            the sensitivity: what it is to lose sight
    alone, and before a tail                      the noise: a causal model owes it to rounding
    before a tail, and before another             the same at equal shapes: 0 unless experts round

and what company does must be small beside the sensitivity, or be noise. Over families and dtypes
(``bench/self_checks.py``; docs/decisions/0016) sound models differ by 0.07 of the sensitivity at
most, which is their noise, and leak nothing; unsound ones leak, or differ by 0.4 and more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kot_platypus.models.limits import CANNOT, infinite_error, is_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_DIFFERENCES = {torch.float32: 1e-3, torch.float64: 1e-3}
"""The difference that is allowed whatever the noise, in sensitivities; half precision: 0.1."""
_EXACT = 1e-6
"""Less than this is none, in nats."""
_MOST_NOISE = 0.25
"""The noise that is allowed, in sensitivities: beyond it nothing can be told."""


@dataclass(frozen=True)
class Margins:
    """Distances between log-probabilities: root mean squares over tokens and vocabulary, nats."""

    difference: float
    leak: float
    sensitivity: float
    noise: float
    noise_of_equals: float
    """Of passes of equal shapes."""

    def find_flaw(self, dtype: torch.dtype) -> str | None:
        """What is wrong with a model that has these, or None."""
        most = _MOST_NOISE * self.sensitivity
        # What attends to itself alone has the same bits in both companies; but the batches of
        # experts depend on who else is there, and round in their own way.
        rounding = max(4 * self.noise_of_equals, 1.5 * self.noise)
        if self.leak > max(min(rounding, most), _EXACT):
            return "texts of one pass see each other"
        allowed = _DIFFERENCES.get(dtype, 0.1) * self.sensitivity
        if self.difference > max(min(4 * self.noise, most), allowed, _EXACT):
            return "it depends on where in the pass a text stands"
        return None


def measure_margins(
    model: PreTrainedModel,
    *,
    alone: torch.Tensor,
    company: Sequence[torch.Tensor],
    tails: Sequence[torch.Tensor],
    other_beginning: torch.Tensor,
) -> Margins:
    """The distances between some tokens' logits, (tokens, V) each, in two companies and so on.

    Raises ModelError where a logit is not a finite number.
    """
    readings = (alone, *company, *tails, other_beginning)
    if not all(logits.isfinite().all() for logits in readings):
        raise infinite_error("a logit is", model.dtype)
    first, together, changed, tail, other_tail, moved = (
        logits.float().log_softmax(-1) for logits in readings
    )
    return Margins(
        difference=_measure_distance(first, together),
        leak=_measure_distance(together, changed),
        sensitivity=_measure_distance(first, moved),
        noise=_measure_distance(first, tail),
        noise_of_equals=_measure_distance(tail, other_tail),
    )


def _measure_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).double().square().mean().sqrt())


def find_flaw(model: PreTrainedModel, measure: Callable[[], Margins]) -> str | None:
    """Why a model cannot be trusted with what ``measure`` tries, or None.

    Raises ModelError as ``measure_margins`` does.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    if "longrope" in str(rope):  # the furthest position of a pass turns all of its positions
        return "longrope depends on what else is in the pass"
    try:
        return measure().find_flaw(model.dtype)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return f"{type(error).__name__}: {error}"


def find_hidden_window(model: PreTrainedModel, max_length: int) -> int | None:
    """A window in the config of a class that does not leave its attention to transformers.

    It may then lie inside of the class and count rows (GPT-Neo), further than a check reads. Where
    the class ignores it, as Falcon does, the plain way is only slower.
    """
    if getattr(model, "_supports_attention_backend", False):
        return None
    windows = (
        value
        for name, value in vars(model.config.get_text_config()).items()
        if "window" in name and type(value) is int and 0 < value < max_length
    )
    return min(windows, default=None)
