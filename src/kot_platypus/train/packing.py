"""Exact packing: many examples in one forward pass, with the gradient of one pass each.

Two things make it exact. Examples are kept apart (``attention``), and their position ids restart at
0. And every label carries its own weight (``loss.weigh_items``), so the sum over all packs of an
optimizer step is the recipe's loss, however the packs fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kot_platypus.recipe import LossWeighting
from kot_platypus.train.attention import Pack
from kot_platypus.train.items import Encoded, Item, Pair, list_halves
from kot_platypus.train.loss import weigh_items

PACKED_AT_ONCE = 512
"""Examples whose packs are found together."""


def assign_packs(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices of examples pack by pack, by first-fit decreasing; an overlong one stands alone.

    At most 11/9 of the fewest possible packs (Johnson 1973). Deterministic; within a pack the
    examples keep their order.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        place = next((p for p, free in enumerate(room) if free >= length), None)
        if place is None:
            packs.append([])
            room.append(max_tokens)
            place = len(packs) - 1
        packs[place].append(index)
        room[place] -= length
    return [sorted(pack) for pack in packs]


def share_examples(lengths: Sequence[int], num_shares: int) -> list[list[int]]:
    """Indices of examples share by share: the longest left goes to the share with fewest tokens.

    The shares differ by one example's tokens at most. Deterministic, so that all processes agree
    without talking; within a share the examples keep their order.
    """
    shares: list[list[int]] = [[] for _ in range(num_shares)]
    tokens = [0] * num_shares
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fewest = tokens.index(min(tokens))
        shares[fewest].append(index)
        tokens[fewest] += lengths[index]
    return [sorted(share) for share in shares]


def pack_batch(
    batch: Sequence[Item],
    max_tokens: int,
    loss_weighting: LossWeighting,
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> list[Pack | PairPack]:
    """The packs of one optimizer step's examples or pairs, or a process's share of them.

    The batch is that of all processes, and weighted as one, so the losses of all packs of all
    processes add up to the step's. All processes get the same number of packs, since each pass is
    one they may have to meet in (FSDP); what one has fewer is made up by packs that weigh nothing.
    The halves of a pair lie in one pack.
    """
    weights = weigh_items(batch, loss_weighting)
    return _pack(batch, weights, 1 / len(batch), max_tokens, rank, num_processes)


def iter_packs(
    items: Sequence[Item],
    max_tokens: int,
    loss_weighting: LossWeighting,
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> Iterator[Pack | PairPack]:
    """The packs of all ``items``, weighted as one batch, or a process's share of them.

    They are packed a few hundred at a time: the effort grows with the square of their number.
    """
    weights = weigh_items(items, loss_weighting)
    for start in range(0, len(items), PACKED_AT_ONCE):
        part = slice(start, start + PACKED_AT_ONCE)
        yield from _pack(
            items[part], weights[part], 1 / len(items), max_tokens, rank, num_processes
        )


def _pack(
    items: Sequence[Item],
    weights: Sequence[float],
    weight: float,
    max_tokens: int,
    rank: int,
    num_processes: int,
) -> list[Pack | PairPack]:
    """``weights`` are those of each item's labels, of a pair's chosen; ``weight`` is a pair's."""
    lengths = [item.num_tokens for item in items]
    # Of each process the indices of what it computes, pack by pack.
    plans = [
        [
            [share[i] for i in group]
            for group in assign_packs([lengths[i] for i in share], max_tokens)
        ]
        for share in share_examples(lengths, num_processes)
    ]
    packs = [
        _build([items[i] for i in group], [weights[i] for i in group], weight, group, max_tokens)
        for group in plans[rank]
    ]
    missing = max(map(len, plans)) - len(packs)
    short = Encoded(list_halves(items[:1])[0].ids[:2], 1)
    filler = Pair(short, short) if isinstance(items[0], Pair) else short
    return packs + [_build([filler], [0.0], 0.0, [-1], max_tokens)] * missing


def _build(
    items: Sequence[Item],
    weights: Sequence[float],
    weight: float,
    numbers: Sequence[int],
    max_tokens: int,
) -> Pack | PairPack:
    if pairs := [item for item in items if isinstance(item, Pair)]:
        return build_pairs(pairs, weights, weight, max_tokens)
    return build_pack(list_halves(items), weights, numbers)


def build_pack(
    examples: Sequence[Encoded], weights: Sequence[float], numbers: Sequence[int]
) -> Pack:
    """One pack of ``examples``, which are the ``numbers`` of their batch."""
    ids: list[int] = []
    positions: list[int] = []
    predict_at: list[int] = []
    labels: list[int] = []
    label_weights: list[float] = []
    starts = [0]
    for example, weight in zip(examples, weights, strict=True):
        start = starts[-1]
        ids += example.ids
        starts.append(len(ids))
        positions += range(len(example.ids))
        labelled = example.label_positions
        # The output at t predicts token t + 1.
        predict_at += [start + position - 1 for position in labelled]
        labels += [example.ids[position] for position in labelled]
        label_weights += [weight] * example.num_labels
    return Pack(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        predict_at=torch.tensor(predict_at),
        labels=torch.tensor(labels),
        weights=torch.tensor(label_weights),
        starts=torch.tensor(starts, dtype=torch.int32),
        longest=max(len(example.ids) for example in examples),
        numbers=tuple(numbers),
    )


# --- pairs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairPack:
    """Some pairs of an optimizer step, both halves of each. Shapes: P pairs, N labels.

    ``passes`` are their examples, chosen and rejected by turns: all in one pack, or each in its own
    where the model does not keep a pack's examples apart. ``counts`` are the 2P numbers of labels,
    ``weights`` (P,) what a pair counts in the step's loss, ``reference`` (2P,) as of ``Pair``.
    The passes' own weights (N,) are those of labels in a loss of the chosen alone.
    """

    passes: tuple[Pack, ...]
    counts: tuple[int, ...]
    weights: Tensor
    reference: Tensor

    @property
    def num_tokens(self) -> int:
        """What the passes read."""
        return sum(each.num_tokens for each in self.passes)

    def to(self, device: torch.device) -> PairPack:
        """The same pairs on ``device``."""
        passes = tuple(each.to(device) for each in self.passes)
        moved = {"weights": self.weights.to(device), "reference": self.reference.to(device)}
        return replace(self, passes=passes, **moved)


def build_pairs(
    pairs: Sequence[Pair], weights: Sequence[float], weight: float, max_tokens: int
) -> PairPack:
    """One pack of ``pairs``, each of which counts ``weight``; ``weights`` are of labels chosen."""
    halves = list_halves(pairs)
    each = [w for chosen in weights for w in (chosen, 0.0)]
    at_once = len(halves) if max_tokens > 1 else 1
    starts = range(0, len(halves), at_once)
    return PairPack(
        passes=tuple(
            build_pack(halves[i : i + at_once], each[i : i + at_once], range(i, i + at_once))
            for i in starts
        ),
        counts=tuple(half.num_labels for half in halves),
        weights=torch.full((len(pairs),), weight),
        reference=torch.tensor([value for pair in pairs for value in pair.reference]),
    )
