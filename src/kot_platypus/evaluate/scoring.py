"""The scorer: every choice of many questions in one forward pass, no token computed twice.

A pass reads a forest of prefixes (``forest.py``: what the requests share is there once). Nothing is
padded, there is no key-value cache, logits exist only where a continuation token is predicted, and
requests that were cut differently on the left simply do not share. What one-by-one scoring gives,
this gives, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.forest import (
    Forest,
    attending_by_tree,
    build_forest,
    count_tokens,
    masked_as,
    split_by_prefix,
)
from kot_platypus.evaluate.plain import read_logits, say_plain_way, score_alone
from kot_platypus.evaluate.self_check import (
    Margins,
    find_flaw,
    find_hidden_window,
    measure_margins,
)
from kot_platypus.evaluate.store import RequestScore
from kot_platypus.evaluate.workload import count_shared
from kot_platypus.models.limits import (
    check_room,
    choose_pass_tokens,
    draw_tokens,
    find_max_length,
    infinite_error,
    is_out_of_memory,
)
from kot_platypus.models.parts import strip_head
from kot_platypus.processes import count_processes, process_rank

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Group(Protocol):
    """Requests that go into one pass because they share their context: a question's choices."""

    @property
    def requests(self) -> Sequence[EncodedRequest]:
        """In any order; scores come back in the same."""


G = TypeVar("G", bound=Group)

_CHUNK_LOGITS = 2**24
"""Logits of one chunk, in elements: 64 MiB in float32, whatever the vocabulary."""
_CACHED_LOGITS = 2**20
"""The same on a CPU, whose caches hold that much, where a chunk may be a part of the vocabulary."""
_FEWEST_COLUMNS = 1024
"""Tokens of the vocabulary in one chunk at least."""


_CHECKED_TOKENS = 300
"""Length of the check's longest text."""


