"""A text's parts: code, math, placeholders and addresses on one side, prose on the other."""

from __future__ import annotations

import re
from functools import cached_property

from kot_platypus.checks.findings import Span
from kot_platypus.numerals import (
    ENGLISH_NUMBERS,
    Number,
    read_digits,
    read_english_words,
    read_korean_words,
)

HANGUL = re.compile("[가-힣]+")
BLANK = "\ufffc"  # stands, once per character, for what is not prose: every place stays the same

PLACEHOLDER = re.compile(r'(?:<|&lt;)\s*/?\s*x\s*id\s*=\s*["\'“”]?(\w*)["\'“”]?\s*/?\s*(?:>|&gt;)?')

TAG = re.compile(
    r"</?(?!x\s+id)[A-Za-z][\w:-]*+(?:\s+[\w:-]++\s*=\s*"
    r"""(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=/]++))*+\s*/?>"""
)

_PARTS = re.compile(
    r"(?P<block>```.*?(?:```|\Z))"
    r"|(?P<inline>`[^`\n]+`)"
    r"|(?P<math>\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?P<env>\w+\*?)\}.*?\\end\{(?P=env)\}"
    # Pandoc's rule keeps "$5 and $7" prose: no space inside the signs, no digit after the second.
    # Nor are words of Korean a formula: in ^\d+$는 끝까지 찾고 ^\d$는 the signs are no pair.
    r"|(?<![\\$])\$(?![\s$]|[^$\n\\]*[가-힣] [가-힣])[^$\n]*?(?<![\s\\])\$(?!\d))"
    rf"|(?P<placeholder>{PLACEHOLDER.pattern})"
    r"|(?P<url>https?://[^\s가-힣)\]>]+)"
    rf"|(?P<tag>{TAG.pattern})",
    re.DOTALL,
)
_PART_SIGN = re.compile(r"`|\$|\\|<|&|http")  # what each of them begins with, found far faster

# Lines that are code without a fence around them. English prose must not match: "for example:",
# "if you have the following:", "from the left".
_CODE_LINE = re.compile(
    r"""[ \t]*(?:
      (?:async\ )?def\ \w+\s*\(.* | class\ \w+\s*[(:{].*
    | import\ [\w.]+(?:\ as\ \w+|,.*)?;? | from\ [\w.]+\ import\ .*
    | for\ \w+(?:,\ ?\w+)*\ in\ [^\n]+: | (?:if|elif|while)\ [^\n,]*[=<>()!%\[\]][^\n]*:
    | with\ [^\n]*\([^\n]*\)[^\n]*: | else: | try:
    | except(?:\ [^\n]*)?: | return(?:\ [^\s]+)?;? | return\ [^\n]*[-+*/%(\[=<>][^\n]*
    | \#include\b.* | using\ namespace\b.* | public\ (?:static|class|int|void)\b.*
    | (?:int|float|double|char|void|bool|long|String|var|let|const|auto|std::\w+)
        \ [\w*&<>\[\]]+\s*[=(;\[].*
    | (?=[^\n]*[=()\[\]{}<>+])[^\n]*;(?:[ \t]*//[^\n]*)?
    | [^\n]*\)\s*\{ | \}\s*(?:else[^\n]*\{)?;?
    | (?:SELECT|INSERT\ INTO|UPDATE|DELETE\ FROM|FROM|WHERE|(?:LEFT\ |INNER\ |RIGHT\ )?JOIN
        |GROUP\ BY|ORDER\ BY|HAVING|CREATE\ TABLE|VALUES|LIMIT)\ [^\n]*
    | [A-Za-z_][\w.\[\]]*\s*[-+*/]?=\s*[\w.]*[(\["'{][^\n]*
    | [A-Za-z_]\w*(?:\.\w+)*\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\);?
    )[ \t]*""",
    re.VERBOSE,
)
_CODE_HINT = re.compile(  # without one no line is code
    r"[=()\[\]{}:;#]|^\s*(?:import|from|return|class|SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|LEFT|INNER"
    r"|RIGHT|JOIN|GROUP|ORDER|HAVING|CREATE|VALUES|LIMIT|using|public|try|else)\b"
)


