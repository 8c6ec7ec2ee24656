"""What goes with a number and may get lost: percent and minus."""

from __future__ import annotations

import re

from kot_platypus.checks.alignment import pair_lines
from kot_platypus.checks.findings import Findings, drop_spans, make_finding
from kot_platypus.checks.segments import Text

_PERCENT_MARKS = ("%", "％", "percent", "per cent", "퍼센트")
_PERCENT = re.compile(r"%|％|percent(?!ile|age(?! point))|per cent")
_PERCENT_RANGE = re.compile(r"\d ?(?:to|and|or|[-–~]) ?\d[\d.]* ?(?:%|percent)")
_KOREAN_PERCENT = re.compile(r"%|％|퍼센트|백분율|프로(?![가-힣]{2})|(?<=\d)할")


def _list_negative(text: str) -> list[str]:
    """The digits of the negative numbers, sorted."""
    marks = [match.end() for match in _MINUS.finditer(text)]
    marks += [match.end() for match in _SAID_NEGATIVE.finditer(text)]
    numbers = (_PLAIN_NUMBER.match(text, mark) for mark in marks)
    return sorted(number[1].rstrip(".,") for number in numbers if number)


_SAID_NEGATIVE = re.compile(r"(?:영하|마이너스|(?i:(?<!plus or )\bminus|\bnegative))(?= ?\d)")
_PLAIN_NUMBER = re.compile(r"[ $]{0,2}(\d[\d.,]*)")
_PART = re.compile(
    r"(?i)hal(?:f|ves)\b|quarter|third|fifth|tenth|\d/\d|[½⅓⅔¼¾]| (?:in|out of) (?:\d|[a-z]+ )"
    r"|basis point|time and a half|double|twice|triple"
)
_KOREAN_PART = re.compile(r"분의|절반|과반|(?<![가-힣])반[이을은의]? |\d/\d")
_MINUS = re.compile(
    r"(?=[-−–])(?<![\w)\]}.$%])(?<![\d)\]}$] )(?<!\b[a-z] ).(?=\$?\.?\d)|⁻(?=[⁰¹²³⁴-⁹])"
)
_MAY_BE_MINUS = re.compile(r"[-−–⁻](?=[$\d.⁰¹²³⁴-⁹])")
_SAID_MINUS = re.compile(r"\b(?:minus|negative|below|under|loss)\b|(?<!\d)[-−–]")
_KOREAN_MINUS = re.compile(r"[-−–]|마이너스|영하|음수|음의|[빼뺀뺄]|±|오차")


def find_signs(source: Text, translation: Text) -> Findings:
    """Percent and minus signs are as many, and the same numbers are negative."""
    raw = source.raw + "\n" + translation.raw
    if any(mark in raw for mark in _PERCENT_MARKS):
        yield from _find_percent(source, translation)
    if _MAY_BE_MINUS.search(raw):
        found = list(_find_minus(source, translation))
        pieces = pair_lines(source, translation)
        if not found and len(pieces) > 1:
            found = [drop_spans(one) for pair in pieces for one in _find_minus(*pair)][:1]
        yield from found


def _find_percent(source: Text, translation: Text) -> Findings:
    wanted = [match.span() for match in _PERCENT.finditer(source.raw)]
    found = [match.span() for match in _KOREAN_PERCENT.finditer(translation.raw)]
    parts = len(_PART.findall(source.raw))  # which may come as 50 %, and the other way round
    parts += len(_PERCENT_RANGE.findall(source.raw)) + source.raw.count("what percentage")
    said = max(0, len(_KOREAN_PART.findall(translation.raw)) - parts)
    if len(found) + said < len(wanted) or len(found) > len(wanted) + parts:
        detail = f"{len(wanted)} percent signs became {len(found)}"
        yield make_finding("numbers", detail, wanted, found)


def _find_minus(source: Text, translation: Text) -> Findings:
    minus = [match.span() for match in _MINUS.finditer(source.raw)]
    new = [match.span() for match in _MINUS.finditer(translation.raw)]
    values, others = _list_negative(source.raw), _list_negative(translation.raw)
    is_lost = len(new) < len(minus) > len(_KOREAN_MINUS.findall(translation.raw))
    is_lost |= len(values) == len(others) and values != others
    if is_lost or len(minus) < len(new) > len(_SAID_MINUS.findall(source.raw.lower())):
        detail = f"{len(minus)} negative numbers became {len(new)}"
        yield make_finding("numbers", detail, minus, new)
