"""The check that a translation is all there."""

from __future__ import annotations

import re

from kot_platypus.data.checks.findings import Finding, Findings
from kot_platypus.data.checks.segments import BLANK, Text

# Syllables of Hangul for a letter of English, as good translations have them. Measured on the
# development part of the planted set: the 1st percentile of texts over 80 letters is 0.38.
FEWEST_SYLLABLES, FEW_SYLLABLES, MOST_SYLLABLES = 0.22, 0.36, 1.0
_SHORTEST = 40  # letters of source below which length says nothing

_LETTER = re.compile(r"[A-Za-z]")
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|U\.S|U\.K|a\.m|p\.m|No|Fig|Eq|approx|Inc|Co)\."
)
_SENTENCE_END = re.compile(r"[^\s.!?。][.!?。]+[\"'”’)\]]*(?=\s|$|[가-힣])|\n\s*(?=\S)")
_STOP = re.compile(r"[.!?。:][\"'”’)\]*]*\s*$")
# Korean sentences end in these syllables; a text cut in the middle seldom does.
_FINAL = re.compile(
    rf"(?:[다요까죠음함임됨오라자네군지걸게야어아]|[.!?。:;\d%)\]}}\"'”’*`~…|{BLANK}A-Za-z])\s*$"
)
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"), ("“", "”"), ("「", "」"), ("『", "』"))


def find_cut_off(source: Text, translation: Text) -> Findings:
    """Nothing is missing at the end or in between, and nothing is added.

    Catches an empty or far too short or long text, fewer sentences than the source together with
    a short text, an end in the middle of a sentence, and a bracket or quote that never closes.
    Look-alikes: two sentences made one (a warning), noun answers without a full stop, lists.
    """
    if not translation.raw.strip():
        if source.raw.strip():
            yield _cut("the translation is empty")
        return
    yield from _compare_lengths(source, translation)
    yield from _check_end(source, translation)
    yield from _check_brackets(source, translation)


def _compare_lengths(source: Text, translation: Text) -> Findings:
    letters = len(_LETTER.findall(source.prose)) + 2 * source.num_hangul
    kept = sum(map(len, translation.words))  # English kept as it is weighs as in the source
    if letters - kept < _SHORTEST:
        return
    ratio = translation.num_hangul / (letters - kept)
    if ratio < FEWEST_SYLLABLES:
        yield _cut(f"too short: {ratio:.2f} syllables for a letter of the source")
        return
    if ratio > MOST_SYLLABLES:
        yield _cut(f"too long: {ratio:.2f} syllables for a letter of the source")
        return
    wanted, found = count_sentences(source.prose), count_sentences(translation.prose)
    if found < wanted:
        is_error = ratio < FEW_SYLLABLES or found <= wanted // 2
        yield _cut(
            f"{wanted} sentences became {found}, with {ratio:.2f} syllables for a letter",
            is_error=is_error,
        )


def count_sentences(prose: str) -> int:
    """Sentences by their ends: full stops, question marks, ends of line; at least 1."""
    if "." in prose:
        prose = _ABBREVIATION.sub("X", prose)
    ends = len(_SENTENCE_END.findall(prose))
    return max(1, ends + (not _STOP.search(prose)))


def _check_end(source: Text, translation: Text) -> Findings:
    if not _STOP.search(source.prose) or _STOP.search(translation.prose):
        return
    tail = source.prose.rstrip()[-60:]
    is_sentence = len(tail.split()) > 5
    if not _FINAL.search(translation.prose):
        start = max(0, len(translation.raw.rstrip()) - 10)
        yield _cut(
            f"ends in the middle: ...{translation.raw.rstrip()[-10:]}",
            is_error=is_sentence,
            span=(start, len(translation.raw)),
        )
    elif is_sentence and translation.raw.rstrip()[-1:] not in "다요까죠":
        yield _cut("ends without a full stop", is_error=False)


def _check_brackets(source: Text, translation: Text) -> Findings:
    for opening, closing in _BRACKETS:
        if opening in translation.raw or closing in translation.raw:
            open_here = translation.raw.count(opening) - translation.raw.count(closing)
            if open_here and source.raw.count(opening) == source.raw.count(closing):
                yield _cut(f"{abs(open_here)} unpaired {opening}{closing}")
    if translation.prose.count('"') % 2 and source.prose.count('"') % 2 == 0:
        yield _cut('a quote " without its partner')


def _cut(detail: str, *, is_error: bool = True, span: tuple[int, int] | None = None) -> Finding:
    return Finding(
        check="cut_off",
        severity="error" if is_error else "warning",
        detail=detail,
        translation_spans=(span,) if span else (),
    )
