"""Words of mathematics that must not become one another: sum and product, at least and at most."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kot_platypus.checks.alignment import pair_sentences
from kot_platypus.checks.contraries import CONTRARY_WORDS, find_contrary
from kot_platypus.checks.directions import DIRECTION_WORDS, find_turned_directions
from kot_platypus.checks.findings import Findings, make_finding
from kot_platypus.checks.opposites import OPPOSITE_WORDS, find_change, find_opposite
from kot_platypus.checks.segments import Text

_N = r"(?:\d[\d.,]*|[a-z]\b|both|the (?:number|result|sum|difference|product|quotient))"
_TO = r"(?:\d[\d,.]*|수|값|변|결과|합|차|[a-zA-Z])"  # what Korean calculates with
# By groups: what is said in English for certain, what may say it, what says it in Korean, and what
# may. A change is a term lost for certain and another of its group new for certain.
_GROUPS: tuple[dict[str, tuple[str, str, str, str]], ...] = (
    {
        "sum": (
            rf"\bsums? of\b|\bthe sum\b|\btheir sum\b|\badd {_N}",
            r"\bsums?\b|\badd|plus|total|together|\bin all\b|combined|more than|increase|\+",
            rf"(?:[와과의]|두 수|세 수) 합[은이을에]|{_TO}[을를]? ?더[하한해할]"
            rf"|\d[와과] .{{0,12}}\d[을를] 더[하한해]",
            r"합|더[하한해할]|덧셈|\+|플러스|모두|총|보태|추가|넣|많|큰|크|늘",
        ),
        "difference": (
            rf"\bdifference (?:of|between) (?:the )?(?:two|\d|the)|\btheir difference\b"
            rf"|\bsubtract {_N}"
            rf"|\bminus {_N}",
            r"differ|subtract|minus|less|fewer|remain|left|take|took|remov|decreas|reduc|[-−–]",
            rf"(?:[와과의]|두 수의?) 차[는가를이]|{_TO}[을를]? ?[빼뺀뺄]",
            r"차[는가를이이]|[빼뺀뺄]|뺄셈|[-−–]|마이너스|적|작|줄|남|음수|영하",
        ),
        "product": (
            rf"\bproduct of (?:the |two |three |these |\d|[a-z]\b|all)|\btheir product\b"
            rf"|\bmultipl(?:y|ied) (?:both|{_N}|by)",
            r"product|multipl|times|twice|doubl|tripl|factor|[×*·⋅]|\d by \d|squar",
            rf"(?:[와과의]|두 수|세 수) 곱[은이을에]|{_TO}[을를]? ?곱[하한해할]"
            rf"|[와과] .{{0,12}}[을를] 곱[하한해할]",
            r"곱|배|[×*·⋅]|제곱",
        ),
        "quotient": (
            rf"\bquotient of\b|\bdivided? (?:the result |it |both sides |{_N} )?by\b",
            r"quotient|divi|\bover\b|ratio|half|[÷/]|split|share|per\b|each",
            rf"{_TO}(?:[을를로]|으로) ?나[누눈눌눠]|[의은] 몫",
            r"나[누눈눌눠]|몫|분의|[÷/]|절반|약수|비율",
        ),
        "remainder": (
            r"\bremainder when\b|\bthe remainder is\b",
            r"remain|\bmod\b|left over|rest",
            r"나머지[가는]",
            r"나머지|남|mod",
        ),
        "whole part": (
            r"\bquotient\b",
            r"quotient|^(?!.*remainder).*divi",
            r"몫[은이을]",
            r"몫|나[누눈눌눠]",
        ),
        "average": (
            r"\b(?:average|mean) of (?:the |these |\d|all )",
            r"average|\bmean\b",
            r"의 평균[은이을]",
            r"평균",
        ),
        "median": (r"\bmedian\b", r"median", r"중앙값|중위수", r"중앙값|중위|중간"),
    },
    {
        "square": (
            r"\bsquare of (?:a |the |x|n|\d|this|that|an )|\b(?:\d|[a-z]|number) squared\b",
            r"squar(?!e root)|\^2|²",
            r"(?<![세완])(?<!완전)제곱(?:은|이|에|을|하|한|해|과|보)",
            r"(?<!세)제곱(?!근)|²|\^",
        ),
        "cube": (
            r"\bcube of (?:a |the |x|n|\d)|\b(?:\d|[a-z]|number) cubed\b",
            r"cube|\^3|³",
            r"세제곱(?:은|이|에|을|하|한|해|과)",
            r"세제곱(?!근)|³|\^",
        ),
        "square root": (
            r"\bsquare root of\b",
            r"root|√|sqrt",
            r"(?<!세)제곱근",
            r"(?<!세)제곱근|루트|√"
            r"|sqrt|(?<!제곱)근(?=[은이을호])",
        ),
        "cube root": (
            r"\bcube root of\b",
            r"cube root|∛|cbrt",
            r"세제곱근",
            r"세제곱근|∛|3제곱근|삼제곱근",
        ),
        "double": (
            r"\b(?:twice|double) (?:the|a|that|this) ",
            r"twice|double|two|times|\b2",
            r"(?:두|2) ?배[는은가이를]",
            r"배|2|두|갑절",
        ),
    },
)
_TERMS = tuple(
    {
        name: tuple(re.compile(f"(?i){pattern}") for pattern in patterns)
        for name, patterns in group.items()
    }
    for group in _GROUPS
)
# The words of which one has to be there, group by group; of bounds; of a term and its number.
_WORDS = tuple(
    frozenset(words.split())
    for words in (
        "sum sums add difference subtract minus product multiply multiplied quotient divide divided"
        " remainder average mean median",
        "square cube squared cubed twice double",
    )
)


def find_terms(source: Text, translation: Text) -> Findings:
    """Words of calculation keep their meaning, and bounds their direction.

    Catches the product said as 합, a square as 제곱근, the radius 5 and diameter 10 exchanged, at
    least 5 as 최대 5. Look-alikes: a term said otherwise (x² as x의 제곱, add as 넣다), "more than"
    as 이상.
    """
    if source.lexicon.isdisjoint(_ALL_WORDS):
        return
    for left, right in pair_sentences(source, translation):
        is_of_terms = not left.lexicon.isdisjoint(_ALL_WORDS)
        if is_of_terms and (detail := next(_compare_terms(left, right), None)):
            yield make_finding("math_symbols", detail)
            return


def _compare_terms(source: Text, translation: Text) -> Iterator[str]:
    left, right, lexicon = source.prose, translation.prose, source.lexicon
    for group, words in zip(_TERMS, _WORDS, strict=True):
        if not lexicon.isdisjoint(words) and (detail := find_change(group, left, right)):
            yield detail
    yield from find_opposite(source, translation)
    if not lexicon.isdisjoint(_VALUED_WORDS):
        yield from _find_turned_terms(left, right)
    yield from find_turned_directions(source, translation)
    yield from find_contrary(source, translation)


# --- a term and its number ---------------------------------------------------------------------

_VALUED = re.compile(
    r"(?i)\b(?P<term>sum|difference|product|quotient|remainder|average|mean|median|perimeter|area"
    r"|volume|radius|diameter|circumference|length|width|height|base|numerator|denominator)\b"
    r"(?: of [^.,;\d]{1,25}?)? (?:is|was|are|equals|=) (?:also )?(?P<value>\d+(?:\.\d+)?)"
)
_KOREAN_VALUED = re.compile(
    r"(?P<term>합|차|곱|몫|나머지|평균|중앙값|둘레|넓이|면적|부피|반지름|지름|원주|길이|너비|폭"
    r"|높이|밑변|분자|분모)"
    r"(?:의 길이)?[은는이가] (?:또한 )?(?P<value>\d+(?:\.\d+)?)"
)
_NAMES = {
    "sum": "합", "difference": "차", "product": "곱", "quotient": "몫", "remainder": "나머지",
    "average": "평균", "mean": "평균", "median": "중앙값", "perimeter": "둘레", "area": "넓이 면적",
    "volume": "부피", "radius": "반지름", "diameter": "지름", "circumference": "원주 둘레",
    "length": "길이", "width": "너비 폭", "height": "높이", "base": "밑변",
    "numerator": "분자", "denominator": "분모",
}  # fmt: skip


_VALUED_WORDS = frozenset({*_NAMES, "cube", "derivative", "integral", "reciprocal", "double"})
_TERMS_OF = {
    "square root": "제곱근", "cube root": "세제곱근", "square": "제곱", "cube": "세제곱",
    "derivative": "도함수", "integral": "적분", "reciprocal": "역수", "double": "두 배",
}  # fmt: skip
_OPERAND = r"[\w^²³]+"
_OF = re.compile(rf"(?i)\b(?P<term>{'|'.join(_TERMS_OF)}) of (?P<value>{_OPERAND})")
_KOREAN_OF = re.compile(
    r"(?P<value>[A-Za-z0-9^²³]+)의 (?:부정|정)?"
    rf"(?P<term>{'|'.join(_TERMS_OF.values())})(?!근)"
)


_ALL_WORDS = frozenset().union(
    *_WORDS, CONTRARY_WORDS, DIRECTION_WORDS, _VALUED_WORDS, OPPOSITE_WORDS
)


def _find_turned_terms(left: str, right: str) -> Iterator[str]:
    """Two terms whose values changed places: the radius is 5, the diameter 10."""
    terms = {match["value"]: match["term"].lower() for match in _OF.finditer(left)}
    said = [(m["value"], m["term"]) for m in _KOREAN_OF.finditer(right)] if terms else []
    for value, korean in said:
        if value in terms and _TERMS_OF[terms[value]] != korean:
            yield f"the {terms[value]} of {value} became {korean}"
            return
    wanted = [(match["term"].lower(), match["value"]) for match in _VALUED.finditer(left)]
    if len(wanted) < 2:
        return
    found = {(match["term"], match["value"]) for match in _KOREAN_VALUED.finditer(right)}
    for term, value in wanted:
        for other, value_2 in wanted:
            if term == other or value == value_2:
                continue
            is_turned = any((name, value_2) in found for name in _NAMES[term].split()) and any(
                (name, value) in found for name in _NAMES[other].split()
            )
            if is_turned:
                yield f"{term} and {other} changed places"
                return
