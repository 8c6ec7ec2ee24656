"""What a check reports."""

from __future__ import annotations

from collections.abc import Iterator

from kot_platypus.records import Finding

Span = tuple[int, int]
Findings = Iterator[Finding]


def shorten(text: str, max_chars: int = 60) -> str:
    """``text`` in one line of at most ``max_chars`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else line[: max_chars - 3] + "..."
