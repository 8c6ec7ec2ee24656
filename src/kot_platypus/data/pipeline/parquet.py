"""A data set's rows as Parquet: each column of one kind, whatever a source had in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.chat_rows import TURNS
from kot_platypus.data.spool import iter_chunks
from kot_platypus.formats import iter_values
from kot_platypus.row_formats import ENGLISH, OWN_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_ROWS = 4096
_INT_BITS = 63
_ORIGIN = ("source", "id", "sha256", "language")
_TRANSLATION = ("service", "parameters", "retried")
_TURNS = (*TURNS, *(name + ENGLISH for name in TURNS))


def write_parquet(rows: Path, path: Path, columns: Sequence[str]) -> None:
    """Write a file of rows as Parquet, atomically and in bounded memory.

    ``columns`` are texts, those of them that are turns lists of turns. Other columns that a source
    had are texts, numbers, or, where they are anything else or several of these, JSON.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = _make_schema(rows, columns)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for chunk in iter_chunks(_iter_objects(rows), _CHUNK_ROWS):
                values = [{f.name: _fit(row.get(f.name), f.type) for f in schema} for row in chunk]
                writer.write_table(pa.Table.from_pylist(values, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _iter_objects(rows: Path) -> Iterator[dict[str, Any]]:
    for _, values in iter_values(rows):
        assert isinstance(values, dict)
        yield values


def _make_schema(rows: Path, columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    texts = [] if columns == TURNS else columns
    kinds: dict[str, set[type]] = {name: {str} for name in texts}
    turns: dict[str, dict[str, set[type]]] = {}
    for row in _iter_objects(rows):
        for name in row.keys() - {*OWN_COLUMNS, *texts}:
            if texts or name not in _TURNS or not _is_turns(row[name]):
                kinds.setdefault(name, set()).add(_find_kind(row[name]))
                continue
            for key, value in chain.from_iterable(turn.items() for turn in row[name] or ()):
                turns.setdefault(name, {}).setdefault(key, set()).add(_find_kind(value))
    fields = {
        name: pa.list_(pa.struct([(key, _find_type(found)) for key, found in keys.items()]))
        for name, keys in turns.items()
    }
    fields |= {name: _find_type(found) for name, found in sorted(kinds.items())}
    first = [name for name in columns if name in fields]
    own = (
        pa.struct([(name, pa.string()) for name in _ORIGIN]),
        pa.struct([(name, pa.string()) for name in _TRANSLATION]),
        pa.list_(pa.string()),
        pa.list_(pa.string()),
    )
    ordered = {name: fields[name] for name in (*first, *fields)}
    return pa.schema([*ordered.items(), *zip(OWN_COLUMNS, own, strict=True)])


def _is_turns(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(t, dict) for t in value))


def _find_kind(value: Any) -> type:
    """Its type; of a whole number that a column of 64 bits cannot hold, text."""
    return str if isinstance(value, int) and value.bit_length() > _INT_BITS else type(value)


def _find_type(found: set[type]) -> pa.DataType:
    """The type of a column with values of these types: a number's, or text's for all else."""
    import pyarrow as pa

    numbers = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    kinds = found - {type(None)}
    return numbers.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def _fit(value: Any, kind: pa.DataType) -> Any:
    """A value as its column holds it: what is no text in a column of texts becomes JSON."""
    import pyarrow as pa

    if value is None or isinstance(value, str):
        return value
    if pa.types.is_string(kind):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        types = {field.name: field.type for field in kind.value_type}
        turns = ({key: _join_parts(each) for key, each in turn.items()} for turn in value)
        return [{key: _fit(each, types[key]) for key, each in turn.items()} for turn in turns]
    return value


def _join_parts(value: Any) -> Any:
    """Content in parts, which are all text, as one text: in JSON it would be read as it stands."""
    if isinstance(value, list) and all(
        isinstance(p, dict) and p.keys() == {"type", "text"} for p in value
    ):
        return "".join(part["text"] for part in value)
    return value
