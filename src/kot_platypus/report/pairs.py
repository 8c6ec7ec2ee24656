"""``report.html`` of checked translations: what was found, how often, examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.artifacts import read_json, read_jsonl, write_text
from kot_platypus.checks.wording import name_check, say_in_korean
from kot_platypus.records import PairExample
from kot_platypus.report.page import load_report_templates

PAGE = "report.html"
_MAX_CHARS = 700
"""Of a longer text the part around its first mark is shown."""
_BEFORE_CHARS = 200
FIELD_NAMES = {"source": "질문", "input": "입력", "rationale": "풀이", "target": "답"}


class Piece(NamedTuple):
    """A stretch of a text, and whether a finding is about it."""

    text: str
    is_marked: bool


def write_pairs_page(folder: Path) -> Path:
    """Write ``folder/report.html`` of what ``kot data check --pairs`` left there. Returns it.

    The same folder gives the same bytes. Raises DataError for a damaged file.
    """
    report = read_json(folder / "report.json")
    examples = read_jsonl(folder / "examples.jsonl", PairExample)
    write_text(folder / PAGE, render_pairs(report, examples))
    return folder / PAGE


def render_pairs(report: Mapping[str, Any], examples: Sequence[PairExample]) -> str:
    """The page as HTML; the template escapes whatever comes from data."""
    most = max((sum(found.values()) for found in report["findings"].values()), default=0)
    checks = [
        {
            "key": check,
            "name": name_check(check),
            **found,
            "share": sum(found.values()) / report["rows"],
            "error_width": 100 * found["errors"] / most,
            "warning_width": 100 * found["warnings"] / most,
            "examples": [
                _describe(example) for example in examples if example.finding.check == check
            ],
        }
        for check, found in report["findings"].items()
    ]
    passed = report["rows"] - sum(
        report[f"rows_{kind}"] for kind in ("with_errors", "with_warnings", "without_english")
    )
    template = load_report_templates().get_template("pairs.html.jinja")
    return template.render(report=report, checks=checks, passed=passed) + "\n"


def _describe(example: PairExample) -> dict[str, Any]:
    finding = example.finding
    return {
        "number": example.row + 1,
        "place": example.place,
        "field": FIELD_NAMES.get(finding.field, finding.field),
        "severity": finding.severity,
        "detail": finding.detail,
        "detail_ko": say_in_korean(finding),
        "english": mark_spans(example.english, finding.source_spans),
        "korean": mark_spans(example.korean, finding.translation_spans),
    }


def mark_spans(text: str, spans: Iterable[tuple[int, int]]) -> list[Piece]:
    """A text in pieces, those in a span marked; of a long one the part around the first."""
    merged: list[list[int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    first, last = 0, len(text)
    if last > _MAX_CHARS:
        first = max(0, merged[0][0] - _BEFORE_CHARS) if merged else 0
        last = min(last, first + _MAX_CHARS)
    pieces = [Piece("… " if first else "", False)]
    at = first
    for start, end in merged:
        start, end = max(start, first), min(end, last)
        if start < end:
            pieces += [Piece(text[at:start], False), Piece(text[start:end], True)]
            at = end
    pieces += [Piece(text[at:last], False), Piece(" …" if last < len(text) else "", False)]
    return [piece for piece in pieces if piece.text]
