"""Exact packing: many examples in one forward pass, with the gradient of one pass each.

Two things make it exact. Examples are kept apart (``attention``), and their position ids restart at
0. And every label carries its own weight (``loss.weigh_examples``), so the sum over all packs of an
optimizer step is the recipe's loss, however the packs fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from kot_platypus.recipe import LossWeighting
from kot_platypus.train.attention import Pack
from kot_platypus.train.encoding import Encoded
from kot_platypus.train.loss import weigh_examples

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
    batch: Sequence[Encoded],
    max_tokens: int,
    loss_weighting: LossWeighting,
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> list[Pack]:
    """The packs of one optimizer step's examples, or a process's share of them.

    The batch is that of all processes, and weighted as one, so the losses of all packs of all
    processes add up to the step's. All processes get the same number of packs, since each pass is
    one they may have to meet in (FSDP); what one has fewer is made up by packs that weigh nothing.
    """
    weights = weigh_examples(batch, loss_weighting)
    return pack_examples(batch, weights, max_tokens, rank=rank, num_processes=num_processes)


def iter_packs(
    examples: Sequence[Encoded],
    max_tokens: int,
    loss_weighting: LossWeighting,
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> Iterator[Pack]:
    """The packs of all ``examples``, weighted as one batch, or a process's share of them.

    They are packed a few hundred at a time: the effort grows with the square of their number.
    """
    weights = weigh_examples(examples, loss_weighting)
    shares = {"rank": rank, "num_processes": num_processes}
    for start in range(0, len(examples), PACKED_AT_ONCE):
        part = slice(start, start + PACKED_AT_ONCE)
        yield from pack_examples(examples[part], weights[part], max_tokens, **shares)


def pack_examples(
    batch: Sequence[Encoded],
    weights: Sequence[float],
    max_tokens: int,
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> list[Pack]:
    """As ``pack_batch``, with the weight that each label of an example has."""
    plans = plan_packs([len(example.ids) for example in batch], max_tokens, num_processes)
    packs = [
        build_pack([batch[i] for i in group], [weights[i] for i in group], group)
        for group in plans[rank]
    ]
    missing = max(map(len, plans)) - len(packs)
    return packs + [build_pack([Encoded(batch[0].ids[:2], 1)], [0.0], [-1])] * missing


def plan_packs(
    lengths: Sequence[int], max_tokens: int, num_processes: int
) -> list[list[list[int]]]:
    """Of each process the indices of what it computes, pack by pack."""
    return [
        [
            [share[i] for i in group]
            for group in assign_packs([lengths[i] for i in share], max_tokens)
        ]
        for share in share_examples(lengths, num_processes)
    ]


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
