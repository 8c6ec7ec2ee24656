"""Windows of codes (characters, morphemes) that two texts share, found for many texts at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kot_platypus.data.normal import Codes, hash_windows, join_codes

Places = NDArray[np.int64]
_MOST_WITHIN = 16
"""A sequence that says one thing over and over has each window so often at most: else a text that
does so too has as many hits as both lengths multiplied."""
Code = TypeVar("Code", bound=Hashable)


class Windows:
    """Where every window of ``size`` codes occurs in a list of sequences.

    Windows that occur more than ``most`` times are left out.
    """

    def __init__(
        self, sequences: Sequence[Codes], size: int, most: int | None = None, bits: int = 24
    ) -> None:
        self.size = size
        joined, starts = join_codes(sequences)
        hashes = hash_windows(joined, size)
        places = np.arange(len(hashes))
        owners = np.searchsorted(starts, places, side="right") - 1
        whole = places + size < starts[owners + 1]  # the last place of each is its end
        chosen = np.flatnonzero(whole)[np.argsort(hashes[whole], kind="stable")]
        chosen = chosen[_count_earlier(hashes[chosen], owners[chosen]) < _MOST_WITHIN]
        if most is not None:
            _, groups, counts = np.unique(hashes[chosen], return_inverse=True, return_counts=True)
            chosen = chosen[counts[groups] <= most]
        self._hashes = hashes[chosen]
        self.owners = owners[chosen]
        """The sequence of each window that is kept."""
        self._offsets = (places - starts[owners])[chosen]
        # One look here settles nearly every window that is not in the index.
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, dtype=np.bool_)
        self._table[self._hashes >> self._shift] = True

    def find(self, codes: Codes) -> Hits:
        """Every occurrence of a window of ``codes``: its place, the sequence, the place there."""
        hashes = hash_windows(codes, self.size)
        places = np.flatnonzero(self._table[hashes >> self._shift])
        low = np.searchsorted(self._hashes, hashes[places], side="left")
        counts = np.searchsorted(self._hashes, hashes[places], side="right") - low
        entries = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
        return Hits(np.repeat(places, counts), self.owners[entries], self._offsets[entries])


def _count_earlier(hashes: Codes, owners: Places) -> Places:
    """Of sorted windows, how many of the same sequence and hash stand before each: (N,)."""
    begins = np.ones(len(hashes), dtype=np.bool_)
    begins[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    first = np.flatnonzero(begins)
    return np.arange(len(hashes)) - np.repeat(first, np.diff(np.append(first, len(hashes))))


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


def find_shortest(
    codes: Sequence[Code], wanted: frozenset[Code], needed: int
) -> tuple[int, int] | None:
    """The shortest stretch with ``needed`` different ones of ``wanted``, if there is one."""
    best, counts, start = None, Counter[Code](), 0
    for end, code in enumerate(codes, start=1):
        if code in wanted:
            counts[code] += 1
        while len(counts) >= needed:
            if best is None or end - start < best[1] - best[0]:
                best = (start, end)
            first = codes[start]
            start += 1
            if first in wanted:
                counts[first] -= 1
                if not counts[first]:
                    del counts[first]
    return best
