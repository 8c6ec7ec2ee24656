"""The check that a number keeps its unit: 10 miles are 10마일 or 16km, never 10km."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

from kot_platypus.checks.findings import Findings, Span, make_finding
from kot_platypus.checks.parts import read_parts
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import KOREAN_LOOSE_WORDS, LOOSE_WORDS, SURE_DAYS
from kot_platypus.numerals import Number
from kot_platypus.units import DIMENSIONS, UNITS

_ROUGH = {"마일", "야드", "피트", "인치", "파운드", "온스", "갤런", "에이커", "°F"}
_ROUGH |= {f"{unit}^2" for unit in ("마일", "야드", "피트", "인치")}
_ROUNDED = Fraction(3, 100)  # how far a converted value may be off: 10 miles as 16km


_VOLUMES = {"온스": Fraction("29.5735"), "mL": Fraction(1), "L": Fraction(1000)}


class Measure(NamedTuple):
    """A number and its unit by the unit's one name, and where both stand."""

    value: Fraction
    unit: str
    span: Span
    head: tuple[Fraction, str] | None = None  # the larger part of what is said in two units

    @property
    def key(self) -> tuple[tuple[int, int], str]:
        """The value and the unit; a pair of integers is looked up faster than a fraction."""
        return self.value.as_integer_ratio(), self.unit

    @property
    def size(self) -> tuple[object, Fraction]:
        """Its kind, and how much it is in the kind's smallest unit."""
        if self.unit in ("°C", "°F"):
            is_fahrenheit = self.unit == "°F"
            return "°C", (self.value - 32) * Fraction(5, 9) if is_fahrenheit else self.value
        unit, _, per = self.unit.partition("/")
        line, factor = _find_dimension(unit)
        if not per:
            return line, self.value * factor
        other, divisor = _find_dimension(per)
        return (line, other), self.value * factor / divisor

    def equals(self, other: Measure, rounded: Fraction = _ROUNDED) -> bool:
        """Whether both are as much; exactly, or ``rounded`` off between inches and metres."""
        units = {self.unit, other.unit}
        if "온스" in units and units & {"mL", "L"}:  # a fluid ounce
            volumes = [one.value * _VOLUMES[one.unit] for one in (self, other)]
            return abs(volumes[0] - volumes[1]) <= _ROUNDED * max(volumes)
        if {self.unit, other.unit} == {"살", "년"}:  # of a tree
            return self.value == other.value
        if {self.unit, other.unit} == {"%", "%p"}:
            return False
        if self.unit == other.unit or "도" in (self.unit, other.unit):
            degrees = {"도", "°C", "°F", "rad"}
            same = self.unit == other.unit or {self.unit, other.unit} <= degrees
            return same and self.value == other.value
        (base, _, per), (base_2, _, per_2) = self.unit.partition("/"), other.unit.partition("/")
        if base == base_2 and not (per and per_2):  # 분당 8리터 and 1분에 8리터
            return self.value == other.value
        (kind, size), (kind_2, size_2) = self.size, other.size
        rounded = rounded if _ROUGH & {base, base_2} else Fraction(0)
        return kind == kind_2 and abs(size - size_2) <= rounded * max(
            abs(size), abs(size_2), Fraction(1)
        )


def _find_dimension(unit: str) -> tuple[object, Fraction]:
    return DIMENSIONS.get(unit, (unit, Fraction(1)))


# What a spelling must not run on with, so that 원 is no 원소 and 시 no 시간.
_NOT_BEFORE = {
    "자": "루리동녀식전본산료유신의격세지체매연치기작비금료릿", "글자": "", "단어": "",
    "분": "기야량류석리수자포할명", "주": "인요민문택식제변차소장위", "일": "요본정반부곱제상자",
    "달": "러라성리걀콤", "원": "소인칙리형점주래통판뿔", "도": "시형구움착중서전달입",
    "세": "기계트대로제금력상번개명", "초": "등기과반대", "년": "생", "톤": "", "해": "결당설답",
    "평": "가균면방범등생소시온일지론",
    "명": "", "센티": "미", "킬로": "그미와바칼헤", "미터": "", "살": "인", "인": "치", "풋": "살",
}  # fmt: skip
_LATER_ONLY = frozenset({"명", "사람", "인", "프로", "킬로", "kilo", "mi", "K"})
_PER = {
    "hour": "시간", "hr": "시간", "h": "시간", "시": "시간", "minute": "분", "min": "분",
    "분": "분", "second": "초", "sec": "초", "s": "초", "초": "초", "day": "일",
}  # fmt: skip


