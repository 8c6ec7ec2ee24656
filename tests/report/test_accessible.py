"""The page can be read by everybody: contrast computed from its colours, names for every part."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from kot_platypus.report.page import mark_korean, render_page
from kot_platypus.report.runs import SERIES, load_runs
from kot_platypus.results.published import list_models

TEXT = ("ink", "muted", "base", "tuned", "other", "right", "wrong", *SERIES)
SCHEMES = {"light": r"^:root", "dark": r"scheme: dark\) \{\s*:root", "print": r"print \{\s*:root"}


@pytest.fixture(scope="module")
def pages(finished_run: Path) -> list[str]:
    return [
        render_page(load_runs([finished_run]), list_models()),
        render_page(load_runs([finished_run, finished_run]), list_models()),
    ]


def read_colours(css: str, scheme: str) -> dict[str, str]:
    """The colours of one scheme; what it does not change is as in light."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(("light", scheme)):
        block = re.search(SCHEMES[name] + r" \{(.*?)\}", css, re.M | re.S)
        assert block, name
        found |= dict(re.findall(r"--([\w-]+): (#\w+|var\(--\w+\));", block[1]))
    for name, value in found.items():
        if value.startswith("var"):
            found[name] = found[value[6:-1]]
    return found


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_the_standards() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "wash"])
def test_every_colour_of_text_and_marks_has_contrast(
    pages: list[str], scheme: str, ground: str
) -> None:
    colours = read_colours(pages[0], scheme)
    ratios = {name: contrast(colours[name], colours[ground]) for name in TEXT}
    assert {name: round(r, 2) for name, r in ratios.items() if r < 4.5} == {}


def test_every_picture_and_scrolled_part_has_a_name(pages: list[str]) -> None:
    for page in pages:
        for tag in re.findall(r"<svg[^>]*>", page):
            label = re.search(r'role="img" aria-label="([^"]+)"', tag)
            assert label
            assert len(label[1]) > 20
        for tag in re.findall(r'<[^>]*tabindex="0"[^>]*>', page):
            assert re.search(r'role="region" aria-label="[^"]+"', tag)


def test_every_table_has_a_caption_and_headers_with_scope(pages: list[str]) -> None:
    for page in pages:
        tables = re.findall(r"<table.*?</table>", page, re.S)
        assert len(tables) > 10
        for table in tables:
            assert "<caption>" in table
            for cell in re.findall(r"<th\b[^>]*>", table):
                assert re.search(r'scope="(col|row)"', cell)
            for row in re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.S):
                assert row.count('<th scope="row"') == 1


def test_headings_skip_no_level(pages: list[str]) -> None:
    for page in pages:
        levels = [int(level) for level in re.findall(r"<h([1-6])\b", page)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_a_mark_is_also_said_in_words(pages: list[str]) -> None:
    for page in pages:
        tables = "".join(re.findall(r"<table.*?</table>", page, re.S))
        marks = re.findall(r'<span class="mark" aria-hidden="true">.</span>(.{25})', tables)
        assert marks
        assert all(after.startswith('<span class="unseen">') for after in marks)


def test_nothing_moves(pages: list[str]) -> None:
    for page in pages:
        assert not re.search(r"animation|transition|scroll-behavior|@keyframes", page)


def test_korean_says_that_it_is_korean() -> None:
    assert mark_korean("둘<b> 3 개") == '<span lang="ko">둘&lt;b&gt; 3 개</span>'
    assert mark_korean("run 둘째 is") == 'run <span lang="ko">둘째</span> is'
    assert mark_korean("two <b>") == "two &lt;b&gt;"
