"""Whether two short answers say the same: as text, number, yes or no, or formula."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from kot_platypus.answers.latex import are_same_formula
from kot_platypus.answers.normal import plain
from kot_platypus.answers.quantities import read_quantity
from kot_platypus.numerals import read_numeral

_QUOTES = "'\"\u2018\u2019\u201c\u201d「」『』《》〈〉"
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "【": "】"}

# What may end a sentence that states an answer, behind the answer.
_COPULA = (
    r"(?:입니다|이다|이에요|예요|이예요|에요|이야|임|이네요|네요|이지요|지요|이죠|죠|이라네|올시다|이올시다"
    r"|이겠습니다|이겠네요)"
)
_ENDING = re.compile(
    rf"(?: ?{_COPULA}"
    r"| ?(?:이|가) ?(?:됩니다|된다|되겠습니다|돼요|나옵니다|나온다|맞습니다|맞다|맞아요|옳습니다"
    r"|옳다|(?:최종 ?)?(?:정답|답)(?:입니다|이다|이에요|임)?)"
    r"| ?(?:이|가) (?:가장 )?(?:적절|알맞|타당|자연스|적합|올바르)\S*"
    r"| ?(?:와|과) ?(?:같습니다|같다)| ?(?:으로|로) ?(?:하겠습니다|구해집니다|계산됩니다)"
    r"| ?(?:을|를) ?(?:선택합니다|선택하겠습니다|고르겠습니다|고릅니다"
    r"|골라야 합니다|선택한다|고른다)"
    r"| ?(?:이)?라고 ?(?:생각합니다|생각해요|생각한다|할 수 있습니다|할 수 있다|봅니다|본다)"
    r"| ?(?:이)?(?:랍니다|라네요|란다)"
    r"| ?인 것 ?같(?:습니다|다|아요)"
    r")$"
)
_BARE = re.compile(r"(?<=[^\s])(?:다|요|야)$")
_PARTICLES = re.compile(r"(?:에서|에게|으로|[은는이가을를에로])$")
_AFTER_CLOSED = {
    "은": True,
    "이": True,
    "을": True,
    "으로": True,
    "는": False,
    "가": False,
    "를": False,
}
_VARIABLE = re.compile(r"([A-Za-zα-ω]) ?=")
_DATE = re.compile(r"(\d{4})(?:년 ?|[-./] ?)(\d{1,2})(?:월 ?|[-./] ?)(\d{1,2})(?:일|\.)?")
_TIME = re.compile(r"(\d{1,2})(?::|시 ?)(\d{1,2})분?")
_SAID_TIME = re.compile(r"([가-힣]{1,3}) ?시 ?([가-힣]{1,4}) ?분")
_YES_TURNED = re.compile(r"아니|아닙|않|틀렸|틀립|하지만|그러나|다만|또는|아마|수도|모르|\?")
_NO_TURNED = re.compile(
    r"(?:맞|옳)(?:습|다|아)|그렇습니다|하지만|그러나|다만|또는|아마|수도|모르|\?"
)
_POLITE = re.compile(r"([가-힣])(습니다|니다)$")
_PAREN = re.compile(r"^(?P<head>.*\S) ?\((?P<inner>[^()]*)\)$")
_DENIED = re.compile(r"^(\S+?)(?:이|가|은|는)? ?(?:아님|아니|아닙)")
_DOUBT = re.compile(r"아니|않|또는|혹은|아님|\bor\b|\bnot\b|\?|제외|외에|오답|틀|수도")

_POLAR = {
    True: "예 네 응 yes true 참 그렇다 그렇습니다 그래요 맞다 맞습니다 맞아요 옳다 옳습니다 o",
    False: "아니요 아니오 아뇨 아니 no false 거짓 아니다 아닙니다 아니에요 그렇지않다 "
    "그렇지않습니다 틀리다 틀립니다 틀렸다 틀렸습니다 x",
}
_SIDES = {word: side for side, words in _POLAR.items() for word in words.split()}
_ALIASES = {"긍정적": "긍정", "positive": "긍정", "부정적": "부정", "negative": "부정"}


def key(text: str) -> str:
    """A text as it is compared: in lower case, without quotation marks and spaces.

    A space between two digits stays: ``3 1/2`` is not ``31/2``.
    """
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.strip().strip(_QUOTES))
    return text.rstrip(".").strip(_QUOTES).casefold()


def peel(text: str) -> str:
    """Without full stop, quotation marks and brackets around the whole."""
    while True:
        before = text
        text = re.sub(r"(?<!\d)!+$", "", text.strip().rstrip("."))
        text = text.strip(" *_|").removeprefix("= ").strip(_QUOTES).strip()
        closing = _BRACKETS.get(text[:1])
        if closing and text.endswith(closing) and text.count(text[0]) == 1 and "," not in text:
            text = text[1:-1]
        if text == before:
            return text


def iter_readings(text: str) -> Iterator[str]:
    """``text``, and what is left of it when the endings of a Korean sentence are taken off."""
    text = peel(text)
    yield text
    seen = {text}
    for shorter in _shorten(text):
        bare = peel(shorter)
        if bare and bare not in seen:
            seen.add(bare)
            yield bare


def _shorten(text: str) -> Iterator[str]:
    for _ in range(2):
        if found := _ENDING.search(text):
            text = peel(text[: found.start()])
            yield text
    if len(text) > 1 and (found := _BARE.search(text)) and _fits_bare(text[:-1]):
        yield text[: found.start()]
    if found := _PARTICLES.search(text):
        stem = text[: found.start()]
        closed = _is_closed(stem[-1:])
        if len(stem) > 1 and closed is not None and _AFTER_CLOSED.get(found[0], closed) is closed:
            yield stem


def _fits_bare(stem: str) -> bool:
    """Whether a bare 다 or 요 may be a copula's: after a vowel, 세 개다, 바나나다."""
    return (len(stem) > 2 or not stem[-1:].isalpha()) and _is_closed(stem[-1:]) is not True