# Lines that are code only in the company of code: plain assignments, comments, what is indented.
_COMPANY = re.compile(r"[ \t]{2,}\S.*|\t.*|\w+ ?[-+*/]?= ?\S+|\s*(?:#|//|--|/\*).*")


class Text:
    """A text with the spans of its ``blocks`` (fenced code), ``inline`` code, ``math``,
    ``placeholders`` and ``code_lines`` (code without a fence). ``prose`` is the text with all of
    these, and addresses, blanked out character by character.
    """  # noqa: D205

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.blocks: list[Span] = []
        self.inline: list[Span] = []
        self.math: list[Span] = []
        self.placeholders: list[Span] = []
        self.code_lines: list[Span] = []
        prose = raw
        if any(mark in raw for mark in "`$\\<") or "://" in raw or "&lt;" in raw:
            prose = self._take_parts(raw)
        if "\n" in prose or prose.rstrip()[-1:] in (";", ":", "{", "}", ")"):
            self.code_lines = _find_code_lines(prose)
            prose = _blank(prose, self.code_lines)
        self.prose = prose

    def _take_parts(self, raw: str) -> str:
        kinds = {
            "block": self.blocks,
            "inline": self.inline,
            "math": self.math,
            "placeholder": self.placeholders,
            "url": [],
            "tag": [],
        }
        spans = []
        sign = _PART_SIGN.search(raw)
        while sign:
            match = _PARTS.match(raw, sign.start())
            if match:
                name = next(kind for kind in kinds if match[kind] is not None)
                kinds[name].append(match.span())
                spans.append(match.span())
            sign = _PART_SIGN.search(raw, (match or sign).end())
        return _blank(raw, spans)

    def cut(self, span: Span) -> str:
        """The characters of ``span``."""
        return self.raw[span[0] : span[1]]

    @property
    def has_code(self) -> bool:
        """Whether there is a code block or a line of code."""
        return bool(self.blocks or self.code_lines)

    @cached_property
    def num_hangul(self) -> int:
        """Hangul syllables in the prose."""
        return sum(map(len, HANGUL.findall(self.prose)))

    @cached_property
    def words(self) -> list[str]:
        """The words of two Latin letters or more in the prose."""
        return _LATIN_WORD.findall(self.prose)

    @cached_property
    def lexicon(self) -> frozenset[str]:
        """The Latin words of the prose in lower case: what a pattern needs is looked up first."""
        return frozenset(_LATIN.findall(self.prose.lower()))

    @cached_property
    def signs(self) -> frozenset[str]:
        """The characters of the whole text."""
        return frozenset(self.raw)

    @cached_property
    def digits(self) -> list[Number]:
        """The numbers in digits of the prose."""
        return read_digits(self.prose)

    @cached_property
    def all_digits(self) -> list[Number]:
        """The numbers in digits of the whole text, code and formulas included."""
        return self.digits if self.prose == self.raw else read_digits(self.raw)

    @cached_property
    def english(self) -> list[Number]:
        """The number words of the prose, read as English."""
        return [] if self.lexicon.isdisjoint(ENGLISH_NUMBERS) else read_english_words(self.prose)

    @cached_property
    def korean(self) -> list[Number]:
        """What may be a numeral of the prose, read as Korean."""
        return read_korean_words(self.prose)


_LATIN = re.compile(r"[a-z]+")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z'’]+")


def _find_code_lines(prose: str) -> list[Span]:
    spans: list[Span] = []
    start, after_code = 0, False
    for line in prose.split("\n"):
        end = start + len(line)
        if line.strip() and BLANK not in line:
            after_code = bool(_CODE_HINT.search(line) or after_code) and bool(
                _CODE_LINE.fullmatch(line) or (after_code and _COMPANY.fullmatch(line))
            )
            if after_code:
                spans.append((start, end))
        start = end + 1
    return spans


def _blank(text: str, spans: list[Span]) -> str:
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], BLANK * (stop - start)]
        end = stop
    return "".join([*pieces, text[end:]])
