"""Times of day that English says in words: a quarter to seven is 6시 45분, or 7시 15분 전."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kot_platypus.checks.findings import Findings, Span, make_finding
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import CARDINALS

_HALF_DAY = 720  # minutes


class Clock(NamedTuple):
    """A time in minutes of half a day, where it stands, and what it may be mistaken for."""

    minutes: int
    span: Span
    mistakes: frozenset[int] = frozenset()


_HOURS = {word: hour for word, hour in CARDINALS.items() if 0 < hour <= 12}
_HOURS |= {"noon": 0, "midnight": 0}
_MINUTES = {"quarter": 15, "half": 30, "five": 5, "ten": 10, "twenty": 20, "twenty-five": 25}
_SAID = re.compile(
    rf"(?i)\b(?:(?P<part>quarter|half)|(?P<minutes>{'|'.join(_MINUTES)}|\d{{1,2}})(?: minutes)?) "
    rf"(?P<way>to|before|past|after) (?P<hour>{'|'.join(_HOURS)}|\d{{1,2}})\b(?!:\d)"
)
_MAY_BE_SAID = re.compile(rf"(?i) (?:to|before|past|after) (?:{'|'.join(_HOURS)}|\d)")  # faster
_WRITTEN = re.compile(r"(?<![\d:])(\d{1,2}):(\d\d)(?![\d:])")
CLOCK_WORDS = frozenset(("past", "to", "before", "after"))


def read_said_clocks(text: str) -> Iterator[Clock]:
    """What English says with "to" and "past"; "ten to twelve" may be no time at all."""
    for match in _SAID.finditer(text) if _MAY_BE_SAID.search(text) else ():
        said = (match["part"] or match["minutes"]).lower()
        minutes = int(said) if said.isdigit() else _MINUTES[said]
        hour = match["hour"].lower()
        start = 60 * (_HOURS[hour] if hour in _HOURS else int(hour))
        if match["way"] in ("to", "before"):
            minutes = -minutes
        # "to" for "past", and a quarter past five as 5시 45분
        times = [(start + offset) % _HALF_DAY for offset in (minutes, -minutes, 60 - abs(minutes))]
        yield Clock(times[0], match.span(), frozenset(times) - {times[0]})


def read_korean_clocks(text: Text) -> Iterator[Clock]:
    """11시 45분, 열두 시 반, 7시 15분 전, 18:45."""
    prose = text.prose
    for match in _WRITTEN.finditer(prose):
        yield Clock((60 * int(match[1]) + int(match[2])) % _HALF_DAY, match.span())
    numbers = sorted((*text.digits, *text.korean), key=lambda one: one.span)
    for at, hour in enumerate(numbers) if "시" in text.signs else ():
        after = _OCLOCK.match(prose, hour.span[1])
        if not after or hour.value > 24:
            continue
        start, minutes, end = 60 * int(hour.value), 30 if after["half"] else 0, after.end()
        for number in numbers[at + 1 : at + 1 + _NEXT]:
            unit = _MINUTE.match(prose, number.span[1])
            if unit and end <= number.span[0] <= end + 1:
                minutes, end = int(number.value), unit.end()
                minutes = -minutes if unit["before"] else minutes
                break
        yield Clock((start + minutes) % _HALF_DAY, (hour.span[0], end))


_NEXT = 4  # numbers after an hour among which its minutes are: a numeral may be read in two ways
_OCLOCK = re.compile(r" ?시(?!간)(?P<half> ?반)?")
_MINUTE = re.compile(r" ?분(?P<before> ?전)?")


def find_turned_clocks(source: Text, translation: Text) -> Findings:
    """A quarter to seven that became a quarter past seven, or the other way round."""
    if source.lexicon.isdisjoint(CLOCK_WORDS):
        return
    said = list(read_said_clocks(source.prose))
    found = {clock.minutes: clock.span for clock in read_korean_clocks(translation)} if said else {}
    for clock in said:
        mistaken = clock.mistakes & found.keys()
        if clock.minutes not in found and mistaken:
            here, there = source.cut(clock.span), translation.cut(found[min(mistaken)])
            yield make_finding("numbers", f"{here} became {there}", [clock.span])
            return
