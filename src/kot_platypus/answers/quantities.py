"""Answers that are a number, with or without a unit: 1,234원, 3 1/2, 50%, 서른두 개."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from kot_platypus.numerals import Strength, read_english_words, read_numeral, read_sino
from kot_platypus.units import DIMENSIONS, UNITS

PERCENT = "%"
_MAX_CHARS = 100


class Quantity(NamedTuple):
    """An exact value and its unit: "" for a bare number, ``PERCENT``, or the unit's one name."""

    value: Fraction
    unit: str = ""

    def is_percent_of(self, other: Quantity) -> bool:
        """Whether this is in percent what the other is as a bare number: 60% and 3/5."""
        units = (self.unit, other.unit)
        return units == (PERCENT, "") and self.value == 100 * other.value

    def equals(self, other: Quantity) -> bool:
        """Whether both say the same. A unit may be left out, but not percent, nor differ."""
        units = {self.unit, other.unit}
        if len(units) == 1 or ("" in units and PERCENT not in units):
            return self.value == other.value
        mine, theirs = DIMENSIONS.get(self.unit), DIMENSIONS.get(other.unit)
        if not mine or not theirs or mine[0] != theirs[0]:
            return False
        return self.value * mine[1] == other.value * theirs[1]


_SPEEDS = {("시속", "km"): "km/h", ("초속", "m"): "m/s"}
_COUNTERS = (
    "개 마리 장 권 자루 송이 대 채 그루 켤레 벌 쌍 배 곳 군데 가지 차례 번 회 병 조각 판 줄 칸 쪽 "
    "면 변 자리 모둠 팀 층 학기 걸음 바퀴 상자 봉지 통 묶음 점 등 위 호 호선 반 학년 페이지 단 "
    "단계 시 월 주년 대째 번째 째 년째 건 편 곡 부 매 박 그릇 접시 포기 알 톨 모 근 평 리 척 량 "
    "석 좌석 줄기 종 종류 문제 문항 계단 경기 골 승 패 라운드 바구니 봉 팩 갑 다스 세트 박스 캔 "
    "방울 덩이 뼘 길이 개입 원짜리 표 표차 가구 세대 가정 국 개국 나라 도시 학교 학급 교시 과목 "
    "주먹 숟가락 스푼 꼭짓점 모서리 각 암페어 뉴턴 바이트 비트 픽셀 A J N dB K"
)
_UNITS = (
    {counter: counter for counter in _COUNTERS.split()}
    | {name: name for name in UNITS}
    | {other: name for name, others in UNITS.items() for other in others.split()}
)
# A plural of English says what is counted; these say how much, or that it is another number.
_NO_UNITS = {"less", "others", "hundreds", "thousands", "millions", "billions", "halves"}

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3}){2,}|\d+(?:\.\d+)?|\.\d+)"
_SCALE = r"(?:[십백천]?[만억조]|[십백천])"
_FORMS = re.compile(
    rf"(?P<whole>\d+)(?: ?[과와] ?| )(?P<top>\d+) ?/ ?(?P<bottom>\d+)"
    rf"|(?P<whole2>\d+) ?[과와] ?(?P<bottom2>\d+) ?분의 ?(?P<top2>\d+)"
    rf"|(?P<whole3>\d*) ?(?P<vulgar>[½⅓⅔¼¾])|(?P<above>{_PLAIN}) ?/ ?(?P<below>{_PLAIN})"
    rf"|(?P<below2>{_PLAIN}) ?분의 ?(?P<above2>{_PLAIN})"
    rf"|(?P<factor>{_PLAIN}) ?[×x*·] ?10\^(?P<power>-?\d{{1,3}})"
    rf"|(?P<digits>{_PLAIN})[eE](?P<exponent>[+-]?\d{{1,3}})(?![\w])"
    rf"|(?P<scaled>{_PLAIN} ?{_SCALE}(?: ?{_PLAIN} ?{_SCALE})*(?: ?{_PLAIN})?)"
    r"(?![각짜])"
    rf"|(?P<plain>{_PLAIN})"
)
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_BEFORE = re.compile(
    r"만 ?(?=\d{1,3} ?(?:세|살)$)|(?:총|모두|전부|바로|합계|합해서|전체) ?(?=\S)|[A-Za-zα-ω] ?= ?"
)
_SIGN = re.compile(r"(?P<minus>-|마이너스|음수|영하|minus|negative) ?|\+")
_DEGREES = re.compile(r"섭씨|화씨|영하|영상")
_DAYS = {"하루": 1, "이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "이레": 7, "여드레": 8}
_DAYS |= {"아흐레": 9, "열흘": 10, "보름": 15}
_MONEY = re.compile(r"(?:US)?(?P<money>[$₩€¥]) ?")
_WORD_FRACTION = re.compile(r"([가-힣]{1,8}) ?분의 ?([가-힣]{1,8})")
_WORD_DECIMAL = re.compile(r"([영공일이삼사오육칠팔구십백천만]+) ?점 ?([영공일이삼사오육칠팔구]+)")
_HANJA = str.maketrans("一二三四五六七八九十百千", "일이삼사오육칠팔구십백천")
_DIGIT_NAMES = str.maketrans("영공일이삼사오육칠팔구", "00123456789")
_ENGLISH = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+)*")
_ENGLISH_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "tenth": 10,
}
_HANGUL_HEAD = re.compile(r"[가-힣][가-힣 ]*")


