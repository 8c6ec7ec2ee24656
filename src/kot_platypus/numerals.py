"""Reading numbers from English and Korean text: digits, number words, Korean numerals.

Digits say for certain that a number is meant, words often do, and many a Korean syllable only
might ("이" is two, this, and a particle). So every reading has a strength, and what is merely
possible may explain a number of the other language but is never missed itself.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

from kot_platypus.number_words import (
    BIG_UNITS,
    CARDINALS,
    COUNTERS,
    DAYS,
    KOREAN_LOOSE_WORDS,
    LOOSE_WORDS,
    MONTHS,
    NATIVE_ONES,
    NATIVE_TENS,
    OF_AN_HOUR,
    ORDINALS,
    PAIRS,
    SCALES,
    SINO_COUNTERS,
    SMALL_UNITS,
    SURE,
    SURE_DAYS,
    TENS,
)  # fmt: skip


class Strength(IntEnum):
    """How surely a number is meant."""

    POSSIBLE = 0
    WORD = 1
    DIGITS = 2


class Number(NamedTuple):
    """A number in a text: its value, what else it may mean, and where it stands."""

    value: Decimal
    span: tuple[int, int]
    strength: Strength = Strength.DIGITS
    others: tuple[Decimal, ...] = ()


_HALF = Decimal("0.5")

# --- digits ------------------------------------------------------------------------------------

# Thousands are parted by a comma, in LaTeX by "{,}", "\," or ",\!"; 2022.03.08 has no decimals.
_PLAIN = (
    r"(?:[0-9]{1,3}(?:(?:,(?:\\!)?|\{,\}|\\,)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|(?![12][0-9]{3}\.[0-9]{1,2}\.[0-9])(?<![12][0-9]{3}\.)[0-9]+\.[0-9]+|[0-9]+)"
)
# "3조각" are three pieces and "3조는" is group 3 doing something.
_UNIT = r"(?:[십백천]?(?:만(?!큼)|억|조(?![각합은는이가의에를을와과로]))|[십백천](?!분위))"
_DIGITS = re.compile(
    rf"(?P<plain>{_PLAIN})"
    rf"(?:(?P<korean>\s?{_UNIT}(?:\s?{_PLAIN}\s?{_UNIT})*(?:\s?{_PLAIN})?)"
    r"|[\s-]?(?P<scale>hundred|thousand|million|billion|trillion|dozen)\b|(?P<short>[kKM]|bn)\b)?"
    r"|(?P<raised>[⁰¹²³⁴-⁹₀-₉]+|[㎡㎠㎢㎥㎤])|(?P<vulgar>[½⅓⅔¼¾])"
)
_DIGIT = re.compile(r"[0-9⁰¹²³⁴-⁹₀-₉½⅓⅔¼¾㎡㎠㎢㎥㎤]")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉㎡㎠㎢㎥㎤", "0123456789012345678922233")
_VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4)}
_SEPARATORS = re.compile(r"[^\d.]")
_TERM = re.compile(rf"{_PLAIN}|[십백천만억조]")


def read_digits(text: str) -> list[Number]:
    """Every number written in digits, with English or Korean scale words where they follow.

    ``3만 5천`` is 35,000 and ``2.5 million`` is 2,500,000; ``¾`` is 3 and 4, as is ``3/4``.
    """
    numbers = []
    found = _DIGIT.search(text)
    while found:
        match = _DIGITS.match(text, found.start())
        assert match
        plain, end = match["plain"], match.end()
        if plain and end == match.end("plain"):
            numbers.append(_read_plain(plain, match.start(), text))
        elif plain and _is_article(text, match):
            end = match.end("plain")
            numbers.append(Number(_parse(plain), (match.start(), end)))
        elif plain:
            numbers.append(_read_scaled(match))
        elif match["raised"]:
            numbers.append(Number(Decimal(match["raised"].translate(_RAISED)), match.span()))
        else:
            parts = _VULGAR[match["vulgar"]]
            numbers += [Number(Decimal(part), match.span()) for part in parts]
        found = _DIGIT.search(text, end)
    return numbers


_TEN_THOUSAND = re.compile(r"(?:^|[^가-힣\d])만\s\Z")
_CLAUSE = re.compile(r"\s?조(?:의 ?\d+)? ?제?\d+[항호]")


def _is_article(text: str, match: re.Match[str]) -> bool:
    """Whether 조 is of a law (제12조, 12조 3항) rather than 10^12."""
    if not (match["korean"] or "").strip().startswith("조"):
        return False
    before = text[match.start() - 1 : match.start()]
    return before == "제" or _CLAUSE.match(text, match.end("plain")) is not None


def _read_plain(plain: str, start: int, text: str) -> Number:
    end = start + len(plain)
    if text[start - 1 : start] == "." and plain.isdigit():
        before = text[max(0, start - 2) : start - 1]
        if not (before.isalnum() or before == "."):
            return Number(_parse("0." + plain), (start - 1, end))  # .5, but not "so...5"
    if text[end : end + 1] == "할" and text[end + 1 : end + 2] != "인":
        return Number(_parse(plain) * 10, (start, end))  # 3할 is 30 %
    return Number(_parse(plain), (start, end))


def _parse(plain: str) -> Decimal:
    return Decimal(plain if plain.isalnum() else _SEPARATORS.sub("", plain))


def _read_scaled(match: re.Match[str]) -> Number:
    value = _parse(match["plain"])
    if match["korean"]:
        # "5만 필요하다" may be "only 5 are": the bare digits stay possible.
        others = (value,) if match["korean"] == "만" else ()
        said = read_sino(match[0])
        if _TEN_THOUSAND.search(match.string[max(0, match.start() - 3) : match.start()]):
            others = (said + 10000,)  # 만 3천
        return Number(said, match.span(), others=others)
    scaled = value * SCALES[match["scale"] or match["short"]]
    if match["short"]:
        return Number(value, match.span("plain"), others=(scaled,))
    return Number(scaled, match.span(), others=(value,) if match["scale"] == "dozen" else ())


def read_sino(text: str) -> Decimal:
    """The value of digits and Sino-Korean numerals in places of 10,000: ``1억 2,000만``."""
    total = section = Decimal(0)
    current: Decimal | None = None
    for term in _TERM.findall(text.translate(_SINO_DIGITS)):
        if term in SMALL_UNITS:
            section += SMALL_UNITS[term] * (1 if current is None else current)
            current = None
        elif term in BIG_UNITS:
            section += current or 0
            total += BIG_UNITS[term] * (section or 1)
            section, current = Decimal(0), None
        else:
            current = _parse(term)
    return total + section + (current or 0)


# --- English words -----------------------------------------------------------------------------

_COMPOSED = CARDINALS | TENS | ORDINALS
_SCALE_WORDS = {"hundred", "thousand", "million", "billion", "trillion"}
_SCORED = frozenset(("two", "three", "four", "five", "six", "seven", "eight", "nine"))
_SCORE = 20  # four score and seven
ENGLISH_NUMBERS = frozenset({*_COMPOSED, *_SCALE_WORDS, "score", *SURE, *MONTHS, *LOOSE_WORDS})
_TOKEN = re.compile(r"[A-Za-z]+")
_JOINTS = frozenset((" ", "-", " and ", ", and ", "-and-", " and a ", "-and-a-"))
_OF_A_SCALE = {("half", " a "), ("half", " of a "), ("quarter", " of a ")}


def read_english_words(text: str) -> list[Number]:
    """The number words of an English text: "two hundred and five" is one, "two and five" two."""
    words = (match for match in _TOKEN.finditer(text) if match[0].lower() in ENGLISH_NUMBERS)
    phrases: list[list[re.Match[str]]] = []
    for match in words:
        joint = text[phrases[-1][-1].end() : match.start()] if phrases else ""
        before = phrases[-1][-1][0].lower() if phrases else ""
        is_part = (before, joint) in _OF_A_SCALE  # half a million
        if joint in _JOINTS or is_part:
            phrases[-1].append(match)
        else:
            phrases.append([match])
    return [number for phrase in phrases for number in _read_phrase(phrase, text)]


def _read_phrase(phrase: list[re.Match[str]], text: str) -> list[Number]:
    """The numbers of a run of number words. A word that cannot go on with a number ends it."""
    numbers: list[Number] = []
    open_words: list[re.Match[str]] = []
    scale = SCALES.get(phrase[1][0].lower()) if phrase[1:] else None
    part = {"half": 2, "quarter": 4}.get(phrase[0][0].lower())
    if part and scale:
        if part == 4:  # a quarter of a million, or 백만의 4분의 1
            numbers += _read_single(phrase[0], [], text)
        others = (scale,) if part == 4 else (Decimal(12),) if scale == 12 else ()
        span = (phrase[0].start(), phrase[1].end())
        numbers.append(Number(scale / part, span, Strength.WORD, others))
        phrase = phrase[2:]
    for match in phrase:
        word = match[0].lower()
        if word == "score" and not (open_words and open_words[-1][0].lower() in _SCORED):
            numbers += _close(open_words)
            open_words = []
            continue
        if word in _SCALE_WORDS and not open_words and numbers and numbers[-1].value % 1 == _HALF:
            last = numbers.pop()  # two and a half million
            span = (last.span[0], match.end())
            numbers.append(Number(last.value * SCALES[word], span, Strength.WORD))
            continue
        if word not in _COMPOSED and word not in _SCALE_WORDS and word != "score":
            numbers += _close(open_words)
            open_words = []
            numbers += _read_single(match, numbers, text)
            continue
        if open_words and not _goes_on(open_words[-1], match, text):
            numbers += _close(open_words)
            open_words = []
        open_words.append(match)
    return numbers + _close(open_words)


def _goes_on(last: re.Match[str], match: re.Match[str], text: str) -> bool:
    before, word = last[0].lower(), match[0].lower()
    if word == "score":
        return before in _SCORED
    if "and" in text[last.end() : match.start()]:
        return before in (*_SCALE_WORDS, "score") and word not in _SCALE_WORDS
    if word in _SCALE_WORDS:
        return before in CARDINALS or before in TENS or before == "hundred"
    return before in _SCALE_WORDS or (before in TENS and 0 < _COMPOSED[word] < 10)


def _close(words: list[re.Match[str]]) -> list[Number]:
    """The one number that ``words`` make up; none when there are no words."""
    if not words:
        return []
    total = section = 0
    for match in words:
        word = match[0].lower()
        if word in _COMPOSED:
            section += _COMPOSED[word]
        elif word == "score":
            section *= _SCORE
        elif word == "hundred":
            section = (section or 1) * 100
        else:
            total, section = total + (section or 1) * int(SCALES[word]), 0
    value = total + section
    is_scale = len(words) == 1 and words[0][0].lower() in _SCALE_WORDS  # 5 million is in digits
    scales = is_scale and words[0].string[: words[0].start()].rstrip(" -")[-1:].isdigit()
    may_vanish = value in (1, 2)  # good Korean often leaves out "one", "first" and "second"
    strength = Strength.POSSIBLE if may_vanish or scales else Strength.WORD
    return [Number(Decimal(value), (words[0].start(), words[-1].end()), strength)]


def _read_single(match: re.Match[str], before: list[Number], text: str) -> list[Number]:
    """A word that makes up no number with others, though it may change the one before it."""
    word, span = match[0].lower(), match.span()
    if word in MONTHS:  # capitals tell the months March and May from the verbs
        is_month = match[0][0].isupper()
        return [Number(Decimal(MONTHS[word]), span, Strength.WORD)] if is_month else []
    if word in SURE:
        weeks = (Decimal(2), Decimal(15)) if word == "fortnight" else ()
        return [Number(Decimal(SURE[word]), span, Strength.WORD, weeks)]
    values = [Decimal(value) for value in LOOSE_WORDS[word]]
    if word == "quarter":  # 15 of an hour, else 25 of a hundred
        values.remove(Decimal(25 if OF_AN_HOUR.match(text, span[1]) else 15))
    loose = [Number(values[0], span, Strength.POSSIBLE, tuple(values[1:]))]
    after_and = before and "and" in text[before[-1].span[1] : span[0]]
    if before and (word == "dozen" or (word == "half" and after_and)):
        number = before.pop()  # "two dozen" is 24, "two and a half" is 2.5
        value = number.value * 12 if word == "dozen" else number.value + Decimal("0.5")
        dozens = (number.value,) if word == "dozen" else ()
        return [Number(value, (number.span[0], span[1]), Strength.WORD, dozens)]
    if word == "half":  # "1/2" is two numbers
        loose.append(Number(Decimal(1), span, Strength.POSSIBLE, (Decimal(2),)))
    return loose


# --- Korean numerals ---------------------------------------------------------------------------

_SINO_DIGITS = str.maketrans("영공일이삼사오육칠팔구", "00123456789")
AND_A_HALF = re.compile(
    r"\s?[가-힣]{0,3}\s?반(?:[이을의은만으에과씩쯤인]|까지|부터|정도|가량|동안|경|짜리|(?![가-힣]))"
)  # 두 시간 반
_FIRST = (
    "대예열스서마쉰예일여아하다둘셋넷한첫두세석네넉너"
    "영이삼사오육칠팔구십백천만억조제절정자수반과나닷엿보초시유"
)
_NUMERAL = re.compile(f"[{_FIRST}](?<![가-힣].)")  # a syllable that begins a word and may be one
_SHORT = (  # 서명, 너무, 석권 and 세대 are no numbers
    "한|첫|(?!두면|두부|두발)두|(?!세대|세면|세배)세|네|[석넉](?=\\s?(?:달|장|잔|대|자|섬|줄))"
    "|[서너](?=\\s?(?:말|푼|돈|되))"
)
_NATIVE = re.compile(
    r"(?!열대 ?(?:우림|지방|지역|기후|야|어|과일|성|림|저기압))"  # the tropics
    rf"(?:(?P<tens>{'|'.join(NATIVE_TENS)})(?:(?:하고도?)?\s?(?P<ones>{'|'.join(NATIVE_ONES)}))?"
    rf"|(?P<long>하나|다섯|여섯|일곱|여덟|아홉|둘|셋|넷)|(?P<short>{_SHORT}))"
    rf"(?:(?P<counter>\s?(?:{COUNTERS}))|(?![가-힣])|(?=[은는이가을를의도와과로으에인입])"
    rf"|(?<=[섯곱덟홉]))"
)
_BEFORE_NOUN = re.compile(r"[두세네] (?=[가-힣])")  # 세 소년, with no counter
_TWO_NUMBERS = re.compile(rf"(?:{'|'.join(PAIRS)})(?![십백천만])")
_SINO_RUN = r"[영일이삼사오육칠팔구십백천만억조]+"
_SINO = re.compile(
    rf"(?P<below>{_SINO_RUN})\s?분의\s?(?P<above>{_SINO_RUN})?"
    r"|(?P<run>[영일이삼사오육칠팔구]?[일이삼사오육칠팔구십백천만억조]*[십백천만억조]"
    r"[일이삼사오육칠팔구십백천만억조]*"
    r"(?:(?<=[만억조])\s[일이삼사오육칠팔구]*[십백천][일이삼사오육칠팔구십백천만]*)?)"  # 만 오천
    rf"|제?(?P<single>[일이삼사오육칠팔구])(?=(?:{SINO_COUNTERS})"
    rf"|\s(?:{SINO_COUNTERS})(?:[은는이가을를의에로도만과와씩]|(?![가-힣])))"  # not 이 회사
)
_OTHERS = re.compile(
    rf"(?P<day>{'|'.join(DAYS)})|(?P<loose>{'|'.join(KOREAN_LOOSE_WORDS)})"
    r"(?=[이가을를의은는도로만으에과와인일씩쯤]|까지|부터|정도|동안|경|짜리|제|센|미터|킬"
    r"|[^가-힣]|$)"
)


def read_korean_words(text: str) -> list[Number]:
    """What in a Korean text may be a numeral, native (세, 스물다섯), Sino (삼백오십) or other."""
    numbers: list[Number] = []
    if text.isascii():
        return numbers
    for first in _NUMERAL.finditer(text):
        at = first.start()
        if (native := _NATIVE.match(text, at)) and not text[at - 1 : at].isdigit():  # 6세 is no 세
            value = NATIVE_TENS.get(native["tens"] or "", 0)
            value += NATIVE_ONES.get(native["ones"] or native["long"] or native["short"] or "", 0)
            counted = native["counter"] or _BEFORE_NOUN.match(text, at)
            is_sure = counted and (value > 1 or native["short"] == "첫")
            strength = Strength.WORD if is_sure else Strength.POSSIBLE
            halved = AND_A_HALF.match(text, native.end())
            others = (value + _HALF,) if halved else ()
            if is_sure and not native["counter"]:
                others = (Decimal(value),)  # 세 소년: a little less sure than 세 명
            end = native.start("counter") if native["counter"] else native.end()
            numbers.append(Number(Decimal(value), (at, end), strength, others))
        if pair := _TWO_NUMBERS.match(text, at):
            numbers += [_possible([Decimal(n)], pair.span()) for n in PAIRS[pair[0]]]
        if sino := _SINO.match(text, at):
            numbers += [
                _possible(_read_run(run.replace(" ", "")), sino.span())
                for run in sino.group("below", "above", "run", "single")
                if run
            ]
        if other := _OTHERS.match(text, at):
            numbers += _read_other(other)
    return numbers


def _possible(values: list[Decimal], span: tuple[int, int]) -> Number:
    return Number(values[0], span, Strength.POSSIBLE, tuple(values[1:]))


def _read_run(run: str) -> list[Decimal]:
    """A run's value, and without its last syllable: 오십이다 is "is fifty"."""
    return [read_sino(run), *([read_sino(run[:-1])] if len(run) > 1 else [])]


