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
        "left": (r"\b(?:to|on|from) the (?:\w+ )?left\b", "left", "왼쪽|좌측", "왼|좌"),
        "right": (r"\b(?:to|on|from) the (?:\w+ )?right\b", "right", "오른쪽|우측", "오른|우"),
    },
    {
        "north": (r"\bnorth(?:ern)?\b", "north", "북[쪽부]", "북"),
        "south": (r"\bsouth(?:ern)?\b", "south", "남[쪽부]", "남"),
        "east": (r"\beast(?:ern)?\b", "east", "동[쪽부]", "동"),
        "west": (r"\bwest(?:ern)?\b", "west", "서[쪽부]", "서"),
    },
    {
        "ascending": (r"\b(?:ascending|increasing) order", "ascend|increas", "오름차순",
                      "오름차순|(?:작은|낮은|적은|짧은|이른)[가-힣 ]{0,5}(?:순|부터)|커지|오르"
                      "|알파벳"),
        "descending": (r"\b(?:descending|decreasing) order", "descend|decreas|revers|high|larg",
                       "내림차순", "내림차순|(?:큰|높은|많은|긴|늦은)[가-힣 ]{0,5}(?:순|부터)"
                       "|역순|작아|내려"),
    },
    {
        "positive": (r"(?<!-)\bpositive (?:integer|number|real|root|value)", "positiv|>",
                     "양의 ?(?:정수|실수|수)|양수", "양의|양수|자연수|정의"),
        "negative": (r"(?<!-)\bnegative (?:integer|number|real|root|value)", "negativ|minus|<",
                     "음의 ?(?:정수|실수|수)|음수", "음의|음수"),
    },
    {
        "BC": (r"\d B\.?C\b", r"B\.?C\b", "기원전", "기원전|BC"),
        "AD": (r"\bA\.?D\b|\d C\.?E\b", r"A\.?D\b|C\.?E\b", "서기|기원후", "서기|기원후|년"),
    },
    {
        "first": (rf"\bthe first {_THING}\b", "first|begin|start|initial|earl|open|1",
                  "첫|맨 처음", "첫|처음|1|일|초|최초|먼저|맨 앞|앞"),
        "last": (rf"\bthe last {_THING}\b", "last|final|end|past|lates|recent|bottom|close",
                 "마지막|맨 끝", "마지막|끝|지난|말|최종|최근|맨 뒤|뒤|꼴찌"),
    },
    {
        "rise": (r"\b(?:rose|rising|increased|grew|climbed|went up)\b",
                 r"r[io]s[ei]|increas|gr[eo]w|climb|\bup\b|gain|rais|jump|more|high",
                 "증가|상승|늘[었어려]|올랐|인상", "증가|상승|늘|오[르른]|올[라랐리린]|인상|높"
                 "|불어|뛰|뛴|많|커|성장"),
        "fall": (r"\b(?:fell|decreased|dropped|declined|went down|shrank)\b"
                 r"|\b(?:cut|reduce|lower)s? (?:the|their|its|his|her|your)\b",
                 r"f[ea]ll|decreas|drop|declin|down|shr[aiu]nk|reduc|lower|less|\bcut|los[set]|few",
                 "감소|하락|줄[었어]|떨어[졌져]|인하", "감소|하락|줄|떨어|인하|낮|빠|적"
                 "|내[렸려리린]|작아"),
    },
    {
        "first half": (r"\bfirst half\b", "first half|early", "상반기|전반", "상반기|전반|앞"),
        "second half": (r"\b(?:second|latter) half\b", "(?:second|latter) half|late|end",
                        "하반기|후반", "하반기|후반|뒤"),
    },
    {
        "older": (r"\b(?:older|elder)\b", "old|eld|big|grand", "나이가? (?:더 )?많|연상", "많|위"
        "|연상|오래|늙|누나|언니|형|오빠"),
        "younger": (r"\byounger\b", "young|few|less|little", "어[리린려렸]|나이가? (?:더 )?적"
        "|연하|동생",
                    "어[리린려렸]|적|아래|연하|젊|동생"),
    },
    {
        "more": (rf"\b{_THAN}(?:more|larger|bigger|taller|longer|heavier|higher"
        rf"|older) (?:[a-z]+ )?than\b",
                 "more|larg|big|tall|long|heav|high|great|over|exceed|old|fast",
                 f"{_COUNT}(?:많[다은이았]|크|큽|컸|길|깁|무겁|높)", "많|[크큰큽컸]|길|깁|긴"
                 "|무거|무겁|높|더|초과|넘|웃"),
        "fewer": (rf"\b{_THAN}(?:fewer|less|smaller|shorter|lighter|lower"
        rf"|younger) (?:[a-z]+ )?than\b",
                  "few|less|small|short|light|low|under|below|young|slow",
                  f"{_COUNT}(?:적[다은게었]|작|짧|가볍|낮|어리)", "적|작|짧|가벼|가볍|낮|덜|미만"
                  "|못|어[리린]"),
    },
    {
        "before": (rf"\b{_UNITS} (?:before|earlier|ago)\b|\bon or before\b",
                   r"before|earl|ago|prior|\bto\b|previous|last|advance|first|until|by\b",
                   f"{_KOREAN_UNITS} ?전|이전", "전|앞|이전|먼저|일찍|빨리|지난|까지|안에|이내"),
        "after": (rf"\b{_UNITS} (?:after|later)\b|\b[Ii]n (?:\d+|two|three|four|five|six"
        rf"|ten) {_UNITS}\b",
                  r"after|later|\bin\b|within|from|since|past|follow|next|then|begin|start",
                  f"{_KOREAN_UNITS} ?(?:후|뒤|지[난나])|(?:이나|그) 후", "후|뒤|다음|만에|지나"
                  "|지난|이후|동안|안에|간|내"
                  "|나중|늦|흐른"),
    },
    {
        "largest": (r"\b(?:largest|highest|greatest|biggest|longest|tallest|heaviest|maximum)\b",
                    r"max|larg|high|great|big|long|tall|heav|most|best|top|up to|as \w+ as|limit"
                    r"|exceed|within|more",
                    "최대|최고|가장 [크큰높긴많]", "최대|최고|최장|가장|제일|큰|높|긴|많"),
        "smallest": (r"\b(?:smallest|lowest|fewest|shortest|least|lightest|cheapest|minimum)\b",
                     r"min|small|low|few|short|least|light|cheap|young|near|close",
                     "최소|최저|가장 [작적낮짧]", "최소|최저|가장|제일|적어도|작|낮|적|짧|싼|이상"),
    },
    {
        "lesser": (r"\bthe (?:lesser|lower|smaller) of\b", "less|low|small|few|min", "[낮작적]은",
        "낮|작|적"),
        "greater": (r"\bthe (?:greater|higher|larger) of\b", "great|high|larg|big|more|max|many"
        "|much",
                    "[높많]은|큰", "높|많|크|큰"),
    },
    {
        "profit": (r"\bprofits?\b|\bsurplus\b", "profit|earn|gain|made|make|income"
        "|surplus", "이익|흑자", "이익|흑자"
        "|수익|이윤|이득|벌"),
        "loss": (r"\b(?:a|net|the) loss\b|\bdeficit\b", "los[set]|deficit", "손실|적자", "손실"
        "|적자|손해|잃"),
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
        "left right", "north northern south southern east eastern west western",
        "ascending increasing descending decreasing", "positive negative", "bc b ad a ce",
        "first last", "rose rising increased grew climbed up fell decreased dropped declined down"
        " shrank cut reduce reduces cuts lower lowers", "half", "older younger elder", "than",
        "before earlier ago after later in",
        "largest highest greatest biggest longest tallest heaviest maximum smallest lowest fewest"
        " shortest least lightest cheapest minimum", "lesser lower smaller greater higher larger",
        "profit profits surplus loss deficit", "all every some most",
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
    "|그[치친]|이내|생략|금물|n['’]t"
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
