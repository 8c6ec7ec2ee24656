"""Files of training rows: read from JSONL, JSON, CSV or Parquet, told apart by their columns.

Whatever a row came as, it goes on as an Example (KoCoT's columns, Alpaca's) or a Dialogue (chat
messages). The format is a row's, not a file's, so that one file may mix them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from textwrap import shorten

from pydantic import ConfigDict, ValidationError
from pydantic_core import from_json

from kot_platypus.artifacts import describe_no_file, read_text, write_lines
from kot_platypus.errors import DataError
from kot_platypus.records import Dialogue, Example, Record, Row
from kot_platypus.tables import is_missing, iter_table

UNDERSTOOD = "source, target, rationale (KoCoT), instruction, input, output (Alpaca) or messages"
_BOM = b"\xef\xbb\xbf"
_KEYED = re.compile(rb'\s*\{\s*"\d+"\s*:\s*\{')
_PARQUET_ROWS = 4096
_Rows = Iterator[tuple[str, object]]  # where a row lies in its file, and what lies there


class _Instruction(Record):
    """A row in Alpaca's columns."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    instruction: str
    output: str
    input: str = ""
    task: str = ""
    type: str = ""


_FORMATS: tuple[type[Record], ...] = (Example, _Instruction, Dialogue)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, by its suffix. Raises DataError naming the first bad one."""
    return list(iter_rows(path))


def iter_rows(path: Path) -> Iterator[Row]:
    """The rows of a file one at a time: it need not fit into memory."""
    return (parse_row(values, f"{path} {place}") for place, values in iter_values(path))


def read_problems(path: Path, limit: int | None = None) -> list[Example]:
    """The first rows of a file of questions whose answers are known.

    Raises DataError for a row without source and target, and where there is none.
    """
    rows = enumerate(read_rows(path)[:limit], start=1)
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


def iter_values(path: Path) -> Iterator[tuple[str, object]]:
    """Each row as it stands in its file, whatever its columns, and the place, ``line 3``."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path} is no file of rows by its name",
            expected=f"a name ending in {', '.join(_READERS)}",
            hint="Convert or rename it.",
        )
    if not path.is_file():
        found = describe_no_file(path)
        raise DataError(f"{path} {found}", expected="a file of rows", hint="Check the path.")
    return read(path)


def write_values(path: Path, rows: Iterable[object]) -> None:
    """Write rows as they stand in their files, a line of JSON each, atomically."""
    write_lines(path, (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows))


def parse_row(values: object, where: str) -> Row:
    """One row from its columns. ``where`` names it in the DataError of a bad one."""
    if not isinstance(values, Mapping):
        raise DataError(
            f"{where} is {type(values).__name__}", expected="an object", hint="Fix that line."
        )
    given = {name: value for name, value in values.items() if not is_missing(value)}
    filled = {name for name, value in given.items() if value != ""}
    record = max(_FORMATS, key=lambda each: (_share_found(each, filled), _share_found(each, given)))
    if not _share_found(record, given):
        columns = ", ".join(map(str, given)) or "(none)"
        raise DataError(
            f"{where} has the columns {shorten(columns, 200, placeholder=' ...')}",
            expected=f"the columns {UNDERSTOOD}",
            hint="Rename its columns.",
        )
    try:
        row = record.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            expected=f"the columns {UNDERSTOOD}",
            hint="Fix that row.",
        ) from error
    if isinstance(row, _Instruction):
        return Example(
            source=row.instruction,
            input=row.input,
            rationale=row.output,
            target="",
            task=row.task,
            type=row.type,
        )
    assert isinstance(row, Row)
    return row


def _share_found(record: type[Record], given: Container[str]) -> float:
    """The share of a format's necessary columns that a row has."""
    needed = _list_required(record)
    return sum(name in given for name in needed) / len(needed)


@cache
def _list_required(record: type[Record]) -> list[str]:
    return [name for name, field in record.model_fields.items() if field.is_required()]


def _read_json(path: Path) -> _Rows:
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(_BOM)
        if _KEYED.match(start):
            yield from _read_keyed(path)
            return
        if start.lstrip().startswith(b"["):
            for number, values in enumerate(_parse_json(read_text(path), str(path)), start=1):
                yield f"row {number}", values
            return
        file.seek(0)
        # Bytes are split at "\n" alone: a text may hold U+2028 and other ends of line.
        for number, line in enumerate(file, start=1):
            if content := line.removeprefix(_BOM if number == 1 else b"").strip():
                try:
                    text = content.decode()
                except UnicodeDecodeError:
                    read_text(path)  # which says where the file is not UTF-8
                    raise
                yield f"line {number}", _parse_json(text, f"{path} line {number}")


def _read_keyed(path: Path) -> _Rows:
    """One object keyed by row, as CoT-Collection is published (2.36 GB): read as a stream."""
    import ijson

    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        try:
            for key, values in ijson.kvitems(file, "", use_float=True):
                yield f"row {key}", values
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path} is not JSON ({' '.join(str(error).split())[:120]})",
                expected="one object, each row under its key",
                hint="Download it again, if it was.",
            ) from error


def _parse_json(text: str, where: str) -> list[object]:
    try:
        values: list[object] = from_json(text)
    except ValueError as error:
        raise DataError(
            f"{where} is not JSON ({error})",
            expected="one object a line, or a list of objects",
            hint="Fix that line.",
        ) from error
    return values


def _read_table(path: Path) -> _Rows:
    return ((f"line {line}", cells) for line, cells in iter_table(path))


def _read_parquet(path: Path) -> _Rows:
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


_READERS: dict[str, Callable[[Path], _Rows]] = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
}
