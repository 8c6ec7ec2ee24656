"""A row on its way from a source into a data set, and what a person decided about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kot_platypus.artifacts import hash_value
from kot_platypus.data.checks import Finding
from kot_platypus.formats import iter_values
from kot_platypus.records import Example, Record

ROWS = "rows.jsonl"
"""In a step's folder: the Drafts as they are after it."""
QUEUE, DECISIONS = "queue.jsonl", "decisions.jsonl"
"""In the folder ``review``: the Drafts that a person should see, and what was decided."""


class Origin(Record):
    """Where a row comes from."""

    source: str
    """A Hub id, or a file's name."""
    id: str
    """Its key there: the key of an object, else the row's number from 1."""
    sha256: str
    """Of its texts there."""
    language: Literal["en", "ko"] = "en"


class Translation(Record):
    """Who translated a row, and how."""

    service: str
    parameters: dict[str, Any]
    retried: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The fields whose second translation was taken, with the parameters that were other."""


class Draft(Record):
    """One row: what it was, what it is, and what the checks found in it."""

    origin: Origin
    original: Example
    translated: Example
    translation: Translation | None = None
    """None: the source is Korean."""
    findings: tuple[Finding, ...] = ()

    @property
    def key(self) -> str:
        """What a decision about this row is filed under: SHA-256 of its origin and texts."""
        parts = (self.origin, self.original, self.translated)
        return hash_value([part.model_dump() for part in parts])

    @property
    def needs_review(self) -> bool:
        """Whether a check found an error."""
        return any(finding.severity == "error" for finding in self.findings)


def iter_drafts(path: Path) -> Iterator[Draft]:
    """The drafts in a file, one at a time."""
    return (Draft.model_validate(values) for _, values in iter_values(path))


class Decision(Record):
    """What a person decided about a Draft: a line of ``decisions.jsonl``; the last one counts."""

    key: str
    action: Literal["accept", "edit", "drop", "undo"]
    """``undo``: as if nothing had been decided."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Of ``edit``: the changed texts by the field's name (source, input, rationale, target)."""
    decided_at: str
    """ISO 8601, UTC."""
