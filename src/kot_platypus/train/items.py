"""What a training learns from: a row's token ids, or those of two replies to one question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Encoded:
    """A row's token ids: ``ids[:prompt_len]`` is the prompt, the rest labels but for ``masked``."""

    ids: tuple[int, ...]
    prompt_len: int
    masked: frozenset[int] = frozenset()
    """Positions after the prompt that are no labels either: a conversation's later questions."""
    num_truncated: int = 0
    """Tokens that ``cutoff_len`` took."""
    num_only_shown: int = 0
    """Answers that are no labels, since the chat template shows them otherwise than written."""

    @property
    def label_positions(self) -> list[int]:
        """The positions in ``ids`` that are labels, ascending."""
        return [i for i in range(self.prompt_len, len(self.ids)) if i not in self.masked]

    @property
    def num_tokens(self) -> int:
        """How many tokens it has."""
        return len(self.ids)

    @property
    def num_labels(self) -> int:
        """How many tokens are labels."""
        return len(self.ids) - self.prompt_len - len(self.masked)


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