class Scorer:
    """Scores groups of requests with one model, within the memory there is.

    Args:
        model: Any causal model. One that cannot read a forest reads one text at a time.
        tokenizer: Its own, which may know the longest text where the model's config does not.
        max_batch_tokens: Tokens of one pass; a group that needs more is a pass of its own. None: as
            ``choose_pass_tokens`` says.

    Raises:
        ModelError: the model cannot read a text, or its logits are not finite.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        max_batch_tokens: int | None = None,
    ) -> None:
        self.model = model
        self.max_batch_tokens = max_batch_tokens or choose_pass_tokens(model)
        self.max_length = find_max_length(model, tokenizer)
        """The most tokens the model reads at once."""
        self._max_pass_tokens = float("inf")  # until the device's memory says otherwise
        self.obstacle = find_obstacle(model, self.max_length)
        """Why the model reads one text at a time; None: it reads a forest."""
        if self.obstacle:
            say_plain_way(model, "reads", self.obstacle)

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

    def score_my_share(
        self, batches: Iterable[list[G]], select: Callable[[G], G | None]
    ) -> Iterator[tuple[list[G], list[list[RequestScore]]]]:
        """Score every n-th batch for the n-th of the processes; ``select`` gives what is missing.

        The batches are planned as if nothing were scored yet: so the requests of a resumed batch
        keep the company they would have had, and their scores all bits; and all processes agree
        on the plan without talking.
        """
        turn = count()
        for batch in batches:
            todo = [group for each in batch if (group := select(each)) is not None]
            if todo and next(turn) % count_processes() == process_rank():
                yield todo, self.score(todo)

    def score(self, batch: Sequence[Group]) -> list[list[RequestScore]]:
        """The scores of each group's requests.

        When memory does not suffice, the pass is halved, and no later pass is larger than the
        half. Raises ModelError when a single request does not fit, or has a token that the model
        does not.
        """
        requests = [request for group in batch for request in group.requests]
        hint = "Set a max_length of {limit}, or use fewer shots."
        texts = (request.ids for request in requests)
        check_room(self.model, texts, hint=hint, num_unread=1)
        scores = iter(self._score_requests(requests))
        return [[next(scores) for _ in group.requests] for group in batch]

    def _score_requests(self, requests: Sequence[EncodedRequest]) -> list[RequestScore]:
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

    def _try_pass(self, requests: Sequence[EncodedRequest]) -> list[RequestScore] | None:
        """The scores, or None when memory did not suffice for more than one request."""
        try:
            if self.obstacle:
                return [score_alone(self.model, request) for request in requests]
            return score_requests(self.model, requests)
        except RuntimeError as error:
            if not is_out_of_memory(error):
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


# --- one pass ----------------------------------------------------------------------------------


def score_requests(
    model: PreTrainedModel, requests: Sequence[EncodedRequest]
) -> list[RequestScore]:
    """The scores of the requests' continuations, from one forward pass."""
    forest, paths = build_forest([request.inputs for request in requests])
    # The node that reads token t - 1 predicts token t.
    predictors = [path[r.start - 1 :] for path, r in zip(paths, requests, strict=True)]
    targets = [request.ids[request.start :] for request in requests]
    logprobs, is_top = _score_targets(
        model, forest, np.concatenate(predictors), np.concatenate(targets)
    )
    if not np.isfinite(logprobs).all():
        raise infinite_error("a score is", model.dtype)
    seams = np.cumsum([len(part) for part in targets])[:-1]
    parts = zip(np.split(logprobs, seams), np.split(is_top, seams), strict=True)
    return [
        RequestScore(logprob=float(values.sum()), is_greedy=bool(tops.all()))
        for values, tops in parts
    ]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _score_targets(
    model: PreTrainedModel,
    forest: Forest,
    predictors: np.ndarray[Any, Any],
    targets: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """How likely token ``targets[k]`` is at node ``predictors[k]``, and if it is the likeliest.

    Shapes (K,); logits are exponentiated and added in float32 whatever the model's dtype, chunks of
    the vocabulary in float64.
    """
    nodes, rows = np.unique(predictors, return_inverse=True)  # siblings share a predictor
    picked, best, total = np.empty(len(rows)), *np.full((2, len(nodes)), -np.inf)
    likeliest = np.zeros(len(nodes), np.int64)
    # What is infinite or no number stays so without a warning, and the caller says so. The chunks
    # are closed at once, also on the way out of an error: they hold masks and a forward of ours.
    with (
        np.errstate(invalid="ignore"),
        closing(_iter_logits(model, forest, torch.from_numpy(nodes).to(model.device))) as chunks,
    ):
        for row, token, logits in chunks:
            at, wanted = rows - row, targets - token
            is_here = (at >= 0) & (at < len(logits)) & (wanted >= 0) & (wanted < logits.shape[1])
            picked[is_here] = logits[at[is_here], wanted[is_here]].float().cpu().numpy()
            part = slice(row, row + len(logits))
            highest = logits.amax(-1).float()
            top = highest.cpu().numpy()
            # The first of equals is the likeliest, and later chunks have later tokens.
            (better,) = np.nonzero(top > best[part])
            best[part][better] = top[better]
            likeliest[part][better] = token + logits[better].argmax(-1).cpu().numpy()
            total[part] = np.logaddexp(total[part], _logsumexp(logits, highest).cpu().numpy())
            del logits  # before the next chunk comes
        return picked - total[rows], likeliest[rows] == targets


def _logsumexp(logits: torch.Tensor, highest: torch.Tensor) -> torch.Tensor:
    """``logits.logsumexp(-1)`` in float32, in the logits' place where they are float32."""
    highest = highest.clamp(min=torch.finfo(torch.float32).min)  # a chunk may be all -inf
    return logits.float().sub_(highest[:, None]).exp_().sum(-1).log_().add_(highest)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _iter_logits(
    model: PreTrainedModel, forest: Forest, nodes: torch.Tensor
) -> Generator[tuple[int, int, torch.Tensor], None, None]:
    """Logits at some nodes of the forest from one pass, in chunks of nodes or of the vocabulary.

    Yields the place of a chunk's first node among ``nodes``, its first token, and its logits.
    """
    device = model.device
    inputs = {
        "input_ids": torch.from_numpy(forest.tokens)[None].to(device),
        "position_ids": torch.from_numpy(forest.positions)[None].to(device),
        # Of two dimensions, so that the model makes its own masks; it must not be None, for then
        # transformers looks for packed texts in the positions.
        "attention_mask": torch.ones(1, len(forest.tokens), dtype=torch.long, device=device),
        "use_cache": False,
    }
    head = model.get_output_embeddings()
    is_cpu = device.type == "cpu"  # caches count there, and a call costs little
    by_tree = attending_by_tree(forest) if is_cpu else nullcontext()
    with masked_as(forest, device), by_tree, _run_decoder_once(model):
        if is_cpu and _is_plain_product(head):
            columns = max(_CACHED_LOGITS // len(nodes), _FEWEST_COLUMNS)
            for first in range(0, head.out_features, columns):
                with _cut_to(head, slice(first, first + columns)):
                    yield 0, first, model(**inputs, logits_to_keep=nodes).logits[0]
            return
        rows = max(1, _CHUNK_LOGITS // model.config.get_text_config().vocab_size)
        for first, part in enumerate(nodes.split(rows)):
            yield first * rows, 0, model(**inputs, logits_to_keep=part).logits[0]


def _is_plain_product(head: Any) -> bool:
    """Whether an output layer is PyTorch's own and nobody looks at what goes through it."""
    watched = ("_forward_pre_hooks", "_forward_hooks", "forward")
    return type(head) is torch.nn.Linear and not any(vars(head).get(name) for name in watched)


@contextmanager
def _cut_to(head: Any, tokens: slice) -> Iterator[None]:
    """Make the output layer know these tokens alone.

    Their logits are the same: what models do to logits (scaling, capping) they do to each. One
    that does more does not pass ``measure_forest``, which reads chunks as well.
    """
    weight, bias = head.weight[tokens], None if head.bias is None else head.bias[tokens]
    head.forward = lambda hidden: torch.nn.functional.linear(hidden, weight, bias)
    try:
        yield
    finally:
        del head.forward


@contextmanager
def _run_decoder_once(model: PreTrainedModel) -> Iterator[None]:
    """Make repeated calls of ``model`` with the same inputs differ in ``logits_to_keep`` alone.

    All logits of a large vocabulary would be the largest tensor of a pass. What follows the
    decoder (scaling, capping, a bias) differs between architectures; so the model itself computes
    the logits, a chunk a call, and its decoder answers from memory after the first.
    """
    decoder = strip_head(model.get_decoder())
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


def find_obstacle(model: PreTrainedModel, max_length: int) -> str | None:
    """Why the model cannot read a forest, or None: it is shown one, and its own way beside it.

    Raises ModelError when it cannot read a text alone, or its logits are not finite.
    """
    if window := find_hidden_window(model, max_length):
        return f"its window of {window} tokens may count rows"
    return find_flaw(model, lambda: measure_forest(model, max_length))


def measure_forest(model: PreTrainedModel, max_length: int) -> Margins:
    """What a forest does to the scores of one of its texts."""
    # The part of a text that is looked at has a sibling of many rows before it, and a tree.
    num_prefix, num_own = min(24, max_length // 2), min(16, max_length // 2)
    num_branch = min(_CHECKED_TOKENS, max_length) - num_prefix
    draw = partial(draw_tokens, model)
    some = draw(100, seed=0)
    low, high = min(some), max(some)
    prefix, other_prefix = ([high, *draw(num_prefix - 1, seed=n)] for n in (1, 2))
    own = [high, *draw(num_own - 1, seed=3)]
    branch, other_branch = ([low, *draw(num_branch - 1, seed=n)] for n in (4, 5))
    tree, other_tree = ([low, *draw(num_prefix, seed=n)] for n in (6, 7))
    text = prefix + own
    num_tail = min(_CHECKED_TOKENS, max_length) - len(text)
    tails = [draw(num_tail, seed=n) for n in (8, 9)]
    return measure_margins(
        model,
        alone=read_logits(model, text, num_own),
        company=[
            _read_forest(model, [text, prefix + branch, tree], num_own),
            _read_forest(model, [text, prefix + other_branch, other_tree], num_own),
        ],
        tails=[read_logits(model, text + tail)[num_prefix : len(text)] for tail in tails],
        other_beginning=read_logits(model, other_prefix + own, num_own),
    )


def _read_forest(model: PreTrainedModel, texts: Sequence[list[int]], num_last: int) -> torch.Tensor:
    """The logits (``num_last``, V) at the end of the first text, from one pass over all."""
    forest, paths = build_forest(texts)
    nodes = torch.from_numpy(paths[0][-num_last:]).to(model.device)
    chunks = list(_iter_logits(model, forest, nodes))
    # Of one kind: all have all tokens, or all have all nodes.
    return torch.cat([logits for *_, logits in chunks], dim=1 if chunks[-1][1] else 0)
