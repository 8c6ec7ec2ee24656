"""Formulas compared by math-verify, the extra ``math``. Without it, only plain forms are equal."""

from __future__ import annotations

import logging
import re
from functools import cache, lru_cache
from importlib.util import find_spec

from kot_platypus.answers.quantities import read_quantity
from kot_platypus.progress import print_notice

_IS_FORMULA = re.compile(r"\\[a-z]+|[√π^]|[a-z]\s*[+\-*/]|\d\s*[a-z]\b|[+\-*/]\s*[a-z]\b")
# Only what is surely quick: no towers of powers, no factorials, no prose.
_IS_TOO_MUCH = re.compile(r"\^\S*\^|\^\{?-?\d{3}|!|[가-힣]|\d{30}")
_MAX_CHARS = 120


@cache
def has_math() -> bool:
    """Whether the extra ``math`` is installed."""
    return find_spec("math_verify") is not None


def needs_math(one: str, other: str) -> bool:
    """Whether only math-verify could tell if two answers are equal."""
    texts = (one, other)
    if all(map(read_quantity, texts)):  # to it, m and km are variables
        return False
    return any(map(_IS_FORMULA.search, texts)) and not any(
        len(text) > _MAX_CHARS or _IS_TOO_MUCH.search(text) or not text.strip() for text in texts
    )


@cache
def _say_what_is_missing() -> None:
    """Once, since all that is not told apart is counted as different."""
    print_notice(
        "Formulas of other forms count as different: the extra `math`, which compares them, is not "
        "installed. Run: pip install 'kot-platypus[math]'"
    )


def _write(text: str) -> str:
    """A plain formula as LaTeX, where a root or a power of several digits has braces."""
    text = re.sub(r"\^(-?\d{2,}|-\w)", r"^{\1}", text)
    text = re.sub(r"(?<![\\A-Za-z])(sin|cos|tan|log|ln)(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"√ ?(?:(\d+|[a-z])|\(([^()]*)\))", lambda f: rf"\sqrt{{{f[1] or f[2]}}}", text)
    return text.replace("√", r"\sqrt ").replace("π", r"\pi ").replace("∞", r"\infty ")


@lru_cache(maxsize=16384)
def are_same_formula(one: str, other: str) -> bool:
    """Whether math-verify finds two formulas equal; False, said once, where it is not installed."""
    if not needs_math(one, other):
        return False
    if not has_math():
        _say_what_is_missing()
        return False
    from math_verify import LatexExtractionConfig, parse, verify

    settings = [LatexExtractionConfig()]
    # Its own time limits are signals, which work in the main thread alone; it warns without them.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    sides = [
        parse(f"${_write(text)}$", settings,
              fallback_mode="no_fallback", parsing_timeout=None)
        for text in (one, other)
    ]  # fmt: skip
    return all(sides) and bool(verify(*sides, float_rounding=12, timeout_seconds=None))
