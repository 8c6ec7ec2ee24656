"""Duplicates: pairs of rows with their similarity, found once; clusters at any threshold.

Three kinds, each wider than the one before it: ``exact`` (equal normal forms), ``near`` (Jaccard
similarity of character 4-grams), ``semantic`` (cosine of sentence embeddings). All of them leave
apart two texts that ask two things, however alike they are: see ``differences.tell_apart``; and
``near`` also short ones with another word, which ``semantic`` is there to find.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kot_platypus.data.differences import list_signs, list_values, tell_apart
from kot_platypus.data.executors import IN_PROCESS, Executor
from kot_platypus.data.minhash import (
    MIN_CHARS,
    Signatures,
    compute_jaccard,
    find_candidates,
    sign_normals,
)
from kot_platypus.data.normal import Codes, encode_normals
from kot_platypus.data.replacements import is_word_replaced
from kot_platypus.data.semantic import Encode, find_similar
from kot_platypus.data.spool import TextSpool, iter_chunks, save_arrays
from kot_platypus.records import Record

Kind = Literal["exact", "near", "semantic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
THRESHOLDS: dict[Kind, float] = {"exact": 1.0, "near": 0.7, "semantic": 0.8}
"""The similarity from which a pair counts as duplicates."""
FLOORS: dict[Kind, float] = {"exact": 1.0, "near": 0.5, "semantic": 0.7}
"""The similarity from which a pair is kept, so that a threshold can be lowered to it."""
CHUNK_ROWS = 2048
CHUNK_PAIRS = 512
_TABLE = np.dtype(
    [("first", np.int64), ("second", np.int64), ("kind", np.int8), ("similarity", np.float64)]
)
"""Pairs as an array: 25 bytes each."""


class Pair(Record):
    """Two rows that are alike. Rows count from 0; ``first`` is the smaller number."""

    first: int
    second: int
    kind: Kind
    similarity: float


def iter_pairs(
    texts: Iterable[str],
    kinds: Sequence[Kind] = ("exact", "near"),
    *,
    encode: Encode | None = None,
    folder: Path | None = None,
    executor: Executor = IN_PROCESS,
) -> Iterator[Pair]:
    """All pairs of rows that are alike, sorted by rows; the same for any order of the rows.

    Of equal texts each is paired with the first, and only the first is compared further. Exact
    pairs are found whatever ``kinds`` says. Texts whose normal form has fewer than 12 characters
    are compared by equality alone.

    Memory: about 120 bytes a row and 100 bytes a pair. On disk: the texts, 512 bytes a row for
    ``near``, twice the encoder's dimensions for ``semantic``.

    Args:
        texts: One a row; read once.
        kinds: Which to look for.
        encode: Of ``semantic``: texts to unit vectors.
        folder: Where the temporary files go; None: the system's place for them.
        executor: Who computes what is a row's own, and the similarity of near pairs.
    """
    with (
        tempfile.TemporaryDirectory(dir=folder, suffix=".part") as work,
        closing(TextSpool(Path(work) / "texts")) as spool,
    ):
        texts = spool.pass_on(texts)
        facts = _describe_rows(texts, Path(work) / "signatures", executor, kinds)
        firsts, exact = _pair_equals(facts.contents)
        tables = [exact]
        compared = firsts[facts.long_enough[firsts]]
        if "near" in kinds and len(compared):
            tables.append(_pair_near(spool, compared, facts, FLOORS["near"], executor))
        if "semantic" in kinds and len(compared):
            assert encode is not None, "semantic needs an encoder"
            vectors = (
                encode([spool[row] for row in chunk]).astype(np.float16)
                for chunk in iter_chunks(compared, CHUNK_ROWS)
            )
            saved = save_arrays(Path(work) / "vectors", vectors)
            similar = [
                (compared[i], compared[j], cosine)
                for i, j, cosine in find_similar(saved, facts.guards[compared], FLOORS["semantic"])
                if not tell_apart(spool[compared[i]], spool[compared[j]])
            ]
            rows = np.array([each[:2] for each in similar], dtype=np.int64).reshape(-1, 2)
            tables.append(_tabulate(rows, "semantic", [cosine for *_, cosine in similar]))
    yield from _iter_sorted(np.concatenate(tables))


def _tabulate(rows: NDArray[np.int64], kind: Kind, similarities: ArrayLike) -> NDArray[np.void]:
    """Pairs of rows (P, 2) and their similarities (P,) as a table (P,)."""
    table = np.empty(len(rows), dtype=_TABLE)
    table["first"], table["second"] = rows.T
    table["kind"], table["similarity"] = KINDS.index(kind), similarities
    return table


def _iter_sorted(table: NDArray[np.void]) -> Iterator[Pair]:
    order = np.lexsort((table["kind"], table["second"], table["first"]))
    for chunk in iter_chunks(order, CHUNK_ROWS):
        for first, second, kind, similarity in table[chunk].tolist():
            yield Pair(
                first=first, second=second, kind=KINDS[kind], similarity=round(similarity, 4)
            )


class _Facts(NamedTuple):
    """What texts are compared by, a row each."""

    contents: Codes
    """A hash of the normal form, and of the signs that it has lost."""
    long_enough: NDArray[np.bool_]
    """Whether more than equality counts."""
    guards: Codes
    """For ``semantic``, whose candidates are all pairs: a hash of the numbers."""
    signatures: Signatures
    """For ``near``: (N, NUM_HASHES), else (N, 0)."""


def _describe_rows(
    texts: Iterable[str], path: Path, executor: Executor, kinds: Sequence[Kind]
) -> _Facts:
    """The facts of all texts, in their order; the signatures lie in a file."""
    describe = partial(_describe_texts, kinds=kinds)
    parts = [describe([])]

    def iter_signatures() -> Iterator[Signatures]:
        for facts in executor.map(describe, iter_chunks(texts, CHUNK_ROWS)):
            parts.append(facts._replace(signatures=facts.signatures[:0]))
            yield facts.signatures

    signatures = save_arrays(path, iter_signatures())
    contents, long_enough, guards, _ = map(np.concatenate, zip(*parts, strict=True))
    return _Facts(contents, long_enough, guards, signatures)


def _describe_texts(texts: Sequence[str], *, kinds: Sequence[Kind]) -> _Facts:
    points, places = encode_normals(texts)
    contents = []
    for text, (start, end) in zip(texts, pairwise(places.tolist()), strict=True):
        # A text of signs alone has an empty normal form, and is not equal to every other such.
        normal = points[start:end].tobytes() or "\0".join(text.split()).encode(*_CODEC)
        contents.append(_hash_bytes(normal + "\n".join(list_signs(text)).encode()))
    guards = [
        _hash_bytes(" ".join(list_values(text)).encode()) if "semantic" in kinds else 0
        for text in texts
    ]
    return _Facts(
        np.array(contents, dtype=np.uint64),
        np.diff(places) >= MIN_CHARS,
        np.array(guards, dtype=np.uint64),
        sign_normals(points, places)
        if "near" in kinds
        else np.empty((len(texts), 0), dtype=np.uint32),
    )


_CODEC = "utf-8", "surrogatepass"


def _hash_bytes(content: bytes) -> int:
    """64 bits: among 2 million texts the chance that any two collide is 1e-7."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _pair_equals(contents: Codes) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """The rows that are the first of their content, and each other row paired with its first."""
    _, starts, groups = np.unique(contents, return_index=True, return_inverse=True)
    first_of = starts[groups]
    rows = np.flatnonzero(first_of != np.arange(len(contents)))
    pairs = np.stack([first_of[rows], rows], axis=1)
    return np.sort(starts), _tabulate(pairs, "exact", 1.0)


def _pair_near(
    spool: TextSpool, rows: NDArray[np.int64], facts: _Facts, floor: float, executor: Executor
) -> NDArray[np.void]:
    pairs = find_candidates(facts.signatures, rows, facts.contents, floor)

    def iter_with_texts() -> Iterator[tuple[list[str], NDArray[np.int64]]]:
        for begin in range(0, len(pairs), CHUNK_PAIRS):
            chunk = pairs[begin : begin + CHUNK_PAIRS]
            needed, places = np.unique(chunk, return_inverse=True)
            yield [spool[row] for row in needed], places.reshape(chunk.shape)

    parts = [np.empty(0), *executor.map(partial(_compare, floor=floor), iter_with_texts())]
    similarities = np.concatenate(parts)
    alike = similarities >= floor
    return _tabulate(pairs[alike], "near", similarities[alike])


def _compare(chunk: tuple[list[str], NDArray[np.int64]], floor: float) -> NDArray[np.float64]:
    """The similarities of pairs of texts; -1 where it does not matter how alike they are."""
    texts, pairs = chunk
    similarities = compute_jaccard(texts, pairs)
    for place in np.flatnonzero(similarities >= floor):
        one, other = (texts[number] for number in pairs[place])
        if tell_apart(one, other) or is_word_replaced(one, other):
            similarities[place] = -1
    return similarities


# --- clusters ----------------------------------------------------------------------------------


def cluster(
    pairs: Iterable[Pair], thresholds: Mapping[Kind, float] = THRESHOLDS
) -> list[tuple[int, ...]]:
    """Rows that hang together by pairs at or above their kind's threshold; the first is to keep.

    Kinds that ``thresholds`` does not name are left out. Clusters are sorted by their first row.
    Two rows of a cluster may be alike only by way of others between them.
    """
    parents: dict[int, int] = {}

    def find_root(row: int) -> int:
        while (parent := parents.setdefault(row, row)) != row:
            parents[row] = row = parents[parent]
        return row

    for pair in pairs:
        if pair.similarity >= thresholds.get(pair.kind, np.inf):
            roots = find_root(pair.first), find_root(pair.second)
            parents[max(roots)] = min(roots)
    members: dict[int, list[int]] = {}
    for row in sorted(parents):
        members.setdefault(find_root(row), []).append(row)
    return [tuple(rows) for rows in members.values() if len(rows) > 1]


def list_dropped(clusters: Iterable[Sequence[int]]) -> set[int]:
    """The rows to leave out: all of each cluster but its first."""
    return {row for rows in clusters for row in rows[1:]}


def count_kinds(pairs: Iterable[Pair]) -> dict[str, int]:
    """How many pairs there are of each kind."""
    counts = Counter(pair.kind for pair in pairs)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}