def _is_closed(syllable: str) -> bool | None:
    """Whether a Korean syllable ends in a consonant; None for no syllable."""
    if not "가" <= syllable <= "힣":
        return None
    return (ord(syllable) - 0xAC00) % 28 != 0


def _unbend(text: str) -> set[str]:
    """The plain forms of a polite verb: 터졌습니다 is 터졌다, 다릅니다 is 다르다."""
    found = _POLITE.search(text)
    if not found:
        return set()
    stem, last = text[: found.start()], found[1]
    if found[2] == "습니다":
        return {stem + last + "다", stem + last + "는다"}
    if (ord(last) - 0xAC00) % 28 != 17:  # no ㅂ
        return set()
    open_syllable = chr(ord(last) - 17)
    return {stem + open_syllable + "다", stem + chr(ord(open_syllable) + 4) + "다"}


def read_moment(text: str) -> tuple[int, ...] | None:
    """A date as (year, month, day) or a time as (hour, minute): 3시 30분, 3:30, 1945. 8. 15."""
    if found := _DATE.fullmatch(text):
        return tuple(map(int, found.groups()))
    if found := _TIME.fullmatch(text):
        return tuple(map(int, found.groups()))
    if found := _SAID_TIME.fullmatch(text):
        hour, minute = map(read_numeral, found.groups())
        return None if hour is None or minute is None else (int(hour), int(minute))
    return None


def read_polar(text: str) -> bool | None:
    """Yes or no, perhaps with a reason: 예, 맞습니다. None: neither, or both."""
    words = [word for word in re.split(r"\s*[,.]\s*", peel(text).lower()) if word]
    sides = [_SIDES.get(re.sub(r"(?:입니다|이다|이에요)$", "", key(word))) for word in words]
    if not sides or sides[0] is None or (not sides[0]) in sides:
        return None
    # The rest is a reason, unless it says the contrary.
    reason = " ".join(word for word, side in zip(words, sides, strict=True) if side is None)
    return None if (_YES_TURNED if sides[0] else _NO_TURNED).search(reason) else sides[0]


@lru_cache(maxsize=65536)
def say_same(one: str, other: str) -> bool:
    """Whether two answers, as ``plain`` leaves them, say the same."""
    mine, theirs = list(iter_readings(one)), list(iter_readings(other))
    if any(_are_same(a, theirs[0]) for a in mine) or any(_are_same(mine[0], b) for b in theirs):
        return True
    return _say_same_side(one, other) or _is_glossed(one, other) or _is_glossed(other, one)


def _are_same(one: str, other: str) -> bool:
    a, b = key(one), key(other)
    if not a or not b:
        return False
    if a == b or _ALIASES.get(a, a) == _ALIASES.get(b, b) or a in _unbend(b) or b in _unbend(a):
        return True
    names = {found[1] for found in map(_VARIABLE.match, (one, other)) if found}
    if len(names) == 2:  # x = 5 is not y = 5
        return False
    if (moment := read_moment(one)) and moment == read_moment(other):
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
    readings = [reading for reading in iter_readings(long) if reading.endswith(")")]
    found = _PAREN.match(readings[0]) if readings else None
    if not found:
        return False
    head, inner = found["head"], found["inner"]
    denied = _DENIED.match(inner)
    if denied and not say_same(denied[1], head):
        return say_same(head, short)
    if _DOUBT.search(inner):
        return False
    if re.search(r"\d", inner) and not say_same(inner, head):
        quantity = read_quantity(head)
        if quantity is not None and not re.fullmatch(
            r"[\d\s.,+\-×*/÷·()]+[+\-×*/÷·][\d\s]+", inner
        ):
            return False
    elif (other := read_quantity(inner)) and (mine := read_quantity(head)) and other != mine:
        return False
    return say_same(head, short)


# --- what a line says beside the answer --------------------------------------------------------

_CUT = re.compile(
    r"(?<=[^\s])(?:\.|(?<!\d)!)(?=\s|$)|[,;]?\s*(?=\((?:이유|왜냐|근거|because))"
    r"|[,;]\s*(?=왜냐|이유|그 이유|because\b|since\b|as\b)"
    r"|\s+(?:because|since)\s|\s-\s(?=왜냐|이유)"
)
_TAKES_BACK = re.compile(
    r"또는|혹은|아마|일 ?수도|수도 있|모르겠|확실하지|아닌가|아니[,.]|아니[다네]?[,. ]+(?:다시|\d)"
    r"|아닙니다|잠깐|잠시만|정정|틀렸|잘못|실수|다시 (?:계산|생각|보니|풀)|수정|\bwait\b"
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
        if any(read_quantity(reading) for part in parts for reading in iter_readings(part)):
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
    return are_same_formula(peel(mine[-1]), peel(theirs[0]))
