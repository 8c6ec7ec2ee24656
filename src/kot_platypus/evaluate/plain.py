"""The plain way: one text at a time, by the model's own forward pass, with nothing of ours inside.

For models that cannot hold several texts in one pass (ALiBi, recurrent ones, longrope, code of
their own): slower, and what the textbook says. It is also what the quick ways are checked against.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.store import RequestScore
from kot_platypus.models.limits import CANNOT, infinite_error, is_out_of_memory
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def say_plain_way(model: PreTrainedModel, does: str, why: str) -> None:
    """One dim line: the model ``does`` (reads, writes) one text at a time, and why."""
    kind, why = model.config.model_type, textwrap.shorten(why, 100, placeholder="...")
    print_notice(f"{kind} {does} one text at a time here ({why}): slower, the same scores")


def read_logits(model: PreTrainedModel, ids: Sequence[int], num_last: int | None = None) -> Any:
    """The logits (T or ``num_last``, V) of a text that is read alone, with the model's own mask.

    Raises ModelError when the model does not read it.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
    takes = inspect.signature(inner.forward).parameters
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in takes else {}
    if num_last is not None and "logits_to_keep" in takes:
        options["logits_to_keep"] = num_last
    try:
        with torch.inference_mode():
            logits = model(torch.tensor([list(ids)], device=model.device), **options).logits[0]
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{model.config.model_type} does not read a text of {len(ids)} tokens "
            f"({type(error).__name__}: {error})",
            expected="a causal language model",
            hint="Check that its files belong together, or take another model.",
        ) from error
    return logits if num_last is None else logits[-num_last:]


def score_alone(model: PreTrainedModel, request: EncodedRequest) -> RequestScore:
    """What the model says of a continuation, normalised in float32 and added in float64."""
    targets = torch.tensor(request.ids[request.start :], device=model.device)
    logits = read_logits(model, request.inputs, len(targets)).float()
    picked = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    if not picked.isfinite().all():
        raise infinite_error("a score is", model.dtype)
    is_greedy = bool((logits.argmax(-1) == targets).all())
    return RequestScore(logprob=float(picked.double().sum()), is_greedy=is_greedy)
