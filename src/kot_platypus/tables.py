"""Tables: TSV and CSV files as rows of text, read one at a time.

What would be read as something else than it was written as is refused: quotation marks that do
not close, two columns of one name, more cells than columns.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from kot_platypus.artifacts import read_text
from kot_platypus.compression import find_suffix
from kot_platypus.encodings import open_utf8
from kot_platypus.errors import DataError

_MAX_CELL = 2**31 - 1
"""Characters. By itself the module allows 131,072; more than a C long is no limit to it."""
Cells = dict[str, str | None]
"""Column -> text; None where a row ends before that column."""


def _raise(line: int, error: DataError) -> None:
    raise error


def iter_table(
    path: Path, *, strict: bool = True, leave_out: Callable[[int, DataError], None] = _raise
) -> Iterator[tuple[int, Cells]]:
    """The rows of a table and the line in which each begins; tabs separate those of a ``.tsv``.

    Any end of line is a line feed, also within cells. Where ``strict`` is off, text may follow a
    closing quotation mark, as it does in KoBEST's files and pandas reads it. ``leave_out`` is told
    of a row with other cells than the header's; left out, it is an error.

    Raises DataError: not UTF-8, no such table, or one that was not meant so.
    """
    delimiter = "\t" if find_suffix(path) == ".tsv" else ","
    csv.field_size_limit(_MAX_CELL)
    with open_utf8(path) as content, TextIOWrapper(content, encoding="utf-8") as file:
        header: list[str] = []
        try:
            for line, cells in _iter_cells(file, path, delimiter, strict):
                where = f"{path} line {line}"
                if not header:
                    header = _check_header(cells, where)
                    continue
                try:
                    _check_cells(cells, len(header), where, delimiter)
                except DataError as error:
                    leave_out(line, error)
                else:
                    yield line, dict(zip_longest(header, cells))
        except UnicodeDecodeError:
            read_text(path)  # which says where the file is not UTF-8, and what it looks like
            raise


def is_missing(value: object) -> bool:
    """Whether it is null, or the NaN that pandas has for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_blank(value: object) -> bool:
    """Whether it is missing, or nothing but white space."""
    return is_missing(value) or not str(value).strip()


def _iter_cells(
    file: TextIO, path: Path, delimiter: str, strict: bool
) -> Iterator[tuple[int, list[str]]]:
    """The line in which each row begins, and its cells; nothing for an empty line."""
    row: list[str] = []

    def remember() -> Iterator[str]:
        for line in file:
            row.append(line)
            yield line

    reader = csv.reader(remember(), delimiter=delimiter, strict=strict)
    try:
        for cells in reader:
            if not strict and _count_closed_lines(row, delimiter, strict) < len(row):
                raise csv.Error("unexpected end of data")
            if cells:
                yield reader.line_num - len(row) + 1, cells
            row.clear()
    except csv.Error as error:
        line = reader.line_num - len(row) + 1 + _count_closed_lines(row, delimiter, strict)
        raise DataError(
            f"{path} line {line} has a quotation mark that does not close its cell ({error})",
            expected="a table whose quotation marks close",
            hint="Fix that line: a cell with a quotation mark stands in quotation marks, and "
            "those inside it are written twice.",
        ) from error


def _count_closed_lines(row: list[str], delimiter: str, strict: bool) -> int:
    """How many lines of a row hold closed cells alone; in the next, one is open or goes on."""
    rest = "" if strict else rf"[^{delimiter}\n]*"
    cell = rf'"(?:[^"]|"")*+"{rest}|[^"{delimiter}\n][^{delimiter}\n]*|'
    text = "".join(row).removesuffix("\n") + "\n"  # a file's last line may have no end
    closed = re.match(rf"(?:(?:{cell})[{delimiter}\n])*+", text)
    return text.count("\n", 0, closed.end() if closed else 0)


def _check_header(names: list[str], where: str) -> list[str]:
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"{where} names two columns {twice!r}",
            expected="a name of its own for each column",
            hint="Rename one of them.",
        )
    return names


def _check_cells(cells: list[str], num_columns: int, where: str, delimiter: str) -> None:
    if len(cells) > num_columns:
        raise DataError(
            f"{where} has {len(cells)} cells",
            expected=f"{num_columns}, as in the header",
            hint=f"Fix that line: cells are separated by {delimiter!r}, and one that holds it "
            "stands in quotation marks.",
        )
    if delimiter == "\t" and any("\t" in c and "\n" in c for c in cells):
        raise DataError(
            f"{where} has a quotation mark that closes in a later line, with tabs in between",
            expected="a quotation mark that closes before the next cell",
            hint="Close it, or write the table as JSONL if a cell is meant to hold other rows.",
        )
