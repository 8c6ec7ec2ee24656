"""The check that a Korean text keeps to one speech level, read from how its sentences end.

Only endings that belong to one level alone are read; what may be a noun, a fragment or an ending of
several levels ("구하시오", "할까?", "가요", "바다", "동네", "시야") says nothing.
"""

from __future__ import annotations

import re
from typing import Literal

from kot_platypus.checks.findings import Findings, Span, make_finding, shorten
from kot_platypus.checks.segments import BLANK, Text
from kot_platypus.hangul import (
    BIEUP,
    IEUNG,
    NIEUN,
    RIEUL,
    SSANG_SIOS,
    read_final,
    read_vowel,
)

Level = Literal["formal", "plain", "polite", "casual"]
"""합니다체, 해라체, 해요체, 해체."""
SpeechLevel = Literal["formal", "plain"]
"""Those that a text may be asked to keep to."""
KOREAN: dict[Level, str] = {
    "formal": "합니다체",
    "plain": "해라체",
    "polite": "해요체",
    "casual": "해체",
}

_QUOTED = re.compile(
    r"\"[^\"\n]*\"|“[^”\n]*”|‘[^’\n]*’|(?<!\w)'[^'\n]*'|「[^」\n]*」|『[^』\n]*』|《[^》\n]*》"
    r"|\([^()\n]*\)|\[[^\[\]\n]*\]"
)
SENTENCE = re.compile(r"[^.!?…\n]+(?:\.(?=\S)[^.!?…\n]+)*[.!?…]*")
"""With its marks; a point within a word or a number ends none."""
_WORD = re.compile(r"[가-힣]+(?=[\W_]*$)")

_FORMAL = re.compile(r"(?P<before>.)(?:니다|니까|시다|시오)$")
_PLAIN_DA = re.compile(r"(?:(?<!사)이|아니|하|되|크|르|쁘|프)다$")
_NOUN_IN_DA = re.compile(
    r"(?:^판|우간|르완|베란|[어아]젠|루안|^혼|프로파간|^람|^젤|^콘|^반|^란)다$"
)
_PLAIN_COMMAND = re.compile(
    r"[가-힣 ](?:하|[해어아여거려쳐켜춰줘둬봐와써])라$|[어아해여펴려와워] ?보자$|[가-힣]{2}하자$"
)
_POLITE = re.compile(r"(?:[군지든]|니까|[가-힣][고구걸]|[아어라려나]가)요$|[가-힣]죠$")
_POLITE_ASKED = re.compile(r"(?P<before>.)(?P<ending>가|까)요$")
_POLITE_VOWELS = frozenset("ㅏㅐㅓㅔㅕㅖㅘㅙㅚㅝㅞ")
"""Of an open syllable before 요, as in 해요, 커요, 할게요; nouns (필요, 수요) have others."""
_NOUN_IN_YO = re.compile(r"[가개까]요$")
_CASUAL = re.compile(
    r"[가-힣](?:잖아|거든)$|없어$|[할을갈볼줄올될둘낼릴킬칠]게$|[거뭐]야$|아니야$|\S이야$"
    r"|(?:[오하되보크쓰쁘프]|[가-힣](?:이|지|르)|[아어라려나]가|(?<![가-힣])가)네$"
)
_VERB_FINALS = frozenset((5, 6, 7, 9, 10, 11, 15, 17, 18, SSANG_SIOS, 22, 23, 25, 26, 27))
"""ㄵ, ㄶ, ㄷ, ㄺ, ㄻ, ㄼ, ㅀ, ㅂ, ㅄ, ㅆ, ㅈ, ㅊ, ㅌ, ㅍ, ㅎ: 좋네; nouns (동네) have others."""
_COPULA_VOWELS = frozenset("ㅗㅛㅜㅠㅡㅣㅚㅟㅢ")
"""Before 야, as in 자유야; after others it may be a verb's (가야, 해야)."""
_NOUN_IN_YA = re.compile(r"(?<![가-힣])[시초이]야$")


def read_level(sentence: str) -> Level | None:
    """The speech level of a Korean sentence; None where its ending does not tell.

    ``sentence`` may end in its mark; quotations should be cut out of it.
    """
    found = _WORD.search(sentence)
    if not found:
        return None
    word, upto, is_asked = found[0], sentence[: found.end()], "?" in sentence[found.end() :]
    if (formal := _FORMAL.search(word)) and read_final(formal["before"]) == BIEUP:
        return "formal"
    if _is_polite(word):
        return "polite"
    if word.endswith("다"):
        return "plain" if _is_plain(word) else None
    if is_asked and (
        re.search(r"냐$", word) or (word[-1] == "가" and read_final(word[-2:-1]) == NIEUN)
    ):
        return "plain"
    if not is_asked and _PLAIN_COMMAND.search(upto):
        return "plain"
    return "casual" if _is_casual(upto, sentence[found.end() :]) else None


def find_speech(translation: Text, wanted: SpeechLevel) -> Findings:
    """Sentences of another speech level than a text should keep to.

    Look-alikes: quotations, nouns and fragments; 하세요 beside 합니다, as manuals have it.
    """
    # What is quoted or in brackets is blanked, every place kept.
    prose = _QUOTED.sub(lambda match: BLANK * len(match[0]), translation.prose)
    others: list[tuple[Level, Span]] = []
    for match in SENTENCE.finditer(prose):
        level = read_level(match[0])
        is_asking = wanted == "formal" and re.search(r"세요[\W_]*$", match[0])
        if level and level != wanted and not is_asking:
            others.append((level, match.span()))
    if others:
        level, span = others[0]
        yield make_finding(
            "speech",
            f"{len(others)} of its sentences not in {KOREAN[wanted]}: "
            f"{shorten(translation.cut(span), 40)!r} is {KOREAN[level]}",
            translation_spans=[span for _, span in others],
        )


def _is_polite(word: str) -> bool:
    asked = _POLITE_ASKED.search(word)
    if _POLITE.search(word) or (
        asked and read_final(asked["before"]) == (NIEUN if asked["ending"] == "가" else RIEUL)
    ):
        return True
    if len(word) < 2 or word[-1] != "요" or _NOUN_IN_YO.search(word):
        return False
    return read_final(word[-2]) == 0 and read_vowel(word[-2]) in _POLITE_VOWELS


def _is_casual(upto: str, marks: str) -> bool:
    """Whether a sentence up to its last word's end is 해체; before a comma it goes on."""
    if "," in marks:
        return False
    if _CASUAL.search(upto):
        return True
    before, ending = upto[-2:-1], upto[-1]
    if ending == "야":  # 철수야! is a call
        is_copula = read_vowel(before) in _COPULA_VOWELS or before == "과"
        is_told = "!" not in marks and not _NOUN_IN_YA.search(upto)
        return is_copula and is_told and read_final(before) == 0
    final = read_final(before)
    return final == SSANG_SIOS if ending == "어" else ending == "네" and final in _VERB_FINALS


def _is_plain(word: str) -> bool:
    """Whether a word in 다 is a verb's or the copula's plain form, and can be nothing else."""
    if len(word) < 2 or _NOUN_IN_DA.search(word):
        return False
    final = read_final(word[-2])
    return bool(_PLAIN_DA.search(word)) if final == 0 else final != IEUNG
