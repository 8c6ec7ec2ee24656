"""The check that values did not change places: 2 cats and 3 dogs are no 고양이 셋과 개 둘."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from kot_platypus.checks.alignment import pair_lines
from kot_platypus.checks.exchanged import find_exchanged
from kot_platypus.checks.findings import Findings, Span, drop_spans, make_finding
from kot_platypus.checks.measures import read_measures
from kot_platypus.checks.segments import Text
from kot_platypus.checks.structure import are_heaped
from kot_platypus.number_words import MONTHS, ORDINALS
from kot_platypus.numerals import (
    Number,
    Strength,
    read_english_words,
    read_numeral,
)


class Anchor(NamedTuple):
    """What is found again in the other language: a number, a name in Latin letters."""

    key: str
    span: Span


Pair = tuple[Anchor, Anchor]

# What joins equals: Korean keeps their order, while it turns "3 of the 12" and "45 for 6" about.
_JOINS = re.compile(
    r",? [\"“]?(?:and then|and|but(?! not\b)|or|while(?! [a-z]+ing\b)|whereas|then)\b"
    r"|, |\bversus\b|\bvs\b"
)
_ENDS = re.compile(r"(?<![ap]\.m)[.!?][\"')]* +(?=[A-Z])|; |\n")
_TURNS = re.compile(
    r"\b(?:of|out|in|for|per|if|when|because|since|before|after|than|until|so that|who|which|that"
    r"|where|though|although|from|as|unless|given|at|on|by|to|with|within|including|such|aged|under"
    r"|during|up|down)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:1\d|20)\d\d")
_CALL = r"[A-Za-z]\([^()\n가-힣]{1,30}\)"
_NAME = re.compile(
    rf"(?=[A-Za-z])(?:(?<![A-Za-z]){_CALL}"
    r"|(?<![A-Za-z'’])(?:[A-Za-z]{2,}|[b-zB-HJ-Z]|(?<=is )A|A(?! ))(?![A-Za-z'’\d]))"
)


_KEPT_TEXT = re.compile(r"[\"“][^\"”\n가-힣]{8,}[\"”]")


def find_order(source: Text, translation: Text) -> Findings:
    """Values that stand side by side, or in two sentences, stand there in the same order.

    Catches 14 hats and 32 scarves as 모자 32개와 목도리 14개, "Ann is 12. Bob is 9." with 9 and 12,
    3:4 as 4:3, two thirds as 2분의 3. Look-alikes: 3 of the 12 eggs as 12개 중 3개, and all else
    that Korean says the other way round.
    """
    names: set[str] = set()
    if translation.lexicon:
        names = {match[0] for match in _NAME.finditer(_KEPT_TEXT.sub("", translation.prose))}
    if not names and len(source.digits) + len(source.english) < 2:
        return
    yield from _compare_pairs(source, translation)
    yield from _find_heap(source, translation)
    yield from find_exchanged(source, translation)
    for pair in pair_lines(source, translation):
        if turned := next(_find_turned(*pair, names), None):
            yield turned if pair[0] is source else drop_spans(turned)
            return


def _find_turned(source: Text, translation: Text, names: set[str]) -> Findings:
    left = _read_anchors(source, names)
    right = _read_anchors(translation, names) if len(left) > 1 else []
    if [anchor.key for anchor in left] == [anchor.key for anchor in right]:  # the usual case
        return
    places, others = _index(left), _index(right)
    shared = {key for key in places if len(places[key]) == len(others.get(key, ()))}
    steady = [anchor for anchor in left if anchor.key in shared]
    rank: Counter[str] = Counter()
    found: list[tuple[Anchor, Anchor]] = []
    for anchor in steady:
        found.append((anchor, others[anchor.key][rank[anchor.key]]))
        rank[anchor.key] += 1
    for first, then, between in _iter_pairs(found):
        (one, other), (next_one, next_other) = first, then
        is_turned = next_other.span[0] < other.span[0] and _are_alike(one.key, next_one.key)
        if not is_turned or one.key == next_one.key:
            continue
        is_near = not between or (
            one.key[0].isdigit()
            and "1" not in (one.key, next_one.key)  # said of too much
            and all(
                _find_units(source, one.span) != _find_units(source, each.span)
                for each, _ in between
            )
        )
        if _are_joined(source.prose, one, next_one, is_near=is_near) and not _keep_units(
            (source, translation), (first, then)
        ):
            said = f"{source.cut(one.span)} and {source.cut(next_one.span)} changed places"
            yield make_finding(
                "order", said, [one.span, next_one.span], [other.span, next_other.span]
            )
            return


def _find_heap(source: Text, translation: Text) -> Findings:
    """Numbers that stand together at one end, as DeepL leaves them when it loses their places."""
    spans, others = ([number.span for number in text.digits] for text in (source, translation))
    is_heap = are_heaped(translation.prose, others)
    if len(others) == 2:  # "5, 6" is a list, and 555 1234 a telephone's
        gap = source.prose[spans[0][1] : spans[-1][0]] if spans else ""
        is_heap &= translation.prose[others[0][1] : others[1][0]].isspace()
        is_heap &= any(map(str.isalpha, gap))
    if is_heap and not are_heaped(source.prose, spans) and not _DAY.search(translation.prose):
        yield make_finding("order", "the numbers stand together, none in its place", spans, others)


_DAY = re.compile(r"[12]\d{3}[-.] ?\d{1,2}[-.] ?\d")  # 2018. 7. 19. stands together


def _are_alike(key: str, other: str) -> bool:
    """Whether both are numbers, both words, or one is a variable: "x is 10 and y is 4"."""
    return key[0].isdigit() == other[0].isdigit() or any(
        len(one) == 1 and one.islower() for one in (key, other)
    )


def _iter_pairs(found: list[Pair]) -> Iterator[tuple[Pair, Pair, list[Pair]]]:
    """Neighbours, and what stands two or three places apart, with what is between."""
    for i in (1, 2, 3):
        for start, pair in enumerate(zip(found, found[i:], strict=False)):
            yield *pair, found[start + 1 : start + i]


def _are_joined(text: str, one: Anchor, other: Anchor, *, is_near: bool) -> bool:
    """Whether the words between two values join equals, or end a sentence."""
    between = text[one.span[1] : other.span[0]]
    between = re.sub(r"that of|[ap]\.?m\b\.?", "", between)
    years = _YEAR.fullmatch(one.key), _YEAR.fullmatch(other.key)
    if between == ", " and years[1]:
        return False  # July 4, 1976
    are_of_two_kinds = bool(years[0]) != bool(years[1]) and "," not in between
    if are_of_two_kinds or _NO_EQUALS.search(between) or _OF_THE_FIRST.match(text, other.span[1]):
        return False
    if between.endswith(", ") and _APART.match(text, other.span[1]):
        return False
    if _ENDS.search(text[one.span[1] : other.span[0] + 1]):
        return is_near
    joints = list(_JOINS.finditer(between))
    may_range = _TO.search(between)
    if _MOVED.search(between):
        return is_near
    if (
        joints
        and joints[-1][0] == ", "
        and (between.count(" ") > _APPOSED or between.count(",") > 1 or _MONTH.search(between))
    ):
        return False  # in 1443 under King Sejong, the fourth ruler; at 5 a.m., June 1
    if joints and joints[-1][0].endswith(("whereas", "while", "but")):
        return is_near and one.key[0].isdigit()
    lead = _LEAD.findall(text[max(0, one.span[0] - 24) : one.span[0]].lower())
    if may_range and lead in (["from"], ["between"]):
        return True
    turns = [word.lower() for word in _TURNS.findall(between[joints[-1].end() :])] if joints else []
    return bool(joints) and (turns == lead != ["than"] if turns else is_near)


# in HAVING, not in WHERE; 1,900 jobs, or roughly 3%; 31 points, 12 of them; 3 points, 19 out of 20
_NO_EQUALS = re.compile(
    r", not\b|\b(?:rather than|instead of)\b"
    r"|, or (?:roughly|about|nearly|almost|some|around|over)\b|, (?:nearly|almost) \Z"
)
_OF_THE_FIRST = re.compile(r"(?: [a-z]+)? (?:out of|of (?:them|these|those|which|whom))\b")
_APART = re.compile(  # 9.83 seconds, 0.04 ahead
    r"(?: [a-z]+)? (?:ahead|behind|more|less|fewer|longer|shorter|higher|lower|earlier|later)\b"
)
_MOVED = re.compile(r"\b(?:moved|changed|postponed|rescheduled|extended|shortened)\b[^.;]* to\b")
_MONTH = re.compile("(?i)\\b(?:" + "|".join(MONTHS) + ")\\b")
_APPOSED = 5  # words between two values with a comma, from which on they need not be equals
_ROUGHLY = r"(?:\W*\b(?:about|roughly|around|nearly|almost|over|only|just|approximately|some))?"
_LEAD = re.compile(rf"([a-z]+?){_ROUGHLY}[^a-z]*$")
_TO = re.compile(rf"\b(?:to|and|until){_ROUGHLY}\W*$")


def _keep_units(texts: tuple[Text, Text], pairs: tuple[Pair, Pair]) -> bool:
    """Whether two values have different units, and have them in the translation too.

    Then they stand in another order and were not swapped: 1,900 jobs or 3 % are 3 %인 1,900개.
    """
    units = [[_find_units(text, pair[i].span) for pair in pairs] for i, text in enumerate(texts)]
    wanted, found = units
    are_kept = all(not one or one == other for one, other in zip(wanted, found, strict=True))
    return wanted[0] != wanted[1] and found[0] != found[1] and are_kept


def _find_units(text: Text, span: Span) -> set[str]:
    measures = read_measures(text)
    return {one.unit for one in measures if one.span[0] <= span[0] and span[1] <= one.span[1]}


def _index(anchors: list[Anchor]) -> dict[str, list[Anchor]]:
    places: defaultdict[str, list[Anchor]] = defaultdict(list)
    for anchor in anchors:
        places[anchor.key].append(anchor)
    return places


def _read_anchors(part: Text, kept: set[str]) -> list[Anchor]:
    """Numbers by their value, and what of ``kept`` there is, in the order in which they stand."""
    text = part.prose
    found = _NAME.finditer(text) if kept else ()
    names = [Anchor(match[0], match.span()) for match in found if match[0] in kept]
    taken = {place for number in part.digits for place in range(*number.span)}
    calls = {place for name in names if "(" in name.key for place in range(*name.span)}
    words = [
        word
        for word in (*part.english, *part.korean)
        if word.span[1] - 1 not in taken and _is_sure(text, word)
    ]
    numbers = [
        Anchor(f"{number.value.normalize():f}", number.span)
        for number in (*part.digits, *words)
        if number.span[0] not in calls and not _NAMED_BEFORE.match(text, number.span[0] - 1)
    ]
    return sorted([*numbers, *names], key=lambda one: one.span)


_PART_BEFORE = re.compile(r"(?i)\b(?:an?|one|two|three|half)[ -]$")
_OF_A_PART = re.compile(r"[ -](?:thirds|quarters|[a-z]+ths)\b")
_NAMED_BEFORE = re.compile(r"[a-z]\d")  # x1


def _is_sure(text: str, word: Number) -> bool:
    said = text[slice(*word.span)].lower()
    if said in MONTHS or (said in ORDINALS and _PART_BEFORE.search(text, 0, word.span[0])):
        return False
    if said.endswith(("ths", "thirds")) or _OF_A_PART.match(text, word.span[1]):  # two fifths
        return False
    return word.strength is Strength.WORD or said in ("two", "두")


# --- pairs -------------------------------------------------------------------------------------

_N = r"\d+(?:,\d{3})*(?:\.\d+)?"
_PAIR = re.compile(
    rf"(?<![\d.:/-])(?P<a>{_N})\s?(?P<sign>[:/–-]|대|승)\s?(?P<b>{_N})(?![\d:/-]|\.\d)"
)
_SINO = r"[일이삼사오육칠팔구십백천만]+"
_PART = re.compile(
    rf"(?P<b>{_N}|{_SINO})\s?분의\s?(?P<a>{_N}|{_SINO}?)(?=[^\d일이삼사오육칠팔구십]"
    rf"|[이일](?![가-힣])|$)"
)
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
_SAID = "(?:one|two|three|four|five|six|seven|eight|nine|ten)"
_SAID_PART = re.compile(
    rf"(?i)\b(?P<a>{_SAID}|{_N})"
    rf"[ -](?P<b>{'|'.join(_PARTS)})s?\b"
)
_OUT_OF = re.compile(
    rf"(?i)(?=\d|\b[efnost])(?P<a>{_N}|\b{_SAID})"
    rf"(?: [a-z]+)? (?:out )?of (?:the |every |all )?(?P<b>{_N}|{_SAID}\b)"
)
_RATIO = re.compile(
    rf"(?i)\b(?:ratio|odds|scores?|vote[ds]?|scale|won|lost|lead"
    rf"|beat)\b[^.\d]{{0,20}}(?P<a>{_N}) to (?P<b>{_N})\b"
)
_KOREAN_OUT_OF = re.compile(
    rf"(?P<b>{_N})[가-힣]{{0,4}} ?(?:[가-힣]{{1,4}} )?(?:중(?:에서?)?|가운데(?:서)?|만점에서?) "
    rf"[^\d.]{{0,20}}?(?P<a>{_N})"
)


# What a text must hold for its pattern to be tried: a sign, and one of the words if there are any.
_PATTERNS = tuple(
    (pattern, re.compile(sign), frozenset(words.split()))
    for pattern, sign, words in (
        (_PAIR, r"[:/–대승-]\s?\d", ""),
        (_PART, "분의|분 의", ""),
        (_SAID_PART, "", " ".join(f"{name} {name}s" for name in _PARTS)),
        (_RATIO, r"\d to \d", "to"),
        (_OUT_OF, rf"(?i) of (?:the |every |all )?(?:\d|{_SAID}\b)", "of"),
        (_KOREAN_OUT_OF, "중|가운데|만점", ""),
    )
)


def _compare_pairs(source: Text, translation: Text) -> Findings:
    """Ratios, scores and parts: 3:4, 3-1, 2/3, 7 out of 10, by their two numbers in order."""
    wanted = _read_pairs(source)
    found = _read_pairs(translation) if wanted else {}
    wholes = {below for _, below in wanted}
    for (above, below), span in wanted.items():
        others = [(below, above), *((above, whole) for whole in wholes - {below})]
        new = [pair for pair in others if pair in found and pair not in wanted]
        if new and (above, below) not in found:
            detail = f"{source.cut(span)} became {translation.cut(found[new[0]])}"
            yield make_finding("order", detail, [span], [found[new[0]]])
            return


def _read_pairs(part: Text) -> dict[tuple[Decimal, Decimal], Span]:
    pairs: dict[tuple[Decimal, Decimal], Span] = {}
    for pattern, sign, words in _PATTERNS:
        if (words and part.lexicon.isdisjoint(words)) or not sign.search(part.prose):
            continue
        for match in pattern.finditer(part.prose):
            above, below = _read(match["a"]), _read(match["b"])
            if above != below and above is not None and below is not None:
                pairs.setdefault((above, below), match.span())
    return pairs


def _read(said: str) -> Decimal | None:
    if said[:1].isdigit():
        return Decimal(said.replace(",", ""))
    if part := _PARTS.get(said.lower()):
        return Decimal(part)
    words = read_english_words(said)
    return words[0].value if words else read_numeral(said)
