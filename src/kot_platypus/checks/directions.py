"""Which way a number points: before 1830 is no 1830년 이후, and up 5% no 5% 감소."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from kot_platypus.checks.findings import Span
from kot_platypus.checks.segments import BLANK, Text
from kot_platypus.hangul import ENDING_IN_NIEUN
from kot_platypus.numerals import Number, Strength

Places = dict[Decimal | str, set[Span]]


class Axis(NamedTuple):
    """Words that point down and up, with each language's patterns of them."""

    words: frozenset[str]
    down: re.Pattern[str]
    up: re.Pattern[str]
    korean_down: re.Pattern[str]
    korean_up: re.Pattern[str]


def _make_axis(down: str, up: str, korean_down: str, korean_up: str) -> Axis:
    down_words, up_words = (re.compile(rf"(?i)(?<![-\w])(?:{side})\b") for side in (down, up))
    words = frozenset(re.findall(r"[a-z]{3,}|\bup\b", f"{down} {up}")) - {"the", "she", "they"}
    return Axis(words, down_words, up_words, re.compile(korean_down), re.compile(korean_up))


_SPAN = "(?:minutes|hours|days|weeks|months|years)"
_AFTER_UNIT = "(?<=[일주월년간달초시분 ])"
_AFTER_NOUN = (  # in 정차한 뒤 it joins clauses, which English may turn about with "before"
    f"(?:{_AFTER_UNIT}(?<![{ENDING_IN_NIEUN}] )|(?<=[년간분] )|(?<![ {ENDING_IN_NIEUN}]))"
)
_NO_MORE = (  # 넘지 않는, 초과하여 복용하지 마십시오, 넘기면 안 된다; not 넘은 것은 되지 않는다
    r"(?:넘|초과)[가-힣]*(?: (?![가-힣]+(?<![지서면])[은는] )[가-힣]+){0,2}?"
    r"(?:(?<=지)[는도]? ?(?:않|마[시세십]|말|못)|(?<=[서면선])는? ?안 )"
)
_AXES = (
    _make_axis(
        "before(?! (?:he|she|they|we|i|it)\\b)|prior to|ahead of|earlier|ago",
        rf"after|later|since|following|thereafter"
        rf"|in(?= [\w-]+ {_SPAN}(?! (?:early|earlier|before)))",
        rf"{_AFTER_UNIT}전(?=[ 에의인까쯤,.]|부터|이[었 ]|$)|이전|앞두|앞선|앞서",
        rf"{_AFTER_NOUN}(?:후(?=[ 에의인,.]|부터|까지|이|$)|뒤(?!진|처))|이후|지나|지났",
    ),
    _make_axis(
        "down(?! (?:a|the)\\b)|cut|cuts|fell|falls|falling|fallen|decrease|decreased|decreases"
        "|decreasing|dropped|dropping|decline|declined|declines|declining|less|fewer|under|below"
        "|maximum of|lower|shorter|cheaper|at most|up to|reduced|reduces|reduce|younger|smaller"
        "|shrank|shrunk|slumped|or earlier|or older",
        "up(?! to)|rose|rise|rises|rising|increase|increased|increases|increasing|grew|grown|growth"
        "|climbed|climbing|gain|gained|gains|jump|jumped|more|over|above|exceed|exceeds|exceeded"
        "|exceeding|higher|surged|older|greater|larger|at least|minimum of|longer|taller|heavier"
        "|extra|or later|or newer",
        rf"감소|줄|하락|떨어|급감|적[은게다었습]|적어(?!도)|낮[은다게아추습]|미만|이하|짧|이내|{_NO_MORE}"
        "|작[은다아고으]|밑[도돌]|못 ?[미되]|안 ?되|최대|많아야|어[린리립렸려](?!이)",
        "증가|늘[어었리릴려]|웃[돌도]|상승|오르|오른(?!쪽)|올[랐라]|급증|많[은다아았이습게]|높[은다아였습게]|초과|넘|이상"
        "|더 [크긴무]|보다 [크큰커]|최소|적어도|이후",
    ),
)
DIRECTION_WORDS = frozenset().union(*(axis.words for axis in _AXES))
"""The English words of which a change is looked for."""
_NEITHER = re.compile("많게는|늦어도|높이|더 ?이상|떨어진 [곳데거지]|떨어져 ?있")
_NOT = re.compile(
    r"(?i)(?:\b(?:not?|nor|never|cannot)|n['’]t)(?: [a-z]+)? $|\bneither (?:[a-z\d]+ ){1,7}$"
)
_NOT_BEFORE = 48  # characters
_SOMEWHERE = re.compile(r"(?i)\b(?:not?|nor|never|cannot|nothing|none|without)\b|n['’]t\b")


