"""Edited copies of Korean texts: other particles, endings, spacing, order of clauses."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

# A particle after a vowel, the same after a consonant.
_PARTICLES = {"는": "은", "가": "이", "를": "을", "와": "과", "로": "으로"}
_SWAPS = {"는": ("가", "를"), "가": ("는", "도"), "를": ("는", ""), "와": ("랑",), "로": ("로써",)}
_OTHERS = {
    "에": ("에서", "에는"),
    "에서": ("에", "에서는"),
    "도": ("는",),
    "의": ("",),
    "만": ("만을",),
}
_FINAL = {"다": ("ᆸ니다", "어요"), "어요": ("ᆸ니다",), "ᆸ니다": ("어요", "다"), "어": ("어요",)}
_CLAUSE_ENDS = {
    "고",
    "며",
    "지만",
    "어서",
    "니",
    "니까",
    "면서",
    "면",
    "는데",
    "은데",
    "자",
    "다가",
}
MIN_CLAUSE_CHARS = 6
_LINKING = {"고": "며", "며": "고", "어서": "어", "어": "어서", "지만": "으나", "으면": "는다면"}


@cache
def load_kiwi() -> Any:
    from kiwipiepy import Kiwi

    return Kiwi()


def edit_particles(text: str, rng: random.Random) -> str:
    """Every particle becomes another one, or none, with a chance of a half."""
    for token in reversed(load_kiwi().tokenize(text)):
        start, end = token.start, token.start + token.len
        if not token.tag.startswith("J") or rng.random() < 0.5:
            continue
        found, before = text[start:end], text[start - 1 : start]
        plain = next((vowel for vowel, other in _PARTICLES.items() if found == other), found)
        choices = _SWAPS.get(plain) or _OTHERS.get(plain)
        if choices and re.fullmatch("[가-힣]", before):
            chosen = rng.choice(choices)
            has_final = (ord(before) - ord("가")) % 28 != 0
            text = (
                text[:start]
                + (_PARTICLES.get(chosen, chosen) if has_final else chosen)
                + text[end:]
            )
    return text


def edit_endings(text: str, rng: random.Random) -> str:
    """Sentences end in another style, and verbs are linked by another ending."""
    kiwi = load_kiwi()
    tokens = []
    for token in kiwi.tokenize(text):
        form = token.form
        if token.tag == "EF" and form in _FINAL:
            form = rng.choice(_FINAL[form])
        elif token.tag == "EC" and form in _LINKING and rng.random() < 0.5:
            form = _LINKING[form]
        tokens.append((form, token.tag))
    return str(kiwi.join(tokens))


def edit_spacing(text: str, rng: random.Random) -> str:
    """Half of the spaces go, and a tenth of the places between syllables get one."""
    closed = re.sub(" ", lambda _: rng.choice(("", " ")), text)
    return re.sub("(?<=[가-힣])(?=[가-힣])", lambda _: " " if rng.random() < 0.1 else "", closed)


def edit_order(text: str, rng: random.Random) -> str:
    """Clauses change places with their neighbours."""
    cuts, tokens = [0], load_kiwi().tokenize(text)
    for token, after in pairwise(tokens):
        end = token.start + token.len
        ends = token.tag in ("SF", "SP") or (
            token.tag == "EC" and token.form in _CLAUSE_ENDS and not after.tag.startswith("VX")
        )
        long_enough = end - cuts[-1] >= MIN_CLAUSE_CHARS <= len(text) - end
        if ends and long_enough and text[end : end + 1] == " ":
            cuts.append(end)
    clauses = [text[a:b].strip() for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    for i in range(0, len(clauses) - 1, 2):
        clauses[i : i + 2] = reversed(clauses[i : i + 2])
    return " ".join(clauses)


def edit_everything(text: str, rng: random.Random) -> str:
    """All of these at once."""
    for edit in (edit_order, edit_endings, edit_particles, edit_spacing):
        text = edit(text, rng)
    return text


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "particles": edit_particles,
    "endings": edit_endings,
    "spacing": edit_spacing,
    "order of clauses": edit_order,
    "all four": edit_everything,
}


# --- one edit in a text ------------------------------------------------------------------------

_SYNONYMS = {
    "남자": "사내", "여자": "여인", "아이": "어린이", "사람": "인간", "친구": "벗", "집": "주택",
    "옷": "의복", "돈": "금전", "차": "자동차", "물건": "상품", "제품": "상품", "상품": "제품",
    "가격": "값", "음식": "요리", "병원": "의원", "회사": "직장", "학교": "교정", "선생님": "교사",
    "방법": "방식", "사용": "이용", "이용": "사용", "배송": "배달", "정말": "참으로",
    "너무": "지나치게", "아주": "매우", "매우": "아주", "많이": "잔뜩", "갑자기": "별안간",
    "잘": "훌륭히", "다": "모두", "모두": "전부", "처음": "최초", "세계": "온누리",
    "나라": "국가", "도시": "고을", "영화": "활동사진", "책": "서적", "사진": "그림",
    "말": "이야기", "엄청": "굉장히", "생각": "예상", "때문": "까닭", "얼굴": "낯",
    "머리": "두발", "손": "손길",
    "물": "생수", "비": "빗줄기", "시간": "시각", "문제": "말썽", "품질": "질", "디자인": "모양새",
}  # fmt: skip


def edit_synonym(text: str, rng: random.Random) -> str:
    """One word becomes another of the same meaning, if the list has one."""
    tokens = [t for t in load_kiwi().tokenize(text) if t.form in _SYNONYMS and t.len == len(t.form)]
    if not tokens:
        return text
    token = rng.choice(tokens)
    return text[: token.start] + _SYNONYMS[token.form] + text[token.start + token.len :]


def edit_word_order(text: str, rng: random.Random) -> str:
    """Two neighbouring words change places."""
    words = text.split(" ")
    if len(words) < 2:
        return text
    place = rng.randrange(len(words) - 1)
    words[place : place + 2] = reversed(words[place : place + 2])
    return " ".join(words)


SINGLE_EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "a synonym": edit_synonym,
    "word order": edit_word_order,
}
