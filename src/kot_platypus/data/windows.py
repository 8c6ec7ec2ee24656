"""Windows of codes (characters, morphemes) that two texts share, found for many texts at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kot_platypus.data.normal import Codes, hash_windows, join_codes

Places = NDArray[np.int64]

_TABLE_BITS = 24
_MIN_BAG = 4
"""An item of fewer different morphemes is in any text by chance."""


class Windows:
    """Where every window of ``size`` codes occurs in a list of sequences."""

    def __init__(self, sequences: Sequence[Codes], size: int) -> None:
        self.size = size
        joined, starts = join_codes(sequences)
        hashes = hash_windows(joined, size)
        places = np.arange(len(hashes))
        owners = np.searchsorted(starts, places, side="right") - 1
        whole = places + size < starts[owners + 1]  # the last place of each is its end
        order = np.argsort(hashes[whole], kind="stable")
        self._hashes = hashes[whole][order]
        self._owners = owners[whole][order]
        self._offsets = (places - starts[owners])[whole][order]
        # One look here settles nearly every window that is not in the index.
        self._table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        self._table[self._hashes >> np.uint64(64 - _TABLE_BITS)] = True

    def find(self, codes: Codes) -> Hits:
        """Every occurrence of a window of ``codes``: its place, the sequence, the place there."""
        hashes = hash_windows(codes, self.size)
        places = np.flatnonzero(self._table[hashes >> np.uint64(64 - _TABLE_BITS)])
        low = np.searchsorted(self._hashes, hashes[places], side="left")
        counts = np.searchsorted(self._hashes, hashes[places], side="right") - low
        entries = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
        return Hits(np.repeat(places, counts), self._owners[entries], self._offsets[entries])

    def list_sequences(self, codes: Codes, starts: Places) -> list[int]:
        """Of the sequences that ``codes`` joins, those with a window that occurs."""
        hashes = hash_windows(codes, self.size)
        places = np.flatnonzero(self._table[hashes >> np.uint64(64 - _TABLE_BITS)])
        places = places[np.isin(hashes[places], self._hashes)]
        found: list[int] = np.unique(np.searchsorted(starts, places, side="right") - 1).tolist()
        return found


class Hits(NamedTuple):
    """Windows that occur, one entry for each occurrence: (H,) each."""

    places: Places
    """Where among the codes that were looked up."""
    sequences: Places
    offsets: Places
    """Where in that sequence."""


@dataclass(frozen=True)
class Run:
    """Consecutive windows of a text that are consecutive in an item too."""

    text: int
    start: int
    end: int
    item: int
    item_start: int

    @property
    def item_end(self) -> int:
        """Where the run ends in the item."""
        return self.item_start + self.end - self.start


def join_runs(hits: Hits, starts: Places, size: int) -> list[Run]:
    """Hits as runs: neighbouring windows of one text that are neighbours in one item.

    ``starts`` is where each text begins among the codes, ``size`` that of the windows.
    """
    if not len(hits.places):
        return []
    places, items, offsets = hits
    order = np.lexsort((places, places - offsets, items))
    places, items, offsets = places[order], items[order], offsets[order]
    goes_on = (np.diff(places) == 1) & (np.diff(offsets) == 1) & (np.diff(items) == 0)
    first = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    last = np.concatenate([first[1:], [len(places)]]) - 1
    texts = np.searchsorted(starts, places[first], side="right") - 1
    begins = places[first] - starts[texts]
    ends = places[last] - starts[texts] + size
    columns = (texts, begins, ends, items[first], offsets[first])
    return [Run(*row) for row in np.stack(columns, axis=1).tolist()]


class Bags:
    """Sequences as sets of codes, found in others whatever the order."""

    def __init__(self, sequences: Sequence[Codes]) -> None:
        self._lengths = [len(sequence) for sequence in sequences]
        self._sets = [frozenset(sequence.tolist()) for sequence in sequences]
        self._needed = np.array([_count_needed(len(codes)) for codes in self._sets])
        self._width = max((max(codes, default=0) for codes in self._sets), default=0) + 1
        self._matrix = self._tabulate(sequences).T.tocsr()

    def _tabulate(self, sequences: Sequence[Codes]) -> Any:
        """Which sequence has which codes, (len(sequences), codes) of 0 and 1, without code 0."""
        columns = [sorted(set(sequence.tolist()) - {0}) for sequence in sequences]
        ends = np.cumsum([0, *map(len, columns)])
        indices = np.fromiter(chain.from_iterable(columns), dtype=np.int64)
        ones = np.ones(len(indices), dtype=np.int32)
        return sparse.csr_matrix((ones, indices, ends), shape=(len(sequences), self._width))

    def find(self, sequences: Sequence[Codes]) -> Iterator[tuple[int, int, int, int]]:
        """Where the codes of a bag stand close together: sequence, bag, start and end there."""
        if not len(sequences):
            return
        shared = (self._tabulate(sequences) @ self._matrix).tocoo()
        likely = shared.data >= self._needed[shared.col]
        pairs = zip(shared.row[likely].tolist(), shared.col[likely].tolist(), strict=True)
        for i, bag in sorted(pairs):
            longest = self._lengths[bag] + self._lengths[bag] // 4 + 1
            span = _find_shortest(sequences[i].tolist(), self._sets[bag], int(self._needed[bag]))
            if span[1] - span[0] <= longest:
                yield i, bag, *span


def _count_needed(size: int) -> int:
    """How many of a bag's codes must be there: all, or one in seven less; never of tiny bags."""
    return size - size // 7 if size >= _MIN_BAG else 1 << 30


def _find_shortest(codes: Sequence[int], wanted: frozenset[int], needed: int) -> tuple[int, int]:
    """The shortest stretch with ``needed`` different ones of ``wanted``, which must exist."""
    best, counts, start = (0, len(codes) + 1), Counter[int](), 0
    for end, code in enumerate(codes, start=1):
        if code in wanted:
            counts[code] += 1
        while len(counts) >= needed:
            if end - start < best[1] - best[0]:
                best = (start, end)
            first = codes[start]
            start += 1
            if first in wanted:
                counts[first] -= 1
                if not counts[first]:
                    del counts[first]
    return best
