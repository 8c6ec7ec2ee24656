"""Pairs of a chosen and a rejected reply: encoded as rows are, and packed together.

Both halves are tokenised, truncated and labelled as examples of SFT, by the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kot_platypus.errors import DataError
from kot_platypus.prompts import Template
from kot_platypus.recipe import LossWeighting, TrainSection
from kot_platypus.records import Row, find_rejected
from kot_platypus.train.attention import Pack
from kot_platypus.train.encoding import Encoded, encode_rows
from kot_platypus.train.loss import weigh_examples
from kot_platypus.train.packing import (
    PACKED_AT_ONCE,
    build_pack,
    iter_packs,
    pack_batch,
    plan_packs,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pair:
    """Two replies to one question."""

    chosen: Encoded
    rejected: Encoded
    reference: tuple[float, float] = (0.0, 0.0)
    """The log-probabilities (nats) of their labels in the model that the training began with."""

    @property
    def num_tokens(self) -> int:
        """The tokens of both."""
        return self.chosen.num_tokens + self.rejected.num_tokens

    @property
    def num_labels(self) -> int:
        """The labels of both."""
        return self.chosen.num_labels + self.rejected.num_labels

    @property
    def num_truncated(self) -> int:
        """Tokens that ``cutoff_len`` took off either."""
        return self.chosen.num_truncated + self.rejected.num_truncated

    @property
    def num_only_shown(self) -> int:
        """Answers of either that the chat template shows otherwise than written."""
        return self.chosen.num_only_shown + self.rejected.num_only_shown


Item = Encoded | Pair
"""What a training learns from."""


def list_halves(items: Iterable[Item]) -> list[Encoded]:
    """Every example on its own, those of a pair one after the other."""
    halves: list[Encoded] = []
    for item in items:
        halves += (item.chosen, item.rejected) if isinstance(item, Pair) else (item,)
    return halves


def encode_items(
    rows: Sequence[Row],
    template: Template,
    section: TrainSection,
    tokenizer: PreTrainedTokenizerBase,
    *,
    source: object,
    numbers: Iterable[int] | None = None,
) -> list[Item | None]:
    """Every row, or every pair, or None where nothing is left to learn. Raises as ``encode_rows``.

    Of a pair nothing is left where one half is dropped or both are the same tokens.
    """
    listed = list(numbers or range(1, len(rows) + 1))
    halves = split_rows(rows, section, source=source, numbers=listed)
    return join_halves(
        [
            encode_rows(half, template, section, tokenizer, source=source, numbers=listed)
            for half in halves
        ]
    )


def join_halves(halves: Sequence[Sequence[Encoded | None]]) -> list[Item | None]:
    """The examples of one list as they are, the chosen and the rejected of two as pairs."""
    if len(halves) == 1:
        return list(halves[0])
    return [
        Pair(chosen, rejected) if chosen and rejected and chosen.ids != rejected.ids else None
        for chosen, rejected in zip(*halves, strict=True)
    ]


def split_rows(
    rows: Sequence[Row], section: TrainSection, *, source: object, numbers: Sequence[int]
) -> list[list[Row]]:
    """``rows``, and of pairs those that are rejected. Raises DataError for a row without one."""
    if not section.takes_pairs:
        return [list(rows)]
    rejected = []
    for number, row in zip(numbers, rows, strict=True):
        other = find_rejected(row)
        if other is None:
            raise DataError(
                f"{source}, row {number} is no pair, which objective {section.objective} takes",
                expected="`chosen` and `rejected` beside a `prompt`, or what kot data pairs wrote",
                hint="Make pairs of it, or set train.objective=sft.",
            )
        rejected.append(other)
    return [list(rows), rejected]


# --- packs -------------------------------------------------------------------------------------


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


def pack_items(
    batch: Sequence[Any], max_tokens: int, loss_weighting: LossWeighting, **share: int
) -> Sequence[Pack | PairPack]:
    """``packing.pack_batch``, or ``pack_pairs``."""
    pack = pack_pairs if isinstance(batch[0], Pair) else pack_batch
    return pack(batch, max_tokens, loss_weighting, **share)


def iter_item_packs(
    items: Sequence[Any], max_tokens: int, loss_weighting: LossWeighting, **share: int
) -> Iterator[Pack | PairPack]:
    """As ``packing.iter_packs``, of examples or of pairs."""
    if not items or not isinstance(items[0], Pair):
        yield from iter_packs(items, max_tokens, loss_weighting, **share)
        return
    weights = _weigh(items, loss_weighting)
    for start in range(0, len(items), PACKED_AT_ONCE):
        part = slice(start, start + PACKED_AT_ONCE)
        yield from _pack(items[part], weights[part], len(items), max_tokens, **share)


def pack_pairs(
    batch: Sequence[Pair], max_tokens: int, loss_weighting: LossWeighting, **share: int
) -> list[PairPack]:
    """As ``packing.pack_batch``; the halves of a pair lie in one pack."""
    return _pack(batch, _weigh(batch, loss_weighting), len(batch), max_tokens, **share)


def _weigh(pairs: Sequence[Pair], loss_weighting: LossWeighting) -> list[float]:
    return weigh_examples([pair.chosen for pair in pairs], loss_weighting)


def _pack(
    pairs: Sequence[Pair],
    weights: Sequence[float],
    num_pairs: int,
    max_tokens: int,
    rank: int = 0,
    num_processes: int = 1,
) -> list[PairPack]:
    """Of ``num_pairs`` in all, which count the same; ``weights`` are of the labels chosen."""
    plans = plan_packs([pair.num_tokens for pair in pairs], max_tokens, num_processes)
    packs = [
        _build([pairs[i] for i in group], [weights[i] for i in group], 1 / num_pairs, max_tokens)
        for group in plans[rank]
    ]
    missing = max(map(len, plans)) - len(packs)
    short = Encoded(pairs[0].chosen.ids[:2], 1)
    return packs + [_build([Pair(short, short)], [0.0], 0.0, max_tokens)] * missing


def _build(
    pairs: Sequence[Pair], weights: Sequence[float], weight: float, max_tokens: int
) -> PairPack:
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
