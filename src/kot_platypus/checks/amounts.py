"""Amounts without a figure: how often, per what, a half, hundreds of thousands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kot_platypus.checks.alignment import pair_sentences
from kot_platypus.checks.findings import Findings, make_finding
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import IDIOMS
from kot_platypus.numerals import read_sino

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
_PER = re.compile(
    rf"(?i)\b(?:per|an?|each|every) (?P<unit>{'|'.join(_UNITS)})\b(?<!\ba second(?= [a-z]))"
    r"(?! (?:earlier|ago|later|before|old)\b)"
    r"|/ ?(?P<short>s|sec|min|h|hr|day|week|month|year)\b"
    r"|\b(?P<adverb>hourly|daily|weekly|monthly|quarterly|yearly|annual(?:ly)?|mph|kph)\b"
)
_SHORT = {
    "s": "second", "sec": "second", "min": "minute", "h": "hour", "hr": "hour", "hourly": "hour",
    "mph": "hour", "kph": "hour", "daily": "day", "weekly": "week", "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year", "annual": "year", "annually": "year",
}  # fmt: skip
_RATE_WORDS = frozenset({*_UNITS, *_SHORT})
# Of each unit: how Korean says "per" it, and any mention of it in either language.
_KOREAN_PER = {
    "second": r"초당|매초|초마다|(?:1|일) ?초에|초속",
    "minute": r"(?<!\d)분당|매분|(?:1|일) ?분에|분속|회/분|(?<![0-9가-힣] )(?<!\d)분마다",
    "hour": r"시간당|매시간?|(?:1|한) ?시간(?:에|마다)|시속|시급|/시",
    "day": r"하루에|하루 (?=\d|한|두|세|네)|매일|날마다|일당|(?:1|일) ?일(?:에| \d)",
    "week": r"(?:일|1) ?주일?(?:에|마다)|일주일에|매주|주당|(?<![가-힣])주 (?=\d)",
    "month": r"(?:한|1) ?달에|(?:1|일) ?개월에|매달|매월|다달이|(?<![가-힣\d])월 ?(?=복리)"
    r"|(?<![가-힣\d])월 (?=\d"
    r"|[일이삼사]\s?회)",
    "quarter": r"분기(?:당|별|마다|에)|매 ?분기|분기 ?복리|(?:3|삼) ?개월|석 ?달|세 ?달",
    "year": r"(?:1|일|한) ?[년해]에|매년|해마다|연간|(?<![가-힣])연 (?=\d)|(?<![가-힣])연 ?복리",
}
_KOREAN_PERS = {unit: re.compile(pattern) for unit, pattern in _KOREAN_PER.items()}
_ANY_PER = re.compile("|".join(_KOREAN_PER.values()))
_ENGLISH_ANY = {
    "second": r"\bsec|\bs\b", "minute": r"\bmin", "hour": r"\bhour|\bhr|\bh\b|mph|kph|clock",
    "day": r"\bday|dai?ly|night|morning|evening|noon|\bdays", "week": r"week|fortnight",
    "month": r"month", "quarter": "quarter|three months", "year": r"year|annual|annum|p\.a\."
    r"|decade|centur",
}  # fmt: skip


def find_amounts(source: Text, translation: Text) -> Findings:
    """What is said per unit of time, once or twice, by half, or as so many thousands, is kept.

    Catches 80 liters per hour as 분당 80리터, twice a day as 하루에 한 번, half past six as 6시,
    thousands of as 수만. Look-alikes: $18 an hour as 시급 18달러, every week as 주 1회.
    """
    if source.lexicon.isdisjoint(_AMOUNT_WORDS) and ":" not in source.signs:
        return
    for left, right in pair_sentences(source, translation):
        if detail := next(_compare_amounts(left, right), None):
            yield make_finding("numbers", detail)
            return


def _compare_amounts(source: Text, translation: Text) -> Iterator[str]:
    if not source.lexicon.isdisjoint(_RATE_WORDS):
        yield from _find_rate(source, translation)
    if not source.lexicon.isdisjoint(_SAID_WORDS):
        yield from _find_said(source.prose, translation.prose)
    if not source.lexicon.isdisjoint(("by", "to")):
        yield from _find_extent(source, translation)
    if "every" in source.lexicon:
        yield from _find_interval(source, translation)
    if _LONG_TIME.search(source.prose) and not _KOREAN_LONG_TIME.search(translation.prose):
        yield "lost: hours"
    if not source.lexicon.isdisjoint(_POINT_WORDS):
        yield from _find_points(source.prose, translation.prose)


def _find_points(source: str, translation: str) -> Iterator[str]:
    """Every other day, 20% off, half a percentage point, the 1680s."""
    every = _EVERY_OTHER.search(source)
    if every and not _KOREAN_EVERY_OTHER.search(translation):
        yield f"lost: {every[0]}"
    off = _OFF.search(source)
    if off and not _KOREAN_OFF.search(translation):
        yield f"lost: {off[0]}"
    said = _POINT.finditer(source) if "percentage" in source else ()
    points = {match["n"] or match["half"].lower() for match in said}
    others = {match[1] for match in _KOREAN_POINT.finditer(translation)} if points else set()
    if points and others and not {_HALF_POINT.get(n, n) for n in points} & others:
        yield f"{min(points)} percentage points became {min(others)}"
    for decade in _DECADE.findall(source):
        if re.search(rf"{decade}년(?!대)", translation) and f"{decade}년대" not in translation:
            yield f"{decade}s became {decade}년"


_POINT_WORDS = frozenset(("every", "off", "percentage", "s"))
_DECADE = re.compile(r"\b(1\d\d0|20\d0)['’]?s\b")
_OFF = re.compile(r"\d ?(?:%|percent) off\b")
_KOREAN_OFF = re.compile("할인|싸|싼|저렴|깎|세일|내[려린렸리]|인하|빼|덜|낮|절약|아[끼낄]|off|DC")
_POINT = re.compile(r"(?i)(?:(?P<n>\d[\d.]*)|(?P<half>\bhalf an?|\bone|\ba)) percentage[ -]points?")
_HALF_POINT = {"half a": "0.5", "half an": "0.5", "one": "1", "a": "1"}
_KOREAN_POINT = re.compile(r"(\d[\d.]*) ?(?:(?:%|퍼센트) ?포인트|%p)")

_LONG_TIME = re.compile(r"\b\d{1,2}:\d\d:\d\d\b")  # 2:01:09 as 2분 1초 09
_KOREAN_LONG_TIME = re.compile(r"시|\d:\d\d:\d\d")
_EVERY_OTHER = re.compile(  # every other team are all teams but one
    r"(?i)\bevery other (?:day|week|month|year|hour|minute|night|morning|weekend|line|row|page|seat"
    r"|step|letter|word|digit|number|element|item|house|[a-z]+day)\b"
)
_KOREAN_EVERY_OTHER = re.compile(
    r"격|걸러|건너|[2이두]\s?(?:[가-힣] 중 한|주|일|달|년|개월|번째|해|칸|줄|시간)"
    r"|이틀|번갈|교대|홀수|짝수|하나씩"
)
_CHANGED = re.compile(
    r"(?i)\b(?:r[ai]is|rose|risen|fell|fall|drop|slow|increas|decreas|reduc|lower|cut|gr[eo]w"
    r"|shr[aiu]nk|climb|jump|declin|cool|heat|warm)\w*[^.;,\d]{0,40}?\b(?P<way>by|(?<!up )to) "
    r"(?:about |around |nearly )?[$€£]?"
    r"(?=\d|(?P<many>a|one|two|three)[ -](?P<part>third|quarter|fifth|tenth)s?\b)"
)
_CHANGE = (
    r"(?:줄|늘|떨어|감소|증가|하락|상승|낮[아췄추춥춰]|올[라랐린리릴려렸]|오[르른]|내[렸려린]"
    r"|인상|인하|속도)"
)
_MANY = {"a": "[1일]", "one": "[1일]", "two": "[2이]", "three": "[3삼]"}
_PART_OF = {"third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_EXTENT = re.compile(
    rf" ?[^\d\s,.]{{0,6}}?(?:(?P<to>(?:으?로|까지) (?:더 )?{_CHANGE})"
    rf"|(?P<by>만큼|씩|(?<!로)(?<!까지) ?{_CHANGE}))"
)


def _find_extent(source: Text, translation: Text) -> Iterator[str]:
    """By how much something changed is not to how much: by 20% as 20%로 줄었다."""
    for match in _CHANGED.finditer(source.prose):
        part = _PART_OF.get((match["part"] or "").lower())
        value = next((n.value for n in source.digits if n.span[0] == match.end()), None)
        ends = [n.span[1] for n in translation.digits if n.value == value]
        if part:
            said_parts = re.finditer(
                rf"{part}분의 ?{_MANY[match['many'].lower()]}", translation.prose
            )
            ends = [said.end() for said in said_parts]
        extents = (_EXTENT.match(translation.prose, end) for end in ends)
        ways = {extent.lastgroup for extent in extents if extent}
        if ways and match["way"].lower() not in ways:
            yield f"{match['way']} became another extent"


_EVERY = re.compile(
    r"\bevery (?=\w)(?:\d+|[a-z]+)(?: to \d+)? (?:seconds|minutes|hours|days|weeks|months|years"
    r"|miles|met(?:er|re)s|km|feet)\b"
)
_KOREAN_EVERY = re.compile(r"마다|매|간격|꼴|당|씩|로 |주기|걸러|한 ?번|[12]회")
_NEAR_BEFORE, _NEAR_AFTER = 6, 14  # characters round a number


def _find_interval(source: Text, translation: Text) -> Iterator[str]:
    """Every 30 minutes is 30분마다, neither 30분 후 nor 30분 동안."""
    prose = translation.prose
    for match in _EVERY.finditer(source.prose):
        start = match.start() + len("every ")
        numbers = (*source.digits, *source.english)
        value = next((n.value for n in numbers if n.span[0] == start), None)
        spans = [n.span for n in (*translation.digits, *translation.korean) if n.value == value]
        if spans and not any(
            _KOREAN_EVERY.search(prose, max(0, a - _NEAR_BEFORE), b + _NEAR_AFTER) for a, b in spans
        ):
            yield f"{match[0]} became {prose[slice(*spans[0])]}, once"
            return


def _find_rate(source: Text, translation: Text) -> Iterator[str]:
    """A rate of the source that the translation says per another unit, unknown to the source."""
    wanted = {
        (match["unit"] and match["unit"].lower())
        or _SHORT.get((match["short"] or match["adverb"]).lower(), match["short"])
        for match in _PER.finditer(source.prose)
    }
    if not wanted or not _ANY_PER.search(translation.prose):
        return
    found = {unit for unit, per in _KOREAN_PERS.items() if per.search(translation.prose)}
    for unit in sorted(wanted - found):
        for other in sorted(found - wanted):
            is_known = re.search(f"(?i){_ENGLISH_ANY[other]}", source.raw)
            if not is_known:
                yield f"per {unit} became per {other}"


# What one text says, by which words; a change is one of a group lost and another of it new.
_TIMES = {
    "once": (
        r"(?i)\bonce (?:a|an|per|every|in|each)\b|\bonly once\b|\bjust once\b",
        r"(?:한|1)\s(?:번|차례)(?!째)|1회",
    ),
    "twice": (r"(?i)\btwice\b|\btwo times\b", r"(?:두|2)\s?(?:번|회|차례|배)(?!째)|곱절|갑절|재차"),
    "three times": (r"(?i)\bthree times\b|\bthrice\b", r"(?:세|3)\s?(?:번|회|차례|배)(?!째)"),
    "four times": (r"(?i)\bfour times\b", r"(?:네|4)\s?(?:번|회|차례|배)(?!째)"),
}
_TIMES_SAID = {name: (re.compile(a), re.compile(b)) for name, (a, b) in _TIMES.items()}
_PLURALS = ("hundreds", "thousands", "millions", "billions", "trillions")
_SAID_WORDS = frozenset(("once", "twice", "times", "thrice", "half", "halved", *_PLURALS))
_AMOUNT_WORDS = frozenset(
    {*_RATE_WORDS, *_SAID_WORDS, "by", "to", "every", "off", "percentage", "s"}
)
_ANY_TIMES = re.compile(r"(?i)\bonce\b|\btwice\b|\btimes\b")
_HALF = re.compile(
    r"(?i)\bhalf[ -](?:past|(?:a )?dozen|an?|that|as|the|of|hour|mile|price)\b|\band a half\b"
    r"|\bhalved\b"
)
_KOREAN_HALF = re.compile(
    r"반|하프|분의|50|30|[05]\.5|\.5|5\d*(?:만|천|백|[a-zA-Z]|밀리|센티|그램|킬로|미터|리터)|½|1/2"
    r"|중간|오십|삼십|오백|45|90"
)
_VAGUE = re.compile(
    r"(?i)\b(?:(?P<tens>tens|dozens|hundreds) of )?(?P<scale>hundreds|thousands|millions|billions"
    r"|trillions)\b(?! (?:place|digit|column))"
)
_AFTER_NUMBER = re.compile(r"(?:\d|several|few|many) $")
_KOREAN_VAGUE = re.compile(r"(?<![가-힣])(?:수|몇 ?)(?P<scale>[십백천]?[만억조]|[십백천])")
_SCALES = {
    "hundreds": 100, "thousands": 1000, "millions": 10**6, "billions": 10**9, "trillions": 10**12,
    "tens": 10, "dozens": 10,
}  # fmt: skip


def _find_said(source: str, translation: str) -> Iterator[str]:
    if _ANY_TIMES.search(source):
        wanted = [name for name, (english, _) in _TIMES_SAID.items() if english.search(source)]
        found = [name for name, (_, korean) in _TIMES_SAID.items() if korean.search(translation)]
        lost = [name for name in wanted if name not in found]
        new = [name for name in found if name not in wanted]
        if lost and new:
            yield f"{lost[0]} became {new[0]}"
    half = _HALF.search(source)
    if half and not _KOREAN_HALF.search(translation) and _HALF.search(IDIOMS.sub("", source)):
        is_six = half[0].lower().endswith("dozen") and re.search("6|여섯", translation)
        yield from () if is_six else (f"lost: {half[0]}",)
    scales = [
        match
        for match in _VAGUE.finditer(source)
        if not _AFTER_NUMBER.search(source, 0, match.start())
    ]
    others = list(_KOREAN_VAGUE.finditer(translation)) if len(scales) == 1 else []
    if len(others) == 1:
        value = _SCALES[scales[0]["scale"].lower()] * _SCALES.get(
            (scales[0]["tens"] or "").lower(), 1
        )
        if value != read_sino("1" + others[0]["scale"]):
            yield f"{scales[0][0]} became {others[0][0]}"
