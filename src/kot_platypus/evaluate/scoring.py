"""The scorer: every choice of many questions in one forward pass, no token computed twice.

A pass reads a forest of prefixes (``forest.py``: what the requests share is there once). Nothing is
padded, there is no key-value cache, logits exist only where a continuation token is predicted, and
requests that were cut differently on the left simply do not share. What one-by-one scoring gives,
this gives, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.forest import (
    Forest,
    build_forest,
    build_masks,
    count_shared,
    count_tokens,
    split_by_prefix,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Group(Protocol):
    """Requests that go into one pass because they share their context: a question's choices."""

    @property
    def requests(self) -> Sequence[EncodedRequest]:
        """In any order; scores come back in the same."""


G = TypeVar("G", bound=Group)

_CHUNK_LOGITS = 2**24
"""Logits of one chunk, in elements: 64 MiB in float32, whatever the vocabulary."""


_CHECKED_TOKENS = 300
"""Length of the check's longest sequence: more than GPT-Neo's window of 256 rows."""


@dataclass(frozen=True)
class Score:
    """What a model says of one continuation."""

    logprob: float
    """The sum of its tokens' log-probabilities, in nats."""
    is_greedy: bool
    """Whether each of its tokens was the likeliest."""


class Scorer:
    """Scores groups of requests with one model, within the memory there is.

    Args:
        model: Any causal model that takes position ids and a 4D attention mask.
        max_batch_tokens: Tokens of one pass; a group that needs more is a pass of its own. None: as
            many as keep a CPU (512) or a GPU (4096) busy; attention to other questions costs.

    Raises:
        ModelError: the model cannot read a forest, or states no maximum length.
    """

    def __init__(self, model: PreTrainedModel, *, max_batch_tokens: int | None = None) -> None:
        self.model = model
        self.max_batch_tokens = max_batch_tokens or (512 if model.device.type == "cpu" else 4096)
        self.max_length = find_max_length(model)
        """The most tokens the model reads at once."""
        self._max_pass_tokens = float("inf")  # until the device's memory says otherwise
        check_model(model, min(self.max_length, _CHECKED_TOKENS))

    def plan(self, groups: Iterable[G]) -> Iterator[list[G]]:
        """Cut the groups, in their order, into batches within the budget of tokens.

        What a group shares with its predecessor counts once. Where that is more than half of the
        batch (shots that all documents have), the batch grows beyond the budget: a cut would
        read it again. The plan depends on the groups and the budget only, so whoever repeats it,
        after a kill or in another process, computes the same.
        """
        batch: list[G] = []
        num_tokens = 0
        for group in groups:
            tokens = count_tokens(group.requests)
            last = batch[-1].requests[-1].inputs if batch else []
            shared = count_shared(last, group.requests[0].inputs)
            if batch and num_tokens + tokens - shared > max(self.max_batch_tokens, 2 * shared):
                yield batch
                batch, num_tokens, shared = [], 0, 0
            batch.append(group)
            num_tokens += tokens - shared
        if batch:
            yield batch

    def score(self, batch: Sequence[Group]) -> list[list[Score]]:
        """The scores of each group's requests.

        When memory does not suffice, the pass is halved, and no later pass is larger than the
        half. Raises ModelError when a single request does not fit.
        """
        scores = iter(self._score_requests([r for group in batch for r in group.requests]))
        return [[next(scores) for _ in group.requests] for group in batch]

    def _score_requests(self, requests: Sequence[EncodedRequest]) -> list[Score]:
        tokens = count_tokens(requests)
        # A question too long for one pass: choices that were cut differently share next to
        # nothing, and a forest of them would pay the attention's square for it.
        parts = list(split_by_prefix(requests)) if tokens > self.max_batch_tokens else [requests]
        if len(parts) == 1:
            if tokens <= self._max_pass_tokens or len(requests) == 1:
                scores = self._try_pass(requests)
                if scores is not None:
                    return scores
                self._max_pass_tokens = tokens // 2
            half = len(requests) // 2
            parts = [requests[:half], requests[half:]]
        return [score for part in parts for score in self._score_requests(part)]

    def _try_pass(self, requests: Sequence[EncodedRequest]) -> list[Score] | None:
        """The scores, or None when memory did not suffice for more than one request."""
        try:
            return score_requests(self.model, requests)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(requests) == 1:
                raise ModelError(
                    f"one request of {len(requests[0].ids)} tokens does not fit into memory",
                    expected="room for the model and one request",
                    hint="Use fewer shots, --dtype bfloat16 or --device cpu.",
                ) from error
        # Outside of `except`, which would keep the failed pass alive.
        torch.mps.empty_cache() if self.model.device.type == "mps" else torch.cuda.empty_cache()
        return None


