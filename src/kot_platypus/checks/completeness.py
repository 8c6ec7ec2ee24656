"""The check that a translation is all there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from kot_platypus.checks.alignment import (
    count_ends,
    measure_size,
    pair_lines,
    split_sentences,
)
from kot_platypus.checks.findings import Findings, make_finding
from kot_platypus.checks.segments import BLANK, Text
from kot_platypus.numerals import Strength, read_digits, read_english_words, read_korean_words

# Outside of the first and the last something is wrong; below FEW the sentences are worth aligning.
FEWEST_SYLLABLES, FEW_SYLLABLES, MOST_SYLLABLES = 0.22, 0.42, 1.0
_SHORTEST = 40  # letters of source below which length says nothing

_cut = partial(make_finding, "cut_off")

# --- the check ---------------------------------------------------------------------------------


def find_cut_off(source: Text, translation: Text) -> Findings:
    """Nothing is missing at the end or in between, and nothing is added.

    Catches an empty or far too short or long text, a sentence without a counterpart, an end in the
    middle of a sentence, and a bracket or quote that never closes. Look-alikes: two sentences made
    one, told by their lengths (a warning); noun answers without a full stop; lists.
    """
    if not translation.raw.strip():
        if source.raw.strip():
            yield _cut("the translation is empty")
        return
    ratio = _measure_ratio(source, translation)
    fewest = _expect_fewest(translation)
    if ratio is not None and not fewest <= ratio <= MOST_SYLLABLES:
        word = "short" if ratio < fewest else "long"
        yield _cut(f"too {word}: {ratio:.2f} syllables for a letter of the source")
    elif source.raw.strip() and (
        count_ends(source.prose) != count_ends(translation.prose)
        or source.prose.count("\n") != translation.prose.count("\n")
        or (ratio is not None and ratio < FEW_SYLLABLES)
    ):
        yield from _compare_sentences(source, translation)
    yield from _compare_pieces(source, translation)
    yield from _check_end(source, translation)
    yield from _check_brackets(source, translation)


def _measure_ratio(source: Text, translation: Text) -> float | None:
    """Syllables for a letter; None for a text too short to say. Kept English weighs nothing."""
    glosses = sum(map(len, _GLOSS.findall(translation.prose)))
    kept = sum(map(len, translation.words)) - glosses
    letters = sum(map(len, source.words)) + 2 * source.num_hangul - kept
    return translation.num_hangul / letters if letters >= _SHORTEST else None


_GLOSS = re.compile(r"\([^()가-힣]+\)")
"""Originals in brackets, which stand beside their translation."""
# How much shorter than expected a line or choice may be, as a logarithm: of all good ones of three
# authors' 245 sources those of 15 syllables and more stay above -0.5, shorter ones above -0.9.
_SHORTER, _SHORTER_OF_FEW = 0.48, 3.2


def _compare_pieces(source: Text, translation: Text) -> Findings:
    """A line or a choice that is empty or far shorter than its counterpart."""
    pieces = pair_lines(source, translation)
    for left, right in pieces if len(pieces) > 1 else ():
        size, other = measure_size(left.prose), measure_size(right.prose)
        least = max(_SHORTER, _SHORTER_OF_FEW / math.sqrt(size or 1))
        if math.log((other + 0.5) / (size + 0.5)) < -least:
            yield _cut(f"cut: {left.prose.strip()[:60]}")
            return


def _expect_fewest(translation: Text) -> float:
    """The fewest syllables for a letter; figures stand for many letters."""
    return FEWEST_SYLLABLES / 2 if translation.digits else FEWEST_SYLLABLES


def _compare_sentences(source: Text, translation: Text) -> Findings:
    for here, there in _pair_parts(source.prose, translation.prose):
        wanted, found = split_sentences(here), split_sentences(there)
        lost = find_lost(wanted, found)
        if lost and not _is_shorter(wanted, found):
            lost = []
        lost = [one for one in lost if not _SET.search(one)]
        lost = [one for one in lost if not (_COURTESY.search(one) and measure_size(one) < 6)]
        if lost or len(found) < len(wanted):
            yield _cut(
                f"{len(wanted)} sentences became {len(found)}"
                + (f"; without counterpart: {lost[0].strip()[:60]}" if lost else ""),
                is_error=bool(lost),
            )
        elif not wanted:
            continue  # the end of a sentence with a formula in lines of its own
        elif not _SPEECH.search(here) and len(found) > len(wanted) + len(_SPLITS.findall(here)):
            yield from _find_made_up(wanted, found)


_SET = re.compile(r"\b(?:Let|Suppose|Assume|Consider|Given) ")  # joins the next sentence
_COURTESY = re.compile(  # becomes a word or an ending of the next sentence
    r"(?i)\b(?:sorry|apolog|thanks?|please|right|sure|ok(?:ay)?|hello|hi|well|excuse|yes|no|oh)\b"
)
# Of all sentences' size, by which the whole has to be too short where they are as many.
_MISSED_OF_AS_MANY = 0.2


def _is_shorter(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether the whole is shorter than expected.

    Else it is only said in fewer sentences, or in another order: "It rained. We stayed. I'm sorry."
    """
    shortage = sum(map(measure_size, wanted)) - sum(map(measure_size, found))
    if len(wanted) <= len(found):  # two joined and one split, far more often than one lost
        return shortage > _MISSED_OF_AS_MANY * sum(map(measure_size, wanted))
    return shortage > 0


