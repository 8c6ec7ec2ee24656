"""Near-duplicates among many texts: MinHash signatures, candidates by LSH, then true Jaccard.

Signatures (rensa's R-MinHash; Dahlgaard et al. 2017, https://arxiv.org/abs/1704.04370) only propose
candidates: what decides is the Jaccard similarity of the texts' character 4-grams themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from kot_platypus.data.normal import Codes, encode_normals, hash_windows

NGRAM = 4
NUM_HASHES = 128
NUM_BANDS = 32
"""Four hashes a band: of pairs with Jaccard 0.7 it proposes 99.98 %, with 0.5 still 87 %."""
MIN_CHARS = 12
"""Shorter normal forms are compared by equality alone: one syllable makes another question."""
MAX_BUCKET = 33
"""Up to so many texts of one bucket are all compared with each other."""
NEIGHBOURS = 4
"""Of a larger bucket each is compared with so many on either side, in an order of their contents.

More find no more copies, only more pairs that share a template alone: see docs/benchmarks.md.
"""
_SEED = 42
_MARGIN = 0.13
"""An estimate of 128 hashes is off by more than this once in 300 pairs."""

Signatures = NDArray[np.uint32]
Pairs = NDArray[np.int64]


def sign_normals(points: NDArray[np.uint32], places: Pairs) -> Signatures:
    """The MinHash signatures of what ``encode_normals`` has made. Shape (N, NUM_HASHES).

    Each depends on its text alone, so any split of the work gives the same.
    """
    import rensa

    windows, offsets = _list_windows(points, places)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        windows, offsets.astype(np.uint64), NUM_HASHES, _SEED
    )
    values = chain.from_iterable(matrix.to_rows())
    count = len(offsets) - 1
    return np.fromiter(values, np.uint32, count * NUM_HASHES).reshape(count, NUM_HASHES)


def _list_windows(points: NDArray[np.uint32], places: Pairs) -> tuple[Codes, Pairs]:
    """Hashes of all 4-grams of the texts, one after another, and where each text's begin."""
    windows = hash_windows(points.astype(np.uint64), NGRAM)
    counts = np.maximum(np.diff(places) - NGRAM + 1, 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    # Windows over the end of a text are left out.
    return windows[np.arange(offsets[-1]) + np.repeat(places[:-1] - offsets[:-1], counts)], offsets


def find_candidates(signatures: Signatures, rows: Pairs, order_keys: Codes, floor: float) -> Pairs:
    """Pairs of ``rows`` that may have a Jaccard similarity of ``floor`` or more, each once, sorted.

    Args:
        signatures: (N, NUM_HASHES), in memory or on disk.
        rows: (M,) The numbers of the rows to compare.
        order_keys: (N,) A hash of each row's content: the order of large buckets, so that shuffled
            rows give the same pairs.
        floor: Of the similarity.

    Returns:
        Row numbers (P, 2), the smaller one first.
    """
    found = np.empty(0, dtype=np.int64)
    for band in range(NUM_BANDS):
        parts = [found]
        for first, second in _iter_bucket_pairs(signatures, rows, order_keys, band):
            likely = _estimate(signatures, first, second) >= floor - _MARGIN
            low, high = np.minimum(first, second)[likely], np.maximum(first, second)[likely]
            parts.append(low * len(signatures) + high)
        # Sorted here: np.union1d hashes, and is a hundred times slower at numbers like these.
        codes = np.sort(np.concatenate(parts))
        found = codes[np.diff(codes, prepend=-1) != 0]
    return np.stack(np.divmod(found, max(1, len(signatures))), axis=1)


def _iter_bucket_pairs(
    signatures: Signatures, rows: Pairs, order_keys: Codes, band: int
) -> Iterator[tuple[Pairs, Pairs]]:
    """Rows that agree in a band, neighbours at every distance in turn."""
    width = NUM_HASHES // NUM_BANDS
    codes = signatures[rows, band * width : (band + 1) * width].astype(np.uint64)
    keys = hash_windows(codes.ravel(), width)[::width]
    # Most rows are alone in their bucket, and are not worth to be put in order.
    order = np.argsort(keys)
    same = np.diff(keys[order]) == 0
    order = order[np.append(same, False) | np.append(False, same)]
    keys, rows = keys[order], rows[order]
    # One order for all bands: a template's rows have the same few neighbours in each of them.
    order = np.lexsort((order_keys[rows], keys))
    keys, rows = keys[order], rows[order]
    _, buckets, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    small = sizes[buckets] <= MAX_BUCKET
    for distance in range(1, MAX_BUCKET):
        same = keys[:-distance] == keys[distance:]
        if distance > NEIGHBOURS:
            same &= small[:-distance]
        places = np.flatnonzero(same)
        if not len(places):
            return
        yield rows[places], rows[places + distance]


def _estimate(signatures: Signatures, first: Pairs, second: Pairs) -> NDArray[np.float64]:
    """The share of equal hashes, an estimate of the Jaccard similarity."""
    shares = np.empty(len(first))
    for begin in range(0, len(first), 1 << 14):  # 16 MB of signatures at a time
        part = slice(begin, begin + (1 << 14))
        shares[part] = (signatures[first[part]] == signatures[second[part]]).mean(axis=1)
    return shares


def compute_jaccard(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """The Jaccard similarity of the character 4-grams of the normal forms of pairs of texts.

    ``pairs`` are places in ``texts``, (P, 2); the result is (P,). Texts have 4-grams: at least 4
    letters or digits.
    """
    windows, offsets = _list_windows(*encode_normals(texts))
    ngrams = [set(windows[slice(*ends)].tolist()) for ends in pairwise(offsets.tolist())]
    similarities = np.empty(len(pairs))
    for i, (first, second) in enumerate(pairs.tolist()):
        shared = len(ngrams[first] & ngrams[second])
        similarities[i] = shared / (len(ngrams[first]) + len(ngrams[second]) - shared)
    return similarities
