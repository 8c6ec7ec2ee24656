"""Words that must not become one another and need a pattern: sum and product, BC and AD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kot_platypus.checks.alignment import split_sentences
from kot_platypus.checks.segments import Text


class Side(NamedTuple):
    """One of several that exclude one another: what says it for certain and what may."""

    english: re.Pattern[str]
    maybe_english: re.Pattern[str]
    korean: re.Pattern[str]
    maybe_korean: re.Pattern[str]


_N = r"(?:\d[\d.,]*|[a-z]\b|both|the (?:number|result|sum|difference|product|quotient))"
_TO = r"(?:\d[\d,.]*|수|값|변|결과|합|차|[a-zA-Z])"  # what Korean calculates with
# By the words of which the source must have one: the sides, each as Side has it. A change is a
# side lost for certain and another of its group new for certain.
_GROUPS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "sum sums add difference subtract minus product multiply multiplied quotient divide divided"
    " remainder": {
        "sum": (rf"\bsums? of\b|\b(?:the|their) sum\b|\badd {_N}",
                r"\bsums?\b|\badd|plus|total|together|\bin all\b|combined|more than|increase|\+",
                rf"(?:[와과의]|두 수|세 수) 합[은이을에]|{_TO}[을를]? ?더[하한해할]"
                r"|\d[와과] .{0,12}\d[을를] 더[하한해]",
                r"합|더[하한해할]|덧셈|\+|플러스|모두|총|보태|추가|넣|많|큰|크|늘"),
        "difference": (r"\bdifference (?:of|between)\b|\btheir difference\b"
                       rf"|\b(?:subtract|minus) {_N}",
                       r"differ|subtract|minus|less|fewer|remain|left|take|took|remov|decreas|reduc"
                       r"|[-−–]",
                       rf"(?:[와과의]|두 수의?) 차[는가를이]|{_TO}[을를]? ?[빼뺀뺄]",
                       r"차[는가를이]|[빼뺀뺄]|뺄셈|[-−–]|마이너스|적|작|줄|남|음수|영하"),
        "product": (rf"\b(?:product of|their product)\b|\bmultipl(?:y|ied) (?:both|{_N}|by)",
                    r"product|multipl|times|twice|doubl|tripl|factor|[×*·⋅]|\d by \d|squar",
                    rf"(?:[와과의]|두 수|세 수) 곱[은이을에]|{_TO}[을를]? ?곱[하한해할]"
                    r"|[와과] .{0,12}[을를] 곱[하한해할]",
                    r"곱|배|[×*·⋅]"),
        "quotient": (rf"\bquotient of\b|\bdivided? (?:the result |it |both sides |{_N} )?by\b",
                     r"quotient|divi|\bover\b|ratio|half|[÷/]|split|share|per\b|each",
                     rf"{_TO}(?:[을를로]|으로) ?나[누눈눌눠]|[의은] 몫",
                     r"나[누눈눌눠]|몫|분의|[÷/]|절반|약수|비율"),
        "remainder": (r"\bremainder when\b|\bthe remainder is\b",
                      r"remain|\bmod\b|left over|rest", "나머지[가는]", "나머지|남|mod"),
        "whole part": (r"\bquotient\b", r"quotient|^(?!.*remainder).*divi", "몫[은이을]",
                       "몫|나[누눈눌눠]"),
    },
    "square squared cube cubed": {
        "square": (r"\bsquare of (?:a |the |x|n|\d|this|that|an )|\b(?:\d|[a-z]|number) squared\b",
                   r"squar(?!e root)|\^2|²",
                   r"(?<![세완])(?<!완전)제곱(?:은|이|에|을|하|한|해|과|보)",
                   r"(?<!세)제곱(?!근)|²|\^"),
        "cube": (r"\bcube of (?:a |the |x|n|\d)|\b(?:\d|[a-z]|number) cubed\b", r"cube|\^3|³",
                 r"세제곱(?:은|이|에|을|하|한|해|과)", r"세제곱(?!근)|³|\^"),
        "cube root": (r"\bcube root of\b", r"cube root|∛|cbrt", "세제곱근",
                      "세제곱근|∛|[3삼]제곱근"),
        "square root": (r"\bsquare root of\b", r"(?<!cube )root|√|sqrt", r"(?<!세)제곱근",
                        r"(?<!세)제곱근|루트|√|sqrt|(?<!제곱)근(?=[은이을호])"),
    },
    "bc b ad a ce": {
        "BC": (r"\bB\.?C\b", r"B\.?C\b", "기원전", "기원전|BC"),
        "AD": (r"\bA\.?D\b|\d C\.?E\b", r"A\.?D\b|C\.?E\b", "서기|기원후", "서기|기원후|년"),
    },
    "half": {
        "first half": (r"\bfirst half\b", "first half|early", "상반기|전반", "상반기|전반|앞"),
        "second half": (r"\b(?:second|latter) half\b", "(?:second|latter) half|late|end",
                        "하반기|후반", "하반기|후반|뒤"),
    },
    "half halved doubled twice third tripled times": {
        "half": (r"\bhalved\b|\b(?:cut|reduced) (?:by|in|to) half\b|\bby half\b"
                 r"|\bhalf (?:as|the)\b",
                 r"hal[fv]|(?<![\d.])50|1/2", "절반|반으로", r"반|(?<![\d.])50|1/2|분의"),
        "third": (r"\b(?:a|one)[ -]third\b", r"third|33|1/3", "3분의 ?1|삼분의 ?일", "분의|1/3|33"),
        "doubling": (r"\bdoubled\b|\btwice as\b", r"doubl|twice|two|(?<![\d.])2(?![\d.])|hundred"
                     r"|100",
                     "(?:두|2) ?배", "배|곱절|100"),
        "tripling": (r"\btripled\b|\bthree times as\b", r"tripl|three|(?<![\d.])3(?![\d.])|200",
                     "(?:세|3) ?배", "배|200"),
    },
}  # fmt: skip
_OPPOSITES = tuple(
    (
        frozenset(words.split()),
        {name: Side(*(re.compile(f"(?i){said}") for said in side)) for name, side in group.items()},
    )
    for words, group in _GROUPS.items()
)


def find_opposite(source: Text, translation: Text) -> Iterator[str]:
    """What became its opposite in a sentence; each side may be said in many ways."""
    for words, group in _OPPOSITES:
        if not source.lexicon.isdisjoint(words):
            detail = _find_change(group, source.prose, translation.prose)
            if detail:
                yield detail
    if not source.lexicon.isdisjoint(_NEGATIVE_WORDS):
        negative = _NEGATIVE.search(source.prose)
        is_one = len(split_sentences(source.prose)) == len(split_sentences(translation.prose)) == 1
        if negative and is_one and not _KOREAN_NEGATIVE.search(translation.prose):
            yield f"lost: {negative[0]}"


# "It is not uncommon" and "not until then" are said without one, "doesn't work for you" and
# "why don't we rest?" often.
_NEGATIVE = re.compile(
    r"(?i)\b(?:do|does|did|is|are|was|were|can|could|will|would|has|have|had|must|should)"
    r"(?: not\b|n['’]t\b)(?!.*(?:\b(?:until|more than)\b|\?)| (?:only|un|in|im|among|work for|mind"
    r"|help but|forget|hesitate|exceed|the same))"
)
_NEGATIVE_WORDS = frozenset({"not", "t"})
OPPOSITE_WORDS = _NEGATIVE_WORDS.union(*(words for words, _ in _OPPOSITES))
_KOREAN_NEGATIVE = re.compile(
    "않|안[ 되돼하]|못|없|아니|아닌|아닙|아닐|말[고라아렴자 것]|마[라십세시]|[지정] ?마(?![가-힣])"
    "|모[르른]|몰[라랐]|금지|거[부절]|불[가법편만능명완안행확]|비[정공합활]|미[완정확만달]|무[시관효해료]|반[대하]|실패|부족|어[렵려]"
    "|힘[들드든]|곤란|드[물문]|뿐|빼|싫|덜|외|대신|잃|벗어|틀[리렸린]|다[르른]|삼가|피[하해할한]|막"
    "|그[치친]|이[내하]|생략|금물|n['’]t"
)


def _find_change(group: Mapping[str, Side], left: str, right: str) -> str | None:
    """A side of ``group`` that ``left`` says for certain and that became another one."""
    lost = [
        name
        for name, side in group.items()
        if len(side.english.findall(left)) > len(side.maybe_korean.findall(right))
    ]
    new = [
        name
        for name, side in group.items()
        if lost and len(side.korean.findall(right)) > len(side.maybe_english.findall(left))
    ]
    return f"{lost[0]} became {new[0]}" if new else None