def _pair_parts(prose: str, other: str) -> list[tuple[str, str]]:
    """What corresponds for certain: lines, what stands between code, or else the whole."""
    prose, other = _MARK.sub("", prose.strip()), _MARK.sub("", other.strip())
    for split in (_LINES.split, _CODE.split):
        left, right = split(prose), split(other)
        if len(left) == len(right):
            return list(zip(left, right, strict=True))
    return [(prose, other)]


_CODE = re.compile(rf"(?:\n|^){BLANK}[{BLANK}\s]*(?=\n|$)")
_LINES = re.compile(r"\n\s*")
_MARK = re.compile(r"(?m)^[ \t]*(?:\(?(?:[A-Ha-h]|\d{1,2}|[가-하])[.)]|[①-⑳])[ \t]")  # of a list
_MADE_UP = 0.6  # of a new sentence's size, by which the whole has to be too long


def _find_made_up(wanted: Sequence[str], found: Sequence[str]) -> Findings:
    """A sentence of the translation alone, and a translation that is longer by it."""
    new = [one for one in find_lost(found, wanted) if not _AFTER_FORMULA.match(one)]
    excess = sum(map(measure_size, found)) - sum(map(measure_size, wanted))
    size = sum(map(measure_size, new))
    spread = _SPREAD_OF_ONE * sum(map(measure_size, wanted)) / math.sqrt(1 + len(wanted))
    if new and excess > max(_MADE_UP * size, spread):
        yield _cut(f"{len(wanted)} sentences became {len(found)}; new: {new[0].strip()[:60]}")


_AFTER_FORMULA = re.compile(r"\s*(?:임을|이고|이며|일 때|이므로|라고|[을를은는])\s")
_SPREAD_OF_ONE = 0.6  # how much longer than expected a sentence may well be
# Where a sentence may be parted; not after a label ("Premise:").
_SPLITS = re.compile(
    r"(?m);|^[^\n:]{16,}:|\b(?:because|since|whereas)\b|, (?:so|due|and then|but|ideally)\b"
    r"| \((?=\w+ )|^(?:Hi|Hello|Dear)\b[^\n.,]*,|\*\*,"
)
_SPEECH = re.compile(r'["“]')


# Measured on the development part: the logarithm of a sentence's length spreads by 0.19 about its
# expectation. The costs say how rare merging and dropping are; a plain pair costs nothing.
_SPREAD, _MERGE, _DROP = 0.2, 2.0, 1.8


def find_lost(wanted: Sequence[str], found: Sequence[str]) -> list[str]:
    """The sentences of ``wanted`` that the likeliest alignment leaves without counterpart.

    After Gale and Church (1993): sentences correspond in order, one to one, two to one, one to two
    or one to none, and lengths decide what is likeliest; numbers have to stand in the counterpart.
    """
    sizes = [max(1.0, measure_size(text)) for text in wanted]
    others = [max(1.0, measure_size(text)) for text in found]
    digits = list(map(_list_values, wanted[1:] and wanted))  # of one they decide nothing
    digits_found = list(map(_list_values, found)) if any(digits) else [set()] * len(found)
    known = set().union(*digits_found)
    asked, asked_found = (["?" in text for text in texts] for texts in (wanted, found))
    are_as_many = sum(asked) == sum(asked_found)

    def cost(i: int, num_left: int, j: int, num_right: int) -> float:
        """Of ``num_left`` sentences before i that became ``num_right`` before j."""
        missing = set().union(*digits[i - num_left : i]) & known
        missing -= set().union(*digits_found[j - num_right : j])
        spent = _ASTRAY * min(2, len(missing)) + (_DROP, 0.0, _MERGE)[num_left + num_right - 1]
        if num_right:
            size, other = sum(sizes[i - num_left : i]), sum(others[j - num_right : j])
            spent += math.log(other / size) ** 2 / (2 * _SPREAD**2)
            if are_as_many and any(asked[i - num_left : i]) != any(asked_found[j - num_right : j]):
                spent += _ASTRAY
        return spent

    pairs = range(1, len(sizes) + 1)
    if len(sizes) == len(others) and sum(cost(i, 1, i, 1) for i in pairs) <= _DROP + _MERGE:
        return []  # a sentence without counterpart would need another that became two
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {(0, 0): (0.0, ())}
    far = _FAR + abs(len(others) - len(sizes))
    for i in range(len(sizes) + 1):
        for j in range(max(0, i - far), min(len(others), i + far) + 1):
            ways = []
            for left, right in ((1, 1), (2, 1), (1, 2), (1, 0)):
                if i >= left and j >= right and (i - left, j - right) in best:
                    spent, lost = best[i - left, j - right]
                    lost = lost if right else (*lost, i - 1)
                    ways.append((spent + cost(i, left, j, right), lost))
            if ways:
                best[i, j] = min(ways)
    _, lost = best.get((len(sizes), len(others)), (0.0, ()))
    return [wanted[i] for i in lost]


