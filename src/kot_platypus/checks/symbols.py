"""The check that mathematics came through whole."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import NamedTuple

from kot_platypus.checks.findings import Findings, make_finding, shorten
from kot_platypus.checks.formulas import blank_shared, find_formulas
from kot_platypus.checks.segments import BLANK, Text

_broken = partial(make_finding, "math_symbols")


class Sign(NamedTuple):
    """A sign of plain text: its spellings, and the words that say it in either language.

    ``spellings`` is one class: × and x between numbers are the same. None is looked for where no
    ``marks`` are. Words may stand for a sign: ``all_words``, or those that the other language does
    not say too.
    """

    marks: frozenset[str]
    spellings: re.Pattern[str]
    english: re.Pattern[str]
    korean: re.Pattern[str]
    all_words: bool = False


def _sign(marks: str, sign: str, english: str, korean: str, *, all_words: bool = False) -> Sign:
    patterns = re.compile(sign), re.compile(english), re.compile(korean)
    return Sign(frozenset(marks), *patterns, all_words)


_SIGNS = {
    "=": _sign("=", r"=(?<![<>=!:/]=)(?![=>])(?<![가-힣]=)",
               r"equal|makes|gives|totals|same",
               r"같[다습으음아지고을]|등호|동일|\b[A-Za-z\d]+[은는이가] (?=[-−]?\d)|또는"
               r"|\d ?[가-힣]{1,3}[은는] (?=[-−]?\d)|배인 (?=\d)|\([^()]+[은는] (?=[-−]?\d)"
               r"|(?:더하|빼|곱하|나누)면 (?=[-−]?\d[\d.,]*+(?! ?[-−+×*÷/]))"),
    "≠": _sign("≠!", r"≠|!=", r"not equal|differs? from|unequal", "같지 않|다르"),
    "+": _sign("+", r"\+(?<=[\w)\]}\s^]\+)(?=\s?[\w($\\.])", r"\bplus\b|add(?:ed|ing|ition)?\b"
                        r"|\bsum\b",
               "더하|더한|더해|플러스|덧셈|합[은이을]"),
    "×": _sign("×✕*⋅·", r"[×✕⋅](?!(?<=\b[A-Za-z] .) [A-Za-z]\b)|(?<=[\d)]) x (?=[\d(])"
    r"|(?<=[\d cm]m) x (?=\d)|(?<=미터) x (?=\d)"
               r"|(?<=[\d)a-z]) \* (?=[\d($a-z])|(?<=[\d)])[x*](?=[\d(])"
               r"|(?<=[0-9A-Za-z)])(?<![a-z]{2})\s?·\s?(?=[0-9A-Za-z(])"
               r"(?!\d+ ?[전운혁학월일층번호차])",
               r"\btimes\b|multipl|product of|\d(?: ?[a-z]+)? by \d"
               r"|\d[eE]-?\d|\d\(\d",
               r"곱하|곱한|곱해|곱셈|곱[은이을]|의 ?\d[\d.]*배"),
    "÷": _sign("÷/", r"÷|(?<=[\d)러원로엔]) / (?=[\d(])",
               r"divid|\bover\b|ratio", "나누|나눈|나눗"),
    "/": _sign("/", r"/(?<=[\da-z)]/)(?=[\d(])", r"half|quarter|third|fourth|fifth|sixth|tenth"
               r"|\d out of \d",
               r"분의|절반|반|나누|나눈|년|월|중|만점|\d[.-] ?(?=\d)|[½⅓⅔¼¾]", all_words=True),
    "<": _sign("<＜", r"[<＜](?<=[\w)\s].)(?=[\s\d(a-z-])(?!-)", r"less than|smaller than|below",
               "작|미만|음수"),
    ">": _sign(">＞", r"[>＞](?<=[\w)\s].)(?<![가-힣]>)(?=[\s\d(a-z-])",
               r"greater|larger|above|exceed",
               "보다 [크큰]|초과|양수"),
    "≤": _sign("≤⩽<", r"≤|⩽|<=(?!>)", r"at most|no more than|not exceed", "이하|작거나"),
    "≥": _sign("≥⩾>", r"≥|⩾|>=(?<!=>=)", r"at least|no less than", "이상|크거나"),
    "^": _sign("^⁰¹²³⁴⁵⁶⁷⁸⁹", r"\^(?<=[\w)\]}]\^)(?=[\w({-])|[⁰¹²³⁴-⁹]+",
               r"\d[eE]-?\d"
               r"|\bsquared?\b (?:\w+)?(?:met(?:er|re)|feet|foot|mile|inch|yard|cm|km|m\b)"
               r"|\bcubic (?!equation|function|poly)|\bsquared\b|\bcubed\b",
               "제곱(?!근)|평방|입방|[㎡㎥㎠㎢㎤]"),
    "√": _sign("√", r"√", r"\broot\b", "루트|제곱근|근호"),
    "→": _sign("→=⇒⟹>", r"→|->|=>|⇒|⟹", r"implies|\bthen\b", "이면|하면"),
    "°": _sign("°º℃℉", r"°|º|℃|℉", r"degree", r"(?<=\d)\s?도"),
    "±": _sign("±+", r"±|\+/-", r"plus or minus", "플러스마이너스"),
    "≈": _sign("≈", r"≈", r"about|approx|roughly", "약|대략|정도|가량|쯤|가까"),
    "∈": _sign("∈", r"∈", r"element|belongs|\bin\b",
               "실수|정수|자연수|유리수|복소수|원소|속[하한]"),
    "∥": _sign("∥|", r"∥|(?<=[A-Za-z] )\|\|(?= [A-Za-z])", r"parallel", "평행"),
    "π": _sign("π", r"π", r"\bpi\b", "파이|원주율"),
}  # fmt: skip
# One count each, and no words for them: sets, logic, calculus.
_BARE = frozenset("∉∪∩⊂⊆∅∀∃∑∏∫∂∞∠⊥≡∝∴∵∧∨¬↔∆∇")
_MARKS = _BARE.union(*(sign.marks for sign in _SIGNS.values()))
_ANY = re.compile(f"[{re.escape(''.join(sorted(_MARKS)))}]")
_BINARY_MINUS = re.compile(
    r"(?:(?<=[\d)])|(?<=\d달러)|(?<=\d원)|(?<=\b[a-zA-Z])) [-−–] (?=[\d($\\]|[a-zA-Z]\b)"
)
_COMMAND = re.compile(r"\\(?:[A-Za-z가-힣]+|[][{}()])")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|textit|mbox)\s*\{[^{}]*\}")
_UNSEEN = re.compile(r"\\(?:[,;!: ]|quad\b|qquad\b|left\b|right\b|displaystyle\b)|\s+")
STRAY_DOLLAR = re.compile(r"(?<!\\)\$(?!\s?\d)")


_SIDES = ("left", "right")


def find_math_symbols(source: Text, translation: Text) -> Findings:
    r"""Formulas are the same, LaTeX commands and brackets are whole, and no operator is lost.

    Catches \times as \시간, \frac without its backslash, a $ or brace lost, <= as <, x^2 as x2.
    Look-alikes: other spaces within a formula, translated \text{...}, a sign said in words
    (5 × 3 as 5 곱하기 3, 30° as 30도), $5 as 5달러.
    """
    sides = [len(re.findall(rf"\\{side}(?![A-Za-z])", translation.raw)) for side in _SIDES]
    if sides[0] != sides[1] and source.raw.count("\\left") == source.raw.count("\\right"):
        yield _broken(r"\left without \right")
    if [*map(source.cut, source.math)] != [*map(translation.cut, translation.math)]:
        yield from _compare_formulas(source, translation)
    if "\\" in source.prose or "\\" in translation.prose:
        yield from _compare_commands(source, translation)
    if "$" in source.raw:
        yield from _compare_dollars(source, translation)
    yield from find_formulas(source, translation)
    left, right = blank_shared(source.prose, translation.prose)
    if "10" in left and _SCALED.search(right):  # 9.46 × 10^12 km as 9조 4,600억 km
        left = _SCIENTIFIC.sub(lambda match: BLANK * len(match[0]), left)
    yield from _compare_signs(left, right)
    if any(minus in left for minus in (" - ", " − ", " – ")):
        yield from _compare_minus(left, right)


_SCIENTIFIC = re.compile(r"(?<=\d) ?[×x*·] ?10(?:\^\d+|[⁰¹²³⁴-⁹]+)")
_SCALED = re.compile(r"\d ?[천백십]?[만억조]")


def _compare_minus(left: str, right: str) -> Findings:
    """A minus between two terms; a dash between words is none, and 3 - 5 may come as 3~5."""
    wanted = len(_BINARY_MINUS.findall(left))
    found = len(_BINARY_MINUS.findall(right))
    said = len(re.findall(r"빼|뺀|뺄|마이너스|\d\s?~", right))
    said -= len(re.findall(r"(?i)subtract|minus|take away|\bless\b", left))
    if wanted > found + max(0, said):
        yield _broken(f"-: {wanted} became {found}")


def _compare_formulas(source: Text, translation: Text) -> Findings:
    wanted = Counter(_normalise(source.cut(span)) for span in source.math)
    found = Counter(_normalise(translation.cut(span)) for span in translation.math)
    if wanted == found:
        return
    lost, new = wanted - found, found - wanted
    known = "".join(wanted)
    if not lost and all(x in wanted or _NAME.fullmatch(x) or x.strip("\\{}") in known for x in new):
        return  # Korean repeats a subject where English says "it"; or a name in signs of its own
    if not new and all(x in found and _NAME.fullmatch(x) for x in lost):
        return  # Korean leaves a subject out where English names it again
    if lost and _are_said_apart(list(wanted), list(lost), list(new), translation):
        return
    parts = [f"lost: {shorten(formula, 40)}" for formula in lost][:2]
    parts += [f"new: {shorten(formula, 40)}" for formula in new][:2]
    yield _broken(
        "formulas differ; " + "; ".join(parts),
        (span for span in source.math if _normalise(source.cut(span)) in lost),
        (span for span in translation.math if _normalise(translation.cut(span)) in new),
    )


_NAME = re.compile(r"-?(?:[A-Za-z]|\d+)")
_RELATION = re.compile(r"(=|<|>|\\(?:[lg](?:eq?|t)|neq?|approx|equiv)(?![A-Za-z])|≤|≥|≠|≈)")
_TURNED = {">": "<", "\\gt": "<", "\\ge": "\\le", "≥": "≤"}
_SIGN_OF = {"\\lt": "<", "\\gt": ">", "\\le": "≤", "\\ge": "≥"}
_SAID_RELATIONS = {
    "<": "작|미만|음[수의]", ">": "[크큰]|초과|양[수의]|넘", "≤": "이하|작거나", "≥": "이상"
    "|크거나",
}  # fmt: skip


def _are_said_apart(
    formulas: list[str], lost: list[str], new: list[str], translation: Text
) -> bool:
    """Whether what a lost formula relates is still there, and nothing new is related.

    f(1) = -1 < 0 as f(1) = -1 and 음수, p > 1 as 1보다 큰 p, a = b ≈ c as a = b and 약 c.
    """
    sides, relations = _read_relations(formulas)
    new_sides, new_relations = _read_relations(new)
    if not new_sides <= sides or not new_relations <= relations:
        return False
    gone = _read_relations(lost)[0] - new_sides - {"0"}
    signs = {sign for formula in lost for sign in _RELATION.findall(formula)}
    said = (_SAID_RELATIONS.get(_SIGN_OF.get(sign, sign), "") for sign in signs)
    are_said = all(re.search(words, translation.prose) for words in said)
    return bool(signs) and are_said and all(one in translation.raw for one in gone)


def _read_relations(formulas: list[str]) -> tuple[set[str], set[tuple[str, str, str]]]:
    """What stands beside the relation signs of formulas, and what is related to what."""
    sides: set[str] = set()
    relations: set[tuple[str, str, str]] = set()
    for formula in formulas:
        parts = _RELATION.split(formula)
        sides |= set(parts[::2])
        for left, sign, right in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            if sign in _TURNED:
                relations.add((right, _TURNED[sign], left))
            elif sign in ("<", "\\lt", "\\le", "≤"):
                relations.add((left, sign, right))
            else:
                relations.add(
                    (min(left, right), "=" if "approx" in sign else sign, max(left, right))
                )
    return sides, relations


def _normalise(formula: str) -> str:
    r"""A formula without its delimiters' kind, its spaces and the words in \text{...}."""
    inner = formula
    if formula[0] == "$":
        inner = formula.strip("$")
    elif formula[1] in "[(":
        inner = formula[2:-2]
    inner = _ALIKE.sub(r"\\\1", _TEXT_COMMAND.sub(r"\\text", inner))
    inner = _CLOSING.sub("", _UNSEEN.sub("", inner))
    return _ONE_IN_BRACES.sub(r"\1", inner).rstrip(".,")


