"""The check that formulas written in plain text, without LaTeX, are the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from difflib import SequenceMatcher
from functools import lru_cache

from kot_platypus.checks.findings import Findings, Span, make_finding
from kot_platypus.checks.segments import BLANK, Text

_UNIT = r"(?: ?(?:(?:[ckm]?m|[km]?g|m?L|ml|s|h|ft)(?![A-Za-z])|(?:달러|센트|유로|엔|원)(?!\()))"
_RAISED = r"[⁻⁰¹²³⁴-⁹]++"
_CALL = r"\([^()\n가-힣]{1,30}\)"
_FUNCTION = (
    r"(?<![A-Za-z])(?:arc)?(?:sin|cos|tan|log|ln|exp|gcd|lcm|det|max|min)(?:_\{?\w{1,3}\}?)?"
    rf"(?:\^-?\d|{_RAISED})?(?: ?{_CALL}| ?\d+(?:\.\d+)?°?| ?[a-zA-Zθ](?![A-Za-z]))"
)
_ATOM = (
    rf"(?:{_FUNCTION}|\d++(?:[.,]\d++)*+(?:{_UNIT}|[A-Za-z]{{1,3}}(?![A-Za-z]))?"
    r"|(?<![A-Za-z])[A-Za-z]\d?(?![A-Za-z'’]))"
)
_OPERAND = rf"[(\[|]*+[-−+]?[$€£₩¥]?{_ATOM}(?:{_CALL})?[!%°]?(?:{_RAISED})?[)\]|]*+(?:{_RAISED}|!)?"
_SIGN = r"(?: ?(?:[<>!]=|[=≠≈≤≥⩽⩾<>+*/×÷·⋅^−–-]) ?| x (?=[\d(]))"
_RUN = re.compile(
    r"(?=[(\[|−+$€£₩¥\d-]|(?<![A-Za-z])[A-Za-z])"  # what all begin with: most places end here
    rf"(?:{_OPERAND}(?:{_SIGN}{_OPERAND})+|{_FUNCTION}"
    rf"|(?<![A-Za-z가-힣])[A-Za-z]{_CALL}"
    r"|[(\[] ?-?[\w.]{1,8}(?: ?, ?-?[\w.]{1,8})+ ?[)\]]"
    rf"|{_ATOM}{_RAISED}|\d+(?: ?: ?\d+){{2,}})"
)
_SAME = str.maketrans(
    {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "⩽": "≤", "⩾": "≥"}
    | dict.fromkeys("$€£₩¥ ")
)
_POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_SPELLED = (("<=", "≤"), (">=", "≥"), ("!=", "≠"))
_SURE_SIGNS = frozenset("=≠≈≤≥⩽⩾<>+*×÷⋅^⁰¹²³⁴⁵⁶⁷⁸⁹|[")
_ANY_SIGN = re.compile(
    r"\d\)? ?[-−–/·:!x]|[-−–/·]\s?[\d(]|[A-Za-z\d] ?\([^()\n가-힣]{1,30}\)|\([^()\n가-힣]{0,20},"
    r"|\b(?:sin|cos|tan|log|ln) |\b[a-zA-Z] ?[-−–/·!] ?[a-zA-Z\d]\b"
)
# Quick to look for: without one of them there is none of the two above.
_MAY_BE_SIGN = re.compile(r"[-=≠≈≤≥⩽⩾<>+*×÷⋅^⁰¹²³⁴⁵⁶⁷⁸⁹|\[(−–/·:!x]")
_NAMED_FUNCTION = re.compile(r"sin |cos |tan |log |ln ")
_ALIKE = 0.6  # of a lost formula and a new one, from which on one is the other, misspelt
_RANGE = re.compile(r"\d+[-/.]\d+(?:[-/.]\d+)?|\d+:\d+|[A-Z][-/]\d+")


def blank_shared(prose: str, other: str) -> tuple[str, str]:
    """Both texts without the formulas that stand in both."""
    left = _read_runs(prose)
    right = _read_runs(other) if left else {}
    shared = left.keys() & right.keys()
    blanked = []
    for text, runs in ((prose, left), (other, right)):
        for run in shared:
            for start, end in runs[run][: min(len(left[run]), len(right[run]))]:
                text = text[:start] + BLANK * (end - start) + text[end:]
        blanked.append(text)
    return blanked[0], blanked[1]


def find_formulas(source: Text, translation: Text) -> Findings:
    """Equations, terms, calls and points of plain text stand in the translation as they were.

    Catches 2x + 3 as 3x + 2, (11 - 5) / 2 as (11 - 5 / 2), O(1) as O(n), (2, 7) as (7, 2).
    Look-alikes: other spaces and signs (x, * and × are one, x² is x^2), a formula said in words,
    which leaves nothing like it behind.
    """
    if not _read_runs(source.prose):
        return
    wanted, found = (
        Counter({run: len(spans) for run, spans in _read_runs(text.prose).items()})
        for text in (source, translation)
    )
    lost = [
        run
        for run in wanted - found
        if run not in found and f"% of {run.split('=')[0]} " not in source.prose.replace("$", "")
    ]
    new = [*(found - wanted)]
    for run in lost:
        twin = max(new, key=lambda other: _measure_likeness(run, other), default=None)
        if twin and _measure_likeness(run, twin) >= _ALIKE:
            yield make_finding("math_symbols", f"{run} became {twin}")
            return


def _is_open(run: str) -> bool:
    return run.count("(") != run.count(")")


_PRODUCT = re.compile(r"\d+(?:\.\d+)?(?:\*\d+(?:\.\d+)?)+")


def _commute(run: str) -> str:
    """A product of numbers that is equal to another one, its factors sorted: 0.15 × 40 = 6."""
    if "=" not in run:
        return run
    sides = run.split("=")
    return "=".join(
        "*".join(sorted(side.split("*"))) if _PRODUCT.fullmatch(side) else side for side in sides
    )


def _measure_likeness(run: str, other: str) -> float:
    if _commute(run) == _commute(other):
        return 0.0
    bare, bare_2 = run.strip("()[]"), other.strip("()[]")
    if _is_open(run) != _is_open(other) and bare == bare_2 and "," not in bare:
        return 0.0  # a bracket of the text round it
    if run[0] == "(" and other.endswith(run):  # n(1 ≤ n ≤ 5): the name stands before its bounds
        return 0.0
    if sorted(run) == sorted(other):
        return 1.0
    if other in run:  # the rest is said in words, or lost and the other checks' business
        return 0.0
    return SequenceMatcher(None, run, other, autojunk=False).ratio()


@lru_cache(maxsize=8)  # each text is asked for twice
def _read_runs(prose: str) -> dict[str, list[Span]]:
    """Where each formula stands, in the one spelling that all get; ranges and dates are none."""
    runs: defaultdict[str, list[Span]] = defaultdict(list)
    if not (_MAY_BE_SIGN.search(prose) or _NAMED_FUNCTION.search(prose)):
        return runs
    if _SURE_SIGNS.isdisjoint(prose) and not _ANY_SIGN.search(prose):
        return runs
    for match in _RUN.finditer(prose):
        run = re.sub(_RAISED, lambda found: "^" + found[0].translate(_POWERS), match[0])
        run = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", run).rstrip(".,")
        run = re.sub(rf"(?<=\d)(?:{_UNIT}|\({_UNIT}\))", "", run)
        run = re.sub(r"(?<=\d)\((\d+(?:\.\d+)?)\)(?!\^)", r"*\1", run)  # 2(16) is 2 * 16
        run = _star(re.sub(r"(?<=\d)[eE](?=[-+]?\d)", "*10^", run))
        run = re.sub(r"(?<![A-Za-z])\((\d+(?:\.\d+)?)\)(?=\^)", r"\1", run)
        if not _RANGE.fullmatch(run):
            runs[run].append(match.span())
    return runs


def _star(run: str) -> str:
    """With one sign for each operation: an x is "times" between spaces, else a letter."""
    run = re.sub(r"(?<=\S) x (?=[\d(])|(?<=\d)x(?=\d)", "*", run)
    for spelled, sign in _SPELLED:
        run = run.replace(spelled, sign)
    return run.translate(_SAME)