def _list_spellings() -> dict[str, str]:
    spellings = {name: name for name in UNITS} | {
        other: name for name, others in UNITS.items() for other in others.split()
    }
    return {said: name for said, name in spellings.items() if said not in _LATER_ONLY}


_NAMES = _list_spellings() | {"mph": "마일/시간", "kph": "km/시간"}


_SPELLED = " ".join(_NAMES).lower()
_UNIT_WORDS = frozenset(re.findall(r"[a-z]+", _SPELLED))
_UNIT_SIGNS = frozenset(re.findall(r"[^a-z0-9가-힣 /^-]", _SPELLED)) | {"'", "′"}


def _write(spelling: str) -> str:
    pattern = re.escape(spelling).replace("\\-", "[- ]")
    if "가" <= spelling[-1] <= "힣":
        refused = _NOT_BEFORE.get(spelling)
        part = r"|의 ?[\d일이삼사오육칠팔구십]" if spelling == "분" else ""  # 3분의 1
        return pattern + (f"(?![{refused}]{part})" if refused else "")
    letters = r"(?![A-Za-z])" if spelling[-1].isalpha() else ""
    if spelling == "s":  # the 1980s are no seconds
        pattern = "(?<= )s"
    return pattern + letters


_SPELLINGS = "|".join(map(_write, sorted(_NAMES, key=len, reverse=True)))
_UNIT = re.compile(
    rf"(?:(?:st|nd|rd|th)(?=[ -]centur))?[\s-]?(?:(?P<power>square|cubic|sq\.?|제곱|세제곱)[\s-]?)?"
    rf"(?P<unit>{_SPELLINGS})(?P<raised>\^?[23²³](?![\d]))?"
    r"(?: (?P<scale>Celsius|Fahrenheit|[CF]\b))?"
    r"(?:(?: per |/| an? )(?P<per>hour|hr|h|second|sec|s|minute|min|day|시|초|분)(?![A-Za-z]))?"
)
_BEFORE = re.compile(
    r"(?P<money>[$₩€£¥])\s?$|(?P<speed>시속|초속|분속)\s?(?:약\s?)?(?:\d[\d.]*\s?[~–-]\s?)?$"
    r"|(?P<scale>화씨|섭씨)\s?(?:영하\s?|[-−])?$"
)
_SPEED = {"시속": "시간", "초속": "초", "분속": "분"}
_ORDINAL = re.compile(r"(?:th|first|second|third)$", re.IGNORECASE)
_JOINT = re.compile(r"\s?|,? (?:and )?|(?:과|와) ")


@lru_cache(maxsize=4)  # by the text itself: two checks ask for the same one
def read_measures(part: Text) -> tuple[Measure, ...]:
    """All numbers with a unit or a currency; what is said in two units is one measure."""
    text = part.prose
    found = sorted({one[1:3]: one for one in _read_parts(part)}.values(), key=lambda one: one.span)
    joined: list[Measure] = []
    for measure in found:
        last = joined[-1] if joined else None
        if last and _JOINT.fullmatch(text[last.span[1] : measure.span[0]]):
            unit, other = DIMENSIONS.get(last.unit), DIMENSIONS.get(measure.unit)
            is_smaller = unit and other and unit[0] == other[0] and other[1] < unit[1]
            if is_smaller and unit and other and measure.value * other[1] < unit[1]:
                value = last.value + measure.value * other[1] / unit[1]
                joined[-1] = Measure(value, last.unit, (last.span[0], measure.span[1]), last[:2])
                continue
        joined.append(measure)
    return tuple(joined)


