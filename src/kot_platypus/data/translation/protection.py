r"""What no translator may change: code, math, numbers, links and markers stand outside the text.

They are replaced by ``<x id="1"/>``, ``<x id="2"/>``, ... in a text that is otherwise escaped as
XML, and put back into the translation, where each must stand exactly once. The order may change:
Korean puts words elsewhere.

Left to the translator on purpose: "2nd", "1990s" and "5 billion", which are other words and digits
in Korean (50억); digits inside a word ("H2O"); numbers in words ("three"); the words of an answer
option (only its marker, "(A)" or "-", is kept). Where such words are to be found again, they are
marked: ``<x id="4">the cupboard</x>`` is translated, and its translation stands between the tags.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kot_platypus.data.translation.services import Flaw
from kot_platypus.records import Record

Span = tuple[int, int]


class Problem(Record):
    """Something wrong with a translation that shows without reading it.

    ``lost`` and ``repeated`` concern the placeholder of ``piece``; ``unknown`` one that was never
    there. ``wordless`` is a translation without words, ``too_long`` a text that no request can
    hold. The others are flaws of an answer that is no translation (see ``services.py``).
    """

    kind: Literal["lost", "repeated", "unknown", "wordless", "too_long"] | Flaw
    piece: str = ""


@dataclass(frozen=True)
class Protected:
    """A text as it is sent, and what its placeholders stand for: ``pieces[0]`` for id 1.

    Of an id in ``marked`` the piece is translated: it stands between two tags.
    """

    xml: str
    pieces: tuple[str, ...]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Restored:
    """A translation with its pieces back in place, and what is wrong with them."""

    text: str
    problems: tuple[Problem, ...]
    spans: dict[int, Span] = field(default_factory=dict)
    """Where in ``text`` the translation of what was marked stands, by id, as far as it was kept."""


def protect(text: str, marks: Sequence[Span] = ()) -> Protected:
    """Replace all that must not change by placeholders, and escape the rest for XML.

    ``marks`` are stretches to be found again; one that would tear a protected piece is left out.
    """
    matches = [match.span() for match in _PIECES.finditer(text)]
    kept = [
        (start, stop)
        for start, stop in marks
        if all(stop <= a or b <= start or start <= a < b <= stop for a, b in matches)
    ]
    tags = [(a, 2, b, f'<x id="{number}"/>') for number, (a, b) in enumerate(matches, start=1)]
    for number, (start, stop) in enumerate(kept, start=len(matches) + 1):
        tags += [(start, 1, start, f'<x id="{number}">'), (stop, 0, stop, "</x>")]
    xml, end = "", 0
    for start, _, stop, tag in sorted(tags):
        xml += html.escape(text[end:start], quote=False) + tag
        end = stop
    xml += html.escape(text[end:], quote=False)
    pieces = tuple(text[start:stop] for start, stop in (*matches, *kept))
    return Protected(xml, pieces, tuple(range(len(matches) + 1, len(pieces) + 1)))


def restore(xml: str, pieces: tuple[str, ...], marked: tuple[int, ...] = ()) -> Restored:
    """Put the pieces back into a translation. Never fails: what is wrong is in ``problems``.

    A repeated piece stands as often as the translator wrote it, an unknown placeholder stays. That
    the tags around a marked piece are lost is no problem.
    """
    seen: Counter[int] = Counter()
    problems: list[Problem] = []
    spans: dict[int, Span] = {}
    text, end, opened = "", 0, (0, 0)
    # One pass, so that a piece that looks like a placeholder or an entity is left as it is.
    for match in _MARKUP.finditer(xml):
        text += xml[end : match.start()]
        end = match.end()
        number = int(match["id"] or 0)
        if match["id"] is None:  # an entity, or the end of a pair
            if match[0].startswith("&"):
                text += html.unescape(match[0])
            elif opened[0]:
                spans[opened[0]] = opened[1], len(text)
                opened = (0, 0)
        elif number in marked:
            opened = number, len(text)
            if match[0].endswith(("/>", "</x>")):  # written as a placeholder: nothing inside
                spans[number] = len(text), len(text)
                opened = (0, 0)
        elif 1 <= number <= len(pieces):
            seen[number] += 1
            text += pieces[number - 1]
        else:
            problems.append(Problem(kind="unknown", piece=match[0]))
            text += match[0]
    for number, piece in enumerate(pieces, start=1):
        if seen[number] != 1 and number not in marked:
            problems.append(Problem(kind="repeated" if seen[number] else "lost", piece=piece))
    return Restored(text + xml[end:], tuple(problems), spans)


def count_characters(xml: str) -> int:
    """The characters of a protected text that are paid for: code points outside of tags.

    Whether ``&amp;`` counts as one or as five is not documented; five never says too little.
    """
    return len(_MARK.sub("", xml))


def has_words(xml: str) -> bool:
    """Whether a protected text holds anything to translate: a letter outside of placeholders."""
    return any(char.isalpha() for char in html.unescape(_MARK.sub("", xml)))


def is_empty(xml: str) -> bool:
    """Whether an answer holds no letter and no digit outside of placeholders."""
    return not any(char.isalnum() for char in html.unescape(_MARK.sub("", xml)))


def read_words(xml: str) -> str:
    """The words of a protected text, with a sign in place of each placeholder."""
    marked = re.sub(r'<x id="[0-9]+">|</x>', "", xml)
    return html.unescape(_MARK.sub("\ufffc", marked))


def has_marks(xml: str) -> bool:
    """Whether a protected text holds a stretch that is to be found again."""
    return "</x>" in xml


_MARK = re.compile(r'<x id="[0-9]+"/?>|</x>')
_MARKUP = re.compile(  # language models write placeholders with other quotes, spaces, or as a pair
    r"""<x\s+id\s*=\s*["']?(?P<id>[0-9]{1,9})["']?\s*/?>(?:</x>)?|</x>"""
    r"|&(?:lt|gt|amp|quot|apos|\#[0-9]{1,7}|\#x[0-9a-fA-F]{1,6});"
)