_ALIKE = re.compile(r"\\(?:[dt](?=frac)|(?=leq?|geq?|neq?))(frac|(?:le|ge|ne)(?=q(?![A-Za-z])))q?")
_CLOSING = re.compile(r"[.,](?=\\end\b)")
_ONE_IN_BRACES = re.compile(
    r"(?<![A-Za-z])\{(\w|\\[A-Za-z]+(?=\}(?![A-Za-z])))\}"
)  # \binom53, 90^\circ


def _compare_commands(source: Text, translation: Text) -> Findings:
    wanted = Counter(_COMMAND.findall(source.prose))
    found = Counter(_COMMAND.findall(translation.prose))
    if wanted != found:
        names = [*(wanted - found), *(found - wanted)]
        yield _broken(f"LaTeX commands differ: {', '.join(names[:5])}")


def _compare_dollars(source: Text, translation: Text) -> Findings:
    """A $ that opens no formula and no price is half of a broken pair."""
    stray = len(STRAY_DOLLAR.findall(translation.prose))
    if source.math and stray > len(STRAY_DOLLAR.findall(source.prose)):
        yield _broken("a $ without its partner")


_WORD_EQUALS = re.compile("[a-z]{3} = ")  # profit = 5 is 이익은 5
_BOUND = re.compile(r"(?<![\w.)])(?<![-+*/×=^] )\d+(?:\.\d+)? ?[<>≤≥](?= ?[a-zA-Z(])")
_BOUND_SIGNS = frozenset("<>≤≥")
_TURNED_SIGNS = str.maketrans("<>≤≥", "><≥≤")