_FAR = 40  # sentences ahead or behind, where no counterpart is looked for: else a book takes hours
_ASTRAY = 2.5  # the cost of a number that stands in another sentence


def _list_values(sentence: str) -> set[Decimal]:
    """The numbers of a sentence in either language, but words for one and two."""
    words = (*read_english_words(sentence), *read_korean_words(sentence))
    sure = {word.value for word in words if word.strength is Strength.WORD and word.value > 2}
    return sure | {number.value for number in read_digits(sentence)}


# --- the end -----------------------------------------------------------------------------------

_CLOSERS = "\"'”’)]* \n"
_STOPS = frozenset(".!?。:")
# Korean sentences end in these syllables; a text cut in the middle seldom does.
_FINALS = frozenset("다요까죠음함임됨오라자네군지야어아;%)]}\"'”’*`~…" + BLANK)
# An end as lists have it, of whatever part of speech.
_LISTED = re.compile(r"(?:\([a-h]\)[^().]{1,40}|\n[^\n.]+(?:,[^\n,.]+){2,})\s*\Z")
_SHORT_END = 5  # words; "3 apples." may well become "사과 3개"


def _check_end(source: Text, translation: Text) -> Findings:
    theirs = source.prose.rstrip(_CLOSERS)[-1:]
    text = translation.prose.rstrip(_CLOSERS)
    if theirs not in _STOPS or text[-1:] in _STOPS or text[-1:] == BLANK:
        return
    is_choice = _MARK.match(source.prose.rstrip().rpartition("\n")[2] + " ")
    is_choice = is_choice or _MARK.match(translation.raw.rstrip().rpartition("\n")[2] + " ")
    is_choice = is_choice or _LISTED.search(translation.prose)
    is_sentence = len(source.prose[-60:].split()) > _SHORT_END and not is_choice
    last = text[-1:]
    if last not in _FINALS and not (last.isascii() and last.isalnum()):
        yield _cut(
            f"ends in the middle: ...{translation.raw[: len(text)][-10:]}",
            is_error=is_sentence,
            translation_spans=[(max(0, len(text) - 10), len(text))],
        )


def find_open_end(rationale: Text) -> Findings:
    """A Korean rationale of more than a few words ends a sentence. A warning: no original says so.

    Look-alikes: a noun answer after a colon, a formula, a line of a list.
    """
    text = rationale.prose.rstrip(_CLOSERS)
    last_line = text.rpartition("\n")[2]
    is_item = _MARK.match(last_line) or ":" in last_line
    is_sentence = len(last_line.split()) > _SHORT_END and not is_item
    if is_sentence and "가" <= text[-1:] <= "힣" and text[-1] not in _FINALS:
        end = rationale.raw[: len(text)][-10:]
        yield _cut(f"ends in the middle: ...{end}", is_error=False)


# --- brackets ----------------------------------------------------------------------------------

_BRACKETS = tuple(map(tuple, ("()", "[]", "{}", "“”", "「」", "『』", "《》")))
_QUOTE = re.compile(r'"(?<!\d")')


def _check_brackets(source: Text, translation: Text) -> Findings:
    """A bracket that is opened is closed; one that is only closed is of a list: 1) a 2) b."""
    for opening, closing in _BRACKETS:
        if opening not in translation.signs:
            continue
        is_open, was_open = (
            text.raw.count(opening) - text.raw.count(closing) for text in (translation, source)
        )
        if is_open > max(0, was_open):
            yield _cut(f"{is_open} unpaired {opening}{closing}")
    quotes, others = (len(_QUOTE.findall(text.prose)) for text in (source, translation))
    if others % 2 and quotes % 2 == 0:
        yield _cut('a quote " without its partner')