def _read_parts(part: Text) -> Iterator[Measure]:
    text = part.prose
    parts = read_parts(part)
    taken = {end for _, span in parts for end in range(*span)}
    numbers = [number for number in part.digits if number.span[0] not in taken]
    taken |= {end for number in part.digits for end in range(*number.span)}
    numbers += [
        word
        for word in (*part.english, *part.korean)
        if word.span[1] - 1 not in taken and not _is_loose(text, word)
    ]
    may_be_one = not part.lexicon.isdisjoint(_ONE_UNITS)
    articles = _ONE_AND.finditer(text) if may_be_one else ()
    ones = [(Fraction(1), match.span()) for match in articles]
    yield from _read_bare(part)
    values = ((_make_fraction(number.value), number.span) for number in numbers)
    may_lead = not part.signs.isdisjoint("$₩€£¥속씨")
    for number, (start, end) in (*values, *parts, *ones):
        before = _BEFORE.search(text[max(0, start - 12) : start]) if may_lead else None
        if before and before["money"]:
            yield Measure(number, _NAMES[before["money"]], (start - 1, end))
            continue
        unit = _UNIT.match(text, end)
        if not unit and _DIM.match(text, end) and text[start - 2 : start - 1] in "x×":
            yield Measure(number, "인치", (start, end + 3))
        if not unit or _is_clock(text, number, start, unit):
            continue
        if _ORDINAL.search(text[start:end]) and not unit["unit"].startswith("centur"):
            continue
        value = number
        if _HALF.match(text, unit.end()):
            value += Fraction(1, 4 if text[unit.end() :].startswith(" and a quarter") else 2)
        name = _name_unit(unit)
        if before and before["speed"]:
            name = f"{name}/{_SPEED[before['speed']]}"
        if before and before["scale"] and name == "도":
            name = _NAMES[before["scale"]]
        elif name == "도" and "섭씨" in text and "화씨" not in text:
            name = "°C"  # said once for two
        yield Measure(value, name, (start, unit.end()))


def _read_bare(part: Text) -> Iterator[Measure]:
    """Measures that name no unit: 5'10", 사흘."""
    text = part.prose
    for match in _FEET_AND_INCHES.finditer(text) if "'" in text or "′" in text else ():
        yield Measure(Fraction(12 * int(match[1]) + int(match[2])), "인치", match.span())
    for word in part.korean:
        said = text[slice(*word.span)]
        if said in SURE_DAYS or (said == "하루" and _ONE_DAY.match(text, word.span[1])):
            yield Measure(Fraction(word.value), "일", word.span)


@lru_cache(maxsize=4096)
def _make_fraction(value: Decimal) -> Fraction:
    return Fraction(value)


_FEET_AND_INCHES = re.compile(r"(?<!\d)(\d)['′’] ?(\d{1,2})(?:[\"″”]|'')")
_ONE_DAY = re.compile(r" ?(?:최대|최소|동안|간|만에|안에|전|뒤|후|앞)")
_HALF = re.compile(
    r" and a (?:half|quarter)\b"
    r"|\s?반(?:[이을의은만으에과씩쯤인]|까지|부터|정도|가량|동안|경|짜리|(?![가-힣]))"
)


_ONE_AND = re.compile(
    r"(?i)\ban?(?= [a-z]+ and a (?:half|quarter)\b)"
    # for, than, as, about, after, takes, within, over, nearly
    r"|(?<=for |han | as |out |ter |kes |hin |ver |rly )"
    r"an?(?= (?:hour|week|month|mile|kilogram|pound)\b(?! and a))"
)
_ONE_UNITS = frozenset(("half", "quarter", "hour", "week", "month", "mile", "kilogram", "pound"))


_LOOSE = LOOSE_WORDS.keys() | KOREAN_LOOSE_WORDS.keys()


def _is_loose(text: str, word: Number) -> bool:
    return text[slice(*word.span)].lower() in _LOOSE


def _name_unit(unit: re.Match[str]) -> str:
    if unit["scale"]:
        return f"°{unit['scale'][0]}"
    name = _NAMES.get(unit["unit"]) or _NAMES[unit["unit"].replace(" ", "-")]
    power = {"square": "^2", "sq": "^2", "sq.": "^2", "제곱": "^2", "cubic": "^3", "세제곱": "^3"}
    name += power.get(unit["power"] or "", "")
    if unit["raised"]:
        name += "^2" if unit["raised"][-1] in "2²" else "^3"
    if unit["per"]:
        name += "/" + _PER[unit["per"]]
    return {"km/h": "km/시간", "m/s": "m/초"}.get(name, name)


def _is_clock(text: str, value: Fraction, start: int, unit: re.Match[str]) -> bool:
    """Whether a Korean number is of a date or of a time of day: 3월 5일, 2021년, 3시 20분."""
    before = text[max(0, start - 3) : start].rstrip()
    if unit["unit"] == "일":
        return before.endswith("월")
    if unit["unit"] == "분":
        return before.endswith("시")
    return unit["unit"] == "년" and 1000 <= value < 2200


_RANGE = re.compile(
    r"(?<![\d.,])(\d+(?:\.\d+)?)(?=((?:\s?(?:to|or|[x×~–-]|에서)\s?\d+(?:\.\d+)?){1,2}))"
)


