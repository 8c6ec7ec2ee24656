"""Checks of a translation against its source: what a person would otherwise look for by hand.

Every check is a function from two texts to its findings and knows nothing of the others. ``CHECKS``
is all of them, in the order in which they report; ``answer_mismatch`` alone needs a whole row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kot_platypus.checks.additions import find_added
from kot_platypus.checks.answers import agrees, find_answer_mismatch, make_mismatch
from kot_platypus.checks.completeness import find_cut_off, find_open_end
from kot_platypus.checks.findings import Findings, Span, drop_spans
from kot_platypus.checks.glossary import find_glossary
from kot_platypus.checks.language import (
    find_mixed_language,
    find_repetition,
    find_untranslated,
)
from kot_platypus.checks.latex import spell_alike, tell_plainly
from kot_platypus.checks.markup import find_markup
from kot_platypus.checks.meaning import find_meaning
from kot_platypus.checks.numbers import find_numbers
from kot_platypus.checks.order import find_order
from kot_platypus.checks.segments import Text
from kot_platypus.checks.speech import SpeechLevel, find_speech
from kot_platypus.checks.structure import (
    find_code_mixed,
    find_code_only,
    find_placeholder,
)
from kot_platypus.checks.symbols import find_math_symbols
from kot_platypus.records import Example, Finding, Row, Severity
from kot_platypus.row_texts import FIELDS, list_texts

CHECKS: dict[str, Callable[[Text, Text], Findings]] = {
    "placeholder": find_placeholder,
    "code_only": find_code_only,
    "code_mixed": find_code_mixed,
    "numbers": find_numbers,
    "order": find_order,
    "math_symbols": find_math_symbols,
    "meaning": find_meaning,
    "untranslated": find_untranslated,
    "cut_off": find_cut_off,
    "added": find_added,
    "markup": find_markup,
    "repetition": find_repetition,
    "mixed_language": find_mixed_language,
}
CHECK_NAMES = (*CHECKS, "answer_mismatch")
SETTING_NAMES = ("glossary", "speech")
"""Those that hold a translation to what was asked for, if it was."""
KOREAN_CHECK_NAMES = (
    "placeholder",
    "code_mixed",
    "untranslated",
    "cut_off",
    "repetition",
    "mixed_language",
    "answer_mismatch",
)
"""Those that say something about a Korean text by itself."""


def check_translation(source: str, translation: str) -> list[Finding]:
    """What all checks find in one text's translation; empty when it seems to be good."""
    return _check_texts(Text(source), Text(translation))


def _check_texts(left: Text, right: Text) -> list[Finding]:
    if not (left.raw or right.raw):  # a field that the row does not use
        return []
    texts = left, right
    if not right.signs.isdisjoint("`\\"):
        left, right = spell_alike(left, right)
    found = [finding for check in CHECKS.values() for finding in check(left, right)]
    if found and (plain := tell_plainly(left, right)):
        left, right = map(Text, plain)
        found = [finding for check in CHECKS.values() for finding in check(left, right)]
    return found if texts == (left, right) else [*map(drop_spans, found)]


def check_row(
    original: Row,
    translated: Row,
    *,
    glossary: Mapping[str, str] | None = None,
    speech: SpeechLevel | None = None,
) -> list[Finding]:
    """What all checks find in a row, field by field (or turn by turn) and in the row as a whole.

    ``glossary`` (English terms and their Korean) and ``speech`` are what was asked for, if it was.
    """
    translations = list_texts(translated)
    findings: list[Finding] = []
    for field, text in list_texts(original).items():
        pair = Text(text), Text(translations.get(field, ""))
        found = (*_check_texts(*pair), *_check_settings(*pair, glossary, speech))
        findings += [finding.model_copy(update={"field": field}) for finding in found]
    if isinstance(original, Example) and isinstance(translated, Example):
        findings += find_answer_mismatch(original, translated)
    return findings


def _check_settings(
    source: Text, translation: Text, glossary: Mapping[str, str] | None, speech: SpeechLevel | None
) -> Iterator[Finding]:
    if translation.raw.strip():  # cut_off says so
        yield from find_glossary(source, translation, glossary or {})
        if speech:
            yield from find_speech(translation, speech)


def check_korean(row: Row) -> list[Finding]:
    """What the checks find in a row that was Korean from the start: no text to compare it with."""
    nothing = Text("")
    findings = [
        finding.model_copy(update={"field": field})
        for field, text in list_texts(row).items()
        for name in KOREAN_CHECK_NAMES
        if name in CHECKS
        for finding in CHECKS[name](nothing, Text(text))
    ]
    if not isinstance(row, Example):
        return findings
    for finding in find_open_end(Text(row.rationale)):
        findings.append(finding.model_copy(update={"field": "rationale"}))
    if row.target and row.rationale and agrees(row.target, row.rationale) is False:
        findings.append(make_mismatch(row, "error"))
    return findings


__all__ = [
    "CHECKS",
    "CHECK_NAMES",
    "FIELDS",
    "KOREAN_CHECK_NAMES",
    "SETTING_NAMES",
    "Finding",
    "Severity",
    "Span",
    "SpeechLevel",
    "check_korean",
    "check_row",
    "check_translation",
]
