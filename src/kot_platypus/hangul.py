"""What a Korean syllable is made of."""

from __future__ import annotations

NIEUN, RIEUL, BIEUP, SSANG_SIOS, IEUNG = 4, 8, 17, 20, 21
"""Final consonants ㄴ, ㄹ, ㅂ, ㅆ, ㅇ by their number in Unicode's syllables."""


def read_final(syllable: str) -> int | None:
    """The number of a syllable's final consonant: 0 for none, None where this is no syllable."""
    return (ord(syllable) - ord("가")) % 28 if "가" <= syllable <= "힣" else None


def read_vowel(syllable: str) -> str | None:
    """A syllable's vowel, as ``ㅏ``; None where this is no syllable."""
    if not "가" <= syllable <= "힣":
        return None
    return "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"[(ord(syllable) - ord("가")) // 28 % 21]


ENDING_IN_NIEUN = "".join(chr(ord("가") + start + NIEUN) for start in range(0, 11172, 28))
"""All syllables with the final ㄴ: what a verb ends in before 뒤 (정차한 뒤)."""
