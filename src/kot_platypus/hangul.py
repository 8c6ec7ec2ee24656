"""What a Korean syllable is made of."""

from __future__ import annotations

NIEUN, RIEUL, BIEUP, IEUNG = 4, 8, 17, 21
"""Final consonants ㄴ, ㄹ, ㅂ, ㅇ by their number in Unicode's syllables."""


def read_final(syllable: str) -> int | None:
    """The number of a syllable's final consonant: 0 for none, None where this is no syllable."""
    return (ord(syllable) - ord("가")) % 28 if "가" <= syllable <= "힣" else None


ENDING_IN_NIEUN = "".join(chr(ord("가") + start + NIEUN) for start in range(0, 11172, 28))
"""All syllables with the final ㄴ: what a verb ends in before 뒤 (정차한 뒤)."""
