"""What makes two problems of two texts that are nearly alike: numbers, signs, negation, opposites.

``세 개를 샀다`` and ``네 개를 샀다`` are alike but for a syllable, and are two problems.
What both texts say cancels out, so a syllable that only looks like a numeral does no harm unless it
is what differs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

from kot_platypus.numerals import (
    AND_A_HALF,
    Number,
    Strength,
    read_digits,
    read_english_words,
    read_korean_words,
    read_sino,
)


def tell_apart(first: str, second: str) -> bool:
    """Whether two texts that are nearly alike ask two things.

    They do if their numbers, signs or negations differ, or if one has the opposite of a word of the
    other. A number in words equals the same in digits. Numbers that changed places differ, too;
    clauses that did, with their numbers, do not.
    """
    one, other = _cut_ends(_tidy(first), _tidy(second))
    return (
        _count_operators(one) != _count_operators(other)
        or _numbers_differ(one, other)
        or _negations_differ(one, other)
        or _opposites_differ(one, other)
    )


def list_values(text: str) -> list[str]:
    """The values of a text's sure numbers, sorted: ``세 개``, ``3개`` and ``3.0개`` have one."""
    sure = (number.value for number in _read_numbers(_tidy(text)) if number.strength)
    return sorted(str(value.normalize()) for value in sure)


def _tidy(text: str) -> str:
    return _write_dates(unicodedata.normalize("NFKC", text))


_CONTEXT = 2
"""So many words before and after what differs are looked at: a numeral needs its unit."""


def _cut_ends(first: str, second: str) -> tuple[str, str]:
    """Two texts without the words with which both begin and end, but for the nearest."""
    one, other = first.split(), second.split()
    least = min(len(one), len(other))
    start = next((i for i in range(least) if one[i] != other[i]), least)
    rest = least - start
    same = next((i for i in range(rest) if one[-1 - i] != other[-1 - i]), rest)
    begin, after = max(0, start - _CONTEXT), max(0, same - _CONTEXT)
    return " ".join(one[begin : len(one) - after]), " ".join(other[begin : len(other) - after])


def _crush(text: str) -> str:
    """A text without its spaces: Korean is free to set or to leave out many of them."""
    return "".join(text.split())


# --- signs -------------------------------------------------------------------------------------

# It begins with a set of characters, and not with a choice: the search is 20 times as fast.
_SIGN = re.compile(r"[0-9+\-−×÷*/^=<>≤≥±√%~∼](?:(?<=[0-9])[0-9,]*(?:\.[0-9]+)?)?")
_ALWAYS = frozenset("×÷=≤≥±√^")
_LEADING_ZEROS = re.compile(r"^0+(?=[0-9])")
_CANONICAL = str.maketrans("−*∼", "-×~")
_MATH_BEFORE = re.compile(r"(?:[0-9)\]%√]|(?<![A-Za-z])[A-Za-z]|[+×÷=])\s*\Z")
_MATH_AFTER = re.compile(r"\s*(?:[0-9(\[√]|[A-Za-z](?![A-Za-z])|[+×÷=])")
_DATE = re.compile(r"([12](?<![0-9].)[0-9]{3})[-./] ?([01]?[0-9])[-./] ?([0-3]?[0-9])(?![0-9])")


def list_signs(text: str) -> tuple[str, ...]:
    """A text's numbers in digits and the operators beside them, in order.

    The normal form has lost some of both: ``3.5`` is ``35`` there, ``3 + 4`` is ``3 - 4``.
    ``1,000`` is ``1000``, ``3.50`` is ``3.5``; a hyphen or a slash counts in arithmetic only.
    """
    plain = _write_dates(unicodedata.normalize("NFKC", text))
    return tuple(sign for found in _SIGN.finditer(plain) if (sign := _read_sign(plain, found)))


def _write_dates(text: str) -> str:
    """2024-03-15 as 2024 3 15, with any separator."""
    return _DATE.sub(lambda found: " ".join(part.lstrip("0") for part in found.groups()), text)