def _read_ranges(part: Text) -> Iterator[Measure]:
    """Numbers whose unit stands after another one: 10 to 15 mph, 4 x 2 x 1 in, 16~24km."""
    ends = {end: one.unit for one in read_measures(part) for end in range(*one.span)}
    for match in _RANGE.finditer(part.prose):
        if unit := ends.get(match.end(2) - 1) or _DIM.match(part.prose, match.end(2)):
            yield Measure(
                Fraction(match[1]), "인치" if not isinstance(unit, str) else unit, match.span(1)
            )


_DIM = re.compile(r" in\b(?=[.,;)\n]|$)")  # inches, at the end of three sizes


class Matched:
    """The measures of a source and of its translation, and those that have no counterpart."""

    def __init__(self, source: Text, translation: Text) -> None:
        self.source, self.translation = source, translation
        self.wanted = read_measures(source)
        self.found = read_measures(translation)
        free = Counter(one.key for one in self.found)
        free_2 = Counter(one.key for one in self.wanted)
        self.lost = [one for one in self.wanted if not _take(free, one)]
        self.new = [one for one in self.found if not _take(free_2, one)]

    @cached_property
    def converted(self) -> list[tuple[Measure, Measure]]:
        """Pairs that say the same in other units or other words."""
        ranged, others = [*_read_ranges(self.source)], [*_read_ranges(self.translation)]
        new = {*self.new, *(one for one in self.found if one.head), *others}
        heads = [one for one in self.wanted if one.head]
        return [
            *(
                (one, other)
                for other in new
                for one in (*self.wanted, *ranged)
                if one.equals(other)
            ),
            *((one, other) for one in heads for other in self.found if one.equals(other)),
        ]

    def find_clash(self) -> tuple[Measure, Measure] | None:
        """A measure that became another: of the same number, or of the same unit."""
        settled = {one for pair in self.converted for one in pair}
        words = {number.value for number in self.translation.korean}
        digits = {number.value for number in self.source.digits}
        for one in self.lost:
            for other in self.new:
                is_settled = one in settled or other in settled
                is_settled |= one.value in words and other.value in digits
                (value, unit), (value_2, unit_2) = one.head or one[:2], other.head or other[:2]
                is_other = one.value == other.value or (value == value_2 and unit != unit_2)
                if is_other and not one.equals(other):
                    return one, other
                if one.unit == other.unit and one.value != other.value and not is_settled:
                    return one, other
        return self._find_other_size(settled)

    def _find_other_size(self, settled: set[Measure]) -> tuple[Measure, Measure] | None:
        """A kind's one lost and one new measure of other units: an hour and a half, 30분."""
        kinds: dict[object, tuple[list[Measure], list[Measure]]] = {}
        for measures, place in ((self.lost, 0), (self.new, 1)):
            for one in measures:
                if one.unit in DIMENSIONS:
                    kinds.setdefault(one.size[0], ([], []))[place].append(one)
        known = {number.value for number in (*self.source.digits, *self.source.english)}
        hints = {number.value for number in self.translation.korean}
        for left, right in kinds.values():
            if len(left) == len(right) == 1 and not settled.intersection((*left, *right)):
                one, other = left[0], right[0]
                if other.value not in known and not other.head and one.value not in hints:
                    return one, other
        return None


def _take(free: Counter[tuple[tuple[int, int], str]], one: Measure) -> bool:
    free[one.key] -= 1
    return free[one.key] >= 0


def find_measures(source: Text, translation: Text) -> Findings:
    """Numbers keep their unit and their currency.

    Catches 10 miles as 10km, $40 as 40원, 20 minutes as 20시간, 5 kg and 3 g as 3kg and 5g.
    Look-alikes: 10 miles as 16km, 2 weeks as 14일, $7.50 as 7달러 50센트, 1.5 hours as
    1시간 30분, counters (5 people as 5명).
    """
    if source.lexicon.isdisjoint(_UNIT_WORDS) and source.signs.isdisjoint(_UNIT_SIGNS):
        return
    if not read_measures(source):
        return
    matched = Matched(source, translation)
    if matched.lost and matched.new and (clash := matched.find_clash()):
        one, other = clash
        said, became = source.cut(one.span).strip(), translation.cut(other.span).strip()
        yield make_finding("numbers", f"{said} became {became}", [one.span], [other.span])