@lru_cache(maxsize=4096)
def read_quantity(text: str) -> Quantity | None:
    """The quantity that ``text``, as ``plain`` leaves it, is from end to end, or None."""
    text = text.strip()
    if days := _DAYS.get(text):
        return Quantity(Fraction(days), "일")
    if "=" in text and len(text) <= _MAX_CHARS:
        return _read_equation(text)
    if text.startswith(("시속 ", "초속 ")):
        return _read_speed(text)
    return _read_signed(text) if len(text) <= _MAX_CHARS else None


def _read_speed(text: str) -> Quantity | None:
    """시속 60km is 60 km/h."""
    speed = read_quantity(text[3:])
    per = speed and _SPEEDS.get((text[:2], speed.unit))
    return speed._replace(unit=per) if speed and per else None


def _read_signed(text: str) -> Quantity | None:
    if before := _BEFORE.match(text):
        text = text[before.end() :]
    scale = _DEGREES.match(text)
    if scale and scale[0] != "영하":
        text = text[scale.end() :].strip()
    sign, unit = 1, ""
    if found := _SIGN.match(text):
        sign = -1 if found["minus"] else 1
        text = text[found.end() :]
    if found := _MONEY.match(text):
        unit = _UNITS[found["money"]]
        text = text[found.end() :]
        if inner := _SIGN.match(text):
            sign, text = (-1 if inner["minus"] else sign), text[inner.end() :]
    read = _read_value(text)
    if read is None:
        return None
    value, rest = read
    named = _read_unit(rest)
    if named == "도" and scale:
        named = "°F" if scale[0] == "화씨" else "°C"
    if named is None:
        joined = _join(value, rest)
        return joined and joined._replace(value=sign * joined.value)
    if named and unit and named != unit:
        return None
    return Quantity(sign * value, named or unit)


def _join(value: Fraction, rest: str) -> Quantity | None:
    """What falls into two units of one kind, the larger first: 1시간 30분, 2m 5cm, 1시간 반."""
    for found in re.finditer(r"(?<=\S) ?(?=\d|반$|[가-힣])", rest):
        unit, tail = _read_unit(rest[: found.start()]), rest[found.end() :]
        if not unit or unit not in DIMENSIONS:
            continue
        line, size = DIMENSIONS[unit]
        if tail == "반":
            return Quantity(value + Fraction(1, 2), unit)
        second = read_quantity(tail)
        if second is None or second.unit not in DIMENSIONS or second.value < 0:
            return None
        other, smaller = DIMENSIONS[second.unit]
        whole = value * size + second.value * smaller
        is_one = other == line and smaller < size and second.value * smaller < size
        return Quantity(whole / smaller, second.unit) if is_one else None
    return None


def _read_equation(text: str) -> Quantity | None:
    """What stands behind the last sign of equality; a number before it must be the same."""
    sides = text.split("=")
    if not all(side.strip() for side in sides):
        return None
    if any(re.search(r",\s|[,·]\s*[a-z]$|또는|\bor\b", side) for side in sides):
        return None  # x = 1, x = 4
    last = read_quantity(sides[-1])
    first = (read_quantity(side) for side in sides[:-1])
    if last is None or any(side and not side.equals(last) for side in first):
        return None
    return last


