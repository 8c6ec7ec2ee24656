"""The check that mathematics came through whole."""

from __future__ import annotations

import re
from collections import Counter

from kot_platypus.data.checks.findings import Finding, Findings, shorten
from kot_platypus.data.checks.segments import Text

# Each sign of plain text, by the class in which spellings are equal, and the words that may say
# it in English and in Korean.
_SIGNS: dict[str, tuple[str, str, str]] = {
    "=": (r"(?<![<>=!:/])=(?![=>])", r"equal|is\b|are\b|makes|gives", "같|등호|는|은|이다"),
    "≠": (r"≠|!=", "not equal|differ", "같지|다르|다른"),
    "+": (r"(?<=[\w)\]}\s^])\+(?=\s?[\w($\\.])", r"plus|add|sum|and\b|more", "더하|더한|더해|플러스|합"),
    "×": (r"[×✕]|(?<=[\d)a-z]) [x*] (?=[\d(a-z])|(?<=[\d)])[x*](?=[\d(])|⋅|(?<=\w)·(?=\w)",
          r"times|multipl|product|by\b|of\b", "곱|배|×"),
    "÷": (r"÷|(?<=[\d)]) / (?=[\d(])", "divid|over|per|ratio", "나누|나눈|나눗|분의"),
    "/": (r"(?<=[\da-z)])/(?=[\d(])", "half|quarter|third|fourth|fifth|over|divid|per|out of",
          "분의|절반|반|나누|나눈|당|중|월|에서"),
    "<": (r"(?<=[\w)\s])[<＜](?=[\s\d(a-z-])(?!-)", "less|smaller|below|fewer", "작|미만|적"),
    ">": (r"(?<=[\w)\s])(?<!-)[>＞](?=[\s\d(a-z-])", "greater|more|larger|above|exceed",
          "크|초과|많|큰|클"),
    "≤": (r"≤|⩽|<=(?!>)", "at most|less|no more|up to|not exceed", "이하|작거나"),
    "≥": (r"≥|⩾|(?<!=)>=", "at least|greater|no less|or more", "이상|크거나"),
    "^": (r"(?<=[\w)\]}])\^(?=[\w({-])|[⁰¹²³⁴-⁹]", r"square|cube|cubic|power|\bto the", "제곱|승"),
    "√": (r"√", "root", "루트|제곱근|근호"),
    "→": (r"→|->|=>|⇒|⟹", "implies|then|to", "이면"),
    "°": (r"°|º|℃", "degree", "도"),
    "±": (r"±|\+/-", "plus or minus|give or take", "플러스|오차"),
    "π": (r"π", r"\bpi\b", "파이|원주율"),
}  # fmt: skip
# One count each, no words for them: sets, logic, calculus.
_BARE = "∈∉∪∩⊂⊆∅∀∃∑∏∫∂∞∠≈≡∝∴∵∧∨¬↔∆∇"
_SIGN = {
    name: (re.compile(sign), re.compile(english), re.compile(korean))
    for name, (sign, english, korean) in _SIGNS.items()
}
_ANY_SIGN = re.compile(rf"[=+×✕*÷/<>≤≥⩽⩾≠^√→⇒⟹°º℃±π⁰¹²³⁴-⁹⋅·{_BARE}]|\d ?x ?\d")
_BINARY_MINUS = re.compile(r"(?:(?<=[\d)])|(?<=\b[a-zA-Z])) [-−–] (?=[\d($\\]|[a-zA-Z]\b)")
_COMMAND = re.compile(r"\\(?:[A-Za-z가-힣]+|[{}])")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|textit|mbox|operatorname)\s*\{[^{}]*\}")
_UNSEEN = re.compile(r"\\(?:[,;!: ]|quad\b|qquad\b|left\b|right\b|displaystyle\b)|\s+")
_STRAY_DOLLAR = re.compile(r"(?<!\\)\$(?!\s?\d)")


