"""Files of training rows: JSONL, JSON, CSV or Parquet, read as a stream of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from pydantic_core import from_json

from kot_platypus.artifacts import describe_no_file, read_text, write_lines
from kot_platypus.columns import Columns, map_columns
from kot_platypus.compression import find_suffix, is_compressed
from kot_platypus.encodings import describe_bytes, open_utf8
from kot_platypus.errors import DataError
from kot_platypus.records import Example, Row
from kot_platypus.row_formats import Notes, parse_row
from kot_platypus.tables import iter_table

_KEYED = re.compile(rb'\s*\{\s*"\d+"\s*:\s*\{')
_PARQUET_ROWS = 4096
Placed = Iterator[tuple[str, object]]
"""Where a row lies in its file, and what lies there."""
LeaveOut = Callable[[str, DataError], None]
"""What is done with a row that cannot be read, if not to raise: its place, and why."""


def refuse(place: str, error: DataError) -> None:
    """The first row that cannot be read ends it all."""
    raise error


def read_rows(path: Path, columns: Columns | None = None) -> list[Row]:
    """The rows of a file, by its suffix. Raises DataError naming the first bad one."""
    return list(iter_rows(path, columns))


def iter_rows(
    path: Path, columns: Columns | None = None, notes: Notes | None = None
) -> Iterator[Row]:
    """The rows of a file one at a time: it need not fit into memory.

    ``columns`` renames them first; ``notes`` counts what was read otherwise than it may be meant.
    """
    return parse_rows(iter_values(path), path, columns, notes)


def parse_rows(
    values: Iterable[tuple[str, object]],
    source: object,
    columns: Columns | None = None,
    notes: Notes | None = None,
) -> Iterator[Row]:
    """Rows of their places in ``source`` and their values."""
    return (row for _, _, row in sift_rows(values, source, columns, notes))


def sift_rows(
    values: Iterable[tuple[str, object]],
    source: object,
    columns: Columns | None = None,
    notes: Notes | None = None,
    leave_out: LeaveOut = refuse,
) -> Iterator[tuple[str, object, Row]]:
    """Each row with its place in ``source`` and its values as they stand there."""
    for place, each in values:
        where = f"{source} {place}"
        try:
            row = parse_row(map_columns(each, columns or {}, where), where, notes)
        except DataError as error:
            leave_out(place, error)
        else:
            yield place, each, row


def read_problems(
    path: Path, limit: int | None = None, columns: Columns | None = None
) -> list[Example]:
    """The first rows of a file of questions whose answers are known.

    Raises DataError for a row without source and target, and where there is none.
    """
    rows = enumerate(read_rows(path, columns)[:limit], start=1)
    problems = [require_problem(row, f"{path} row {number}") for number, row in rows]
    if not problems:
        raise DataError(f"{path} holds no rows", expected="questions", hint="Check the path.")
    return problems


def require_problem(row: Row, where: str) -> Example:
    """The row, if it has a question and its answer. Raises DataError otherwise."""
    if not isinstance(row, Example) or not row.source.strip() or not row.target.strip():
        raise DataError(
            f"{where} states no final answer",
            expected="a source and a target",
            hint="Leave the row out, or give its answer as `target`.",
        )
    return row


def iter_values(path: Path, leave_out: LeaveOut = refuse) -> Placed:
    """Each row as it stands in its file, whatever its columns, and the place, ``line 3``.

    Lines of JSONL and of tables that are none may be left out; any other file is whole or an error.
    """
    read = _READERS.get(find_suffix(path))
    if read is None or (is_compressed(path) and read is _read_parquet):
        raise DataError(
            f"{path} is no file of rows by its name",
            expected=f"a name ending in {', '.join(_READERS)} (all but the last also .gz or .zst)",
            hint="Convert or rename it.",
        )
    if not path.is_file():
        found = describe_no_file(path)
        raise DataError(f"{path} {found}", expected="a file of rows", hint="Check the path.")
    return read(path, leave_out)


def write_values(path: Path, rows: Iterable[object]) -> int:
    """Write rows as they stand in their files, a line of JSON each, atomically; return how many."""
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode  # dumps makes one a row
    return write_lines(path, (encode(row) + "\n" for row in rows))


def _read_json(path: Path, leave_out: LeaveOut) -> Placed:
    with open_utf8(path) as file:
        start = file.read(4096)
    if _KEYED.match(start):
        yield from _read_keyed(path)
        return
    if start.lstrip().startswith(b"["):
        rows = _parse_json(read_text(path), str(path))
        assert isinstance(rows, list)
        for number, values in enumerate(rows, start=1):
            yield f"row {number}", values
        return
    yield from _read_lines(path, leave_out)


def _read_lines(path: Path, leave_out: LeaveOut) -> Placed:
    with open_utf8(path) as file:
        # Bytes are split at "\n" alone: a text may hold U+2028 and other ends of line.
        for number, line in enumerate(file, start=1):
            if content := line.strip():
                where = f"{path} line {number}"
                try:
                    values = _parse_json(content.decode(), where)
                except UnicodeDecodeError as error:
                    leave_out(f"line {number}", describe_bytes(where, error, DataError))
                except DataError as error:
                    leave_out(f"line {number}", error)
                else:
                    yield f"line {number}", values


def _read_keyed(path: Path) -> Placed:
    """One object keyed by row, as CoT-Collection is published (2.36 GB): read as a stream."""
    import ijson

    with open_utf8(path) as file:
        try:
            for key, values in ijson.kvitems(file, "", use_float=True):
                yield f"row {key}", values
        except (ijson.JSONError, UnicodeDecodeError) as error:
            if "UTF" in str(error).upper():
                read_text(path)  # which says where it is not, and what it looks like
            raise DataError(
                f"{path} is not JSON ({' '.join(str(error).split())[:120]})",
                expected="one object, each row under its key",
                hint="Download it again, if it was.",
            ) from error


def _parse_json(text: str, where: str) -> object:
    try:
        return from_json(text)
    except ValueError as error:
        raise DataError(
            f"{where} is not JSON ({error})",
            expected="one object a line, or a list of objects",
            hint="Fix that line.",
        ) from error


def _read_table(path: Path, leave_out: LeaveOut) -> Placed:
    rows = iter_table(path, leave_out=lambda line, error: leave_out(f"line {line}", error))
    return ((f"line {line}", cells) for line, cells in rows)


def _read_parquet(path: Path, leave_out: LeaveOut) -> Placed:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            batches = (batch.to_pylist() for batch in file.iter_batches(_PARQUET_ROWS))
            for number, values in enumerate(chain.from_iterable(batches), start=1):
                yield f"row {number}", values
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        raise DataError(
            f"{path} cannot be read ({str(error).splitlines()[0][:200]})",
            expected="a Parquet file",
            hint="Write it again.",
        ) from error


def is_rows_file(path: Path) -> bool:
    """Whether a file is one of rows by its name."""
    return find_suffix(path) in _READERS


_READERS: dict[str, Callable[[Path, LeaveOut], Placed]] = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
}