def _read_other(match: re.Match[str]) -> list[Number]:
    if match["day"]:
        days = Decimal(DAYS[match["day"]])
        strength = Strength.WORD if match["day"] in SURE_DAYS else Strength.POSSIBLE
        half = AND_A_HALF.match(match.string, match.end())  # 하루 반
        others = (24 * days, *((days + _HALF, 24 * (days + _HALF)) if half else ()))
        return [Number(days, match.span(), strength, others)]
    values = [Decimal(value) for value in KOREAN_LOOSE_WORDS[match["loose"]]]
    numbers = [_possible(values, match.span())]
    if match["loose"] in ("반", "절반"):  # "1/2" is two numbers
        numbers.append(_possible([Decimal(1), *values], match.span()))
    return numbers


# What a whole numeral is made of: 이백스물다섯, 서른두, 사십이; 이십 점 오 is not read.
_WHOLE = re.compile(
    rf"(?P<sino>[영공일이삼사오육륙칠팔구십백천만억조]*?)"
    rf"(?P<tens>{'|'.join(NATIVE_TENS)})?(?P<ones>{'|'.join(NATIVE_ONES)})?"
)
_DIGIT_RUN = re.compile(r"[영공일이삼사오육륙칠팔구]{2,}")


def read_numeral(text: str) -> Decimal | None:
    """The number that a text of Korean syllables is from end to end, else None.

    Native (스물다섯), Sino (이백오십) or both (백스물다섯); not digit by digit (공일공).
    """
    bare = text.replace(" ", "").replace("륙", "육")
    found = _WHOLE.fullmatch(bare)
    if not bare or not found or _DIGIT_RUN.search(found["sino"]):
        return None
    native = NATIVE_TENS.get(found["tens"] or "", 0) + NATIVE_ONES.get(found["ones"] or "", 0)
    if native and found["sino"] and found["sino"][-1] not in "백천만억조":
        return None
    return (read_sino(found["sino"]) if found["sino"] else Decimal(0)) + native
