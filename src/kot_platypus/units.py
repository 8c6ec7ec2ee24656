"""Units of measure and currencies: their names in Korean and English, and what is exactly equal."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

# Units that are written in several ways, by the name that all of them get.
UNITS = {
    "bp": "basis-point basis-points 베이시스포인트",
    "%": "％ 퍼센트 프로 percent",
    "명": "사람 인",
    "살": "세 years-old year-old years-of-age",
    "원": "₩ won",
    "달러": "$ dollar dollars USD 불",
    "센트": "¢ cent cents",
    "유로": "€ euro euros",
    "파운드": "£ pound pounds lb lbs",
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
    "m": "미터 ㍍ meter meters metre metres",
    "cm": "센티미터 센티 ㎝ centimeter centimeters centimetre centimetres",
    "mm": "밀리미터 ㎜ millimeter millimeters millimetre millimetres",
    "km": "킬로미터 ㎞ kilometer kilometers kilometre kilometres",
    "마일": "mile miles mi",
    "야드": "yard yards yd",
    "피트": "풋 foot feet ft",
    "인치": "inch inches",
    "g": "그램 gram grams",
    "kg": "킬로그램 ㎏ kilogram kilograms kilo kilos",
    "mg": "밀리그램 ㎎ milligram milligrams",
    "t": "톤 ton tons tonne tonnes",
    "온스": "ounce ounces oz",
    "L": "l 리터 ℓ liter liters litre litres",
    "mL": "ml 밀리리터 ㎖ milliliter milliliters millilitre millilitres",
    "갤런": "gallon gallons gal",
    "컵": "cup cups",
    "큰술": "테이블스푼 tablespoon tablespoons tbsp",
    "작은술": "티스푼 teaspoon teaspoons tsp",
    "m^2": "제곱미터 ㎡ 평방미터 m2",
    "cm^2": "제곱센티미터 ㎠ cm2",
    "km^2": "제곱킬로미터 ㎢ km2",
    "에이커": "acre acres",
    "헥타르": "hectare hectares ha",
    "m^3": "세제곱미터 ㎥ m3",
    "cm^3": "세제곱센티미터 ㎤ cm3 cc",
    "도": "° deg degree degrees",
    "°C": "℃ 섭씨",
    "°F": "℉ 화씨",
    "rad": "라디안 radian radians",
    "km/h": "시속 kph km/시",
    "m/s": "초속",
    "m/s^2": "m/s2",
    "W": "와트 watt watts",
    "kW": "킬로와트 kilowatt kilowatts",
    "V": "볼트 volt volts",
    "Hz": "헤르츠 hertz",
    "KB": "킬로바이트 kilobyte kilobytes kB",
    "MB": "메가바이트 megabyte megabytes",
    "GB": "기가바이트 gigabyte gigabytes",
    "TB": "테라바이트 terabyte terabytes",
    "cal": "칼로리 calorie calories",
    "kcal": "킬로칼로리 kilocalorie kilocalories",
}
# What is converted exactly: in each line, by how many of the line's first unit the others are.
_SCALES: tuple[dict[str, int | Decimal], ...] = (
    {"초": 1, "분": 60, "시간": 3600, "일": 86400, "주": 604800},
    {"개월": 1, "년": 12, "십년": 120, "세기": 1200},
    {
        "mm": 1, "cm": 10, "m": 1000, "km": 1000000, "인치": Decimal("25.4"),
        "피트": Decimal("304.8"), "야드": Decimal("914.4"), "마일": 1609344,
    },
    {
        "mg": 1, "g": 1000, "kg": 1000000, "t": 1000000000, "온스": Decimal("28349.523125"),
        "파운드": Decimal("453592.37"),
    },
    {"mL": 1, "cm^3": 1, "L": 1000, "m^3": 1000000, "갤런": Decimal("3785.411784")},
    {
        "cm^2": 1, "m^2": 10000, "헥타르": 100000000, "km^2": 10000000000,
        "에이커": Decimal("40468564.224"), "마일^2": Decimal("25899881103.36"),
        "피트^2": Decimal("929.0304"), "인치^2": Decimal("6.4516"), "야드^2": Decimal("8361.2736"),
    },
    {"m/s": 18, "km/h": 5},
    {"bp": 1, "%": 100},
    {"센트": 1, "달러": 100},
    {"W": 1, "kW": 1000},
    {"cal": 1, "kcal": 1000},
    {"KB": 1, "MB": 1000, "GB": 1000000, "TB": 1000000000},
)  # fmt: skip
DIMENSIONS = {
    unit: (line, Fraction(n)) for line, scale in enumerate(_SCALES) for unit, n in scale.items()
}
"""Of each unit that others can be converted into: its kind, and how many of the smallest it is."""
