"""Whether a file of training rows was checked against benchmarks: a small file beside it.

``mine.jsonl.contamination.json`` holds for the bytes that were checked: when ``mine.jsonl``
changes, it is unchecked again.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from kot_platypus.artifacts import hash_file, write_text
from kot_platypus.columns import Columns
from kot_platypus.records import Record, Sparse

SUFFIX = ".contamination.json"


class Checked(Record):
    """A benchmark that rows were checked against: its items and where they were found."""

    name: str
    sha256: str
    items: int
    items_found: int
    rows: int
    """Training rows that hold some of it."""


class Verdict(Sparse, Record):
    """What a check for contamination found in the file with these bytes."""

    later = ("columns",)

    data_sha256: str
    rows: int
    leaked_rows: int
    benchmarks: tuple[Checked, ...]
    columns: dict[str, str | None] = Field(default_factory=dict)
    """The names under which the file's columns were read."""

    @property
    def is_clean(self) -> bool:
        """Whether no row holds text of a benchmark."""
        return self.leaked_rows == 0

    def describe(self) -> str:
        """One sentence, e.g. ``3 of 120 rows hold text of kobest/copa/test``."""
        found = [each for each in self.benchmarks if self.is_clean or each.rows]
        names = ", ".join(each.name for each in found)
        rows = f"{self.rows:,} rows hold" if self.rows != 1 else "1 row holds"
        return f"{self.leaked_rows or 'none'} of {rows} text of {names}"


def write_verdict(data: Path, verdict: Verdict) -> None:
    """Put ``verdict`` beside ``data``."""
    write_text(_find_file(data), verdict.model_dump_json(indent=1) + "\n")


def read_verdict(data: Path, columns: Columns | None = None) -> Verdict | None:
    """The verdict on ``data`` as it is now, read so; None when there is none, or on other bytes."""
    try:
        verdict = Verdict.model_validate_json(_find_file(data).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    is_same = verdict.columns == (columns or {}) and verdict.data_sha256 == hash_file(data)
    return verdict if is_same else None


def _find_file(data: Path) -> Path:
    return data.with_name(data.name + SUFFIX)