def find_turned_directions(source: Text, translation: Text) -> Iterator[str]:
    """A number beside words of one direction alone, which has those of the other beside it.

    Look-alikes: "no more than 5" as 5 이하, "not exceed 8" as 8을 넘지 않는다.
    """
    axes = [axis for axis in _AXES if not source.lexicon.isdisjoint(axis.words)]
    wanted = _index(source, source.english) if axes else {}
    found = _index(translation, translation.korean) if wanted else {}
    for value in sorted(wanted.keys() & found.keys(), key=str):
        here = [_bound_english(source.prose, span) for span in sorted(wanted[value])]
        there = [_cut_korean(translation.prose, span) for span in sorted(found[value])]
        for axis in axes:
            said = {way for span in here for way in _read_english(axis, source.prose, span)}
            became = {way for words in there for way in _read_korean(axis, words)}
            if len(said) == len(became) == 1 and said != became:
                yield f"{source.cut(here[0]).strip()} became {there[0].strip()}"
                return


def _index(text: Text, words: Iterable[Number]) -> Places:
    """Where each number stands, and each length of what is no prose: at most `k`."""
    places: defaultdict[Decimal | str, set[Span]] = defaultdict(set)
    for number in (*text.digits, *words):
        if not (number.others and number.strength is Strength.POSSIBLE):  # "half" may be many
            places[number.value].add(number.span)
    for match in _BLANKS.finditer(text.prose) if BLANK in text.prose else ():
        places[match[0]].add(match.span())
    return places


_BLANKS = re.compile(f"{BLANK}+")


def _read_english(axis: Axis, text: str, span: Span) -> Iterator[bool]:
    for pattern, is_up in ((axis.down, False), (axis.up, True)):
        for match in pattern.finditer(text, *span):
            before = text[max(0, match.start() - _NOT_BEFORE) : match.start()]
            is_not = _NOT.search(before) is not None
            if is_not or not _SOMEWHERE.search(before):  # "Do not pack liquids over": either way
                yield is_up is not is_not


def _read_korean(axis: Axis, words: str) -> Iterator[bool]:
    words = _NEITHER.sub("", words)
    rest = axis.korean_down.sub("", words)
    if rest != words:
        yield False
    if axis.korean_up.search(rest):
        yield True


# --- what stands beside a number ---------------------------------------------------------------

_BEFORE, _AFTER = 32, 28  # characters of English
_AND_UP = "over|older|up|under|above|below|more|less|later|earlier|younger|higher|fewer|lower"
_END = re.compile(
    rf"[.,;:()!?\n—–\"”\d]|\b(?:but|while|which|who|that|with|from|(?<!up )(?<!prior )to"
    rf"|(?<!age )(?<!imum )of(?! age)|in(?! [\w-]+ {_SPAN})|when|if|(?:and|or)(?! (?:{_AND_UP})))\b"
)
_KOREAN_BEFORE, _KOREAN_AFTER = 10, 20
_KOREAN_LEAD = re.compile(r"(?:최대|최소한?|적어도|많아야|[가-힣] (?:전|후|뒤)) ?(?:약 )?\Z")
_KOREAN_END = re.compile(r"[.,;:()!?\n\d]|(?<=[고며만데서]) |부터 |에서 |동안 ")
_RANGE = re.compile(r"\s?[~–-]\s?\d[\d.,]*")
_NO_MORE_PATTERN = re.compile(_NO_MORE)


_THAN = re.compile(r" (?:is|are|was|were) [a-z]+ than\b")  # 5 is less than 7: about 7


def _bound_english(text: str, span: Span) -> Span:
    """From and to where words belong to a number: another one, a comma or another clause."""
    start, end = max(0, span[0] - _BEFORE), min(len(text), span[1] + _AFTER)
    # Looked at a little beyond the number: an end there would hide what follows "in".
    for match in _END.finditer(text, start, min(len(text), span[0] + _BEFORE)):
        if match.end() > span[0]:
            break
        start = match.end()
    stops = _END.search(text, span[1], end), _THAN.search(text, span[1], end)
    return start, min((stop.start() for stop in stops if stop), default=end)


def _cut_korean(text: str, span: Span) -> str:
    """The words after a number, and 최대 or 도착 후 before it; 초과하여 up to its 마십시오."""
    before = _KOREAN_LEAD.search(text, max(0, span[0] - _KOREAN_BEFORE), span[0])
    ranged = _RANGE.match(text, span[1])  # 40~60% is turned where 60 is
    end = ranged.end() if ranged else span[1]
    after = text[end : end + 2 * _KOREAN_AFTER]
    stop = _KOREAN_END.search(after)
    after = after[: stop.start()] if stop else after
    negated = _NO_MORE_PATTERN.search(after)
    after = after[: max(_KOREAN_AFTER, negated.end() if negated else 0)]
    return (before[0] if before else "") + text[span[0] : end] + after
