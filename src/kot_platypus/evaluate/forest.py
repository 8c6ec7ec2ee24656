"""The forest: token sequences merged by common prefix, written out as one row of tokens.

The choices of a question share their context, so their token sequences form a tree; the questions
of a batch form a forest. In preorder:

    row        0      1     2      3        4      5       6        7
    token      눈이   와서   길이   막혔다    날이   더웠다    밥을     먹었다
    position   0      1     2      3        2      3       0        1
    end        6      6     4      4        6      6       8        8

A node's descendants are the rows from itself up to its ``end``. So the whole attention mask, which
must be causal, keep sibling choices apart and keep questions apart, is one comparison: row i sees
row j if and only if ``j <= i < end[j]``. Positions count from each tree's root, exactly as if every
sequence were run alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.workload import count_shared


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
        shared = count_shared(last_sequence, sequence)
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
        if 2 * count_shared(group[0].inputs, request.inputs) < len(request.inputs):
            yield group
            group = []
        group.append(request)
    yield group


_FEWEST_ATTENDING = 128
"""Rows of one call of attention at least; smaller trees go together."""


def list_parts(forest: Forest) -> list[slice]:
    """Runs of whole trees, each of at least so many rows: no row sees one of another run."""
    parts, first, end, size = [], 0, 0, len(forest.tokens)
    while end < size:
        end = int(forest.ends[end])  # of the tree that begins here
        if end - first >= _FEWEST_ATTENDING or end == size:
            parts.append(slice(first, end))
            first = end
    return parts


@contextmanager
def attending_by_tree(forest: Forest) -> Iterator[None]:
    """Within it, attention in PyTorch's SDPA costs what the trees cost, not the square of all.

    Of rows in different trees the mask would throw away what had been computed.
    """
    parts, size = list_parts(forest), len(forest.tokens)
    usual = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
    ) -> Any:
        shape = None if attention_mask is None else tuple(attention_mask.shape[-2:])
        if {query.shape[2], key.shape[2]} != {size} or shape != (size, size):
            return usual(module, query, key, value, attention_mask, **options)
        outputs = []
        for part in parts:
            rows = (each[:, :, part] for each in (query, key, value))
            mask = attention_mask[:, :, part, part]
            outputs.append(usual(module, *rows, mask, **options)[0])
        return torch.cat(outputs, dim=1), None

    with _registered(ALL_ATTENTION_FUNCTIONS, {"sdpa": attend} if len(parts) > 1 else {}):
        yield


@contextmanager
def masked_as(forest: Forest, device: torch.device) -> Iterator[None]:
    """Within it, a row sees its ancestors alone, in whatever mask a model of transformers makes.

    The model says which of its keys a query sees, as a function of their places (all before it, a
    sliding window, a chunk, another for each type of layer), and transformers makes a mask of it.
    Here that function is given places in the sequence, not rows of the pass, so the window is the
    one the model has, if it has one, whatever else its config says.
    """
    positions = torch.from_numpy(forest.positions).to(device)
    ends = torch.from_numpy(forest.ends).to(device)

    def restrict(sees: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def sees_ancestor(batch: Any, head: Any, row: Any, seen: Any) -> torch.Tensor:
            allowed = sees(batch, head, positions[row], positions[seen])
            return allowed & (seen <= row) & (row < ends[seen])

        return sees_ancestor

    def replace(make_mask: Callable[..., Any]) -> Callable[..., Any]:
        def make_forest_mask(*args: Any, mask_function: Any, **options: Any) -> Any:
            options["allow_is_causal_skip"] = False
            return make_mask(*args, mask_function=restrict(mask_function), **options)

        return make_forest_mask

    masks = dict(ALL_MASK_ATTENTION_FUNCTIONS)
    ours = {name: replace(make_mask) for name, make_mask in masks.items()}
    with _registered(ALL_MASK_ATTENTION_FUNCTIONS, ours):
        yield


@contextmanager
def _registered(table: Any, functions: dict[str, Callable[..., Any]]) -> Iterator[None]:
    """Put functions before those that transformers has under these names."""
    ours = table._local_mapping  # goes before what is registered for all
    before = dict(ours)
    try:
        ours.update(functions)
        yield
    finally:
        ours.clear()
        ours.update(before)