def _read_value(text: str) -> tuple[Fraction, str] | None:
    """The number that a text begins with, and the rest."""
    found = _FORMS.match(text)
    if not found:
        return _read_words(text)
    rest = text[found.end() :]
    if re.match(r"[\d,.]*\d|/", rest):  # 1,23 or 1.2.3 or 1/2/3
        return None
    if found["scaled"]:
        return Fraction(read_sino(found["scaled"].replace(" ", ""))), rest
    part = found.groupdict()
    above = part["top"] or part["top2"] or part["above"] or part["above2"]
    below = part["bottom"] or part["bottom2"] or part["below"] or part["below2"]
    whole = part["whole"] or part["whole2"] or part["whole3"]
    value = Fraction(int(whole)) if whole else Fraction(0)
    if found["vulgar"]:
        return value + Fraction(_VULGAR[found["vulgar"]]), rest
    if above and below:
        if not _parse(below):
            return None
        return value + _parse(above) / _parse(below), rest
    if found["factor"]:
        return _parse(found["factor"]) * Fraction(10) ** int(found["power"]), rest
    if found["digits"]:
        return _parse(found["digits"]) * Fraction(10) ** int(found["exponent"]), rest
    return _parse(found["plain"]), rest


def _parse(plain: str) -> Fraction:
    return Fraction(re.sub("[, ]", "", plain))


def _read_words(text: str) -> tuple[Fraction, str] | None:
    """A Korean numeral at the beginning; the longest whose rest is a unit."""
    text = text.translate(_HANJA)
    if english := _ENGLISH.match(text):
        return _read_english(english[0], text[english.end() :])
    head = _HANGUL_HEAD.match(text)
    if not head:
        return None
    if decimal := _WORD_DECIMAL.fullmatch(text):
        return _read_decimal(*decimal.groups())
    if parts := _WORD_FRACTION.fullmatch(text):
        below, above = (read_numeral(part) for part in parts.groups())
        return (Fraction(above) / Fraction(below), "") if below and above else None
    for end in range(min(head.end(), 20), 0, -1):
        if _read_unit(text[end:]) is None and _join(Fraction(1), text[end:]) is None:
            continue
        numeral = text[:end].strip()
        # 두 and its like stand before what they count: 만두 is no number; 이 문제 is this question.
        is_open = numeral[-1] in "한두세네첫석넉너서" and end == len(text)
        if is_open or text.startswith("이 "):
            continue
        value = read_numeral(numeral)
        if value is not None:
            return Fraction(value), text[end:]
    return None


def _read_english(words: str, rest: str) -> tuple[Fraction, str] | None:
    """seven, twenty-one students, one third: a numeral and what is left of the text."""
    numbers = read_english_words(words)
    if not numbers or numbers[0].span[0] or numbers[0].strength < Strength.POSSIBLE:
        return None
    value, end = Fraction(numbers[0].value), numbers[0].span[1]
    tail = re.sub(r"s$", "", words[end:].strip(" -").lower())
    if not rest and tail in _ENGLISH_PARTS:
        return value / _ENGLISH_PARTS[tail], ""
    return value, words[end:] + rest


def _read_decimal(whole: str, digits: str) -> tuple[Fraction, str] | None:
    """삼점일사 is 3.14."""
    value = read_numeral(whole.replace("공", "영"))
    if value is None:
        return None
    return Fraction(f"{value}.{digits.translate(_DIGIT_NAMES)}"), ""


@lru_cache(maxsize=16384)
def _read_unit(text: str) -> str | None:
    """The unit's one name, "" for none. None: this is no unit."""
    text = text.strip()
    if not text:
        return ""
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    text = re.sub(r"^단위 ?:? ?", "", text)
    known = _UNITS.get(text) or _UNITS.get(text.replace(" ", "")) or _UNITS.get(text.lower())
    if known is None and re.fullmatch(r"[a-z]{3,}s", text) and text not in _NO_UNITS:
        return text
    return known
