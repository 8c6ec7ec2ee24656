"""The English and Korean words for numbers, and those that only may stand for one."""

from __future__ import annotations

import re
from decimal import Decimal

_BELOW_20 = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_PLACES = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
)
_MONTH_NAMES = (
    "january february march april may june july august september october november december"
)
CARDINALS = {word: value for value, word in enumerate(_BELOW_20.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS_NAMES.split(), start=2)}
ORDINALS = {word: value for value, word in enumerate(_PLACES.split(), start=1)}
ORDINALS |= {"twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "hundredth": 100}
MONTHS = {word: value for value, word in enumerate(_MONTH_NAMES.split(), start=1)}
SURE = {"thirds": 3, "fourths": 4, "fifths": 5, "sixths": 6, "sevenths": 7, "eighths": 8,
         "ninths": 9, "tenths": 10, "hundredths": 100, "decade": 10, "fortnight": 14}  # fmt: skip
_PLURALS = "zeros ones twos threes fours fives sixes sevens eights nines tens"
_DECADES = "teens twenties thirties forties fifties sixties seventies eighties nineties"
# Words without a number that Korean says with one: a quartet is 4중주, a semifinal 4강.
_IMPLIED = {
    "1": "freshman freshmen disposable primary top champion champions lead leads leader winner "
         "winners solo alone serving servings ground front",
    "2": "sophomore sophomores secondary biweekly bimonthly biannual biennial dual duo duet duets "
         "bicycle bicycles twin twins binary sequel bilingual",
    "3": "tertiary trio trios triathlon triathlons tricycle tricycles triplet triplets trilogy "
         "junior juniors quarterly triangular triangles arc trimester bronze",
    "4": "quartet quartets semifinal semifinals seasons rectangle rectangles quadrilateral "
         "quadruple quadrupled senior seniors tetrahedron",
    "5": "quintet pentagon pentagons pentathlon weekday weekdays",
    "6": "hexagon hexagons cubes",
    "7": "heptathlon weekly",
    "8": "octagon octagons octal quarterfinal quarterfinals",
    "10": "decathlon decimal decimals teen teens",
    "16": "hexadecimal",
    "100": "centennial perfect centenary centenarian",
    "119": "emergency fire",
}  # fmt: skip
# Phrases whose numbers Korean seldom says.
IDIOMS = re.compile(
    r"(?i)\bcloud nine|\b(?:absolute|below|above) zero|fifty-fifty|50[-/]50|thanks a million"
    r"|stitch in time\b[^.]*|six of one[^.]*"
    r"|(?:a )?(?:thousand|million|hundred)"
    r" (?:times|thanks|pardons|to one)\b|eleventh hour|(?:seventh|ninth)"
    r" (?:heaven|inning)|eight[ -]ball|catch-22|whole nine yards|forty winks|high[ -]five|take five"
    r"|at sixes and sevens|dressed to the nines|(?:third|fifth) wheel|third (?:degree|part(?:y|ies)"
    r"|world)|24/7|(?:nine|ten) (?:times out of|to) (?:ten|one)|first and foremost|zero(?:ing"
    r"|ed)? in"
    r"|four-letter|nine-to-five|nine lives|square one|a dime a dozen|three musketeers|one-way"
    r"|one way\b|nineteen to the dozen"
    r"|(?:three|two)'s (?:a crowd|company)|deep[ -]six|ninety-nine percent"
    r"|(?:^|(?<=[.!?\n] )|(?<=\n))(?:first|second|third|fourth|fifth)(?:ly)?,|four corners"
    r"|on all fours|a thousand words|million-dollar|second to none|second (?:thought|nature|hand)s?"
    r"|once in a blue moon|once upon a time|one by one|two by two|the (?:big|other) two"
)
# Words that only may stand for a number: "half" is 1/2, 0.5, 50 % or, of an hour, 30 minutes.
LOOSE_WORDS: dict[str, tuple[str, ...]] = {
    "half": ("0.5", "2", "1", "50", "30"), "halves": ("2",), "halved": ("2",),
    "quarter": ("4", "15", "25", "0.25"), "quarters": ("4", "25"), "dime": ("10",),
    "dimes": ("10",), "nickel": ("5",), "nickels": ("5",), "once": ("1",), "twice": ("2",),
    "double": ("2",), "doubled": ("2",), "doubles": ("2",), "triple": ("3",), "tripled": ("3",),
    "thrice": ("3",), "pair": ("2",), "pairs": ("2",), "couple": ("2",), "both": ("2",),
    "dozen": ("12",), "dozens": ("12",), "decades": ("10",),
    "century": ("100", "1"), "noon": ("12",), "midnight": ("0", "12"),
    "squared": ("2",), "square": ("2", "4"), "cubed": ("3", "3"),
    "cubic": ("3", "3"), "cube": ("3", "6"),
    "hundreds": ("100",), "thousands": ("1000",), "millions": ("1000000",), "single": ("1",),
    **{word: (str(value), str(value)) for value, word in enumerate(_PLURALS.split())},
    **{
        word: (str(10 * tens), str(1900 + 10 * tens))
        for tens, word in enumerate(_DECADES.split(), start=1)
    },
    "teenager": ("10",), "teenagers": ("10",), "teenage": ("10",),
    "week": ("7",), "weeks": ("7",), "none": ("0",), "no": ("0",), "triangle": ("3", "3"),
    **{word: (n, n) for n, words in _IMPLIED.items() for word in words.split()},
}  # fmt: skip
NATIVE_TENS = {"열": 10, "스물": 20, "스무": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60,
               "일흔": 70, "여든": 80, "아흔": 90}  # fmt: skip
NATIVE_ONES = {"하나": 1, "한": 1, "첫": 1, "둘": 2, "두": 2, "셋": 3, "세": 3, "석": 3, "서": 3,
               "넷": 4, "네": 4, "넉": 4, "너": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8,
               "아홉": 9}  # fmt: skip
DAYS = {"하루": 1, "이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "이레": 7, "여드레": 8,
         "아흐레": 9, "열흘": 10, "보름": 15, "초하루": 1, "초하룻날": 1, "초이틀": 2,
         "초이튿날": 2, "초사흘": 3, "초사흗날": 3, "초나흘": 4, "초나흗날": 4, "초닷새": 5,
         "초닷샛날": 5, "초엿새": 6, "초이레": 7, "초여드레": 8, "초아흐레": 9, "초열흘": 10,
}  # fmt: skip
SURE_DAYS = {"이틀", "사흘", "나흘", "닷새", "엿새", "열흘"}
KOREAN_LOOSE_WORDS: dict[str, tuple[str, ...]] = {
    "반": ("0.5", "30", "50", "2"), "절반": ("0.5", "50", "2"), "세제곱": ("3",), "제곱": ("2",),
    "다스": ("12",), "정오": ("12",), "자정": ("0", "12"), "일주일": ("1",),
    "시월": ("10",), "유월": ("6",), "과반": ("50", "0.5",
        "2"), "수백": ("100",), "수천": ("1000",), "영": ("0",), "없": ("0",), "제로": ("0",),
}  # fmt: skip
# What a one-syllable numeral may be glued to and still be one.
COUNTERS = (
    "개|명|번|살|시|마리|장|권|자루|송이|대|채|그루|켤레|벌|쌍|배|곳|군데|가지|차례|달|주|해|사람|"
    "분|잔|병|조각|컵|판|째|줄|칸|발|쪽|면|변|자리|모둠|팀|층|학기|걸음|바퀴|상자|봉지|통|묶음"
)
SINO_COUNTERS = (
    "각|중|차|국|륜|인|분|년|월|일|층|호|학년|반|단|대|번|등|위|점|퍼|배|계절|제곱|개|명|세|주"
    "|도|원|"
    "킬|미터|센|그램|리터|초|시|조|장|절|권|편|행|열|항|화|회|급|종|천|백|만|달러|변|진|촌|면|박"
)
PAIRS = {"이삼": (2, 3), "삼사": (3, 4), "사오": (4, 5), "오륙": (5, 6), "육칠": (6, 7),
          "한두": (1, 2), "두세": (2, 3), "서너": (3, 4), "네댓": (4, 5), "너댓": (4, 5),
          "대여섯": (5, 6), "예닐곱": (6, 7), "일고여덟": (7, 8), "여덟아홉": (8, 9)}  # fmt: skip
SCALES = {
    "hundred": Decimal(100), "thousand": Decimal(1000), "million": Decimal(10**6),
    "billion": Decimal(10**9), "trillion": Decimal(10**12), "dozen": Decimal(12),
    "k": Decimal(1000), "K": Decimal(1000), "M": Decimal(10**6), "bn": Decimal(10**9),
}  # fmt: skip
SMALL_UNITS = {"십": Decimal(10), "백": Decimal(100), "천": Decimal(1000)}
BIG_UNITS = {"만": Decimal(10**4), "억": Decimal(10**8), "조": Decimal(10**12)}
OF_AN_HOUR = re.compile(r"[ -](?:of an )?hour| (?:past|to|after|before)\b")  # a quarter
