from __future__ import annotations

import random
import re
import time
import xml.etree.ElementTree as ElementTree

import pytest

from kot_platypus.data.build import load_korean_cot
from kot_platypus.data.translation.protection import (
    Problem,
    count_characters,
    has_words,
    protect,
    restore,
)


def pieces(text: str) -> list[str]:
    return list(protect(text).pieces)


# --- what is protected -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Run:\n```python\nprint(1 < 2)\n```\nDone", ["```python\nprint(1 < 2)\n```"]),
        ("```\ncut off here", ["```\ncut off here"]),
        ("Call `f(x)` or ``a`b`` now", ["`f(x)`", "``a`b``"]),
        ("Let $x^2$ and $$\\int_0^1 x$$ be", ["$x^2$", "$$\\int_0^1 x$$"]),
        (r"So \(a+b\) and \[c\n+d\] hold", [r"\(a+b\)", r"\[c\n+d\]"]),
        (
            "\\begin{align}x &= 1\\end{align} ends",
            ["\\begin{align}x &= 1\\end{align}"],
        ),
        (r"so \frac{\sqrt{x^{2}}}{2} of \pi", [r"\frac{\sqrt{x^{2}}}{2}", r"\pi"]),
        (r"\times and \theta_1", [r"\times", r"\theta_1"]),
        ("the matrix $A$ M and $7$ apples", ["$A$", "$7$"]),
        ("Then x = 2y + 3 holds", ["x = 2y + 3"]),
        ("We get 3 + 4 = 7, (2+3)*4=20 and f(x) = 3.", ["3 + 4 = 7", "(2+3)*4=20", "f(x) = 3"]),
        ("If a < b then r^2 grows", ["a < b", "r^2"]),
        ("It costs $5 and then $10.", ["$5", "$10"]),
        ("-4 % of 1,234.50 is not .5", ["-4 %", "1,234.50", ".5"]),
        ("At 3:45 on 12/25/2020, 20°C", ["3:45", "12/25/2020", "20°C"]),
        ("He ran 5km in a 3-year-old car.", ["5", "3"]),
        ("3 apples + 4 apples = 7 apples", ["3", "4", "7"]),
        ("See https://a.b/c?d=1&e=2, or me@x.org.", ["https://a.b/c?d=1&e=2", "me@x.org"]),
        ("5 dogs and 6 million ants, 5 miles, 3 kids", ["5", "5", "3"]),
        ("(A) cat (B) dog", ["(A)", "(B)"]),
        ("Options:\nA) one\nB. two\n1. three", ["A)", "B.", "1."]),
        ("Options:\n- yes\n- no", ["-", "-"]),
        (r"Options:\n- yes\n- no", [r"\n-", r"\n-"]),
        (r"One.\nThe next.\tTab", [r"\n", r"\t"]),
        ('old <x id="1"/> and <b class="k">bold</b>', ['<x id="1"/>', '<b class="k">', "</b>"]),
        ("Dear {name}, {{x}} [MASK] %s", ["{name}", "{{x}}", "[MASK]", "%s"]),
        ("a\x00b\ud800c", ["\x00", "\ud800"]),
    ],
)
def test_what_must_not_change_is_protected(text, expected):
    assert pieces(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The 1st, 2nd and 21st of the 1990s",  # other words in Korean
        "H2O and v1.2 in Type-A",
        "three apples and/or pears - a lot",
        "5 billion people, $2.3 million, a 3-million-year-old bone, 1,500 thousand tons",
        "20k views, 1.2M users, $3bn and 4 dozen eggs",
        "5 Billion people, 3\u00a0million birds, **7** million fish, $5$ million, 2 bn, 4 crore",
        "2 or 3 million, $2 to $3 billion, 5.5-6.5 million, 5 and a half million",
        "1, 2 or 3 million people",
        "I think a cat - a big one - is here. I'm sure.",
        "AT&T is < many > things",
    ],
)
def test_what_is_the_translators_business_is_left(text):
    assert pieces(text) == []


def test_rest_is_escaped():
    assert protect("R&D < is ]]> 5").xml == 'R&amp;D &lt; is ]]&gt; <x id="1"/>'


def test_pieces_that_touch_are_one():
    assert pieces("`a`$x$") == ["`a`$x$"]


# --- putting back ------------------------------------------------------------------------------

