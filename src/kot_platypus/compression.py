"""Files as they are or compressed (gzip, Zstandard), read as a stream of what they hold."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from kot_platypus.errors import DataError

COMPRESSED = (".gz", ".zst")


def is_compressed(path: Path) -> bool:
    """Whether a file is, by its name."""
    return path.suffix.lower() in COMPRESSED


def find_suffix(path: Path) -> str:
    """The suffix of what a file holds, in lower case: ``.jsonl`` of ``rows.jsonl.gz``."""
    return Path(path.stem if is_compressed(path) else path.name).suffix.lower()


@contextmanager
def open_bytes(path: Path) -> Iterator[BufferedReader]:
    """The content of a file. Raises DataError, also while it is read, where one is torn."""
    if not is_compressed(path):
        with path.open("rb") as file:
            yield file
        return
    try:
        with _open_gzip(path) if path.suffix.lower() == ".gz" else _open_zstd(path) as file:
            yield file
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({str(error)[:120]})",
            expected=f"a whole file of the kind {path.suffix}",
            hint="Download or compress it again.",
        ) from error


def _open_gzip(path: Path) -> BufferedReader:
    return cast("BufferedReader", gzip.open(path, "rb"))


def _open_zstd(path: Path) -> BufferedReader:
    import pyarrow  # which reads Zstandard without another package

    return BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