def find_max_length(model: PreTrainedModel) -> int:
    """The most tokens the model reads at once. Raises ModelError when its config is silent."""
    config = model.config.get_text_config()
    for name in ("n_ctx", "n_positions", "max_position_embeddings"):
        if isinstance(length := getattr(config, name, None), int):
            return length
    raise ModelError(
        f"{config.model_type} states no maximum length",
        expected="n_ctx or max_position_embeddings in config.json",
        hint="Add max_position_embeddings to the model's config.json.",
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    signs = ("out of memory", "can't allocate memory", "not enough memory")  # MPS and CPU
    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in signs)


# --- one pass ----------------------------------------------------------------------------------


def score_requests(model: PreTrainedModel, requests: Sequence[EncodedRequest]) -> list[Score]:
    """The scores of the requests' continuations, from one forward pass."""
    forest, paths = build_forest([request.inputs for request in requests])
    # The node that reads token t - 1 predicts token t.
    predictors = [path[r.start - 1 :] for path, r in zip(paths, requests, strict=True)]
    targets = [request.ids[request.start :] for request in requests]
    logprobs, is_top = _score_targets(
        model, forest, np.concatenate(predictors), np.concatenate(targets)
    )
    if not np.isfinite(logprobs).all():
        raise ModelError(
            f"a score of {model.config.model_type} in {model.dtype} is not a finite number",
            expected="logits that the model's dtype can hold",
            hint="Use --dtype float32 (or bfloat16), or check the model's weights.",
        )
    seams = np.cumsum([len(part) for part in targets])[:-1]
    parts = zip(np.split(logprobs, seams), np.split(is_top, seams), strict=True)
    return [Score(float(values.sum()), bool(tops.all())) for values, tops in parts]


