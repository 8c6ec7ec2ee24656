"""Answers that are a number, with or without a unit: 1,234원, 3 1/2, 50%, 서른두 개."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from kot_platypus.numerals import read_numeral, read_sino

PERCENT = "%"
_MAX_CHARS = 100


class Quantity(NamedTuple):
    """An exact value and its unit: "" for a bare number, ``PERCENT``, or the unit's one name."""

    value: Fraction
    unit: str = ""

    def equals(self, other: Quantity) -> bool:
        """Whether both say the same. A unit may be left out, but not percent, nor differ."""
        if self.value != other.value:
            return False
        units = {self.unit, other.unit}
        return len(units) == 1 or ("" in units and PERCENT not in units)


# Units that are written in several ways, by the name that all of them get.
_SAME = {
    PERCENT: "％ 퍼센트 프로 percent",
    "명": "사람 인",
    "살": "세 years years-old",
    "원": "₩ won",
    "달러": "$ dollar dollars USD 불",
    "유로": "€ euro euros",
    "엔": "¥ yen",
    "시간": "h hr hrs hour hours",
    "분": "min mins minute minutes",
    "초": "s sec secs second seconds",
    "일": "day days",
    "주": "주일 week weeks",
    "개월": "달 month months",
    "년": "해 year years",
    "m": "미터 ㍍ meter meters metre metres",
    "cm": "센티미터 센티 ㎝ centimeter centimeters",
    "mm": "밀리미터 ㎜ millimeter millimeters",
    "km": "킬로미터 ㎞ kilometer kilometers",
    "g": "그램 gram grams",
    "kg": "킬로그램 ㎏ kilogram kilograms kilo kilos",
    "mg": "밀리그램 ㎎",
    "t": "톤 ton tons",
    "L": "l 리터 ℓ liter liters litre litres",
    "mL": "ml 밀리리터 ㎖ milliliter milliliters",
    "m^2": "제곱미터 ㎡ 평방미터 m2",
    "cm^2": "제곱센티미터 ㎠ cm2",
    "km^2": "제곱킬로미터 ㎢ km2",
    "m^3": "세제곱미터 ㎥ m3",
    "cm^3": "세제곱센티미터 ㎤ cm3 cc",
    "도": "° deg degree degrees",
    "°C": "℃ 섭씨",
    "km/h": "시속 kph",
    "m/s": "초속",
}
_COUNTERS = (
    "개 마리 장 권 자루 송이 대 채 그루 켤레 벌 쌍 배 곳 군데 가지 차례 번 회 잔 병 조각 컵 "
    "판 줄 칸 쪽 면 변 자리 모둠 팀 층 학기 걸음 바퀴 상자 봉지 통 묶음 점 등 위 호 호선 반 "
    "학년 페이지 단 단계 시 월 세기 주년 대째 번째 째 건 편 곡 부 매 박 그릇 접시 포기 알 톨 "
    "모 근 평 리 척 량 석 좌석 줄기 종 종류 문제 문항 계단 경기 골 승 패 라운드 바구니 봉 팩 "
    "갑 다스 세트 박스 캔 방울 덩이 뼘 길이 개입 원짜리 표 표차 가구 세대 가정 국 개국 나라 "
    "도시 학교 학급 교시 과목 주먹 숟가락 스푼 큰술 작은술 꼭짓점 모서리 각 볼트 와트 암페어 "
    "뉴턴 헤르츠 칼로리 바이트 비트 픽셀 V W A J N Hz kcal cal kW MW GB MB KB TB kB dB mol K "
    "Pa kPa"
)
_UNITS = (
    {counter: counter for counter in _COUNTERS.split()}
    | {name: name for name in _SAME}
    | {other: name for name, others in _SAME.items() for other in others.split()}
)
# A plural of English says what is counted; these say how much, or that it is another number.
_NO_UNITS = {"less", "others", "hundreds", "thousands", "millions", "billions", "halves"}

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_SCALE = r"(?:[십백천]?[만억조]|[십백천])"
_FORMS = re.compile(
    rf"(?P<whole>\d+)(?: ?과 ?| )(?P<top>\d+) ?/ ?(?P<bottom>\d+)"
    rf"|(?P<whole2>\d+) ?과 ?(?P<bottom2>\d+) ?분의 ?(?P<top2>\d+)"
    rf"|(?P<whole3>\d*) ?(?P<vulgar>[½⅓⅔¼¾])"
    rf"|(?P<above>{_PLAIN}) ?/ ?(?P<below>{_PLAIN})"
    rf"|(?P<below2>{_PLAIN}) ?분의 ?(?P<above2>{_PLAIN})"
    rf"|(?P<factor>{_PLAIN}) ?[×x*·] ?10\^(?P<power>-?\d{{1,3}})"
    rf"|(?P<digits>{_PLAIN})[eE](?P<exponent>[+-]?\d{{1,3}})(?![\w])"
    rf"|(?P<scaled>{_PLAIN} ?{_SCALE}(?: ?{_PLAIN} ?{_SCALE})*(?: ?{_PLAIN})?)"
    r"(?![각짜])"
    rf"|(?P<plain>{_PLAIN})"
)
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_BEFORE = re.compile(r"(?:총|모두|전부|바로|합계|합해서|전체) ?(?=\S)|[A-Za-zα-ω] ?= ?")
_SIGN = re.compile(r"(?P<minus>-|마이너스|음수|영하|minus|negative) ?|\+")
_MONEY = re.compile(r"(?:US)?(?P<money>[$₩€¥]) ?")
_WORD_FRACTION = re.compile(r"([가-힣]{1,8}) ?분의 ?([가-힣]{1,8})")
_HANGUL_HEAD = re.compile(r"[가-힣][가-힣 ]*")


@lru_cache(maxsize=4096)
def read_quantity(text: str) -> Quantity | None:
    """The quantity that ``text``, as ``plain`` leaves it, is from end to end, or None."""
    text = text.strip()
    if len(text) > _MAX_CHARS:
        return None
    if "=" in text:
        return _read_equation(text)
    if before := _BEFORE.match(text):
        text = text[before.end() :]
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
    if named is None or (named and unit and named != unit):
        return None
    return Quantity(sign * value, named or unit)


def _read_equation(text: str) -> Quantity | None:
    """What stands behind the last sign of equality; a number before it must be the same."""
    sides = text.split("=")
    if not all(side.strip() for side in sides):
        return None
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
    return Fraction(plain.replace(",", ""))


def _read_words(text: str) -> tuple[Fraction, str] | None:
    """A Korean numeral at the beginning; the longest whose rest is a unit."""
    head = _HANGUL_HEAD.match(text)
    if not head:
        return None
    if parts := _WORD_FRACTION.fullmatch(text):
        below, above = (read_numeral(part) for part in parts.groups())
        return (Fraction(above) / Fraction(below), "") if below and above else None
    for end in range(min(head.end(), 20), 0, -1):
        if _read_unit(text[end:]) is None:
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
