"""Where a text may hold an edited copy of a benchmark's text: found by characters, fast.

An edit leaves most of a sentence's characters in place, so a copy has several trigrams that few
other items have, close together, and around them many of the sentence's bigrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from kot_platypus.data.normal import Codes, encode_text
from kot_platypus.data.windows import Places, Windows

TRIGRAM = 3
RARE = 10
"""A trigram that occurs more often in the benchmark tells nothing."""
TRIGRAM_SHARE, MAX_TRIGRAMS, WITHIN = 0.3, 6, 40
"""Such a share of a piece's rare trigrams (at most so many) within so many characters, ..."""
BIGRAM_SHARE = 0.6
"""... and such a share of all its bigrams, make a trace."""


class Trace(NamedTuple):
    """The characters of a text's normal form that may hold an edited copy of a piece."""

    text: int
    start: int
    end: int
    piece: int


class Traces:
    """Pieces of text, by their normal forms, to look for edited copies of them."""

    def __init__(self, pieces: Sequence[str]) -> None:
        codes = [encode_text(piece) for piece in pieces]
        self._windows = Windows(codes, TRIGRAM, most=RARE)
        counts = np.bincount(self._windows.owners, minlength=len(pieces))
        self._needed = np.clip(np.ceil(counts * TRIGRAM_SHARE), 2, MAX_TRIGRAMS).astype(np.int64)
        self._lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self._bigrams = [list_bigrams(piece) for piece in pieces]

    def find(self, normals: Sequence[str], joined: Codes, starts: Places) -> list[Trace]:
        """The traces in texts of these normal forms, which ``joined`` and ``starts`` are too."""
        hits = self._windows.find(joined)
        keys = np.sort(hits.sequences * len(joined) + hits.places)
        keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
        pieces, places = np.divmod(keys, len(joined))
        texts = np.searchsorted(starts, places, side="right") - 1
        last = np.arange(len(pieces)) + self._needed[pieces] - 1
        inside = np.flatnonzero(last < len(pieces))
        last = last[inside]
        close = (pieces[last] == pieces[inside]) & (texts[last] == texts[inside])
        reach = np.minimum(WITHIN, 2 * self._lengths[pieces[inside]] + 10)
        close &= places[last] - places[inside] <= reach
        first, last = inside[close], last[close]
        begins, ends = places[first] - starts[texts[first]], places[last] - starts[texts[first]]
        columns = (texts[first], begins, ends + TRIGRAM, pieces[first])
        found = [Trace(*row) for row in np.stack(columns, axis=1).tolist()]
        return [trace for trace in _join(found) if self._is_like(normals[trace.text], trace)]

    def _is_like(self, normal: str, trace: Trace) -> bool:
        wanted, length = self._bigrams[trace.piece], int(self._lengths[trace.piece])
        around = normal[max(0, trace.start - length) : trace.end + length]
        return len(wanted & list_bigrams(around)) >= BIGRAM_SHARE * len(wanted)


def list_bigrams(text: str) -> frozenset[tuple[str, str]]:
    """The pairs of neighbouring characters in a text."""
    return frozenset(pairwise(text))


def _join(traces: Sequence[Trace]) -> list[Trace]:
    """Those of one piece that overlap as one."""
    joined: list[Trace] = []
    for trace in traces:
        last = joined[-1] if joined else trace
        if (last.text, last.piece) == (trace.text, trace.piece) and trace.start <= last.end:
            joined[-1:] = [last._replace(end=trace.end)]
        else:
            joined.append(trace)
    return joined
