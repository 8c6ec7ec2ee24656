r"""The same formulas in LaTeX and in plain text: $\frac{1}{2}$ and 1/2, $AB = 8$ and AB = 8."""

from __future__ import annotations

import re

from kot_platypus.answers.normal import plain
from kot_platypus.checks.segments import Text
from kot_platypus.checks.symbols import STRAY_DOLLAR

_NAME = re.compile(r"\\(sin|cos|tan|log|ln|exp|max|min|gcd|lim)(?![a-z])")
_SIGNS = {"\\angle": "∠", "\\triangle": "△", "\\perp": "⊥", "\\div": "÷", "\\theta": "θ"}
_SPELLINGS = (
    (re.compile(r"\bsqrt ?\("), "√("), (re.compile(r"√\((\d+)\)"), r"√\1"),
    (re.compile(r"(?<![\w)])\((\d+/\d+)\)"), r"\1"), (re.compile(r"\b([A-Za-z])_(\d)\b"), r"\1\2"),
)  # fmt: skip
_MAY_BE_SPELLED = frozenset("(_")
_SPACE = re.compile(r"\s")


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
    text = _NAME.sub(r"\1", plain(formula))
    for command, sign in _SIGNS.items():
        text = text.replace(command, sign)
    return text