FRAGMENTS = [
    *"<>&;\"'`$\\{}[]()%-+=^_*/.,:!?#@ \n\t\r|~",
    *("]]>", "&amp;", "&#60;", '<x id="1"/>', '<x id="2"/>', "</x>", "<x>", "<b>", "\\n", "\\t"),
    *("```", "$$", "\\(", "\\)", "\\[", "\\]", "\\begin{a}", "\\end{a}", "\\frac{1}{2}", "\x00"),
    *(
        "5",
        "3.14",
        "1,000",
        "-2",
        "50%",
        "1st",
        "x",
        "I",
        "a",
        "(A)",
        "- yes",
        "http://a.b",
        "a@b.c",
    ),
    *("the cat", "한국어", "é", "😀", "\ud800", "\u2028", "\ufffe", "٣"),
]


@pytest.mark.parametrize("seed", range(20))
def test_unchanged_translation_gives_back_every_text(seed):
    rng = random.Random(seed)
    for _ in range(100):
        text = "".join(rng.choices(FRAGMENTS, k=rng.randrange(30)))
        protected = protect(text)
        restored = restore(protected.xml, protected.pieces)
        assert restored.text == text
        assert restored.problems == ()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_sent_is_well_formed_and_its_placeholders_are_ours(seed):
    rng = random.Random(100 + seed)
    for _ in range(100):
        protected = protect("".join(rng.choices(FRAGMENTS, k=rng.randrange(30))))
        root = ElementTree.fromstring(f"<t>{protected.xml}</t>")
        assert [child.get("id") for child in root] == [
            str(number) for number in range(1, len(protected.pieces) + 1)
        ]
        assert count_characters(protected.xml) >= sum(map(len, root.itertext()))


def test_rows_of_the_project_come_back_as_they_were():
    for row in load_korean_cot():
        for text in (row.source, row.rationale, row.target):
            protected = protect(text)
            assert restore(protected.xml, protected.pieces).text == text


def test_digits_outside_of_words_are_never_sent():
    rng = random.Random(3)
    for _ in range(200):
        words = ["cat", "of", "and", "(so)", "(A)", str(rng.random()), f"{rng.randrange(9999):,}"]
        xml = protect(" ".join(rng.choices(words, k=12))).xml
        assert not re.search(r"\d", re.sub(r"<x id=\"\d+\"/>", "", xml))


def test_order_may_change():
    assert restore('<x id="2"/> 그리고 <x id="1"/>', ("3", "`f`")) == restore("`f` 그리고 3", ())


@pytest.mark.parametrize(
    "written", ['<x id="1"/>', '<x id="1" />', "<x id='1'/>", "<x id=1/>", '<x id="1"></x>']
)
def test_other_spellings_of_a_placeholder_are_understood(written):
    restored = restore(f"값은 {written}이다", ("7",))
    assert (restored.text, restored.problems) == ("값은 7이다", ())


@pytest.mark.parametrize(
    ("xml", "text", "problems"),
    [
        ("없다", "없다", [Problem(kind="lost", piece="7")]),
        ('<x id="1"/>과 <x id="1"/>', "7과 7", [Problem(kind="repeated", piece="7")]),
        (
            '<x id="1"/>과 <x id="2"/>',
            '7과 <x id="2"/>',
            [Problem(kind="unknown", piece='<x id="2"/>')],
        ),
        ('&lt;x id="1"/&gt;', '<x id="1"/>', [Problem(kind="lost", piece="7")]),
        (
            '<x id="0"/><x id="1"/>',
            '<x id="0"/>7',
            [Problem(kind="unknown", piece='<x id="0"/>')],
        ),
    ],
)
def test_placeholder_that_does_not_stand_once_is_a_problem(xml, text, problems):
    restored = restore(xml, ("7",))
    assert restored.text == text
    assert list(restored.problems) == problems


def test_piece_that_looks_like_markup_is_put_back_as_it_is():
    assert restore('<x id="1"/>', ('<x id="1"/>&amp;',)).text == '<x id="1"/>&amp;'


# --- counting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xml", "expected"), [("a b", 3), ('a <x id="12"/>', 2), ("R&amp;D", 7), ("한국", 2), ("😀", 1)]
)
def test_characters_are_code_points_outside_of_tags(xml, expected):
    assert count_characters(xml) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", False), ("42", False), ("3 + 4 = 7!", False), ("5 cats", True)]
)
def test_text_of_pieces_alone_has_no_words(text, expected):
    assert has_words(protect(text).xml) is expected


@pytest.mark.parametrize(
    "unit",
    [
        "`",
        "\\[",
        "$$ ",
        "\\a{",
        "(1",
        "(1)",
        "<a ",
        "<a a=1",
        "a@",
        "1 - ",
        "x^",
        "1,",
        "{",
        " ",
        "-",
    ],
)
def test_hostile_text_takes_no_longer_than_a_long_one(unit):
    started = time.process_time()
    protect(unit * 8000)
    assert time.process_time() - started < 5
