"""The check of dates and times of day: July 4, 1976 is 1976년 7월 4일, and 8 a.m. 오전 8시."""

from __future__ import annotations

import re
from typing import NamedTuple

from kot_platypus.checks.clocks import find_turned_clocks
from kot_platypus.checks.findings import Findings, Span, make_finding
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import MONTHS


class Date(NamedTuple):
    """A day; the year is 0 where it is not said."""

    year: int
    month: int
    day: int


_NAME = rf"(?P<name>{'|'.join(name.title() for name in MONTHS)})"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_NAME} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>[12]\d{{3}}))?(?!\d|,\d)",
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_NAME}(?:,? (?P<year>[12]\d{{3}}))?\b",
        r"(?:(?P<year>[12]\d{3})년 ?)?(?<!\d)(?P<month>\d{1,2})월 ?(?P<day>\d{1,2})일",
        r"(?<!\d)(?P<year>[12]\d{3})[-./] ?(?P<month>\d{1,2})[-./] ?(?P<day>\d{1,2})(?!\d)",
    )
)


def read_dates(text: str) -> dict[Date, Span]:
    """The days that a text names, each with its first place."""
    dates: dict[Date, Span] = {}
    for pattern in _DATES:
        for match in pattern.finditer(text):
            part = match.groupdict()
            month = int(part.get("month") or MONTHS[part["name"].lower()])
            dates.setdefault(Date(int(part["year"] or 0), month, int(part["day"])), match.span())
    return dates


_MAY_BE_NAMED = re.compile("|".join(name.title() for name in MONTHS))
_MAY_BE = re.compile(r"\d(?:[-./]\d+[-./]\d|\s?[apAP]\.?[mM]\b|월)")


def find_dates(source: Text, translation: Text) -> Findings:
    """Days and times of day are the same.

    Catches July 4 as 4월 7일, the years of two dates exchanged, 8 a.m. as 오후 8시,
    a quarter to nine as 9시 15분. Look-alikes:
    another order, a year or month said once for two days, 7 p.m. as 19시.
    """
    yield from find_turned_clocks(source, translation)
    if not source.digits and source.lexicon.isdisjoint(MONTHS):
        return
    if not (_MAY_BE_NAMED.search(source.raw) or _MAY_BE.search(source.raw)):
        return
    wanted, found = read_dates(source.raw), read_dates(translation.raw)
    lost = [date for date in wanted if not any(_may_be(date, other) for other in found)]
    new = [date for date in found if not any(_may_be(date, other) for other in wanted)]
    lost = [x for x in lost if not re.search(rf"일(?:과|,|·|~|부터) ?{x.day}일", translation.raw)]
    if lost and new:
        spans = wanted[lost[0]], found[new[0]]
        detail = f"{source.cut(spans[0])} became {translation.cut(spans[1])}"
        yield make_finding("numbers", detail, spans[:1], spans[1:])
    else:
        yield from _compare_halves(source, translation)


def _may_be(date: Date, other: Date) -> bool:
    same_year = date.year == other.year or 0 in (date.year, other.year)
    return same_year and date[1:] == other[1:]


_HALF = re.compile(r"(?i)\b(?P<hour>\d{1,2})(?::\d\d)?\s?(?P<half>[ap])\.?m\b")
_KOREAN_HALF = re.compile(
    r"(?:(?P<early>오전|새벽|아침)|오후|저녁|밤|낮)\s?(?P<hour>\d{1,2})\s?(?::\d\d|시(?!간))"
)


def _compare_halves(source: Text, translation: Text) -> Findings:
    """a.m. is 오전 or 새벽, p.m. 오후, 저녁 or 밤: of every hour that is said so in both texts."""
    halves: dict[int, set[bool]] = {}
    for match in _KOREAN_HALF.finditer(translation.raw):
        halves.setdefault(int(match["hour"]) % 12, set()).add(bool(match["early"]))
    for match in _HALF.finditer(source.raw):
        hour = int(match["hour"]) % 12
        is_early = match["half"] in "aA"
        if hour and hour in halves and is_early not in halves[hour]:
            yield make_finding(
                "numbers", f"{match[0]} is in the other half of the day", [match.span()]
            )
            return
