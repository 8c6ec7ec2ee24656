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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.encoding import EncodedQuestion, EncodedRequest, encode_question
from kot_platypus.evaluate.protocols import Protocol
from kot_platypus.records import Question, Sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Batch = list[EncodedQuestion]

_MAX_LOGITS = 2**27
"""Logits of one pass, in elements: 512 MiB in float32. Vocabularies reach 262,144 entries."""
_CHUNK_LOGITS = 2**24
"""Logits normalised at a time, in elements: 64 MiB in float32."""


def score_questions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Iterable[Question],
    protocol: Protocol,
    *,
    max_batch_tokens: int,
    done: frozenset[int] = frozenset(),
) -> Iterator[list[Sample]]:
    """Score questions, yielding the samples of one batch after the other.

    Which questions share a batch depends on the questions, the tokenizer, the model's maximum
    length and ``max_batch_tokens`` only. Batches wholly in ``done`` are skipped, so a resumed
    evaluation computes exactly what an uninterrupted one would have.

    Args:
        model: Any causal model that takes position ids and a 4D attention mask.
        tokenizer: The model's.
        questions: As ``build_questions`` gives them, or any in a fixed order.
        protocol: How to tokenise them.
        max_batch_tokens: Tokens of one pass. One question that needs more is a pass of its own.
        done: ``doc_id`` of the questions that need no scores.

    Raises:
        ModelError: the model cannot do this, or one question does not fit into memory.
        DataError: a continuation without tokens, or longer than the model allows.
    """
    max_length = find_max_length(model)
    encoded = (encode_question(tokenizer, protocol, q, max_length) for q in questions)
    max_predictions = max(1, _MAX_LOGITS // len(tokenizer))
    is_checked = False
    for batch in plan_batches(encoded, max_batch_tokens, max_predictions):
        if done.issuperset(item.question.doc_id for item in batch):
            continue
        if not is_checked:
            check_model(model)
            is_checked = True
        scores = iter(_score_batch(model, batch, max_batch_tokens))
        yield [_make_sample(item, [next(scores) for _ in item.requests]) for item in batch]


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


def _make_sample(item: EncodedQuestion, scores: Sequence[float]) -> Sample:
    question = item.question
    per_char = np.array(scores) / np.maximum(question.choice_chars, 1)
    return Sample(
        task=question.task,
        num_fewshot=question.num_fewshot,
        doc_id=question.doc_id,
        logprobs=tuple(scores),
        gold=question.gold,
        pred=int(np.argmax(scores)),  # the first of equals
        pred_norm=int(np.argmax(per_char)),
        effective_shots=item.effective_shots,
    )


# --- batches -----------------------------------------------------------------------------------


def plan_batches(
    questions: Iterable[EncodedQuestion], max_tokens: int, max_predictions: int
) -> Iterator[Batch]:
    """Cut the questions, in their order, into batches that keep within both limits."""
    batch: Batch = []
    num_tokens = num_predictions = 0
    for item in questions:
        tokens = count_tokens(item.requests)
        predictions = sum(len(r.ids) - r.start for r in item.requests)
        too_large = (
            num_tokens + tokens > max_tokens or num_predictions + predictions > max_predictions
        )
        if batch and too_large:
            yield batch
            batch, num_tokens, num_predictions = [], 0, 0
        batch.append(item)
        num_tokens += tokens
        num_predictions += predictions
    if batch:
        yield batch


def _score_batch(model: PreTrainedModel, batch: Batch, max_tokens: int) -> list[float]:
    """Score all requests of a batch, in halves where the device's memory does not suffice."""
    requests = [request for item in batch for request in item.requests]
    try:
        if len(batch) > 1 or count_tokens(requests) <= max_tokens:
            return score_requests(model, requests)
        # A question too long for one pass. Choices that were cut differently share next to
        # nothing, and a forest of them would pay the attention's square for it.
        groups = [
            score_requests(model, list(group)) for group in split_by_prefix(batch[0].requests)
        ]
        return [score for group in groups for score in group]
    except torch.cuda.OutOfMemoryError as error:
        if len(batch) == 1:
            raise ModelError(
                f"question {batch[0].question.doc_id} of {batch[0].question.task} does not fit "
                "into the GPU's memory",
                expected="room for one question",
                hint="Use fewer shots, --dtype bfloat16 or --device cpu.",
            ) from error
    torch.cuda.empty_cache()  # outside of `except`, which would keep the failed pass alive
    half = len(batch) // 2
    parts = batch[:half], batch[half:]
    return [score for part in parts for score in _score_batch(model, part, max_tokens)]


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


def score_requests(model: PreTrainedModel, requests: Sequence[EncodedRequest]) -> list[float]:
    """Summed log-probabilities (nats) of each request's continuation, from one forward pass."""
    forest, paths = build_forest([request.inputs for request in requests])
    # The node that reads token t - 1 predicts token t.
    predictors = [path[r.start - 1 :] for path, r in zip(paths, requests, strict=True)]
    nodes, rows = np.unique(np.concatenate(predictors), return_inverse=True)
    targets = np.concatenate([request.ids[request.start :] for request in requests])
    with torch.inference_mode():
        logits = _compute_logits(model, forest, nodes)
        logprobs = _gather_logprobs(logits, rows, targets)
    lengths = [len(nodes_of_request) for nodes_of_request in predictors]
    return [float(part.sum()) for part in np.split(logprobs, np.cumsum(lengths)[:-1])]


def _compute_logits(
    model: PreTrainedModel, forest: Forest, nodes: np.ndarray[Any, Any]
) -> torch.Tensor:
    """Logits (len(nodes), V) at some nodes of the forest."""
    device = model.device
    output = model(
        input_ids=torch.from_numpy(forest.tokens)[None].to(device),
        position_ids=torch.from_numpy(forest.positions)[None].to(device),
        attention_mask=build_masks(forest, model.config.get_text_config(), model.dtype, device),
        logits_to_keep=torch.from_numpy(nodes).to(device),
        use_cache=False,
    )
    logits: torch.Tensor = output.logits[0]
    return logits


def _gather_logprobs(
    logits: torch.Tensor, rows: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Log-probabilities (float64) of ``targets[k]`` under row ``rows[k]`` of ``logits`` (K, V).

    Normalised in float32 whatever the model's dtype, a few rows at a time: a float32 copy of
    all logits of a large vocabulary would be the largest tensor of the pass.
    """
    chunk = max(1, _CHUNK_LOGITS // logits.shape[1])
    norms = torch.cat([part.float().logsumexp(-1) for part in logits.split(chunk)])
    at = torch.from_numpy(rows).to(logits.device)
    chosen = logits[at, torch.from_numpy(targets).to(logits.device)].float()
    return (chosen - norms[at]).double().cpu().numpy()  # type: ignore[no-any-return]


# --- the check ---------------------------------------------------------------------------------


def check_model(model: PreTrainedModel) -> None:
    """Raise ModelError unless ``model`` scores a small forest as it scores its sequences alone.

    Recurrent models, and attention biases computed from row numbers (ALiBi), read a forest as if
    it were one text. Their scores would be wrong without any sign of it.
    """
    requests = [EncodedRequest(ids, 2) for ids in ([5, 6, 7, 8, 9], [5, 6, 10, 11, 12], [7, 8, 9])]
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.5
    try:
        together = score_requests(model, requests)
        alone = [_score_plainly(model, request) for request in requests]
    except (TypeError, ValueError, KeyError) as error:
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