# --- what is protected -------------------------------------------------------------------------

# Unbounded repeats are possessive or of classes that exclude their own end, and what may run on
# to a far end is bounded: a hostile text costs no more than a long one.

_CODE = (
    r"(?m:^[ \t]*)(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)"
    r"|(?<!`)(?P<ticks>`{1,3})(?!`)[^\n]{1,500}?(?<!`)(?P=ticks)(?!`)"
)

# "5 billion" and "20k" are other digits in Korean, 50억 and 2만: all of it is the translator's,
# with what shares the word: "2 or 3 million", "5 and a half million", "$5$ million".
_SCALE = (
    r"(?:(?i:[ \u00a0-]{0,2}[*_$]{0,3}[ \u00a0-]?(?:and a half |half |quarter )?"
    r"(?:hundred|thousand|million|billion|trillion|quadrillion|dozen|lakh|crore|mil|bn|mn|tn)s?\b)"
    r"|[ ]?[kKMB]\b)"
)
_SHARED = r"[$€£¥₩]?\d[\d.,/]{0,20}"
_NO_WORD = (
    rf"(?!(?:st|nd|rd|th|s)\b|{_SCALE}"
    r"|(?:(?:,?[ ](?:to|or|and)|,)[ ]|[ ]?[-–—~][ ]?)"
    rf"(?:{_SHARED}(?:,?[ ](?:to|or|and)|,)[ ])?{_SHARED}{_SCALE})"
)

_BRACED = r"[^{}]*+"
for _ in range(3):  # as deep as \frac{\sqrt{x^{2}}}{2}
    _BRACED = rf"(?:[^{{}}]|\{{{_BRACED}\}})*+"
