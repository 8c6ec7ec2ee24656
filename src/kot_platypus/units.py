"""Units of measure and currencies: their names in Korean and English, and what is exactly equal."""

from __future__ import annotations

from fractions import Fraction

# What takes a prefix: a symbol, its prefixes, and its names in Korean and English.
_METRIC = (
    ("m", "n µ m c _ k", "미터", "meter metre"), ("g", "µ m _ k", "그램", "gram gramme"),
    ("L", "µ m _", "리터", "liter litre"), ("s", "n µ m", "초", "second"),
    ("W", "m _ k M G", "와트", "watt"), ("Wh", "_ k M G", "와트시", "watt-hour"),
    ("V", "m _ k", "볼트", "volt"), ("Hz", "_ k M G", "헤르츠", "hertz"),
    ("Pa", "_ h k M", "파스칼", "pascal"), ("mol", "m _", "몰", "mole"),
    ("cal", "_ k", "칼로리", "calorie"), ("B", "K M G T", "바이트", "byte"),
    ("b", "K M G", "비트", "bit"),
)  # fmt: skip
# Of each prefix: Korean, English, and the power of ten.
_PREFIXES = {
    "n": ("나노", "nano", -9), "µ": ("마이크로", "micro", -6), "m": ("밀리", "milli", -3),
    "c": ("센티", "centi", -2), "_": ("", "", 0), "h": ("헥토", "hecto", 2),
    "k": ("킬로", "kilo", 3), "K": ("킬로", "kilo", 3), "M": ("메가", "mega", 6),
    "G": ("기가", "giga", 9), "T": ("테라", "tera", 12),
}  # fmt: skip
_OTHER_SPELLINGS = {
    "m": "㍍", "cm": "센티 ㎝", "mm": "㎜", "km": "㎞", "kg": "㎏ kilo kilos", "mg": "㎎",
    "L": "l ℓ", "mL": "ml ㎖", "µm": "μm ㎛", "µg": "μg mcg", "µL": "μL", "µs": "μs", "KB": "kB",
}  # fmt: skip


def _list_metric() -> dict[str, str]:
    """Metric units and their spellings: kWh is 킬로와트시, kilowatt-hour or kilowatt-hours."""
    units = {}
    for symbol, prefixes, korean, english in _METRIC:
        for prefix in prefixes.split():
            said, name, _ = _PREFIXES[prefix]
            names = " ".join(f"{name}{one} {name}{one}s" for one in english.split())
            unit = prefix.strip("_") + symbol
            units[unit] = f"{said}{korean} {names} {_OTHER_SPELLINGS.get(unit, '')}"
    return units


# Units that are written in several ways, by the name that all of them get.
UNITS = _list_metric() | {
    "bp": "basis-point basis-points 베이시스포인트",
    "%": "％ 퍼센트 프로 percent",
    "%p": "%포인트 %-포인트 퍼센트포인트 퍼센트-포인트 percentage-point percentage-points",
    "명": "사람 인",
    "단어": "낱말 word words",
    "글자": "자 character characters",
    "살": "세 years-old year-old years-of-age",
    "원": "₩ won",
    "달러": "$ dollar dollars USD 불",
    "센트": "¢ cent cents",
    "유로": "€ euro euros",
    "파운드": "£ pound pounds lb lbs",
    "펜스": "penny pence",
    "엔": "¥ yen",
    "위안": "yuan renminbi RMB",
    "루피": "rupee rupees",
    "페소": "peso pesos",
    "시간": "h hr hrs hour hours",
    "분": "min mins minute minutes",
    "초": "s sec secs second seconds",
    "일": "day days",
    "주": "주일 week weeks",
    "개월": "달 month months",
    "년": "해 year years",
    "십년": "decade decades",
    "세기": "century centuries",
    "마일": "mile miles mi",
    "야드": "yard yards yd",
    "피트": "풋 foot feet ft",
    "인치": "inch inches",
    "t": "톤 ton tons tonne tonnes",
    "온스": "ounce ounces oz",
    "갤런": "gallon gallons gal",
    "컵": "잔 cup cups",
    "큰술": "테이블스푼 tablespoon tablespoons tbsp",
    "작은술": "티스푼 teaspoon teaspoons tsp",
    "m^2": "제곱미터 ㎡ 평방미터 m2",
    "cm^2": "제곱센티미터 ㎠ cm2",
    "km^2": "제곱킬로미터 ㎢ km2",
    "에이커": "acre acres",
    "헥타르": "hectare hectares ha",
    "평": "pyeong pyong",
    "m^3": "세제곱미터 ㎥ m3",
    "cm^3": "세제곱센티미터 ㎤ cm3 cc",
    "도": "° deg degree degrees",
    "°C": "℃ 섭씨",
    "°F": "℉ 화씨",
    "rad": "라디안 radian radians",
    "km/h": "시속 kph km/시",
    "m/s": "초속",
    "m/s^2": "m/s2",
}
# What is converted exactly: in each line, by how many of the line's first unit the others are.
_SCALES: list[dict[str, int | str]] = [
    {"s": 1, "초": 1, "분": 60, "시간": 3600, "일": 86400, "주": 604800},
    {"개월": 1, "년": 12, "십년": 120, "세기": 1200},
    {"m": 1, "인치": "0.0254", "피트": "0.3048", "야드": "0.9144", "마일": "1609.344"},
    {"g": 1, "t": 1000000, "온스": "28.349523125", "파운드": "453.59237",
     "펜스": "4.5359237"},  # of a pound, which may be money
    {"L": 1, "cm^3": "0.001", "m^3": 1000, "갤런": "3.785411784"},
    {
        "cm^2": 1, "m^2": 10000, "헥타르": 100000000, "km^2": 10000000000,
        "에이커": "40468564.224", "마일^2": "25899881103.36",
        "피트^2": "929.0304", "인치^2": "6.4516", "야드^2": "8361.2736",
    },
    {"m/s": 18, "km/h": 5},
    {"bp": 1, "%": 100, "%p": 100},
    {"센트": 1, "달러": 100},
]  # fmt: skip
_SCALES += [{symbol: 1} for symbol in ("W", "Wh", "V", "Hz", "Pa", "mol", "cal", "B", "b")]


def _list_dimensions() -> dict[str, tuple[int, Fraction]]:
    dimensions: dict[str, tuple[int, Fraction]] = {}
    prefixed = {symbol: prefixes.split() for symbol, prefixes, *_ in _METRIC}
    for line, scale in enumerate(_SCALES):
        sizes = {unit: Fraction(n) for unit, n in scale.items()}
        for prefix in prefixed.get(next(iter(scale)), ()):
            power = _PREFIXES[prefix][2]
            sizes[prefix.strip("_") + next(iter(scale))] = Fraction(10) ** power
        smallest = min(sizes.values())
        dimensions |= {unit: (line, size / smallest) for unit, size in sizes.items()}
    return dimensions


DIMENSIONS = _list_dimensions()
"""Of each unit that others can be converted into: its kind, and how many of the smallest it is."""
