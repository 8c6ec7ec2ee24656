"""Numbers written as several: 1 1/2, 3/4, 4분의 3, three quarters, half a, 3 × 10^8."""

from __future__ import annotations

import re
from fractions import Fraction

from kot_platypus.checks.findings import Span
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import CARDINALS

_PARTS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "nine": 9}
_VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4)}
_MIXED = re.compile(
    r"(?=\d| ?[½⅓⅔¼¾])(?<!\d)"
    r"(?:(?P<whole>\d{1,9}+)(?: |과 ?|와 ?| and )(?P<above>\d+)/(?P<below>\d+)"
    r"|(?P<whole2>\d{1,9}+)(?:과|와) ?(?P<below2>\d+)분의 ?(?P<above2>\d+)"
    r"|(?<!/)(?P<above3>\d{1,9}+)/(?P<below3>\d+)(?![\d/])"
    r"|(?P<below4>\d{1,9}+)분의 ?(?P<above4>\d+)"
    r"|(?P<whole5>\d{1,9}+)? ?(?P<vulgar>[½⅓⅔¼¾])"
    r"|(?P<second>\d{1,2}+)초 (?P<hundredths>\d\d)(?!\d|분|초|번)"
    r"|(?P<factor>\d{1,15}+(?:\.\d{1,15}+)?)(?: ?[×x*·] ?10\^?|[eE])"
    r"(?P<power>[-−⁻+]?[\d⁰¹²³⁴-⁹]{1,3}))"
)
_RAISED_DIGITS = str.maketrans("⁻−⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
_SAID = re.compile(
    rf"(?i)(?=\b[a-z]|반)(?:(?<!\band )(?<!\band a )\b(?:(?P<above>{'|'.join(_COUNTS)})[ -])?"
    rf"(?P<below>{'|'.join(_PARTS)})s?\b(?: (?:of )?an?\b)?(?!-| past| to )"
    r"|\ban? [a-z]+ and a half\b|(?<![가-힣\d])반(?=\s?(?:년(?!대)|시간|리터|컵|마일|갤런|파운드"
    r"|킬로|티스푼|큰술|작은술|인치)))"
)
_MAY_BE_MIXED = re.compile(r"[\d½⅓⅔¼¾](?:(?<=[½⅓⅔¼¾])| ?[/×x*·eE초분])")
_PART_WORDS = frozenset({*_PARTS, *(f"{name}s" for name in _PARTS), "half", "halves"})


def read_parts(part: Text) -> list[tuple[Fraction, Span]]:
    """The value of what is written as several numbers, in digits or in words."""
    text, values = part.prose, []
    if part.digits and _MAY_BE_MIXED.search(text):
        values = [(_read_mixed(match), match.span()) for match in _MIXED.finditer(text)]
    if "반" in text or not part.lexicon.isdisjoint(_PART_WORDS):
        values += [(_read_said(match), match.span()) for match in _SAID.finditer(text)]
    return [(value, span) for value, span in values if value]


_NUMBERS = {word: n for word, n in CARDINALS.items() if 0 < n <= 10} | {
    "twenty": 20,
    "hundred": 100,
}
_NUMBER = rf"(?:{'|'.join(_NUMBERS)}|\d{{1,6}}+)"
_SHARE = re.compile(rf"(?i)\b(?P<a>{_NUMBER}) (?:in|out of) (?:every |an? )?(?P<b>{_NUMBER})\b")


def read_shares(text: str) -> list[tuple[Fraction, Span]]:
    """One in five and 2 out of 3, which may come as 20 % and 3분의 2."""
    shares = []
    for match in _SHARE.finditer(text):
        above, below = (_NUMBERS.get(part.lower()) or int(part) for part in match.group("a", "b"))
        if 0 < above < below:
            shares.append((Fraction(above, below), match.span()))
    return shares


def _read_mixed(match: re.Match[str]) -> Fraction:
    part = match.groupdict()
    if part["factor"]:
        power = int(part["power"].translate(_RAISED_DIGITS))
        return Fraction(part["factor"]) * Fraction(10) ** power
    whole = int(part["whole"] or part["whole2"] or part["whole5"] or 0)
    if part["second"]:
        return int(part["second"]) + Fraction(int(part["hundredths"]), 100)
    if part["vulgar"]:
        return whole + Fraction(*_VULGAR[part["vulgar"]])
    above = next(part[f"above{n}"] for n in ("", 2, 3, 4) if part[f"above{n}"])
    below = next(part[f"below{n}"] for n in ("", 2, 3, 4) if part[f"below{n}"])
    return whole + Fraction(int(above), int(below)) if int(below) else Fraction(0)


def _read_said(match: re.Match[str]) -> Fraction:
    if not match["below"]:
        return Fraction(1, 2) if match[0] == "반" else Fraction(3, 2)
    below = match["below"].lower()
    if not match["above"] and below not in ("half", "quarter"):
        return Fraction(0)  # the third
    return Fraction(_COUNTS[(match["above"] or "one").lower()], _PARTS[below])
