"""Exact packing: many examples in one forward pass, with the gradient of one pass each.

Two things make it exact. Examples are kept apart (``attention``), and their position ids restart at
0. And every target token carries its own weight, so the sum over all packs of an optimizer step is
the recipe's loss, however the packs fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kot_platypus.train.encoding import Encoded


@dataclass(frozen=True)
class Pack:
    """One forward pass. Shapes: T tokens of all its examples, N of them targets.

    ``predict_at`` (N,) are the positions whose output predicts ``targets`` (N,), and
    ``weights`` (N,) what each target's loss counts in the optimizer step's loss. ``starts`` is
    where each example begins, and T at its end; ``longest`` the tokens of the longest.
    """

    input_ids: Tensor  # (1, T) int64
    position_ids: Tensor  # (1, T) int64
    predict_at: Tensor  # (N,) int64
    targets: Tensor  # (N,) int64
    weights: Tensor  # (N,) float32
    starts: Tensor  # (examples + 1,) int32
    longest: int

    def to(self, device: torch.device) -> Pack:
        """The same pack on ``device``."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


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
    loss_weighting: Literal["example", "token"],
    *,
    rank: int = 0,
    num_processes: int = 1,
) -> list[Pack]:
    """The packs of one optimizer step's examples, or a process's share of them.

    ``example``: each of B examples counts 1/B, each of its n targets 1/(B n), as with 2023's
    trainer at micro_batch_size 1. ``token``: every target of the batch counts the same, as today.
    The batch is that of all processes, so the losses of all packs of all processes add up to the
    step's. All processes get the same number of packs, since each pass is one they may have to
    meet in (FSDP); what one has fewer is made up by packs that weigh nothing.
    """
    lengths = [len(example.ids) for example in batch]
    plans = [
        [
            [share[i] for i in group]
            for group in assign_packs([lengths[i] for i in share], max_tokens)
        ]
        for share in share_examples(lengths, num_processes)
    ]
    all_targets = sum(example.num_targets for example in batch)

    def weigh(example: Encoded) -> float:
        if loss_weighting == "token":
            return 1 / all_targets
        return 1 / (len(batch) * example.num_targets)

    packs = [
        _build([batch[i] for i in group], [weigh(batch[i]) for i in group]) for group in plans[rank]
    ]
    missing = max(map(len, plans)) - len(packs)
    return packs + [_build([Encoded(batch[0].ids[:2], 1)], [0.0])] * missing


def _build(examples: Sequence[Encoded], weights: Sequence[float]) -> Pack:
    ids: list[int] = []
    positions: list[int] = []
    predict_at: list[int] = []
    targets: list[int] = []
    target_weights: list[float] = []
    starts = [0]
    for example, weight in zip(examples, weights, strict=True):
        start = starts[-1]
        ids += example.ids
        starts.append(len(ids))
        positions += range(len(example.ids))
        learnt = example.target_positions
        # The output at t predicts token t + 1.
        predict_at += [start + position - 1 for position in learnt]
        targets += [example.ids[position] for position in learnt]
        target_weights += [weight] * example.num_targets
    return Pack(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        predict_at=torch.tensor(predict_at),
        targets=torch.tensor(targets),
        weights=torch.tensor(target_weights),
        starts=torch.tensor(starts, dtype=torch.int32),
        longest=max(len(example.ids) for example in examples),
    )