# "\n", "\t" and "\r" are line breaks and tabs in some data, so these are told from LaTeX by name.
_NRT_COMMANDS = (
    "nabla|neg|neq?|newline|nmid|not|notin|nu|"
    "tan|tanh|tau|tfrac|therefore|theta|tilde|times|to|top|triangle|text|textbf|textit|textrm|"
    "rangle|rbrace|rceil|rfloor|rho|right|rightarrow|rightleftharpoons|rm|root"
)
_LATEX = (
    r"\\begin\{(?P<env>[^{}\n]{1,40})\}.{0,8000}?\\end\{(?P=env)\}"
    r"|\$\$.{1,4000}?\$\$|\\\[.{1,4000}?\\\]|\\\(.{1,4000}?\\\)"
    # As Pandoc reads it, so that "$5 and $6" is money.
    rf"|(?<![\\$\w])(?!\$\d[\d.,]{{0,20}}{_SCALE})"
    r"\$(?![\s$])[^$\n]{0,500}(?<![\s\\])\$(?![\d$])"
    rf"|\\(?:[A-Zabc-mo-qsu-z][A-Za-z]*+|(?:{_NRT_COMMANDS})(?![A-Za-z]))\*?"
    rf"(?:\[[^\[\]\n]{{0,100}}\])?(?:\{{{_BRACED}\}})*+(?:[_^](?:\{{{_BRACED}\}}|\w))*+"
)
_ESCAPE = r"\\[nrt]"

_LINK = (
    r"""(?:https?|ftp)://[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]|\bwww\.[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]"""
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
)
_TAG = (
    r"</?[A-Za-z][\w:-]*+(?:\s+[\w:-]++\s*=\s*"
    r"""(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=/]++))*+\s*/?>"""
)
_SLOT = r"\{\{[^{}\n]{1,60}\}\}|\{\w{0,40}\}|%(?:\(\w{1,40}\))?[sd]\b|\[[A-Z][A-Z_]{2,20}\]"
_OPTION = (
    r"(?:(?m:^)|(?<=\\n))[ \t]*+(?:[A-Z][.)]|\d{1,2}[.)]|[-*•])(?=[ \t])"
    r"|(?<!\w)\((?:[A-Za-z]|[ivx]{2,4})\)"
)

_PLAIN = rf"(?>[$€£¥₩]?(?:\d+|(?=\.\d))(?:[.,:/]\d+)*+(?:[eE][-+]?\d+(?!\w))?){_NO_WORD}"
_NUMBER = rf"(?<!\w)(?<!\w\.)[-+−±]?{_PLAIN}(?:[ ]?[%‰]|[ ]?°[CF]?)?"

# "I" and "a" may be words: "3 - a few", "I'm".
_VARIABLE = (
    r"(?>\d*)(?<![A-Za-z])[A-Za-z](?![A-Za-z]|['’][A-Za-z])(?:_\w++|[²³])?(?<![AaI](?=[ ]\w))"
)
_GROUP = r"\((?:[\d \t.,+*/^=<>×÷·%!−-]|\b[A-Za-z]\b)++\)"
_OPERAND = rf"(?>[-−+]?(?:{_VARIABLE}|{_PLAIN}|{_GROUP})(?:{_GROUP}){{0,4}}(?:!(?!=)|[ ]?%){{0,2}})"
_SIGN = r"[ \t]*+(?:[=<>!]=|=>|->|<(?!/?[A-Za-z][\w:-]*+\s*/?>)|[=≠≈≤≥>+*/×÷·^−±→⇒-])[ \t]*+"
_EQUATION = rf"(?<!\w)(?<!\w\.){_OPERAND}(?:{_SIGN}{_OPERAND})+"

_NOT_XML = "[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"

# Pieces that touch are one: a translator cannot tear them apart.
_PIECES = re.compile(
    "(?s:"
    + "|".join((_CODE, _LATEX, _ESCAPE, _LINK, _TAG, _SLOT, _OPTION, _EQUATION, _NUMBER, _NOT_XML))
    + ")+"
)