def _read_sign(text: str, found: re.Match[str]) -> str:
    """A number or an operator as it is compared; none where it is punctuation."""
    sign, (start, end) = found[0].translate(_CANONICAL), found.span()
    if sign[0].isdigit():
        sign = sign.replace(",", "")
        if "." in sign:
            sign = sign.rstrip("0").rstrip(".")
        return _LEADING_ZEROS.sub("", sign)
    if found[0] in _ALWAYS:
        return sign
    before = _MATH_BEFORE.search(text, max(0, start - 3), start)
    if sign in "%":
        return sign if before else ""
    after = _MATH_AFTER.match(text, end)
    if sign == "-" and after and not before:  # -4, but no hyphen of COVID-19 and no bullet
        is_minus = after.end() == end + 1 and not text[max(0, start - 1) : start].isalnum()
        return sign if is_minus else ""
    return ("-" if sign == "~" else sign) if before and after else ""


_OPERATOR_WORDS = {
    "분의": "/",
    "퍼센트": "%",
    "더하기": "+",
    "빼기": "-",
    "곱하기": "×",
    "나누기": "÷",
}
_OPERATOR_WORD = re.compile("|".join(_OPERATOR_WORDS))
_ALIKE = {"÷": "/", "⁄": "/"}


def _count_operators(text: str) -> Counter[str]:
    signs = [sign for sign in list_signs(text) if not sign[0].isdigit()]
    signs += (_OPERATOR_WORDS[word] for word in _OPERATOR_WORD.findall(text))
    return Counter(_ALIKE.get(sign, sign) for sign in signs)


# --- numbers -----------------------------------------------------------------------------------