def find_math_symbols(source: Text, translation: Text) -> Findings:
    r"""Formulas are the same, LaTeX commands and brackets are whole, and no operator is lost.

    Catches \times as \시간, \frac without its backslash, a $ or brace lost, <= as <, x^2 as x2.
    Look-alikes: other spaces within a formula, translated \text{...}, a sign said in words
    (5 × 3 as 5 곱하기 3, 30° as 30도), $5 as 5달러.
    """
    if source.math or translation.math:
        yield from _compare_formulas(source, translation)
    if "\\" in source.prose or "\\" in translation.prose:
        yield from _compare_commands(source, translation)
    if "$" in source.raw:
        yield from _compare_dollars(source, translation)
    if _ANY_SIGN.search(source.prose) or _ANY_SIGN.search(translation.prose):
        yield from _compare_signs(source, translation)
    minus = len(_BINARY_MINUS.findall(source.prose))
    if minus > len(_BINARY_MINUS.findall(translation.prose)) + len(
        re.findall("빼|뺀|마이너스|[-−–~]", _BINARY_MINUS.sub("", translation.prose))
    ):
        yield _broken("a minus is lost")


def _compare_formulas(source: Text, translation: Text) -> Findings:
    wanted = Counter(_normalise(source.cut(span)) for span in source.math)
    found = Counter(_normalise(translation.cut(span)) for span in translation.math)
    if wanted == found:
        return
    lost, new = wanted - found, found - wanted
    if not lost and all(formula in wanted for formula in new):
        return  # Korean repeats a subject where English says "it"
    parts = [f"lost: {shorten(formula, 40)}" for formula in lost][:2]
    parts += [f"new: {shorten(formula, 40)}" for formula in new][:2]
    yield Finding(
        check="math_symbols",
        severity="error",
        detail="formulas differ; " + "; ".join(parts),
        source_spans=tuple(s for s in source.math if _normalise(source.cut(s)) in lost),
        translation_spans=tuple(
            s for s in translation.math if _normalise(translation.cut(s)) in new
        ),
    )


def _normalise(formula: str) -> str:
    r"""A formula without its delimiters' kind, its spaces and the words in \text{...}."""
    inner = formula
    if formula[0] == "$":
        inner = formula.strip("$")
    elif formula[1] in "[(":
        inner = formula[2:-2]
    return _UNSEEN.sub("", _TEXT_COMMAND.sub(r"\\text", inner))


def _compare_commands(source: Text, translation: Text) -> Findings:
    wanted = Counter(_COMMAND.findall(source.prose))
    found = Counter(_COMMAND.findall(translation.prose))
    if wanted != found:
        names = [*(wanted - found), *(found - wanted)]
        yield _broken(f"LaTeX commands differ: {', '.join(names[:5])}")


def _compare_dollars(source: Text, translation: Text) -> Findings:
    """A $ that opens no formula and no price is half of a broken pair."""
    stray = len(_STRAY_DOLLAR.findall(translation.prose))
    if source.math and stray > len(_STRAY_DOLLAR.findall(source.prose)):
        yield _broken("a $ without its partner")


def _compare_signs(source: Text, translation: Text) -> Findings:
    left, right = source.prose, translation.prose
    for sign in _BARE:
        if (sign in left or sign in right) and left.count(sign) != right.count(sign):
            yield _broken(f"{sign}: {left.count(sign)} became {right.count(sign)}")
    for name, (pattern, english, korean) in _SIGN.items():
        wanted = [match.span() for match in pattern.finditer(left)]
        found = [match.span() for match in pattern.finditer(right)]
        few, many = len(found) < len(wanted), len(found) > len(wanted)
        if few and len(found) + len(korean.findall(right)) < len(wanted):
            pass
        elif few and name == "=":  # "는" is in every sentence: it says no sign by itself
            pass
        elif not (many and len(found) > len(wanted) + len(english.findall(left.lower()))):
            continue
        yield Finding(
            check="math_symbols",
            severity="error",
            detail=f"{name}: {len(wanted)} became {len(found)}",
            source_spans=tuple(wanted),
            translation_spans=tuple(found),
        )


def _broken(detail: str) -> Finding:
    return Finding(check="math_symbols", severity="error", detail=detail)
