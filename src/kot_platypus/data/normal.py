"""What two texts are compared by: normal form, windows of characters, morphemes, numbers.

The normal form is NFKC, case folded, with everything but letters and digits removed: Korean spacing
is free enough that a copy rarely keeps it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kot_platypus.data import executors
from kot_platypus.numerals import NATIVE_ONES, NATIVE_TENS

Codes = NDArray[np.uint64]

_REMOVED = re.compile(r"[\W_]+")
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: a permutation of 64-bit numbers
_CONTENT_TAGS = frozenset(
    {"NNG", "NNP", "NR", "VV", "VA", "XR", "MAG", "SL", "SH", "SN"}
)  # nouns, verbs, adjectives, roots, adverbs, foreign words, Chinese characters, numbers
_SIGN = r"(?:(?<![\w)])[-−])"
_NUMBER = re.compile(rf"{_SIGN}?\d[\d,]*(?:\.\d+)?|(?<=[\w)\]])\s*[-−+×÷*/^=<>≤≥±%]")
_LEADING_ZEROS = re.compile(r"^(-?)0+(?=\d)")
_ONES = "한|두|세|네|다섯|여섯|일곱|여덟|아홉"
_COUNTERS = (
    "개월|개|명|사람|마리|권|장|송이|자루|시간|시|살|대|번|잔|병|그루|켤레|벌|채|척|통|봉지|상자|"
    "가지|달|배|쪽|줄|쌍|팀|곳|군데|조각|그릇|판|묶음|바구니|접시"
)
_COUNTED = re.compile(
    rf"(?<![가-힣])(?=\S)({'|'.join(NATIVE_TENS)})?({_ONES})?(?<=[가-힣])\s?(?={_COUNTERS})"
)


def normalise(text: str) -> str:
    """The normal form of ``text``; empty when it has neither letters nor digits."""
    return _REMOVED.sub("", unicodedata.normalize("NFKC", text).casefold())


def map_positions(text: str) -> list[int]:
    """For each character of ``normalise(text)``, where in ``text`` it comes from.

    One more entry stands at the end: the length of ``text``.
    """
    positions: list[int] = []
    for start, end in _iter_clusters(text):
        positions += [start] * _measure_normal(text[start:end])
    return [*positions, len(text)]


@lru_cache(maxsize=1 << 16)
def _measure_normal(cluster: str) -> int:
    return len(normalise(cluster))


def find_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Where in ``text`` the characters ``[start, end)`` of its normal form stand."""
    positions = map_positions(text)
    last = positions[end - 1]
    # A cluster may be several characters of the text (a letter and its accent).
    return positions[start], next(stop for begin, stop in _iter_clusters(text) if begin == last)


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


# --- numbers -----------------------------------------------------------------------------------


def list_quantities(text: str) -> tuple[str, ...]:
    """The multiset of a text's numbers and the operators between them, sorted.

    ``1,000`` is ``1000``, ``3.50`` is ``3.5``, ``세 개`` and ``3개`` are the same. Two
    problems that differ here are two problems, however alike their words are.
    """
    plain = unicodedata.normalize("NFKC", text)
    plain = _COUNTED.sub(_count_in_digits, plain)
    return tuple(sorted(_plain_number(found) for found in _NUMBER.findall(plain)))


def _count_in_digits(found: re.Match[str]) -> str:
    return str(NATIVE_TENS.get(found[1], 0) + NATIVE_ONES.get(found[2], 0))


def _plain_number(found: str) -> str:
    number = found.strip().replace(",", "").replace("−", "-")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return _LEADING_ZEROS.sub(r"\1", number)


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


def list_ngrams(text: str, size: int) -> frozenset[str]:
    """The different character n-grams; of a shorter text the text itself is the only one."""
    return frozenset(text[i : i + size] for i in range(max(1, len(text) - size + 1)))


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
