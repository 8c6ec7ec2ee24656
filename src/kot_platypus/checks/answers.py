"""The check that a rationale still ends in its target."""

from __future__ import annotations

import re
from decimal import Decimal

from kot_platypus.checks.findings import Findings, shorten
from kot_platypus.numerals import (
    Number,
    read_digits,
    read_english_words,
    read_korean_words,
)
from kot_platypus.records import Example, Finding, Severity

_OPTION = re.compile(r"^\s*\(?([A-Ha-h①-⑧])[).]?(?:\s|$)")
_OPTION_SAID = re.compile(r"(?<![A-Za-z])\(?([A-H①-⑧])\)?(?![A-Za-z'’])")
_YES = re.compile(
    r"\b(?:yes|true|correct|right|possible)\b|^예|^네\b|그렇|맞|참|옳|사실|있다|있습니다"
)
_NO = re.compile(
    r"\b(?:no|not|false|incorrect|wrong|cannot|isn't|doesn't|impossible)\b|아니|않|거짓|틀|없|못"
)
_POLAR = {
    **dict.fromkeys(
        ("yes", "true", "예", "네", "참", "그렇다", "그렇습니다", "맞다", "사실"), True
    ),
    **dict.fromkeys(("no", "false", "아니요", "아니오", "아니다", "거짓", "아닙니다"), False),
}
# The look behind holds wherever the leftmost match begins; without it all other places are tried.
_LAST = re.compile(
    r"(?<![^.!?\n])[^.!?\n]*(?:(?:\.(?=\S)|\n(?!\s*\S{3}))[^.!?\n]*)*[.!?]*[\"'”’)\]]*\s*$"
)
_JUNK = re.compile(r"[\W_]+|\b(?:the|a|an)\b")


def find_answer_mismatch(original: Example, translated: Example) -> Findings:
    """The translated rationale ends in the translated target, if the original's did in its own.

    Catches a target and a rationale translated apart: "6 apples" against a last sentence that says
    8, option (B) against (C), yes against no. Look-alikes: a target in other words, which is a
    warning; 42 as 42개; (B) as B.
    """
    if not (original.target and original.rationale and translated.rationale):
        return
    if not translated.target.strip():
        return  # cut_off says so
    if agrees(original.target, original.rationale) is not True:
        return
    agreement = agrees(translated.target, translated.rationale)
    if agreement is True:
        return
    yield make_mismatch(translated, "error" if agreement is False else "warning")


def make_mismatch(row: Example, severity: Severity) -> Finding:
    """The finding that a row's rationale does not end in its target."""
    sentence = last_sentence(row.rationale)
    start = row.rationale.rfind(sentence)
    return Finding(
        check="answer_mismatch",
        severity=severity,
        detail=f"the target {shorten(row.target, 30)!r}, but the rationale ends in "
        f"{shorten(sentence, 50)!r}",
        field="rationale",
        translation_spans=((start, start + len(sentence)),),
    )


def last_sentence(text: str) -> str:
    """The last sentence of ``text``; a full stop within a number ends none."""
    match = _LAST.search(text.rstrip())
    return (match[0] if match and match[0].strip() else text).strip()


def agrees(target: str, rationale: str) -> bool | None:
    """Whether a rationale's last sentence says the target; None when that cannot be told."""
    end = last_sentence(rationale)
    target = target.strip()
    if option := _OPTION.match(target):
        said = _OPTION_SAID.findall(end) or _OPTION_SAID.findall(rationale)
        if said:
            return bool(said[-1] == option[1].upper())
        target = target[option.end() :]
    polar = _POLAR.get(target.rstrip(".").lower())
    if polar is not None:
        return _says(end.lower(), polar)
    if _simplify(target) and _simplify(target) in _simplify(end):
        return True
    numbers = {number.value for number in _read(target)}
    if numbers:
        return _has_numbers(end, numbers)
    return _overlaps(_simplify(target), _simplify(end))


def _says(sentence: str, polar: bool) -> bool | None:
    yes, no = bool(_YES.search(sentence)), bool(_NO.search(sentence))
    if yes == no:
        return None
    return yes == polar


def _has_numbers(sentence: str, wanted: set[Decimal]) -> bool | None:
    said = {value for number in _read(sentence) for value in (number.value, *number.others)}
    if not said:
        return None
    return wanted <= said


def _read(text: str) -> list[Number]:
    return [
        *read_digits(text),
        *read_english_words(text),
        *read_korean_words(text),
    ]


def _simplify(text: str) -> str:
    return _JUNK.sub("", text.lower())


def _overlaps(target: str, sentence: str) -> bool | None:
    """None, or False when the sentence shares hardly a pair of letters with the target."""
    pairs = {target[i : i + 2] for i in range(len(target) - 1)}
    if len(pairs) < 2:
        return None
    shared = sum(pair in sentence for pair in pairs) / len(pairs)
    return False if shared == 0 else None
