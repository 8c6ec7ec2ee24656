"""Code in a sentence without backticks: commands, calls, queries, keys, placeholders."""

from __future__ import annotations

import re
from collections import Counter

from kot_platypus.checks.alignment import pair_lines
from kot_platypus.checks.findings import Findings, Span, make_finding, shorten
from kot_platypus.checks.segments import Text

_MATHEMATICS = r"(?:arc)?(?:sin|cos|tan|log|ln|exp|gcd|lcm|det|lim|max|min)\("
_VERBS = {
    "git": "add commit push pull clone checkout branch merge rebase status log init diff fetch"
           " stash reset revert switch",
    "(?:npm|yarn|pip3?|cargo|conda|brew|apt|apt-get)": "install run start test init uninstall build"
           " update upgrade freeze",
    "docker": "run build pull push ps exec compose stop images",
    "kubectl": "get apply delete describe logs",
    "sudo": "apt rm service systemctl apt-get",
}  # fmt: skip
_COMMANDS = "|".join(f"{name} (?:{'|'.join(verbs.split())})" for name, verbs in _VERBS.items())
# What must stand word for word, each kind with the signs or words of which one has to be there.
_KINDS = {
    "query": (
        "select insert delete update create alter drop where join",
        r"\b(?=[A-Z])"
        r"(?:SELECT|INSERT INTO|DELETE FROM|UPDATE|CREATE TABLE|ALTER TABLE|DROP TABLE|FROM|WHERE"
        r"|JOIN|SET|(?:ORDER|GROUP) BY|HAVING|LIMIT|VALUES) +(?:\*|\(|[a-z_][\w.]*|\d+)",
    ),
    "call": (
        "(",
        rf"(?<![\w.\\])(?=[\w.]+\()(?!{_MATHEMATICS})(?:[a-z_]\w*+|\w++(?:\.\w++)++)"
        r"(?!\((?:e?s|ies|ed|d|n|r|\w)\))(?<=\w\w)"
        r"\([^()\n가-힣]*(?:\([^()\n가-힣]*\)[^()\n가-힣]*)*\)",
    ),
    "command": ("git npm yarn pip cargo conda brew apt docker kubectl sudo",
        rf"\b(?:{_COMMANDS})\b"),
    "placeholder": (
        "{ %",
        r"(?=[$\{%])"
        r"(?:(?<![\w}\\^])(?:\$?\{\{? ?[a-z_][\w.]* ?\}?\}|\$\{\w+\})"
        r"|(?<![\d\w])%(?:(?:\d\$)?[sdif]\b|\.\d+f))",
    ),
    "name": ("_ -", r"(?<![\w\\./@=-])(?:[a-z]+(?:_[a-z\d]+)+|--[a-z][a-z-]+)(?![\w(/@=-]|\.\w)"),
    "key": ("{", r'"[^"\n{}가-힣]{1,40}"(?= ?:)'),
}  # fmt: skip
_PATTERNS = tuple(
    (frozenset(needed.split()), re.compile(pattern)) for needed, pattern in _KINDS.values()
)
_COUNTED = frozenset('{%$["')
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_SPACE = re.compile(r"\s+")


def read_snippets(text: Text) -> list[tuple[str, Span]]:
    """Each piece of code in the prose, without its spaces and the words it quotes."""
    found = []
    for needed, pattern in _PATTERNS:
        if not (text.signs.isdisjoint(needed) and text.lexicon.isdisjoint(needed)):
            found += [
                (_normalise(match[0]), match.span()) for match in pattern.finditer(text.prose)
            ]
    return found


def _normalise(code: str) -> str:
    if code[0] != '"':  # a key is no text
        code = _STRING.sub('""', code)
    return _SPACE.sub("", code)


def find_snippets(source: Text, translation: Text) -> Findings:
    """Code in a sentence is kept as often as it stands there.

    Catches SELECT as 선택, len([1, 2]) as 길이([1, 2]), {"name": ...} as {"이름": ...}, {name} as
    {이름}. Look-alikes: backticks round it, translated words in quotes, apple(s).
    """
    snippets = read_snippets(source)
    if not snippets:
        return
    wanted = Counter(code for code, _ in snippets)
    there = _SPACE.sub("", translation.raw), _SPACE.sub("", _STRING.sub('""', translation.raw))
    counts = {code: max(text.count(code) for text in there) for code in wanted}
    lost = [
        code
        for code, n in wanted.items()
        if counts[code] < (n if code[0] in _COUNTED else 1)  # a call may be said once
    ]
    if not lost and "{" in source.signs:
        lost = _find_astray(source, translation)
    if lost:
        spans = [span for code, span in snippets if code in lost]
        yield make_finding("code_mixed", f"code in the text lost: {shorten(lost[0], 40)}", spans)


_FIELD = re.compile(r"\{[a-z_]\w*\}")


def _find_astray(source: Text, translation: Text) -> list[str]:
    """A placeholder that stands in another line: {name} of the greeting in the signature."""
    for left, right in pair_lines(source, translation):
        lost = set(_FIELD.findall(left.prose)) - set(_FIELD.findall(right.prose))
        if lost:
            return sorted(lost)
    return []