_COUNTER = re.compile(
    r"\s?(?:원|달러|유로|엔|개|명|인|분|초|시|일|주|월|년|살|세|도|배|번|차|회|위|등|층|호|권|쪽|면|장|점|"
    r"대|마리|송이|자루|잔|병|컵|퍼센트|프로|킬로|미터|센티|밀리|그램|리터|톤|평|각형|학년|반|단계|가지|사람)"
)
_SYLLABLE = re.compile(rf"(?<![가-힣])[일이삼사오육칠팔구](?= )(?={_COUNTER.pattern})")
_PARTICLE = re.compile(
    r"[은는이가을를의와과도로만에]|(?![가-힣])|까지|부터|보다|이다|입니|이라|이고"
)
_SINO_ONES = frozenset("일이삼사오육칠팔구")
_SINO_UNITS = frozenset("십백천만억조")
_UNITS = {"백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12}
_MAY_BE_NO_NUMERAL = frozenset("이일만조")
"""At its end: 오십이 되다 (becomes fifty), 삼십일 (thirty days), 백만 (only a hundred)."""


def _read_numbers(text: str) -> list[Number]:
    """The numbers of a text in the order of their places, as surely as each is meant."""
    digits = [number._replace(others=()) for number in read_digits(text)]
    taken = {place for number in digits for place in range(*number.span)}
    words = [*read_korean_words(text), *read_english_words(text)]
    read = {number.span[0] for number in words}
    words += (each for each in _read_syllables(text) if each.span[0] not in read)
    taken |= {at for each in words for at in range(each.span[0] + 1, each.span[1])}  # 삼만 오천
    free = (number for number in words if number.span[0] not in taken)
    weighed = (weighed for number in free if (weighed := _weigh(text, number)))
    numbers: list[Number] = []
    for number in sorted([*digits, *weighed], key=lambda number: number.span):
        if numbers and _goes_on(text, numbers[-1], number):
            before = numbers.pop()
            span = before.span[0], number.span[1]
            number = number._replace(value=before.value + number.value, span=span)
        numbers.append(number)
    return numbers


def _read_syllables(text: str) -> Iterator[Number]:
    """What may be a numeral of one syllable before a unit: 칠 센티미터, and 이 회 of 이 회사 too.

    Here a doubtful one does no harm: it counts only where the other text has another.
    """
    for found in _SYLLABLE.finditer(text):
        yield Number(read_sino(found[0]), found.span(), Strength.POSSIBLE)


def _goes_on(text: str, before: Number, number: Number) -> bool:
    """Whether two numbers are one: 삼만 오천."""
    unit = _UNITS.get(text[before.span[1] - 1])
    gap = text[before.span[1] : number.span[0]]
    return unit is not None and gap == " " and number.value < unit


def _weigh(text: str, number: Number) -> Number | None:
    """A numeral in words, as sure as its neighbours make it; None if they show it is none."""
    start, end = number.span
    run = text[start:end].replace(" ", "")
    if number.others == (number.value,):  # 네 이웃: four of them, or yours
        return number._replace(strength=Strength.POSSIBLE, others=())
    if run in ("반", "절반") and number.value == 1:
        return None  # the 1 of its 1/2, which the other side may spell out
    follows = run == "반" and re.search(r"[가-힣] ?\Z", text[:start])
    if follows and AND_A_HALF.match(" " + text[start:]):
        return number._replace(strength=Strength.WORD)  # 두 시간 반
    if not set(run) <= _SINO_ONES | _SINO_UNITS:
        return number
    if run[-1] == "조" and text[end : end + 1] == "차":  # 그런 일조차: even that
        return None
    counted = _COUNTER.match(text, end)
    is_composed = len(run) > 1 and bool(set(run) & _SINO_UNITS) and run[0] != run[-1]
    if counted and is_composed:
        return number._replace(strength=Strength.WORD, others=())
    if not counted and not is_composed and not _PARTICLE.match(text, end):
        return None  # 만약, 천천히
    others = number.others if run[-1] in _MAY_BE_NO_NUMERAL and not counted else ()
    return number._replace(others=others)


def _numbers_differ(first: str, second: str) -> bool:
    one, other = _read_numbers(first), _read_numbers(second)
    left, right = _cancel(one, other)
    left = _drop_written_alike(first, second, left)
    right = _drop_written_alike(second, first, right)
    if any(number.strength for number in (*left, *right)):
        return True
    return bool(left and right) or _changed_places(first, second, one, other)


def _cancel(left: Iterable[Number], right: Iterable[Number]) -> tuple[list[Number], list[Number]]:
    """What is left of two lists without what may be the same, first that which surely is."""
    rest, free = (sorted(side, key=lambda each: -each.strength) for side in (left, right))
    for loosely in (False, True):
        unpaired = []
        for number in rest:
            partner = next((each for each in free if _equals(number, each, loosely)), None)
            if partner is None:
                unpaired.append(number)
            else:
                free.remove(partner)
        rest = unpaired
    return rest, free


def _equals(one: Number, other: Number, loosely: bool) -> bool:
    if one.value == other.value or not loosely:
        return one.value == other.value
    return one.value in other.others or other.value in one.others


def _drop_written_alike(text: str, other: str, numbers: list[Number]) -> list[Number]:
    """Without those that the other text has as well, only between other spaces: 사과세개."""
    if not numbers:
        return []
    here, there = _crush(text), _crush(other)
    kept = []
    for number in numbers:
        start, end = number.span
        written = _crush(text[start:end]) + text[end:].lstrip()[:1]
        if number.strength is Strength.DIGITS or here.count(written) > there.count(written):
            kept.append(number)
    return kept


_CLAUSE = 4
"""So many words before a number say what it counts, at most: 빨간 유리 구슬 12개."""


def _changed_places(first: str, second: str, one: list[Number], other: list[Number]) -> bool:
    """Whether the same numbers stand after the same words, but others after some of them."""
    values, others = [each.value for each in one], [each.value for each in other]
    if values == others or sorted(values) != sorted(others):
        return False
    for length in range(1, _CLAUSE + 1):
        bound, rebound = sorted(_bind(first, one, length)), sorted(_bind(second, other, length))
        if bound != rebound and [words for words, _ in bound] == [words for words, _ in rebound]:
            return True
    return False


def _bind(text: str, numbers: list[Number], length: int) -> list[tuple[list[str], str]]:
    """Each number's value with the beginnings of the words before it, after the last number."""
    bound, last = [], 0
    for number in numbers:
        start, end = number.span
        words = text[last:start].split()[-length:] or text[:start].split()[-1:]
        bound.append(([word[:2] for word in words], str(number.value.normalize())))
        last = end + len(text[end:].partition(" ")[0])
    return bound


# --- negation and opposites --------------------------------------------------------------------

_ADVERB = re.compile(r"(?<![가-힣])([안못]) ([가-힣]{1,2})")
_NEGATION = re.compile(
    r"지(?:는|도|를|가)?(?:않|못|말)|(?<!밖에)(?<!틀림)(?<!끊임)(?<!어김)(?<!상관)(?<!관계)없"
    r"|(?<!뿐)(?<!뿐만)아(?:니(?!면)|닌|닙|님)"
)
_ENGLISH_NEGATION = re.compile(r"(?i)\b(?:not|never|cannot|without|nor)\b|n['’]t\b")


def _negations_differ(first: str, second: str) -> bool:
    adverbs = _list_adverbs(first, second) | _list_adverbs(second, first)
    return _count_negations(first, adverbs) != _count_negations(second, adverbs)


def _list_adverbs(text: str, other: str) -> set[str]:
    """안 and 못 with what follows, without the space: 안 간다; 안간다 where the other has 간다."""
    spaced = {adverb + verb for adverb, verb in _ADVERB.findall(text)}
    words = set(other.split())
    glued = {word[:3] for word in text.split() if word[0] in "안못" and word[1:] in words}
    return spaced | glued


def _count_negations(text: str, adverbs: Iterable[str]) -> int:
    crushed = _crush(text)
    return (
        len(_NEGATION.findall(crushed))
        + len(_ENGLISH_NEGATION.findall(text))
        + sum(crushed.count(adverb) for adverb in adverbs)
    )


# A family a line, its members parted by spaces, the forms of one by strokes. One syllable counts
# where a word begins.
_FAMILIES = """
오전 오후
a.m./am p.m./pm
이상 이하 초과 미만
최대 최소
최댓값 최솟값
왼쪽/왼편 오른쪽/오른편
위쪽/위에/위로 아래
앞 뒤
많 적은/적다/적을/적어/적게
큰/크/큽/커/클 작
높 낮
길/긴 짧
빠르/빠른/빨 느리/느린
무거/무겁 가벼/가볍
먼저 나중
처음 마지막
늘어/늘었/늘린/늘리 줄어/줄었/줄인/줄이
영상 영하
지난 다음
증가 감소
더하/더한 빼/뺀 곱하/곱한 나누/나눈
합 차 곱 몫 나머지
짝수 홀수
양수 음수
참 거짓
옳 그르/그른 틀리/틀린
같 다르/다른
동의어/유의어 반의어/반대말
긍정 부정
찬성 반대
장점 단점
원인 결과
능동 피동/수동
직접 간접
가능 불가능
아는/안다/알 모르/모른/모를
어제 오늘 내일 모레
작년 올해 내년
월요일 화요일 수요일 목요일 금요일 토요일 일요일
봄 여름 가을 겨울
동쪽 서쪽 남쪽 북쪽
"""


def _list_forms() -> dict[str, tuple[int, int]]:
    """Each form with its family and its place there."""
    lines = _FAMILIES.strip().splitlines()
    return {
        form: (family, member)
        for family, line in enumerate(lines)
        for member, forms in enumerate(line.split())
        for form in forms.split("/")
    }


_FORMS = _list_forms()
_FORM = re.compile(
    "|".join(
        (r"(?<![가-힣])" if len(form) == 1 else r"(?<![A-Za-z])") + re.escape(form)
        for form in sorted(_FORMS, key=len, reverse=True)
    )
)


def _opposites_differ(first: str, second: str) -> bool:
    one, other = Counter(first.split()), Counter(second.split())
    left, right = _list_members(one - other), _list_members(other - one)
    return not {family for family, _ in left - right}.isdisjoint(f for f, _ in right - left)


def _list_members(words: Iterable[str]) -> set[tuple[int, int]]:
    return {member for word in words for member in _read_members(word)}


# A word's reading costs more than all else, and most words are frequent.
@lru_cache(maxsize=1 << 16)
def _read_members(word: str) -> tuple[tuple[int, int], ...]:
    return tuple(_FORMS[form] for form in _FORM.findall(word))
