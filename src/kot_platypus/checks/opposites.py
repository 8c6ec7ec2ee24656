"""Words that must not become their opposites: left and right, first and last, half and twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kot_platypus.checks.alignment import split_sentences
from kot_platypus.checks.segments import Text

Group = Mapping[str, tuple[re.Pattern[str], ...]]

_THING = (
    "(?:day|week|month|year|place|name|line|item|letter|digit|one|row|column|page|chapter|part)"
)
_UNITS = "(?:minutes?|hours?|days?|weeks?|months?|years?)"
_KOREAN_UNITS = "(?:분|시간|일|주|개월|달|년)"
_THAN = r"(?:\d[\d,.]*|one|two|three|four|five) (?:[a-z]+ )?"
_COUNT = "(?:개|명|권|장|원|달러|cm|m|kg|센티미터|미터|킬로그램|마리|살|세)(?:만큼)? ?(?:더 )?"
# By groups: of each side what says it in English for certain, what may say it, what says it in
# Korean for certain, and what may. A change is a side lost for certain and another new for certain.
_GROUPS: tuple[dict[str, tuple[str, str, str, str]], ...] = (
    {
        "BC": (r"\d B\.?C\b", r"B\.?C\b", "기원전", "기원전|BC"),
        "AD": (r"\bA\.?D\b|\d C\.?E\b", r"A\.?D\b|C\.?E\b", "서기|기원후", "서기|기원후|년"),
    },
    {
        "first half": (r"\bfirst half\b", "first half|early", "상반기|전반", "상반기|전반|앞"),
        "second half": (r"\b(?:second|latter) half\b", "(?:second|latter) half|late|end",
                        "하반기|후반", "하반기|후반|뒤"),
    },
    {
        "all": (r"\b(?:all|every)\b", "all|every|each|any|entire|whole|both|alway|full|total"
        "|complet",
                "모든|모두|전부", "모든|모두|전부|다|마다|매|전체|온|각|누구나|항상|내내|다들"
                "|매번|빠짐"),
        "most": (r"\bmost (?:of|[a-z]+s)\b|\bmost people\b", "most|major|largely|mainly",
                 "대부분|대다수", "대부분|대다수|거의|대체로|가장|대개|주로|과반"),
        "some": (r"\bsome (?:of|[a-z]+s)\b", "some|part|certain|a few|several|portion",
                 "일부(?!터)", "일부|어떤|몇|더러|약간|좀|중|가운데|조금|있"),
    },
    {
        "half": (r"\bhalved\b|\b(?:cut|reduced) (?:by|in|to) half\b|\bby half\b|\bhalf (?:as"
        r"|the)\b",
                 r"hal[fv]|50|1/2", "절반|반으로", "반|50|1/2|분의"),
        "third": (r"\b(?:a|one)[ -]third\b", r"third|33|1/3", "3분의 ?1|삼분의 ?일", "분의|1/3|33"),
        "quarter": (r"\b(?:a|one) quarter\b", r"quarter|fourth|25|15|1/4", "4분의 ?1|사분의 ?일",
                    r"분의|1/4|25|15|분기|쿼터"),
        "doubling": (r"\bdoubled\b|\btwice as\b", r"doubl|twice|two|(?<![\d.])2(?![\d.])|hundred"
        r"|100",
                     "(?:두|2) ?배", "(?:두|2) ?배|갑절|곱절|100|배"),
        "tripling": (r"\btripled\b|\bthree times as\b", r"tripl|three|(?<![\d.])3(?![\d.])"
        r"|thrice|200",
                     "(?:세|3) ?배", "(?:세|3) ?배|200|배"),
        "quadrupling": (r"\bquadrupled\b|\bfour times (?:as|the)\b",
                        r"quadrupl|four|(?<![\d.])4(?![\d.])|300", "(?:네|4) ?배", "(?:네|4) ?배"
                        "|300|배"),
    },
)  # fmt: skip
_OPPOSITES = tuple(
    {side: tuple(re.compile(f"(?i){pattern}") for pattern in said) for side, said in group.items()}
    for group in _GROUPS
)
# The words of which one has to be there, group by group.
_WORDS = tuple(
    frozenset(words.split())
    for words in (
        "bc b ad a ce", "half", "all every some most",
        "half halved doubled tripled quadrupled third quarter twice times",
    )
)  # fmt: skip


def find_opposite(source: Text, translation: Text) -> Iterator[str]:
    """What became its opposite in a sentence; each side may be said in many ways."""
    for group, words in zip(_OPPOSITES, _WORDS, strict=True):
        if not source.lexicon.isdisjoint(words):
            detail = find_change(group, source.prose, translation.prose)
            if detail:
                yield detail
    if not source.lexicon.isdisjoint(_NEGATIVE_WORDS):
        negative = _NEGATIVE.search(source.prose)
        is_one = len(split_sentences(source.prose)) == len(split_sentences(translation.prose)) == 1
        if negative and is_one and not _KOREAN_NEGATIVE.search(translation.prose):
            yield f"lost: {negative[0]}"


# "It is not uncommon" and "not until then" are said without one, "doesn't work for you" often.
_NEGATIVE = re.compile(
    r"(?i)\b(?:do|does|did|is|are|was|were|can|could|will|would|has|have|had|must|should)"
    r"(?: not\b|n['’]t\b)(?! (?:only|un|in|im|among|work for|mind|help but)|.*\buntil\b)"
)
_NEGATIVE_WORDS = frozenset({"not", "t"})
OPPOSITE_WORDS = frozenset().union(*_WORDS, _NEGATIVE_WORDS)
_KOREAN_NEGATIVE = re.compile(
    "않|안[ 되돼하]|못|없|아니|아닌|아닙|아닐|말[고라아 것]|마[라십세시]|모[르른]|몰[라랐]|금지"
    "|거[부절]|불[가법편만능명완안행확]|비[정공합활]|미[완정확만달]|무[시관효해료]|반[대하]|실패|부족|어[렵려]"
    "|힘[들드든]|곤란|드[물문]|뿐|빼|싫|덜|외|대신|잃|벗어|틀[리렸린]|다[르른]|삼가|피[하해할한]|막"
    "|그[치친]|이[내하]|생략|금물|n['’]t"
)


def find_change(group: Group, left: str, right: str) -> str | None:
    """A side of ``group`` that ``left`` says for certain and that became another one."""
    lost = [
        name
        for name, (sure, _, _, maybe) in group.items()
        if (said := len(sure.findall(left))) and said > len(maybe.findall(right))
    ]
    if not lost:
        return None
    new = [
        name
        for name, (_, maybe, sure, _) in group.items()
        if (said := len(sure.findall(right))) and said > len(maybe.findall(left))
    ]
    return f"{lost[0]} became {new[0]}" if new else None
