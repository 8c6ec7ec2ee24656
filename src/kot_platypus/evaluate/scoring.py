"""The scorer: every choice of many questions in one forward pass, no token computed twice.

The choices of a question share their context, so their token sequences form a tree; the questions
of a batch form a forest. Written out in preorder, a forest is one row of tokens:

    row        0      1     2      3        4      5       6        7
    token      눈이   와서   길이   막혔다    날이   더웠다    밥을     먹었다
    position   0      1     2      3        2      3       0        1
    end        6      6     4      4        6      6       8        8

A node's descendants are the rows from itself up to its ``end``. So the whole attention mask, which
must be causal, keep sibling choices apart and keep questions apart, is one comparison: row i sees
row j if and only if ``j <= i < end[j]``. Positions count from each tree's root, exactly as if every
request were run alone. Nothing is padded, there is no key-value cache, logits exist only where
a continuation token is predicted, and requests that were cut differently on the left simply do
not share. What one-by-one scoring gives, this gives, up to rounding.
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

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Group(Protocol):
    """Requests that go into one pass because they share their context: a question's choices."""

    @property
    def requests(self) -> Sequence[EncodedRequest]:
        """In any order; scores come back in the same."""


G = TypeVar("G", bound=Group)

_CHUNK_LOGITS = 2**24
"""Logits held at a time, in elements: 64 MiB in float32, whatever the vocabulary."""


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
        max_batch_tokens: Tokens of one pass. A group that needs more is a pass of its own.

    Raises:
        ModelError: the model cannot read a forest, or states no maximum length.
    """

    def __init__(self, model: PreTrainedModel, *, max_batch_tokens: int) -> None:
        self.model = model
        self.max_batch_tokens = max_batch_tokens
        self.max_length = find_max_length(model)
        """The most tokens the model reads at once."""
        self._max_pass_tokens = float("inf")  # until the device's memory says otherwise
        check_model(model)

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
            shared = _count_shared(last, group.requests[0].inputs)
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
        torch.cuda.empty_cache()  # outside of `except`, which would keep the failed pass alive
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


# --- the forest --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forest:
    """Token sequences merged by common prefix, in preorder. All arrays are int64 (T,)."""

    tokens: np.ndarray[Any, Any]
    positions: np.ndarray[Any, Any]
    """Depth of each node: its place in every sequence through it."""
    ends: np.ndarray[Any, Any]
    """Node j's subtree is the nodes j to ``ends[j] - 1``."""


def build_forest(sequences: Sequence[list[int]]) -> tuple[Forest, list[np.ndarray[Any, Any]]]:
    """Merge sequences by common prefix.

    Returns:
        The forest, and for each sequence the nodes (int64, as long as it) it runs through.
    """
    tokens: list[int] = []
    positions: list[int] = []
    paths: list[np.ndarray[Any, Any]] = [np.empty(0, np.int64)] * len(sequences)
    ends = np.empty(sum(map(len, sequences)), np.int64)
    last_sequence: list[int] = []
    last_path = np.empty(0, np.int64)
    # Sorted, each sequence shares with its predecessor whatever it shares with any before it,
    # and the order of first visits is the preorder.
    for index in sorted(range(len(sequences)), key=lambda i: sequences[i]):
        sequence = sequences[index]
        shared = _count_shared(last_sequence, sequence)
        ends[last_path[shared:]] = len(tokens)  # these subtrees are complete
        new_nodes = np.arange(len(tokens), len(tokens) + len(sequence) - shared)
        tokens += sequence[shared:]
        positions += range(shared, len(sequence))
        paths[index] = last_path = np.concatenate([last_path[:shared], new_nodes])
        last_sequence = sequence
    ends[last_path] = len(tokens)
    forest = Forest(np.array(tokens), np.array(positions), ends[: len(tokens)])
    return forest, paths


def count_tokens(requests: Sequence[EncodedRequest]) -> int:
    """Nodes of the requests' forest: the tokens that one pass over them reads."""
    return len(build_forest([request.inputs for request in requests])[0].tokens)


def split_by_prefix(requests: Sequence[EncodedRequest]) -> Iterator[list[EncodedRequest]]:
    """Runs of neighbouring requests that share at least half of their tokens."""
    group = [requests[0]]
    for request in requests[1:]:
        if 2 * _count_shared(group[0].inputs, request.inputs) < len(request.inputs):
            yield group
            group = []
        group.append(request)
    yield group


def _count_shared(a: list[int], b: list[int]) -> int:
    """Length of the longest common prefix."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(i for i in range(length) if a[i] != b[i])


def build_masks(
    forest: Forest, config: Any, dtype: torch.dtype, device: torch.device
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Additive attention masks (1, 1, T, T): 0 where row i sees row j, else the lowest number.

    In models whose layers differ (``config.layer_types``: Gemma 3, Qwen), one for each type of
    layer. A sliding window counts positions, not rows: siblings lie between a node and its parent.
    """
    ends = torch.from_numpy(forest.ends).to(device)
    positions = torch.from_numpy(forest.positions).to(device)
    nodes = torch.arange(len(ends), device=device)
    rows = nodes[:, None]
    sees = (nodes <= rows) & (rows < ends)
    masks = {"full_attention": _to_additive(sees, dtype)}
    window = getattr(config, "sliding_window", None)
    if window is not None:
        near = positions[:, None] - positions < window
        masks["sliding_attention"] = _to_additive(sees & near, dtype)
    layer_types = getattr(config, "layer_types", None)
    if layer_types is None:  # all layers alike, as in Llama (full) or Mistral (sliding)
        return masks.get("sliding_attention", masks["full_attention"])
    return masks


def _to_additive(sees: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return mask.masked_fill_(~sees, torch.finfo(dtype).min)[None, None]


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


def check_model(model: PreTrainedModel) -> None:
    """Raise ModelError unless ``model`` scores a small forest as it scores its sequences alone.

    Recurrent models, and attention biases computed from row numbers (ALiBi), read a forest as if
    it were one text. Their scores would be wrong without any sign of it.
    """
    requests = [EncodedRequest(ids, 2) for ids in ([5, 6, 7, 8, 9], [5, 6, 10, 11, 12], [7, 8, 9])]
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.5
    try:
        together = [score.logprob for score in score_requests(model, requests)]
        alone = [_score_plainly(model, request) for request in requests]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _refuse_model(model, f"{type(error).__name__}: {error}") from error
    if not np.allclose(together, alone, rtol=0, atol=tolerance):
        raise _refuse_model(model, "the scores of a packed batch differ from those one by one")


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
