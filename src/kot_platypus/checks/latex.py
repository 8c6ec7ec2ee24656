r"""What is written in two ways: code with its marks or without, $\frac{1}{2}$ and 1/2."""

from __future__ import annotations

import re

from kot_platypus.answers.normal import plain
from kot_platypus.checks.segments import Text
from kot_platypus.checks.symbols import STRAY_DOLLAR

_NAME = re.compile(r"\\(sin|cos|tan|log|ln|exp|max|min|gcd|lim)(?![a-z])")
_SIGNS = {
    "\\equiv": "≡",
    "\\approx": "≈",
    "\\angle": "∠",
    "\\triangle": "△",
    "\\perp": "⊥",
    "\\div": "÷",
    "\\theta": "θ",
}
_SPELLINGS = (
    (re.compile(r"\bsqrt ?\("), "√("), (re.compile(r"√\((\d+)\)"), r"√\1"),
    (re.compile(r"(?<![\w)])\((\d+/\d+)\)"), r"\1"), (re.compile(r"\b([A-Za-z])_(\d)\b"), r"\1\2"),
)  # fmt: skip
_MAY_BE_SPELLED = frozenset("(_")
_MODULO = re.compile(r"\\pmod *\{? *(\w+)\}?")
_SPACE = re.compile(r"\s")


def spell_alike(source: Text, translation: Text) -> tuple[Text, Text]:
    r"""Both without backticks and fences that only the translation has; \frac12 as \frac{1}{2}."""
    pieces, end = [], 0
    for start, stop in sorted((*translation.inline, *translation.blocks)):
        marked = translation.raw[start:stop]
        bare = _MARKS.sub("", marked)
        if marked not in source.raw and bare and bare in source.raw:
            pieces += [translation.raw[end:start], bare]
            end = stop
    raw = "".join([*pieces, translation.raw[end:]])
    texts = (_BRACELESS.sub(r"\1{\2}{\3}", text) for text in (source.raw, raw))
    pair = (source, translation)
    left, right = (
        one if text == one.raw else Text(text) for one, text in zip(pair, texts, strict=True)
    )
    return left, right


_BRACELESS = re.compile(r"(\\[dt]?(?:frac|binom) ?)(\d)(\d)")
_MARKS = re.compile(r"^```\w*\n|\n?```$|^`|`$")


def tell_plainly(source: Text, translation: Text) -> tuple[str, str] | None:
    """Both texts with plain formulas, if each text's are in the other; None where not needed.

    Then nothing was lost of them, however they are written.
    """
    if _is_broken(source) or _is_broken(translation):
        return None
    texts = _rewrite(source), _rewrite(translation)
    is_as_before = not source.math and texts == (source.raw, translation.raw)
    if len(source.math) == len(translation.math) and (source.math or is_as_before):
        return None
    for text, other in ((source, texts[1]), (translation, texts[0])):
        bare = _SPACE.sub("", other)
        formulas = (_SPACE.sub("", _unify(_write_plain(text.cut(span)))) for span in text.math)
        if not all(formula in bare for formula in formulas):
            return None
    return texts


def _is_broken(text: Text) -> bool:
    is_odd = text.raw.count("$") % 2 == 1
    return is_odd or "\\" in text.prose or STRAY_DOLLAR.search(text.prose) is not None


def _rewrite(text: Text) -> str:
    """The whole text, its formulas plain: a price keeps its $."""
    pieces, end = [], 0
    for span in text.math:
        pieces += [text.raw[end : span[0]], _write_plain(text.cut(span))]
        end = span[1]
    return _unify("".join([*pieces, text.raw[end:]]))


def _unify(text: str) -> str:
    """With one spelling of roots, of a fraction in brackets and of a name with a number."""
    for pattern, plainer in _SPELLINGS if not _MAY_BE_SPELLED.isdisjoint(text) else ():
        text = pattern.sub(plainer, text)
    return text


def _write_plain(formula: str) -> str:
    text = _NAME.sub(r"\1", plain(_MODULO.sub(r" (mod \1)", formula)))
    for command, sign in _SIGNS.items():
        text = text.replace(command, sign)
    return text
