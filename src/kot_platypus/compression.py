"""Files as they are or compressed (gzip, Zstandard), read as a stream of what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from kot_platypus.errors import DataError

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}


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
    import pyarrow

    kind = COMPRESSED[path.suffix.lower()]
    try:
        with BufferedReader(pyarrow.input_stream(str(path), compression=kind)) as file:
            yield file
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({str(error)[:120]})",
            expected=f"a whole file of the kind {path.suffix}",
            hint="Download or compress it again.",
        ) from error
