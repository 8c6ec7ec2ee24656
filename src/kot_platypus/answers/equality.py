"""Whether two short answers say the same: as text, number, yes or no, or formula."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, pairwise

from kot_platypus.answers.endings import key, list_readings, peel
from kot_platypus.answers.latex import are_same_formula
from kot_platypus.answers.normal import plain
from kot_platypus.answers.quantities import read_quantity
from kot_platypus.answers.shapes import have_same_shape
from kot_platypus.hangul import BIEUP, read_final

_VARIABLE = re.compile(r"([A-Za-zα-ω]) ?=")
_YES_TURNED = re.compile(
    r"이해했|알겠|시작|보겠|드리겠|생각했|아니|아닙|않|틀렸|틀립|하지만|그러나|다만|또는|아마|수도|모르"
    r"|\?"
)
_NO_TURNED = re.compile(
    r"생각했|라고 하면|(?:맞|옳)(?:습|다|아)|그렇습니다|하지만|그러나|다만|또는|아마|수도|모르|\?"
)
_HANGUL = re.compile("[가-힣]")
_RESTATED = re.compile(r"(?P<first>[^,]+?),? (?:즉|곧|다시 말해),? (?P<second>[^,]+)")
PEN_NAMES = "충무공|도산|백범|다산|율곡|퇴계|추사|우암|단재|만해|삼봉|포은|송강|연암"
_TITLES = (
    "장군|선생님?|박사|교수|대통령|총리|여왕|황제|의사|열사|여사"
    "|시인|작가|화백|화가|감독|선수|배우|가수"
)
_RANKS = rf"(?:\S+ )*\S*(?:{_TITLES}|왕|임금|{PEN_NAMES}|수도|장수|소설가|과학자|학자)"
_TITLED = re.compile(
    rf"(?P<name>[가-힣]{{2,}}?)(?: (?:{_TITLES}|작용|현상|이론)"
    rf"|님| ?씨|대왕|(?:특별|광역|특별자치)?시)"
)
_ENTITLED = re.compile(
    rf"{_RANKS},? (?P<name>[가-힣]{{2,}})|\S+의 [<《〈「『](?P<title>[^<>》〉」』]+)[>》〉」』]?"
)
_POLITE = re.compile(r"([가-힣])(습니다|니다)$")
_PAREN = re.compile(r"^(?P<head>.*\S) ?\((?P<inner>[^()]*)\)$")
_DENIED = re.compile(r"^(\S+?)(?:이|가|은|는)? ?(?:아님|아니|아닙)")
_DOUBT = re.compile(r"아니|않|또는|혹은|아님|\bor\b|\bnot\b|\?|제외|외에|오답|틀|수도")

_POLAR = {
    True: "예 네 응 yes true 참 그렇다 그렇습니다 그래요 맞다 맞습니다 맞아요 "
    "맞음 옳다 옳습니다 옳음 올바르다 올바릅니다 "
    "o ○ ◯ ⭕ 〇",
    False: "아니요 아니오 아뇨 아니 no false 거짓 아니다 아닙니다 아니에요 그렇지않다 "
    "그렇지않습니다 틀리다 틀립니다 틀렸다 틀렸습니다 틀림 x × ✕ ✗ ✘ ❌ ✖",
}
_SIDES = {word: side for side, words in _POLAR.items() for word in words.split()}
_FORMULA_UNIT = re.compile(r"(?<=\S) ?(?:라디안|rad)$")
_SYMBOLS = re.compile(r"[A-Z][A-Z] [A-Z][a-z]|[A-Z][a-z] [A-Z][A-Z]")  # CO is not Co
_FUNCTION = re.compile(r"[a-zA-Z](?:_\w| ?\([a-z]\))")
_ALIASES = {"긍정적": "긍정", "positive": "긍정", "부정적": "부정", "negative": "부정"}


def _unbend(text: str) -> set[str]:
    """The plain forms of a polite verb: 터졌습니다 is 터졌다, 다릅니다 is 다르다."""
    found = _POLITE.search(text)
    if not found:
        return set()
    stem, last = text[: found.start()], found[1]
    if found[2] == "습니다":
        return {stem + last + "다", stem + last + "는다"}
    if read_final(last) != BIEUP:
        return set()
    open_syllable = chr(ord(last) - 17)
    return {stem + open_syllable + "다", stem + chr(ord(open_syllable) + 4) + "다"}


def read_polar(text: str) -> bool | None:
    """Yes or no, perhaps with a reason: 예, 맞습니다. None: neither, or both."""
    text = peel(text).lower()
    if re.match(r"no\. ?\d", text):
        return None
    words = [word for word in re.split(r"\s*[,.]\s*|(?<=^[○◯⭕×✕✗✘❌✖])\s+", text) if word]
    sides = [_SIDES.get(re.sub(r"(?:입니다|이다|이에요)$", "", key(word))) for word in words]
    if not sides or sides[0] is None or (not sides[0]) in sides:
        return None
    # The rest is a reason, unless it says the contrary.
    reason = " ".join(word for word, side in zip(words, sides, strict=True) if side is None)
    return None if (_YES_TURNED if sides[0] else _NO_TURNED).search(reason) else sides[0]


@lru_cache(maxsize=65536)
def say_same(one: str, other: str) -> bool:
    """Whether two answers, as ``plain`` leaves them, say the same."""
    mine, theirs = list_readings(one), list_readings(other)
    if any(_are_same(a, theirs[0]) for a in mine) or any(_are_same(mine[0], b) for b in theirs):
        return True
    if _say_same_side(one, other) or _is_glossed(one, other) or _is_glossed(other, one):
        return True
    return any(say_same(bare, b) for a, b in ((one, other), (other, one)) for bare in _bare(a))


def _bare(text: str) -> Iterator[str]:
    """What a text says without a title, a translation, or what it says first in other words."""
    readings = list_readings(text)
    text = readings[0]
    if found := _RESTATED.match(readings[-1]):
        first, second = found["first"], found["second"]
        quantities = read_quantity(first), read_quantity(second)
        if quantities[0] is None or (quantities[1] and quantities[0].equals(quantities[1])):
            yield second
        return
    if found := _PAREN.match(text):
        sides = [read_polar(part) for part in found.groups()]
        if sides[0] is not sides[1] or (sides[0] is None and _DOUBT.search(found["inner"])):
            return
        korean = [bool(_HANGUL.search(part)) for part in found.groups()]
        foreign = found["inner"] if korean[0] else found["head"]
        if korean[0] != korean[1] and re.search(r"[A-Za-z]{2}|[A-Z]\d|[一-鿿]", foreign):
            yield found["inner"]
    for reading in readings:
        for pattern in (_TITLED, _ENTITLED):
            if found := pattern.fullmatch(reading):
                yield next(part for part in found.groups() if part)


def _are_same(one: str, other: str) -> bool:
    a, b = key(one), key(other)
    if not a or not b:
        return False
    if a == b and _SYMBOLS.fullmatch(f"{peel(one)} {peel(other)}"):
        return peel(one) == peel(other)
    if a == b or _ALIASES.get(a, a) == _ALIASES.get(b, b) or a in _unbend(b) or b in _unbend(a):
        return True
    names = {found[1] for found in map(_VARIABLE.match, (one, other)) if found}
    if len(names) == 2:  # x = 5 is not y = 5
        return False
    if have_same_shape(one, other):
        return True
    first = read_quantity(one)
    if first is not None and (second := read_quantity(other)) is not None:
        return first.equals(second)
    return False


def _say_same_side(one: str, other: str) -> bool:
    side = read_polar(one)
    return side is not None and side is read_polar(other)


def _is_glossed(long: str, short: str) -> bool:
    """Whether ``long`` is ``short`` with an explanation in brackets that does not contradict it."""
    readings = [reading for reading in list_readings(long) if reading.endswith(")")]
    found = _PAREN.match(readings[0]) if readings else None
    if not found:
        return False
    head, inner = found["head"], found["inner"]
    inner = inner.lstrip("=≒ ")
    side = read_polar(inner)
    if side is not None and side is read_polar(head):
        return say_same(head, short)
    denied = _DENIED.match(inner)
    if denied and not say_same(denied[1], head):
        return say_same(head, short)
    if _DOUBT.search(inner):
        return False
    if re.search(r"\d", inner) and not say_same(inner, head):
        quantity, meant = read_quantity(head), read_quantity(inner)
        if quantity and meant and (quantity.is_percent_of(meant) or meant.is_percent_of(quantity)):
            return say_same(head, short)
        if quantity is not None and not re.fullmatch(
            r"[\d\s.,+\-×*/÷·()]+[+\-×*/÷·][\d\s]+", inner
        ):
            return False
    elif (
        (other := read_quantity(inner)) and (mine := read_quantity(head)) and not other.equals(mine)
    ):
        return False
    return say_same(head, short)


# --- what a line says beside the answer --------------------------------------------------------

_CUT = re.compile(
    r"(?<=[^\s])(?:(?<!\bNo)\.|(?<!\d)!)(?=\s|$)|[,;]?\s*(?=\((?:이유|왜냐|근거|because))"
    r"|[,;]\s*(?=왜냐|이유|그 이유|because\b|since\b|as\b)"
    r"|\s+(?:because|since)\s|\s-\s(?=왜냐|이유)|(?<=[가-힣])\s—\s"
)
_TAKES_BACK = re.compile(
    r"또는|혹은|아마|생각했|줄 알았|일 ?수도|수도 있|모르겠|확실하지|아닌가|아니[,.]"
    r"|아니[다네]?[,. ]+(?:다시|[\d①-⑩(A-J])"
    r"|아닙니다|잠깐|잠시만|정정|틀렸|잘못|실수|취소|철회|무시해|다시 (?:계산|생각|보니|풀)|수정"
    r"|\bwait\b"
    r"|\bactually\b|\bmaybe\b|\bperhaps\b|\bor\b|\bcorrection\b|\bnot sure\b|\?",
    re.IGNORECASE,
)
_MAX_CUTS = 8
_CONFIRMS = re.compile(r"맞|같|동일|일치|확인")


def list_cuts(line: str) -> list[str]:
    """The line, and its beginnings before an explanation that takes nothing back; longest first."""
    cuts = [line]
    for found in reversed(list(islice(_CUT.finditer(line), _MAX_CUTS))):
        tail = line[found.end() :]
        retracted = _TAKES_BACK.search(tail)
        if retracted and not (retracted[0].startswith("다시") and _CONFIRMS.search(tail)):
            continue
        parts = re.split(r"[.,]\s", tail)
        if any(read_quantity(reading) for part in parts for reading in list_readings(part)):
            continue  # another number
        cuts.append(line[: found.start()])
    return [cut for cut in cuts if cut.strip()] or [""]


def are_equal(one: str, other: str) -> bool:
    """Whether two answers say the same: for votes and rewards. Symmetric, not transitive.

    A unit may be left out (``42`` and ``42개``), so two answers may equal a third and not each
    other.
    """
    mine, theirs = list_cuts(plain(one)), list_cuts(plain(other))
    if any(say_same(a, theirs[0]) for a in mine) or any(say_same(mine[0], b) for b in theirs):
        return True
    return _are_same_formulas(peel(mine[-1]), peel(theirs[0]))


def _are_same_formulas(one: str, other: str) -> bool:
    """Formulas compared without their unit; sides of one equation must all be the same."""
    sides = [_FORMULA_UNIT.sub("", side).strip() for side in one.split("=")]
    if len(sides) == 2 and _FUNCTION.fullmatch(sides[0]) and "=" not in other:
        return are_same_formula(sides[1], other)
    if len(sides) > 1 and "=" not in other and len(sides[0]) > 1 and all(sides):
        return any(key(side) == key(other) for side in sides) and all(
            are_same_formula(a, b) for a, b in pairwise(sides)
        )
    return are_same_formula(_FORMULA_UNIT.sub("", one), other)
