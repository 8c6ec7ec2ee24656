"""What seems to be missing or added among numbers, and is the same said otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from kot_platypus.checks.clocks import CLOCK_WORDS, read_korean_clocks, read_said_clocks
from kot_platypus.checks.findings import Span
from kot_platypus.checks.measures import Matched
from kot_platypus.checks.parts import read_parts, read_shares
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import IDIOMS
from kot_platypus.numerals import Number, Strength, read_digits, read_english_words

Unpaired = tuple[list[Number], list[Number]]


def settle(
    source: Text,
    translation: Text,
    missing: list[Number],
    extra: list[Number],
    wanted: Sequence[Number],
    found: Sequence[Number],
) -> Unpaired:
    """What is left of the numbers without partner; ``wanted`` and ``found`` are all of the texts.

    Settled are idioms, a month said again, 8:45 as a quarter to nine, 1 1/2 as 1.5, one in five
    as 20 %, 10 miles as 16km.
    """
    if missing:
        idioms = [match.span() for match in IDIOMS.finditer(source.raw)]
        missing = [n for n in missing if not any(_holds(span, n) for span in idioms)]
        missing = [number for number in missing if not _is_repeated(source.raw, number)]
        if _POSITIVE.search(translation.raw):  # x > 0 as 양수
            zeros = {match.end() for match in _TO_ZERO.finditer(source.raw)}
            missing = [number for number in missing if number.span[1] not in zeros]
    months = {number.value for number in source.english if number.value <= 12}
    extra = [n for n in extra if not (n.value in months and _has_month(translation.raw, n))]
    if missing or extra:
        missing, extra = _settle_said(source.raw, translation.raw, missing, extra)
        if not source.lexicon.isdisjoint(CLOCK_WORDS):
            for here, there in _pair_clocks(source, translation):
                missing = _drop_held(missing, wanted, here)
                extra = _drop_held(extra, found, there)
        missing, extra = _settle_mixed(source, translation, missing, extra)
    pairs = Matched(source, translation).converted if missing or extra else ()
    for one, other in pairs:
        missing = _drop_held(missing, wanted, one.span)
        extra = _drop_held(extra, found, other.span)
    return missing, extra


_TO_ZERO, _POSITIVE = re.compile(r"[<>≤≥] ?0(?![\d.])"), re.compile("[음양]수|[음양]의")


def _has_month(text: str, number: Number) -> bool:
    return text[number.span[1] : number.span[1] + 1] == "월"


_IMPLIED = (
    ("time and a half", "1.5"), ("time and a half", "150"), ("double", "200"), ("twice", "200"),
    ("sea level", "0"), ("every other", "2"),
)  # fmt: skip
_BEST_OF = re.compile(r"(?i)\bbest[- ]of[- ](three|five|seven|nine|[3579])\b")


def read_implied(text: str) -> list[Number]:
    """Numbers that only Korean says: the best of seven is 7전 4선승제."""
    wins = {"three": 2, "five": 3, "seven": 4, "nine": 5, "3": 2, "5": 3, "7": 4, "9": 5}
    implied = [
        Number(Decimal(value), match.span(), Strength.POSSIBLE)
        for said, value in _IMPLIED
        for match in re.finditer(said, text)
    ]
    return implied + [
        Number(Decimal(wins[match[1].lower()]), match.span(), Strength.POSSIBLE)
        for match in _BEST_OF.finditer(text)
    ]


_ONE = re.compile(
    r"(?i)\b(?:to the|the (?=mile|kilo|pound|dozen)|an?|per|each|every|another|daily|weekly|monthly"
    r"|yearly|hourly|annual\w*)\b"
)


def read_articles(text: str) -> list[Number]:
    """Words that Korean may say as "1": a, per, each, every."""
    one = Decimal(1)
    return [Number(one, match.span(), Strength.POSSIBLE) for match in _ONE.finditer(text)]


_IN_FIGURES = re.compile(r" \((\d+)\)")


def _is_repeated(text: str, number: Number) -> bool:
    """Whether a month is said again (6월 3일부터 7일까지), or a number in figures: thirty (30)."""
    name = text[slice(*number.span)]
    figures = _IN_FIGURES.match(text, number.span[1])
    if figures and Decimal(figures[1]) == number.value:
        return True
    return name[:1].isupper() and name.isalpha() and text.count(name) > 1


def _pair_clocks(source: Text, translation: Text) -> Iterator[tuple[Span, Span]]:
    """Where the same times of day stand: a quarter to nine, 8:45."""
    said = list(read_said_clocks(source.prose))
    found = {clock.minutes: clock.span for clock in read_korean_clocks(translation)} if said else {}
    for clock in said:
        if clock.minutes in found:
            yield clock.span, found[clock.minutes]


_CENTURY = re.compile(r"(?i)\b([a-z]+|\d{1,2})(?:st|nd|rd|th)?(?=[ -]centur)")
_HUNDREDS = re.compile(r"\b(\d\d)00(?=['’]?s\b)")
_CENTURIES = re.compile(r"(?i)\b([a-z]+|\d{1,2})(?= centuries)")
_LATE_MINUTE = re.compile(r"\b(\d{2})(?:st|nd|rd|th) minute")
_MARK = re.compile(r"\((\d{1,2})\) ")
_LATER = re.compile(r"년 ?(?:뒤|만에|사이|동안|후|새)")


def _settle_said(text: str, other: str, missing: list[Number], extra: list[Number]) -> Unpaired:
    """The 19th century as 1800년대, two centuries as 200년, 4 % as 100분의 4."""
    if other.count("①") and missing:
        marks = [match.span() for match in _MARK.finditer(text)]
        circled = {Decimal(ord(mark) - ord("①") + 1) for mark in other if "①" <= mark <= "⑳"}
        missing = [
            n
            for n in missing
            if n.value not in circled or not any(_holds(span, n) for span in marks)
        ]
    for pattern, (scale, less), unit in (
        (_CENTURY, (100, 1), "년대"),
        (_CENTURIES, (100, 0), "년"),
        (_HUNDREDS, (1, -1), "세기"),
        (_LATE_MINUTE, (1, 45), "분"),
    ):
        for match in pattern.finditer(text) if extra else ():
            words = read_english_words(match[1]) or read_digits(match[1])
            value = scale * (words[0].value - less) if words else None
            partner = next(
                (n for n in extra if n.value == value and other.startswith(unit, n.span[1])), None
            )
            if partner:
                extra = [n for n in extra if n is not partner]
                missing = [n for n in missing if not _holds(match.span(), n)]
    return missing, _drop_said(text, other, extra)


def _drop_said(text: str, other: str, extra: list[Number]) -> list[Number]:
    """``extra`` without 10년 뒤 between two years, 100분의 for a percent sign, 06:00 for 6 a.m."""
    years = {int(year) for year in re.findall(r"\b(?:1\d|20)\d\d\b", text)} if extra else set()
    apart = {Decimal(abs(a - b)) for a in years for b in years if a != b}
    has_percent = "%" in text or "percent" in text
    return [
        n
        for n in extra
        if not (n.value in apart and _LATER.match(other, n.span[1]))
        and not (has_percent and n.value == 100 and other.startswith("분의", n.span[1]))
        and other[n.span[0] - 1 : n.span[1]] != ":00"
    ]


def _settle_mixed(
    source: Text, translation: Text, missing: list[Number], extra: list[Number]
) -> tuple[list[Number], list[Number]]:
    """Without what is one number on one side: 1 1/2 as 1.5, 3 × 10^8 as 3억, 3/4 as 75."""
    parts, others = read_parts(source), read_parts(translation)
    parts += read_shares(source.prose)
    numbers, found = [*source.digits, *source.english], translation.digits
    shared = {value for value, _ in parts} & {value for value, _ in others}
    for value, span in parts:
        missing = _drop_held(missing, numbers, span) if value in shared else missing
    for value, span in others:
        extra = _drop_held(extra, found, span) if value in shared else extra
    for one, span in parts:
        partner = next((n for n in extra if n.value in (one, one * 100)), None)
        if partner:
            extra = [n for n in extra if n is not partner]
            missing = _drop_held(missing, numbers, span)
    for one, span in others:
        partner = next((n for n in missing if n.value in (one, one * 100)), None)
        if partner:
            missing = [n for n in missing if n is not partner]
            extra = _drop_held(extra, found, span)
    return missing, extra


def _drop_held(unpaired: list[Number], numbers: Sequence[Number], span: Span) -> list[Number]:
    """``unpaired`` without the numbers in ``span``: which of equal ones is unpaired is chance."""
    rest = list(unpaired)
    for number in {n.span: n for n in numbers if _holds(span, n)}.values():
        twins = [n for n in rest if n.value == number.value]
        twins.sort(key=lambda n: not _holds(span, n))
        if twins:
            rest.remove(twins[0])
    return rest


def _holds(span: Span, number: Number) -> bool:
    return span[0] <= number.span[0] and number.span[1] <= span[1]