def _score_targets(
    model: PreTrainedModel,
    forest: Forest,
    predictors: np.ndarray[Any, Any],
    targets: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """How likely token ``targets[k]`` is at node ``predictors[k]``, and if it is the likeliest.

    Shapes (K,); log-probabilities are normalised in float32 whatever the model's dtype, and
    returned in float64.
    """
    device = model.device
    nodes, rows = np.unique(predictors, return_inverse=True)  # siblings share a predictor
    order = np.argsort(rows, kind="stable")
    rows_sorted, targets_sorted = rows[order], torch.from_numpy(targets[order]).to(device)
    logprobs, is_top, first = [], [], 0
    for logits in _iter_logits(model, forest, torch.from_numpy(nodes).to(device)):
        here = slice(*np.searchsorted(rows_sorted, (first, first + len(logits))))
        at, chosen = torch.from_numpy(rows_sorted[here] - first).to(device), targets_sorted[here]
        logits = logits.float()
        logprobs.append(logits[at, chosen] - logits.logsumexp(-1)[at])
        is_top.append(logits.argmax(-1)[at] == chosen)
        first += len(logits)
        del logits  # before the next chunk comes
    back = np.argsort(order)
    return (
        torch.cat(logprobs).cpu().double().numpy()[back],
        torch.cat(is_top).cpu().numpy()[back],
    )


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _iter_logits(
    model: PreTrainedModel, forest: Forest, nodes: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Logits (at most a chunk's rows, V) at some nodes of the forest, from one pass."""
    device = model.device
    inputs = {
        "input_ids": torch.from_numpy(forest.tokens)[None].to(device),
        "position_ids": torch.from_numpy(forest.positions)[None].to(device),
        "attention_mask": build_masks(forest, model.config.get_text_config(), model.dtype, device),
        "use_cache": False,
    }
    rows = max(1, _CHUNK_LOGITS // model.config.get_text_config().vocab_size)
    with _run_decoder_once(model):
        for part in nodes.split(rows):
            yield model(**inputs, logits_to_keep=part).logits[0]


@contextmanager
def _run_decoder_once(model: PreTrainedModel) -> Iterator[None]:
    """Make repeated calls of ``model`` with the same inputs differ in ``logits_to_keep`` alone.

    All logits of a large vocabulary would be the largest tensor of a pass. What follows the
    decoder (scaling, capping, a bias) differs between architectures; so the model itself computes
    the logits, a chunk a call, and its decoder answers from memory after the first.
    """
    decoder = model.get_decoder()
    hooked = vars(decoder).get("forward")  # accelerate's, where layers are spread over devices
    run = decoder.forward
    outputs: list[Any] = []

    def run_once(*args: Any, **kwargs: Any) -> Any:
        if not outputs:
            outputs.append(run(*args, **kwargs))
        return outputs[0]

    decoder.forward = run_once
    try:
        yield
    finally:
        del decoder.forward  # the class's own again
        if hooked is not None:
            decoder.forward = hooked


# --- the check ---------------------------------------------------------------------------------


def check_model(model: PreTrainedModel, num_tokens: int = _CHECKED_TOKENS) -> None:
    """Raise ModelError unless ``model`` scores a small forest as it scores its sequences alone.

    Recurrent models, attention biases computed from row numbers (ALiBi), and local attention
    among rows (GPT-Neo's last 256) read a forest as if it were one text. Their scores would be
    wrong without any sign of it. So would those of longrope, which turns all of a pass's
    positions by the furthest of them.
    """
    if has_longrope(model.config.get_text_config()):
        raise _refuse_model(model, "longrope depends on what else is in the pass")
    long = [5 + i % 90 for i in range(num_tokens)]
    sequences = (
        long,
        [5, 6, 10, 11, 12],
        [5, 6, 13, 14],
        [7, 8, 9],
    )
    # The long one comes first in the forest, so the others have rows beyond 256.
    requests = [EncodedRequest(ids, 2) for ids in sequences]
    # Nats a token; in half precision the two orders of summation differ by a step of the logits.
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.3
    try:
        together = [score.logprob for score in score_requests(model, requests)]
        alone = [_score_plainly(model, request) for request in requests]
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise _refuse_model(model, f"{type(error).__name__}: {error}") from error
    lengths = [len(request.ids) - request.start for request in requests]
    if (np.abs(np.subtract(together, alone)) > tolerance * np.array(lengths)).any():
        raise _refuse_model(model, "the scores of a packed batch differ from those one by one")


def has_longrope(config: Any) -> bool:
    """Whether the furthest position of a pass decides how all of its positions are turned."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return "longrope" in (rope.get("rope_type"), rope.get("type"))


def _score_plainly(model: PreTrainedModel, request: EncodedRequest) -> float:
    """The textbook way: one sequence, the model's own mask, logits everywhere."""
    ids = torch.tensor([request.ids], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0].float()
    logprobs = logits.log_softmax(-1).gather(1, ids[0, 1:, None])
    return float(logprobs[request.start - 1 :].sum())


def _refuse_model(model: PreTrainedModel, reason: str) -> ModelError:
    return ModelError(
        f"{model.config.model_type} cannot be scored here ({reason})",
        expected="a causal transformer that takes position ids and a 4D attention mask",
        hint="Llama, GPT-NeoX, Gemma, Qwen and Mistral models do.",
    )
