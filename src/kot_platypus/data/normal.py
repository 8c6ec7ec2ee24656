"""What two texts are compared by: normal form, windows of characters, morphemes, numbers.

The normal form is NFKC, case folded, with everything but letters and digits removed: Korean spacing
is free enough that a copy rarely keeps it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kot_platypus.data import executors

Codes = NDArray[np.uint64]

_REMOVED = re.compile(r"[\W_]+")
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: a permutation of 64-bit numbers
_CONTENT_TAGS = frozenset(
    {"NNG", "NNP", "NR", "VV", "VA", "XR", "MAG", "SL", "SH", "SN"}
)  # nouns, verbs, adjectives, roots, adverbs, foreign words, Chinese characters, numbers


def normalise(text: str) -> str:
    """The normal form of ``text``; empty when it has neither letters nor digits."""
    return _REMOVED.sub("", unicodedata.normalize("NFKC", text).casefold())


def encode_normals(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The code points of many normal forms at once: one after another, and where each begins.

    The places (N + 1,) end with the number of code points.
    """
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    joined = "".join(folded).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(joined, dtype=np.uint32)
    kept = _list_kept()[points]
    before = np.concatenate([[0], np.cumsum(kept)])
    ends = np.cumsum([0, *map(len, folded)])
    return points[kept], before[ends]


@cache
def _list_kept() -> NDArray[np.bool_]:
    """Whether a normal form keeps a character, by its code point."""
    return np.fromiter(map(str.isalnum, map(chr, range(sys.maxunicode + 1))), dtype=np.bool_)


@lru_cache(maxsize=1024)  # one text may have thousands of matches
def map_positions(text: str) -> NDArray[np.int32]:
    """For each character of ``normalise(text)``, where in ``text`` it comes from: (N + 1,).

    The last entry is the length of ``text``.
    """
    positions: list[int] = []
    for start, end in _iter_clusters(text):
        positions += [start] * _measure_normal(text[start:end])
    return np.array([*positions, len(text)], dtype=np.int32)


@lru_cache(maxsize=1 << 16)
def _measure_normal(cluster: str) -> int:
    return len(normalise(cluster))


def find_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Where in ``text`` the characters ``[start, end)`` of its normal form stand."""
    positions = map_positions(text)
    stop = int(positions[end - 1]) + 1
    while stop < len(text) and _joins_previous(text[stop]):
        stop += 1  # a cluster may be several characters of the text (a letter and its accent)
    return int(positions[start]), stop


def _iter_clusters(text: str) -> Iterator[tuple[int, int]]:
    """Pieces that NFKC leaves apart: a character and those that may be composed with it."""
    start = 0
    for i in range(1, len(text)):
        if not _joins_previous(text[i]):
            yield start, i
            start = i
    if text:
        yield start, len(text)


@cache
def _joins_previous(char: str) -> bool:
    """Whether NFKC may compose ``char`` with the one before it: accents, Korean vowels, finals."""
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.combining(first) != 0 or "\u1161" <= first <= "\u11ff"


# --- windows -----------------------------------------------------------------------------------


def encode_text(text: str) -> Codes:
    """A text's code points."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return points.astype(np.uint64)


def hash_windows(codes: Codes, size: int) -> Codes:
    """A 64-bit hash of every ``size`` consecutive codes. Shapes: (N,) to (N - size + 1,) or (0,).

    A polynomial with coefficients of 64 bits: among 300 million windows looked up in a million
    the chance of any mistake is 2e-5.
    """
    count = len(codes) - size + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    multiplier = np.uint64(_MULTIPLIER)
    spread = (codes + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
    spread ^= spread >> np.uint64(32)
    hashes = spread[:count].copy()
    for i in range(1, size):
        hashes *= multiplier
        hashes += spread[i : i + count]
    hashes ^= hashes >> np.uint64(29)
    hashes *= multiplier
    return hashes


# --- morphemes ---------------------------------------------------------------------------------


class Morpheme(NamedTuple):
    """A content morpheme and where it stands in its text."""

    form: str
    start: int
    end: int


def split_morphemes(texts: Iterable[str]) -> Iterator[list[Morpheme]]:
    """The content morphemes of each text: no particles, endings or punctuation (kiwipiepy)."""
    for tokens in _load_kiwi().tokenize(texts):
        yield [
            Morpheme(token.form.casefold(), token.start, token.end)
            for token in tokens
            if token.tag.partition("-")[0] in _CONTENT_TAGS  # VV-I: irregular
        ]


@cache
def _load_kiwi() -> Any:
    import kiwipiepy

    kiwi = kiwipiepy.Kiwi(num_workers=1 if executors.is_worker else None)  # None: all processors
    kiwi.global_config.space_tolerance = 2  # so many wrong spaces within a word
    return kiwi


def join_codes(sequences: Sequence[Codes]) -> tuple[Codes, NDArray[np.int64]]:
    """All sequences in one, a zero after each, and where each begins. No window crosses a zero.

    Codes are above zero, so a window with a zero in it is found in no index.
    """
    lengths = np.array([len(codes) + 1 for codes in sequences], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    joined = np.zeros(int(starts[-1]), dtype=np.uint64)
    for codes, start in zip(sequences, starts[:-1], strict=True):
        joined[start : start + len(codes)] = codes
    return joined, starts
