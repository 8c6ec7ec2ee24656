"""Answers of more than one number: dates, times of day, ratios, intervals, lists and sets of roots.

Each has one normal form that says its kind, so that 3:2 is a ratio and 3시 2분 a time. A text that
may be of two kinds, as 3:30, has a form of each.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache

from kot_platypus.answers.endings import key, peel
from kot_platypus.answers.quantities import read_quantity
from kot_platypus.numerals import read_numeral

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<month>[A-Za-z]{3})[a-z]*\.?"
_DATES = (
    re.compile(
        r"(?P<y>\d{4})(?:년 ?|[-./] ?)(?P<m>\d{1,2})(?:월 ?|[-./] ?)(?P<d>\d{1,2})(?:일|\.)?"
    ),
    re.compile(rf"{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})"),
    re.compile(rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)? {_MONTH},? (?P<y>\d{{4}})"),
)
_DAY = re.compile(r"(1?\d)(?:월 ?|/)([1-3]?\d)(?:일|(?<=\d/\d)|(?<=\d/\d\d))")
_HALF_OF_DAY = {"오전": 0, "새벽": 0, "아침": 0, "am": 0} | dict.fromkeys(
    ("오후", "낮", "저녁", "밤", "pm"), 12
)
_NOON = {"정오": (12, 0, True), "자정": (0, 0, True)}
_TIME = re.compile(
    r"(?:(?P<half>오전|오후|새벽|아침|낮|저녁|밤) ?)?(?P<hour>\d{1,2}|[가-힣]{1,3})"
    r"(?: ?시(?: ?(?P<minute>\d{1,2}|[가-힣]{1,4}) ?분| ?(?P<thirty>반))?|:(?P<minute2>\d{2}))"
    r"(?: ?(?P<half2>am|pm)|(?P<before> 전))?",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?: ?(?::|대) ?(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?))+")
_VARIABLE = re.compile(r"([A-Za-zα-ω])\d? ?= ?")
_BETWEEN = re.compile(r"(-?[\d./]+) ?(<=|≤|<) ?[a-z] ?(<=|≤|<) ?(-?[\d./]+)")
_INTERVAL = re.compile(r"([\[(]) ?(-?[\d./]+) ?, ?(-?[\d./]+) ?([\])])")
_JOINT = re.compile(
    r"\s*(?:(?<!\d),(?=\S)|,(?!\d{3}(?!\d))|[·、;])\s*(?:(?:그리고|및|and|또는|혹은|or)\s+)?"
    r"|\s+(?P<word>그리고|및|and|또는|혹은|or)\s+"
    r"|(?<=[가-힣ㄱ-ㅎ\d])(?:와|과) ?(?=[가-힣ㄱ-ㅎA-Za-z\d-])(?!\d+ ?(?:/|분의))",
    re.IGNORECASE,
)
_EITHER = {"또는", "혹은", "or"}


def have_same_shape(one: str, other: str) -> bool:
    """Whether two texts, as ``plain`` leaves them, are the same date, ratio, list or the like."""
    if not _list_forms(one).isdisjoint(_list_forms(other)):
        return True
    roots = _read_roots(one), _read_roots(other)
    values = [None if "=" in text else _list_values(text) for text in (one, other)]
    return any(
        root is not None and members and frozenset(members) == root
        for root, members in zip(roots, reversed(values), strict=True)
    )


@lru_cache(maxsize=16384)
def _list_forms(text: str) -> frozenset[Hashable]:
    readers = (_read_date, _read_time, _read_ratio, _read_interval, _read_roots, _read_list)
    return frozenset((r.__name__, form) for r in readers if (form := r(text)) is not None)


def _read_date(text: str) -> Hashable | None:
    for pattern in _DATES:
        if found := pattern.fullmatch(text):
            part = found.groupdict()
            if not (name := part.get("month")):
                return int(part["y"]), int(part["m"]), int(part["d"])
            if name.lower() in _MONTHS:
                return int(part["y"]), _MONTHS.index(name.lower()) + 1, int(part["d"])
    found = _DAY.fullmatch(text)
    return found and (int(found[1]), int(found[2]))


def _read_time(text: str) -> Hashable | None:
    """(hour, minute, half of the day or None); 15시 is 오후 3시."""
    if text in _NOON or not (found := _TIME.fullmatch(text)):
        return _NOON.get(text)
    said = (
        found["hour"],
        found["minute"] or found["minute2"] or ("30" if found["thirty"] else "0"),
    )
    hour, minute = (int(part) if part.isdecimal() else read_numeral(part) for part in said)
    if hour is None or minute is None or minute > 59 or hour > 24:
        return None
    if found["before"]:  # 8시 15분 전
        hour, minute = (int(hour) - 1, 60 - int(minute)) if minute else (int(hour), 0)
    half = found["half"] or (found["half2"] or "").lower()
    if half == "밤" and hour in (12, 1, 2):  # after midnight
        half = "오전"
    if half and hour <= 12:
        return int(hour) % 12 + _HALF_OF_DAY[half], int(minute), True
    return int(hour), int(minute), hour > 12 or text.startswith("0")


def _read_ratio(text: str) -> Hashable | None:
    found = _RATIO.fullmatch(text)
    return found and tuple(float(part.replace(",", "")) for part in re.split(r"[:대]", text))


def _read_interval(text: str) -> Hashable | None:
    if found := _BETWEEN.fullmatch(text):
        low, left, right, high = found.groups()
        return left != "<", low, high, right != "<"
    if found := _INTERVAL.fullmatch(text):
        left, low, high, right = found.groups()
        return left == "[", low, high, right == "]"
    return None


# --- several values ----------------------------------------------------------------------------


def _split(text: str) -> tuple[list[str], bool]:
    """The items of a list, and whether a word between them says that they are alternatives."""
    items, at, either = [], 0, False
    for found in _JOINT.finditer(text):
        items.append(text[at : found.start()])
        either = either or any(word in found[0].lower().split() for word in _EITHER)
        at = found.end()
    return [peel(item) for item in (*items, text[at:])], either


def _evaluate(item: str) -> Hashable:
    return read_quantity(item) or key(item)


@lru_cache(maxsize=16384)
def _read_roots(text: str) -> Hashable | None:
    """The values of one variable, or the members in braces, in any order: x = 1 또는 x = 3."""
    if "±" in text:
        text = ", ".join(text.replace("±", sign).split("=")[-1] for sign in ("", "-"))
        text = "{" + text + "}"
    text = re.sub(r"^[a-z] ?(?:∈|\\in) ?(?=\{)", "", text)
    is_set = text.startswith("{") and text.endswith("}")
    items, _ = _split(text[1:-1] if is_set else text)
    names = [found[1] if (found := _VARIABLE.match(item)) else None for item in items]
    if not all(items) or not (is_set or names[0]) or len(set(names) - {None}) > 1:
        return None
    values = [_evaluate(_VARIABLE.sub("", item, count=1)) for item in items]
    return frozenset(values) if len(items) > 1 else None


def _read_list(text: str) -> Hashable | None:
    """Items side by side: words in any order, numbers in this one. Not alternatives."""
    values = _list_values(text)
    if "=" in text or not values or _split(text)[1]:
        return None
    is_text = not any(isinstance(value, tuple) or re.search(r"\d", str(value)) for value in values)
    return frozenset(values) if is_text and len(set(values)) == len(values) else tuple(values)


_STEP = re.compile(r" ?(?:>|→|->|(?<=[가-힣ㄱ-ㅎA-Z])-) ?")


def read_order(text: str) -> tuple[bool, tuple[Hashable, ...]] | None:
    """Items one behind the other, and whether signs between them say so: A > B, A → B; A, B."""
    signed = _STEP.split(text)
    items = signed if len(signed) > 1 else _split(text)[0]
    if len(items) < 2 + (len(signed) > 1) or not all(items):
        return None
    return len(signed) > 1, tuple(_evaluate(peel(item)) for item in items)


def _list_values(text: str) -> list[Hashable]:
    """The values of a list's items; none where brackets make it a point or an interval."""
    items, _ = _split(text)
    if text[:1] in ("(", "[", "{") or len(items) < 2 or not all(items):
        return []
    return [_evaluate(item) for item in items]
