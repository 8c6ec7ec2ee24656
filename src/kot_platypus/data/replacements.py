"""Whether a word of a short text took another's place: 닭은 몇 마리인가, 돼지는 몇 마리인가.

Copies differ in particles, endings, spaces, in the order of clauses and in words left out. A word
that begins otherwise where all around it is the same asks for another thing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from difflib import SequenceMatcher

MAX_WORDS = 40
"""In a text of more, a word in another's place makes no other problem."""

_AROUND = re.compile(r"^[\W\d]+|\W+$")
_PARTICLES = re.compile(
    r"(?<=.)(?:은|는|이|가|을|를|의|에|에게|에서|와|과|랑|도|만|로|으로|까지|부터|보다|께|께서)+\W*$"
)


def is_word_replaced(first: str, second: str) -> bool:
    """Whether, of two texts that are nearly alike, one has another word in a word's place."""
    one, other = (
        unicodedata.normalize("NFKC", text).casefold().split() for text in (first, second)
    )
    if max(len(one), len(other)) > MAX_WORDS:
        return False
    left, right = Counter(one) - Counter(other), Counter(other) - Counter(one)
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "replace" or b - a != d - c:
            continue
        here, there = _crush(one[a:b]), _crush(other[c:d])
        for word, new in zip(one[a:b], other[c:d], strict=True):
            moved = word not in left or new not in right
            spaced = b - a > 1 and (_crush([word]) in there or _crush([new]) in here)
            if not (moved or spaced or _is_form(word, new)):
                return True
    return False


def _crush(words: list[str]) -> str:
    return re.sub(r"\W", "", "".join(words))


def _is_form(word: str, other: str) -> bool:
    """Whether two words may be forms of one: 간다 and 갑니다, 학생이 and 학생들에게.

    Nouns, which have particles here, are told apart by all their letters, others by the first;
    a word in Latin letters may be any in Korean ones.
    """
    stem, stem_two = (_AROUND.sub("", _PARTICLES.sub("", each)) for each in (word, other))
    shorter, longer = sorted((stem, stem_two), key=len)
    if (len(shorter) != 1 and longer.startswith(shorter)) or shorter == longer:
        return True
    is_latin = shorter[0].isascii()
    if is_latin != longer[0].isascii():
        return True  # 7cm and 7센티미터
    if is_latin or (_PARTICLES.search(word) and _PARTICLES.search(other)):
        return False
    return _read_initial(stem) == _read_initial(stem_two)


def _read_initial(stem: str) -> str:
    """The first letter: ㄱ of 간다, as the letter by itself that Unicode composes it of."""
    return unicodedata.normalize("NFD", stem)[0]
