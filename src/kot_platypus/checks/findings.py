"""What a check reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kot_platypus.records import Finding

Span = tuple[int, int]
Findings = Iterator[Finding]


def make_finding(
    check: str,
    detail: str,
    source_spans: Iterable[Span] = (),
    translation_spans: Iterable[Span] = (),
    *,
    is_error: bool = True,
) -> Finding:
    """An error, or a warning, of a text."""
    return Finding(
        check=check,
        severity="error" if is_error else "warning",
        detail=detail,
        source_spans=tuple(source_spans),
        translation_spans=tuple(translation_spans),
    )


def drop_spans(finding: Finding) -> Finding:
    """A finding in a part of a text, without its places: they count from the part's beginning."""
    return finding.model_copy(update={"source_spans": (), "translation_spans": ()})


def shorten(text: str, max_chars: int = 60) -> str:
    """``text`` in one line of at most ``max_chars`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else line[: max_chars - 3] + "..."
