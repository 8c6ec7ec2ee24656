from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import write_json, write_jsonl
from kot_platypus.records import Finding, PairExample
from kot_platypus.report.pairs import mark_spans, write_pairs_page

from ..browser import open_page

ATTACK = '<img src=x onerror="alert(1)"><script>alert(2)</script>{{ 7 * 7 }}'


def make_example(english: str = "It has 3 legs.", korean: str = "다리가 5개다.") -> PairExample:
    finding = Finding(
        check="numbers",
        severity="error",
        detail=f"missing: 3; not in the source: {korean}",
        source_spans=((7, 8),),
        translation_spans=((4, 5),),
    )
    return PairExample(row=2, place="line 3", finding=finding, english=english, korean=korean)


def write_folder(folder: Path, *examples: PairExample, **facts: Any) -> Path:
    report = {
        "file": "both.jsonl",
        "rows": 10,
        "rows_with_errors": 1,
        "rows_with_warnings": 0,
        "rows_without_english": 0,
        "unreadable": [],
        "findings": {"numbers": {"errors": 1, "warnings": 0}},
    }
    write_json(folder / "report.json", report | facts)
    write_jsonl(folder / "examples.jsonl", examples)
    return folder


def show(pieces: Any) -> str:
    return "".join(f"[{piece.text}]" if piece.is_marked else piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("abcdef", [(1, 3)], "a[bc]def"),
        ("abcdef", [(4, 6), (0, 1)], "[a]bcd[ef]"),
        ("abcdef", [(1, 4), (2, 5)], "a[bcde]f"),
        ("abc", [], "abc"),
        ("", [], ""),
    ],
)
def test_spans_are_marked_once(text: str, spans: Any, expected: str):
    assert show(mark_spans(text, spans)) == expected


def test_of_a_long_text_the_part_with_the_finding_is_shown():
    shown = show(mark_spans("가" * 5000 + "7" + "나" * 5000, [(5000, 5001)]))
    assert "[7]" in shown
    assert shown.startswith("… 가")
    assert shown.endswith("나 …")
    assert len(shown) < 800


def test_the_same_folder_gives_the_same_page(tmp_path: Path):
    folder = write_folder(tmp_path, make_example())
    first = write_pairs_page(folder).read_bytes()
    assert write_pairs_page(folder).read_bytes() == first


def test_nothing_found_is_said(tmp_path: Path):
    facts = {"rows_with_errors": 0, "findings": {}}
    page = write_pairs_page(write_folder(tmp_path, **facts)).read_text()
    assert "번역 10쌍에서 오류를 찾지 못했습니다" in page


def test_data_are_escaped_and_the_page_needs_nothing_else(tmp_path: Path):
    folder = write_folder(tmp_path, make_example(ATTACK, ATTACK), file=ATTACK)
    page = write_pairs_page(folder).read_text()
    assert "<img" not in page
    assert "<script" not in page
    assert "49" not in page
    addresses = re.findall(r"""<[^>]* (?:src|href)="([^"]*)""", page)
    assert [each for each in addresses if not each.startswith("#")] == []
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_a_reader_changes_the_language(tmp_path: Path, width: int):
    page = write_pairs_page(write_folder(tmp_path, make_example(ATTACK, "가" * 900 + ATTACK)))
    with open_page(page.as_uri(), width=width) as shown:
        assert "번역 10쌍 가운데 1쌍에 오류가 있습니다" in shown.inner_text("h1")
        assert "translations" not in shown.inner_text("h1")
        shown.click("#in-en")
        assert shown.inner_text("h1") == "1 of 10 translations have errors"
        assert "빠진 것" not in shown.inner_text("body")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.locator("article mark").count() == 2
        assert shown.locator("img, script").count() == 0