def _compare_signs(left: str, right: str) -> Findings:
    # 5 ≤ y counts as y ≥ 5, which may come as y가 5 이상.
    left, right = (
        text
        if _BOUND_SIGNS.isdisjoint(text)
        else _BOUND.sub(lambda match: match[0].translate(_TURNED_SIGNS), text)
        for text in (left, right)
    )
    present = {*_ANY.findall(left), *_ANY.findall(right)}
    if not present:
        return
    for char in sorted(present & _BARE):
        if left.count(char) != right.count(char):
            yield _broken(f"{char}: {left.count(char)} became {right.count(char)}")
    names = [name for name, sign in _SIGNS.items() if not present.isdisjoint(sign.marks)]
    for name in names:
        sign = _SIGNS[name]
        wanted = [match.span() for match in sign.spellings.finditer(left)]
        found = [match.span() for match in sign.spellings.finditer(right)]
        gap = len(wanted) - len(found)
        if name == "=":  # one more may be in words: 6/36, or one sixth
            gap = max(0, gap - len(_WORD_EQUALS.findall(left)))
        if gap and not _is_said(sign, gap, left, right):
            yield _broken(f"{name}: {len(wanted)} became {len(found)}", wanted, found)
            return


def _is_said(sign: Sign, gap: int, left: str, right: str) -> bool:
    """Whether words make up for ``gap`` signs too few (or, below 0, too many) on the right."""
    english, korean = len(sign.english.findall(left)), len(sign.korean.findall(right))
    if not sign.all_words:  # what both languages say is no sign in either
        english, korean = english - min(english, korean), korean - min(english, korean)
    return gap <= korean and -gap <= 2 * english  # 1 to 3 degrees may be 1℃에서 3℃
