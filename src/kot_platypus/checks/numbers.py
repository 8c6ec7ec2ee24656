"""The check that every number of the source stands in the translation, and no other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from kot_platypus.checks.alignment import pair_lines
from kot_platypus.checks.amounts import find_amounts
from kot_platypus.checks.counted import find_counted
from kot_platypus.checks.dates import find_dates
from kot_platypus.checks.findings import Findings, drop_spans, make_finding
from kot_platypus.checks.measures import find_measures
from kot_platypus.checks.number_signs import find_signs
from kot_platypus.checks.segments import Text
from kot_platypus.checks.settled import read_articles, read_implied, settle
from kot_platypus.number_words import SCALES
from kot_platypus.numerals import (
    AND_A_HALF,
    Number,
    Strength,
    read_numeral,
)
from kot_platypus.records import Finding

# They begin with a set of characters, and not with a choice: the search is far faster.
_DIGIT_RUN = re.compile(r"[0-9⁰¹²³⁴-⁹₀-₉½⅓⅔¼¾㎡㎠㎢㎥㎤](?:(?<=[0-9])[0-9.,]*)?")
_SCALED = re.compile(
    r"[0-9][ -]?(?:[십백천만억조kKM]|hundred|thousand|million|billion|trillion|dozen|bn)"
)


def _have_same_digits(text: str, other: str) -> bool:
    """Whether two texts hold the same digits, written alike and without scales: the usual case."""
    runs, others = _DIGIT_RUN.findall(text), _DIGIT_RUN.findall(other)
    if runs != others and (
        len(runs) != len(others)
        or sorted(run.rstrip(".,") for run in runs) != sorted(run.rstrip(".,") for run in others)
    ):
        return False
    return not (_SCALED.search(text) or _SCALED.search(other))


def find_numbers(source: Text, translation: Text) -> Findings:
    """Numbers are kept as a multiset, with their percent signs and minus signs.

    Catches a number that is lost, changed or added: 3.75 as 37.5, 12.5% as 12.5, -4 as 4.
    Look-alikes: 1,000 as 1000; 35,000 as 3만 5천; 2.5 million as 250만; three as 세; 3/4 as
    4분의 3; March as 3월; 3 p.m. as 15시; half as 반; an hour as 1시간; H2O as 물.
    """
    findings = list(_find_values(source, translation))
    pieces = pair_lines(source, translation)
    if not findings and len(pieces) > 1:
        findings = [drop_spans(found) for pair in pieces for found in _find_values(*pair)][:1]
    findings = findings or [
        *find_measures(source, translation),
        *find_dates(source, translation),
        *find_amounts(source, translation),
        *find_counted(source, translation),
    ]
    yield from findings
    for match in _IN_FIGURES.finditer(translation.prose) if "(" in translation.signs else ():
        if (value := read_numeral(match[1])) is not None and value != Decimal(match[2]):
            yield make_finding("numbers", f"{match[1]} is not {match[2]}", (), [match.span()])
    yield from find_signs(source, translation)


_IN_FIGURES = re.compile(r"(?<![가-힣])([일이삼사오육칠팔구십백천만]+) ?\((\d+)\)")


def _find_values(source: Text, translation: Text) -> Findings:
    words = source.english
    sure = [word for word in words if word.strength is Strength.WORD]
    doubtful = any(map(_is_doubtful, words))
    same_digits = _have_same_digits(source.raw, translation.raw)
    if sure or doubtful or not same_digits:
        hints = translation.korean
        unsaid, left = _cancel(sure, hints)
        # The usual case is done here: the same digits, and a numeral for every number word.
        if unsaid or not same_digits or (doubtful and any(map(_is_word, left))):
            yield from _compare_numbers(source, translation, words, hints)


def _compare_numbers(
    source: Text, translation: Text, words: list[Number], hints: list[Number]
) -> Findings:
    wanted, named = _part_names(source.raw, source.all_digits)
    digits = translation.all_digits
    if "만" in translation.signs and not _ONLY.search(source.raw):  # then "5만" is no "only 5"
        digits = [n._replace(others=()) if translation.raw[n.span[1] - 1] == "만" else n
                  for n in digits]  # fmt: skip
    found, renamed = _part_names(translation.raw, digits)
    missing, extra = _cancel(wanted, found)
    sure = [word for word in words if word.strength is Strength.WORD]
    loose = [
        word
        for word in words
        if word.strength is Strength.POSSIBLE
        and not _A_SECOND.search(source.raw, word.span[0] - 6, word.span[1])
    ]
    missing, hints = _cancel(missing, hints)
    sure, extra = _cancel(sure, extra)
    sure, hints = _cancel(sure, hints)
    if missing or extra or sure or any(map(_is_word, hints)):
        missing = _add_readings(source.raw, [*missing, *sure], [*wanted, *words])
        extra = _add_readings(translation.raw, extra, found)
        loose = _add_readings(source.raw, loose, wanted)
        missing, extra = _explain(source, missing, extra, loose, hints)
    lost, new = _cancel(named, renamed)
    if lost and new:  # a name may be translated, H2O as 물, but x1 must not become x2
        missing, extra = [*missing, *lost], [*extra, *new]
    elif extra:
        extra, _ = _cancel(extra, [*lost, *read_implied(source.raw)])
    is_repeated = not loose or _IT.search(source.raw)  # else "second" may have become 3차
    if not missing and not lost and is_repeated:  # Korean says the number again
        known = {number.value for number in (*wanted, *words, *named)}
        extra = [number for number in extra if number.value not in known]
    if missing or extra:
        missing, extra = settle(source, translation, missing, extra, [*wanted, *words], found)
    if missing or extra:
        yield _report(source, translation, missing, extra)


_IT = re.compile(r"(?i)\b(?:it|its|they|them|their|this|that|these|those)\b")
_A_SECOND = re.compile(r"(?:\b(?:per|one|each|half a|every)|\d) second\Z")
_ONLY = re.compile(r"\b(?:only|just|alone|merely|solely|nothing but|no more than)\b", re.IGNORECASE)


def _is_word(number: Number) -> bool:
    return number.strength is Strength.WORD


def _is_doubtful(word: Number) -> bool:
    """Whether a word is "one", "two" or the like: it may vanish, but not become another number."""
    return word.value in (1, 2, 3, 12) and not word.others and word.strength is Strength.POSSIBLE


def _part_names(text: str, numbers: list[Number]) -> tuple[list[Number], list[Number]]:
    """Numbers of their own, and digits within names such as H2O and x1."""
    own: list[Number] = []
    named: list[Number] = []
    for number in numbers:
        before = text[number.span[0] - 1 : number.span[0]]
        is_letter = before.isascii() and before.isalpha()
        is_name = is_letter and text[number.span[0]] not in _POWERS
        (named if is_name else own).append(number)
    return own, named


_POWERS = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹")  # x² is x^2, but H₂O a name


def _cancel(left: Iterable[Number], right: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """What remains of two lists when equal values have been paired off."""
    free: defaultdict[Decimal, list[Number]] = defaultdict(list)
    for number in sorted(right, key=lambda one: bool(one.others)):  # 네 before 네 시간 반
        free[number.value].append(number)
    rest = []
    for number in sorted(left, key=lambda one: bool(one.others)):  # 36 before 3 dozen
        partners = free.get(number.value)
        if partners:
            partners.pop(0)
        else:
            rest.append(number)
    return rest, [number for partners in free.values() for number in partners]


def _cancel_loosely(
    left: Iterable[Number], right: Sequence[Number]
) -> tuple[list[Number], list[Number]]:
    """As _cancel, by anything that the numbers may mean."""
    rest, free = [], list(right)
    for number in left:
        values = {number.value, *number.others}
        partner = next((n for n in free if not values.isdisjoint((n.value, *n.others))), None)
        if partner is None:
            rest.append(number)
        else:
            free.remove(partner)
    return rest, free


def _explain(
    source: Text,
    missing: list[Number],
    extra: list[Number],
    loose: list[Number],
    hints: list[Number],
) -> tuple[list[Number], list[Number]]:
    """What is still unpaired when all that a number may mean is tried, and doubtful words too.

    ``loose`` are the source's doubtful number words, ``hints`` the translation's. Those with
    fewer meanings choose first: "quarters" are four, a "quarter" may be 15 minutes.
    """
    loose = sorted(loose, key=lambda word: len(word.others))
    loose, extra = _cancel(loose, extra)
    missing, extra = _cancel_loosely(missing, extra)
    extra, loose = _cancel_loosely(extra, loose)
    loose, hints = _cancel(loose, hints)
    missing, hints = _cancel_loosely(missing, hints)
    loose, hints = _cancel_loosely(loose, hints)
    if extra:
        extra, _ = _cancel(extra, _read_roman(source.prose))
        extra, _ = _cancel_loosely(extra, read_articles(source.prose))
    missing = [number for number in missing if not _may_vanish(source.raw, number)]
    # "two apples" as "사과 세 개": neither word is proof alone, the two together are.
    known = {number.value for number in (*source.all_digits, *source.english)}
    changed = [h for h in hints if _is_word(h) and not (h.others and h.value in known)]
    doubtful = list(filter(_is_doubtful, loose))
    if changed and doubtful and not missing:
        return doubtful[:1], [*extra, *changed[:1]]
    return missing, extra


_CLOCK = re.compile(r"(?::\d\d)?\s?([ap])\.?\s?m\b", re.IGNORECASE)


def _add_readings(text: str, numbers: list[Number], alike: list[Number]) -> list[Number]:
    """``numbers`` with what their places let them mean too.

    Which of two equal numbers is the one without partner is chance, so that a number gets the
    readings of all that are ``alike``: "3:30 p.m. on the 3rd" has a 3 that may come as 15.
    """
    values = {number.value for number in numbers}
    readings: dict[Decimal, list[Decimal]] = {}
    for number in alike:
        if number.value not in values:
            continue
        readings.setdefault(number.value, []).extend(_read_in_place(text, number))
    return [
        number._replace(others=(*number.others, *readings.get(number.value, ())))
        for number in numbers
    ]


_SHARED_SCALE = re.compile(
    r"(?: to | or | and |\s?[-–~]\s?)[$€£]?\d[\d.,]* (hundred|thousand|million|billion|trillion)\b"
)
_LARGEST = 10_000  # of years and hours; Decimal refuses the remainder of 40 digits
_DECADE = re.compile(r"(?<=\d\d\d0)['’]?s\b")


def _read_in_place(text: str, number: Number) -> list[Decimal]:
    """What a number's neighbours let it mean: 3 p.m. is 15, "3시간 반" 3.5, '98 is 1998."""
    start, end = number.span
    value, readings = number.value, []
    if scale := _SHARED_SCALE.match(text, end):  # 20–30 trillion
        readings.append(value * SCALES[scale[1]])
    if value < _LARGEST and _DECADE.match(text, end):
        readings.append(value % 100)
    if value > 6 and text[end : end + 7].lower().lstrip("th -").startswith("grade"):
        readings.append(value - (9 if value > 9 else 6))  # the eleventh grade is 고등학교 2학년
    if value < _LARGEST and (clock := _CLOCK.match(text, end)):
        readings.append(value % 12 + (12 if clock[1] in "pP" else 0))
    elif text[end : end + 1] == ":" and 12 < value < 24:
        readings.append(value - 12)
    if AND_A_HALF.match(text, end) or _AND_A_HALF.match(text, end):
        readings.append(value + Decimal("0.5"))
    if text[start - 1 : start] in ("'", "’") and 10 <= value < 100:
        readings += [1900 + value, 2000 + value]
    return readings


_ROMAN = re.compile(
    r"\b(?=[XVI]{2})X{0,3}(?:IX|IV|V?I{0,3})(?<=[XVI])\b|(?<=[a-z] )[IVX]\b(?!['’])"  # no XXXL
)
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10}


def _read_roman(text: str) -> list[Number]:
    """Roman numerals, which Korean may write in digits: Henry VIII is 헨리 8세."""
    numbers = []
    for match in _ROMAN.finditer(text):
        digits = [_ROMAN_DIGITS[digit] for digit in match[0]]
        value = sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))
        numbers.append(Number(Decimal(value), match.span(), Strength.POSSIBLE))
    return numbers


_AND_A_HALF = re.compile(r" [a-z]+ and a half\b")


def _may_vanish(text: str, number: Number) -> bool:
    """Whether Korean may leave a number out: the minutes of 10:00, the 1 of 1 a.m. never."""
    start, end = number.span
    return text[start - 1 : end] == ":00"


def _report(source: Text, translation: Text, missing: list[Number], extra: list[Number]) -> Finding:
    parts = []
    if missing:
        parts.append("missing: " + ", ".join(source.cut(n.span).strip() for n in missing[:5]))
    if extra:
        parts.append("not in the source: " + ", ".join(translation.cut(n.span) for n in extra[:5]))
    return make_finding(
        "numbers", "; ".join(parts), (each.span for each in missing), (each.span for each in extra)
    )
