"""Rows that need not fit into memory: chunks of them; texts and arrays that lie on disk."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
S = TypeVar("S", bound=np.generic)


def iter_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def save_arrays(path: Path, arrays: Iterable[NDArray[S]]) -> NDArray[S]:
    """The rows of all arrays (n, D), kept in a file and paged in as needed. Shape (N, D)."""
    count, width = 0, 0
    dtype: Any = None
    with path.open("wb") as file:
        for array in arrays:
            count, width, dtype = count + len(array), array.shape[1], array.dtype
            file.write(array.tobytes())
    if not count * width:
        return np.empty((count, width), dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype, mode="r", shape=(count, width))


class TextSpool:
    """A file of texts that takes 8 bytes of memory for each: written first, and then read.

    >>> with closing(TextSpool(folder / "texts")) as texts:
    ...     work_through(texts.pass_on(rows))
    ...     texts[0]
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._ends = array("q", [0])
        self._map: mmap.mmap | None = None

    def pass_on(self, texts: Iterable[str]) -> Iterator[str]:
        """The same texts, each added as it passes."""
        for text in texts:
            content = text.encode("utf-8", "surrogatepass")
            self._file.write(content)
            self._ends.append(self._ends[-1] + len(content))
            yield text

    def __getitem__(self, number: int) -> str:
        start, end = self._ends[number], self._ends[number + 1]
        if start == end:
            return ""
        if self._map is None:
            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map[start:end].decode("utf-8", "surrogatepass")

    def close(self) -> None:
        """Let go of the file."""
        if self._map is not None:
            self._map.close()
        self._file.close()
