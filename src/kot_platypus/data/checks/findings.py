"""What a check reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kot_platypus.records import Record

Severity = Literal["error", "warning"]
Span = tuple[int, int]


class Finding(Record):
    """One thing that a check found in a translation.

    ``detail`` is one line for a reader. Spans are (start, end) in characters of the source and of
    the translation, for highlighting; ``field`` is the row's field they lie in ("" for bare texts).
    An ``error`` should not be trained on unseen; a ``warning`` is worth a look and nothing more.
    """

    check: str
    severity: Severity
    detail: str
    field: str = ""
    source_spans: tuple[Span, ...] = ()
    translation_spans: tuple[Span, ...] = ()


Findings = Iterator[Finding]


def shorten(text: str, max_chars: int = 60) -> str:
    """``text`` in one line of at most ``max_chars`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else line[: max_chars - 3] + "..."
