"""What frames an answer in a Korean sentence: quotation marks, brackets, endings and particles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from kot_platypus.hangul import read_final

_QUOTES = "'\"\u2018\u2019\u201c\u201d「」『』《》〈〉"
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "【": "】"}

# What may end a sentence that states an answer, behind the answer.
_COPULA = (
    r"(?:입니다|이다|임|이?(?:에요|예요|네요|지요|죠|야|네|었습니다|었다|었어요|라네|랍니다|라네요"
    r"|란다|올시다|요)|이?(?:겠습니다|겠네요))"
)
_SEEN = r"(?:알|볼|할|확인할) 수 (?:있습니다|있다|있어요|있음)"
_ENDING = re.compile(
    rf"(?: ?{_COPULA}"
    r"| ?(?:이|가) ?(?:됩니다|된다|되겠습니다|돼요|나옵니다|나온다|맞습니다|맞다|맞아요|옳습니다"
    r"|옳다|(?:최종 ?)?(?:정답|답)(?:입니다|이다|이에요|임)?)"
    r"| ?(?:이|가) (?:가장 |더 |제일 |더욱 )?(?:적절|알맞|타당|자연스|적합|올바르)\S*"
    rf"| ?(?:임을|인 것을|이?라는 것을|이?라고|으로|로) ?{_SEEN}"
    r"| ?(?:와|과) ?(?:같습니다|같다)| ?(?:으로|로) ?(?:하겠습니다|구해집니다"
    r"|(?:계산|분류|판단|추정|결정)(?:됩니다|된다|합니다|한다))"
    r"| ?(?:을|를) ?(?:선택합니다|선택하겠습니다|고르겠습니다|고릅니다"
    r"|골라야 합니다|선택한다|고른다|의미합니다|뜻합니다|말합니다|말한다)"
    r"| ?(?:이)?라고? ?(?:생각합니다|생각해요|생각한다|봅니다|본다|합니다|한다|해요|답하겠습니다"
    r"|부릅니다|부른다|불러요|불립니다|불린다)| ?인 것 ?같(?:습니다|다|아요))$"
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
# Behind a noun whose end is known; too short to be taken off any word.
COPULA = (
    r"입니다|이?다|임|이?(?:에|예)요|이?야|이?지요?|이?죠|이?네요?|이?랍니다|이?란다|이?라네요?"
    r"|이?셔"
    r"|이?십니다|이?거든요?|이?잖아요?|이?군요?|이?구나|인걸요?|이?었습니다|였습니다|이?었다|였다"
    r"|이었어요|였어요|이?겠네요?|이?겠습니다|이?겠지요?|이?겠죠|인데요?|이?래요|이?올시다|일세"
    r"|이?더라고?요?|이?요"
)
PARTICLE = r"이|가|을|를|의|으로|로|에|에서|은|는|만|씩|이고|이며|인|이라고|라고|뿐"


def key(text: str) -> str:
    """A text as it is compared: in lower case, without quotation marks and spaces.

    A space between two digits stays: ``3 1/2`` is not ``31/2``.
    """
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.strip().strip(_QUOTES))
    return text.rstrip(".").strip(_QUOTES).casefold()


@lru_cache(maxsize=16384)
def peel(text: str) -> str:
    """Without full stop, quotation marks and brackets around the whole."""
    while True:
        before = text
        text = re.sub(r"(?<!\d)!+$", "", text.strip().rstrip("."))
        text = re.sub(r"^\| | \|$|(?<!\|)(?<=\w)\|$", "", text) if text.count("|") != 2 else text
        text = text.strip(" *_").removeprefix("= ").strip(_QUOTES).strip()
        closing = _BRACKETS.get(text[:1])
        if closing and text.endswith(closing) and text.count(text[0]) == 1 and "," not in text:
            text = text[1:-1]
        if text == before:
            return text


def find_ending(text: str) -> int | None:
    """Where the ending of a sentence that states something begins; None: it states nothing."""
    found = _ENDING.search(text)
    return found.start() if found else None


@lru_cache(maxsize=16384)
def list_readings(text: str) -> tuple[str, ...]:
    """``text``, and what is left of it when the endings of a Korean sentence are taken off."""
    text = peel(text)
    shorter = (bare for part in _shorten(text) if (bare := peel(part)))
    return tuple(dict.fromkeys((text, *shorter)))


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
    final = read_final(syllable)
    return None if final is None else final != 0
