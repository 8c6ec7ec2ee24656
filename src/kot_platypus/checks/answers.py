"""The check that a rationale still ends in its target."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from kot_platypus.checks.findings import Findings, shorten
from kot_platypus.checks.measures import read_measures
from kot_platypus.checks.segments import HANGUL, Text
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
    r"\b(?:yes|true|correct|right|possible)\b|^예|^네\b|그렇|맞|참|옳|사실|있다|있습니다|(?<!불)가능"
)
_NO = re.compile(
    r"\b(?:no|not|false|incorrect|wrong|cannot|isn't|doesn't|impossible)\b|아니|않|거짓|틀|없|못|불가능"
)
_DENIED = re.compile(
    r"(?:사실|맞|참|그렇|옳|가능)[가-힣]* ?(?:않|아니)|not (?:true|correct|right|possible)"
)
_POLAR = {
    **dict.fromkeys(
        ("yes", "true", "예", "네", "참", "그렇다", "그렇습니다", "맞다", "사실"), True
    ),
    **dict.fromkeys(("no", "false", "아니요", "아니오", "아니다", "거짓", "아닙니다"), False),
}
_STATED = re.compile(
    rf"(?:답|결론)\s*[:은는이]\s*['\"‘“]?({'|'.join(sorted(_POLAR, key=len, reverse=True))})"
    r"(?=['\"’”.]|이다|입니다|이에요|예요|이라|라고|\s*$)"
    rf"|\banswer is:? ['\"‘“]?({'|'.join(filter(str.isascii, _POLAR))})\b"
)
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
    yield from _find_option_apart(original, translated)
    if _POLAR_ENGLISH.fullmatch(translated.target.strip()) and HANGUL.search(translated.rationale):
        yield make_mismatch(translated, "error")
        return
    if agrees(original.target, original.rationale) is not True:
        return
    agreement = agrees(translated.target, translated.rationale)
    is_apart = _is_worded_apart(original, translated)
    if agreement is True and not is_apart:
        return
    is_apart = is_apart or agreement is False or _ends_in_another_option(original, translated)
    yield make_mismatch(translated, "error" if is_apart else "warning")


_POLAR_ENGLISH = re.compile(r"(?i)(?:yes|no|true|false)\.?")
_LISTED = re.compile(
    r"(?:^|[\s\n])\(?([A-Ha-h]|[1-8]|[①-⑧])(?:[).:]|(?<=[①-⑧]))\s*(.+?)"
    r"(?=[\s,;/]+\(?(?:[A-Ha-h]|[1-8]|[①-⑧])(?:[).:]|(?<=[①-⑧]))\s|\n|$)"
)
_NAMED = re.compile(
    r"(?im)(?:options?|choices|answer choices|선택지|보기|선지|선택 사항|옵션)\s*[:：]"
    r"\s*(?:[-*•] )?(.+)$|^[-*•] (.+)$"
)


def list_options(text: str) -> list[str]:
    """The choices that a question lists: (A) ..., 1. ..., "Options: a, b", or items ("- a")."""
    marked = [match[2].strip(" .,;") for match in _LISTED.finditer(text)]
    if len(marked) > 1:
        return marked
    named = [match[1] or match[2] for match in _NAMED.finditer(text)]
    if len(named) == 1:
        named = re.split(r"\s*[,;/]\s*(?:or |and |또는 )?", named[0])
    return [option.strip(" .,;") for option in named]


def _find_option_apart(original: Example, translated: Example) -> Findings:
    """The target names the same option as it did, in the words in which the question lists it."""
    wanted = [_bare(option) for option in list_options(original.source)]
    if len(wanted) < 2:
        return
    found = [_bare(option) for option in list_options(translated.source)]
    if len(wanted) != len(found) or len(set(found)) < len(found):
        return
    target, said = (_bare(_OPTION.sub("", row.target, count=1)) for row in (original, translated))
    if wanted.count(target) == 1 and said and found[wanted.index(target)] != said:
        detail = f"the target {shorten(translated.target, 30)!r}, but the question lists "
        yield Finding(
            check="answer_mismatch",
            severity="error",
            detail=detail
            + repr(shorten(list_options(translated.source)[wanted.index(target)], 30)),
            field="target",
            translation_spans=((0, len(translated.target)),),
        )


_STATES = re.compile(r"(?i)\banswer is\b")
_KOREAN_STATES = re.compile(
    r"답은\s*\W*(?:\(?[A-H①-⑧]\)?\.?\s*)?\W*([가-힣]{2,}?)['\"’”]?(?:이다|입니다|이에요|예요|다)\W*$"
)


def _is_worded_apart(original: Example, translated: Example) -> bool:
    """Whether 답은 벽장이다 stands for the target 찬장, where the original had the same word."""
    target, said = (_bare(_OPTION.sub("", row.target, count=1)) for row in (original, translated))
    end = last_sentence(original.rationale)
    stated = _KOREAN_STATES.search(last_sentence(translated.rationale))
    if not (stated and _STATES.search(end) and target and target in _bare(end)):
        return False
    is_word = (
        re.fullmatch("[가-힣]{2,}", said) and said not in _POLAR and " " not in translated.target
    )
    return bool(is_word) and said not in stated[1] and stated[1] not in said


def _ends_in_another_option(original: Example, translated: Example) -> bool:
    """Whether a rationale ends in an option that the original's end did not name."""
    wanted, found = (list(map(_bare, list_options(row.source))) for row in (original, translated))
    end, said = (_bare(last_sentence(row.rationale)) for row in (original, translated))
    if len(wanted) != len(found) or len(wanted) < 2:
        return False
    pairs = zip(wanted, found, strict=True)
    return any(len(new) > 1 and new in said and old not in end for old, new in pairs)


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


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
        stated = _STATED.search(end.lower())
        return _POLAR[stated[1] or stated[2]] == polar if stated else _says(end.lower(), polar)
    if _simplify(target) and _simplify(target) in _simplify(end):
        return True
    measures = read_measures(Text(target))
    ends = read_measures(Text(end)) if measures else ()
    if any(one.equals(other, Fraction(0)) for one in measures for other in ends):
        return True
    numbers = {number.value for number in _read(target)}
    if numbers:
        return _has_numbers(end, numbers)
    return _overlaps(_simplify(target), _simplify(end))


def _says(sentence: str, polar: bool) -> bool | None:
    yes = bool(_YES.search(_DENIED.sub("", sentence)))
    no = bool(_NO.search(sentence))
    if yes == no:
        return None
    return yes == polar


def _has_numbers(sentence: str, wanted: set[Decimal]) -> bool | None:
    said = {value for number in _read(sentence) for value in (number.value, *number.others)}
    if not said:
        return None
    return wanted <= said


def _read(text: str) -> list[Number]:
    digits = read_digits(text)
    taken = {place for number in digits for place in range(*number.span)}
    words = [*read_english_words(text), *read_korean_words(text)]
    return [*digits, *(word for word in words if word.span[0] not in taken)]


def _simplify(text: str) -> str:
    return _JUNK.sub("", text.lower())


def _overlaps(target: str, sentence: str) -> bool | None:
    """None, or False when the sentence shares hardly a pair of letters with the target."""
    pairs = {target[i : i + 2] for i in range(len(target) - 1)}
    if len(pairs) < 2:
        return None
    shared = sum(pair in sentence for pair in pairs) / len(pairs)
    return False if shared == 0 else None
