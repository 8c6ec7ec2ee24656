"""Which of a file's columns is what: ``source=question,target=answer``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from kot_platypus.errors import DataError, UsageError
from kot_platypus.row_formats import list_columns, list_unread

Columns = Mapping[str, str | None]
"""A format's column -> the file's; None or "" where it is to have none.

``rationale####target`` is both: what stands before the last ``####`` of a text and what behind it,
as in GSM8K's answers. What lies between the two names is the mark, whatever it is.
"""
_BEFORE, _AFTER = "rationale", "target"
_EXAMPLE = "source=question,target=answer"


def parse_columns(text: str) -> dict[str, str]:
    """``source=question,target=answer`` by name. Raises UsageError for what is no such thing."""
    columns = split_columns(text)
    try:
        check_columns(columns)
    except ValueError as error:
        raise UsageError(
            f"--columns: {error}", expected="NAME=COLUMN,...", hint=f"E.g. {_EXAMPLE}"
        ) from error
    return columns


def split_columns(text: str, example: str = _EXAMPLE) -> dict[str, str]:
    """``NAME=COLUMN,...`` by name, whatever the names. Raises UsageError for what is no pair."""
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (each.strip() for each in part.partition("="))
        if not equals or name in columns:
            raise UsageError(
                f"--columns: {part.strip()!r} {'stands there twice' if equals else 'is no pair'}",
                expected="NAME=COLUMN,... with each of kot's names once",
                hint=f"E.g. {example}",
            )
        columns[name] = column
    return columns


def check_columns(columns: Columns) -> None:
    """Raise ValueError for a name that no format has, unless it leaves out a column."""
    known = list_columns()
    for name, column in columns.items():
        if column and name not in known and not find_mark(name):
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
            raise ValueError(f"no row has a {name!r}; {hint}")
    twice = {_BEFORE, _AFTER} & columns.keys() if any(map(find_mark, columns)) else set()
    if twice:
        raise ValueError(f"two columns for the {min(twice)}")


def find_mark(name: str) -> str:
    """The mark between rationale and target; empty where a name is a column's."""
    is_both = name.startswith(_BEFORE) and name.endswith(_AFTER)
    return name[len(_BEFORE) : -len(_AFTER)].strip() if is_both else ""


def map_columns(values: object, columns: Columns, where: str) -> object:
    """A row's values under the names that ``columns`` gives them; the others keep their own.

    Raises DataError for a row without such a column, or without the mark.
    """
    if not columns or not isinstance(values, Mapping):
        return values
    taken = {*columns, *columns.values()}
    mapped: dict[str, Any] = {name: each for name, each in values.items() if name not in taken}
    for name, column in columns.items():
        if not column:
            continue
        if column not in values:
            close = get_close_matches(column, map(str, values), n=1)
            raise DataError(
                f"{where} has no column {column!r}",
                expected=f"the {name} in it",
                hint=f"Did you mean {close[0]!r}?" if close else "Check --columns or `columns`.",
            )
        if mark := find_mark(name):
            mapped |= _part(values[column], mark, column, where)
        else:
            mapped[name] = values[column]
    return mapped


def list_beside(values: Mapping[str, Any], columns: Columns, where: str) -> dict[str, Any]:
    """What a row, which is one question, has beside its texts, by the names that it has there.

    Also what stands where ``columns`` put another: ``source`` where ``source=question``. What they
    leave out is not in it.
    """
    named = map_columns(values, columns, where)
    assert isinstance(named, Mapping)
    kept = {
        *list_unread(named),
        *columns,
        *((_BEFORE, _AFTER) if any(map(find_mark, columns)) else ()),
    }
    kept -= {*columns.values(), *(name for name, column in columns.items() if not column)}
    return {name: value for name, value in values.items() if name in kept}


def _part(text: object, mark: str, column: str, where: str) -> dict[str, str]:
    before, found, after = str(text).rpartition(mark)
    if not found or not after.strip():
        raise DataError(
            f"{where} has no answer behind {mark!r} in {column!r}",
            expected=f"a text that ends in {mark} and the answer",
            hint="Fix that row, or leave it out.",
        )
    return {_BEFORE: before.strip(), _AFTER: after.strip()}
