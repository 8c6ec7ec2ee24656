"""Checks of a translation's build: placeholders, code, and code among explanation."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from itertools import pairwise

from kot_platypus.checks.findings import Findings, Span, make_finding, shorten
from kot_platypus.checks.segments import PLACEHOLDER, Text
from kot_platypus.checks.snippets import find_snippets

_FEWEST_WORDS = 4  # a source with fewer words of prose may well become code alone

_mixed = partial(make_finding, "code_mixed")

# --- placeholders ------------------------------------------------------------------------------


def find_placeholder(source: Text, translation: Text) -> Findings:
    """Every ``<x id="3"/>`` of the source stands once in the translation, and no other does.

    Catches a placeholder that is lost, repeated, unknown, or still there when all should have
    been replaced, even when damaged. Look-alikes: other tags; placeholders in another order.
    """
    if not (source.placeholders or translation.placeholders):
        return
    wanted = Counter(_read_ids(source))
    found = Counter(_read_ids(translation))
    parts = [
        *(f"{name} lost" for name in wanted if name not in found),
        *(f"{name} repeated" for name in wanted if found[name] > wanted[name]),
        *(f"{name} unknown" for name in found if name not in wanted),
    ]
    if parts or wanted != found:
        detail = "placeholders: " + ", ".join(parts[:5] or ["other numbers of them"])
        yield make_finding("placeholder", detail, source.placeholders, translation.placeholders)
    elif are_heaped(translation.raw, translation.placeholders) and not are_heaped(
        source.raw, source.placeholders
    ):
        detail = "the placeholders stand together, none in its place"
        yield make_finding("placeholder", detail, source.placeholders, translation.placeholders)


def are_heaped(text: str, spans: list[Span]) -> bool:
    """Whether two or more stand side by side at one end of a text, and none elsewhere."""
    between = (_AND.sub(" ", text[a[1] : b[0]]) for a, b in pairwise(spans))
    if len(spans) < 2 or any(map(_APART.search, between)):
        return False
    before, after = text[: spans[0][0]], text[spans[-1][1] :]
    return bool(_WORD.search(before)) != bool(_WORD.search(after))


_WORD = re.compile(r"[^\W\d_]")
_AND = re.compile(r"\b(?:and|or)\b|[와과](?= )")
_APART = re.compile(r"[^\s.,:;]")


def _read_ids(text: Text) -> list[str]:
    matches = (PLACEHOLDER.match(text.raw, start) for start, _ in text.placeholders)
    return [match[1] for match in matches if match]


# --- code --------------------------------------------------------------------------------------


def find_code_only(source: Text, translation: Text) -> Findings:
    """The translation is code alone where the source explained something in prose.

    Catches an answer whose every explanation is gone. Look-alikes: a source that is itself all
    code, whose few words stand in comments; a short lead-in that is translated as such.
    """
    if not translation.has_code and not translation.inline:
        return
    num_words = len(source.words)
    if num_words < _FEWEST_WORDS:
        return
    prose = translation.num_hangul + sum(map(len, translation.words))
    if prose < 0.4 * num_words:  # Korean takes some two to three syllables for an English word
        detail = f"{num_words} words of explanation became code with {prose} letters beside it"
        yield make_finding("code_only", detail, (), translation.blocks + translation.code_lines)


def find_code_mixed(source: Text, translation: Text) -> Findings:
    """Code stays code, line for line, and explanation stays outside of it.

    Catches fences that are lost or do not close, code lines lost, changed, run together, or moved
    into a sentence, Korean prose within code, and inline code lost or translated. Look-alikes:
    translated comments, docstrings and texts in quotes; another indentation width.
    """
    if source.has_code or translation.has_code:
        yield from _compare_code(source, translation)
    if source.inline or translation.inline:
        yield from _compare_inline(source, translation)
    yield from find_snippets(source, translation)


def _compare_code(source: Text, translation: Text) -> Findings:
    fences = source.raw.count("```"), translation.raw.count("```")
    if fences[0] != fences[1]:
        detail = f"{fences[0]} code fences became {fences[1]}"
        yield _mixed(detail, source.blocks, translation.blocks)
        return
    wanted, found = _read_lines(source), _read_lines(translation)
    # Prose in a block of the source (sample output, notes) may be translated where it stands.
    spare = sum(not _looks_like_code(line) for line in wanted - found)
    lost = [line for line in wanted - found if _looks_like_code(line)]
    new = [line for line in found - wanted if _looks_like_code(line) or spare <= 0]
    if lost or new:
        parts = [f"lost: {shorten(lost[0])}"] if lost else []
        parts += [f"new: {shorten(new[0])}"] if new else []
        detail = f"code lines differ ({len(lost)} lost, {len(new)} new); " + "; ".join(parts)
        yield _mixed(detail, _locate(source, lost), _locate(translation, new))
    elif changed := _list_literals(source) - _list_literals(translation):
        detail = f"a text that the code goes by was changed: {shorten(next(iter(changed)), 30)}"
        yield _mixed(detail, source.blocks, translation.blocks)
    elif _count_groups(source) < _count_groups(translation):
        yield _mixed("explanation stands among lines of code", [], translation.code_lines)
    elif _read_indents(source) != _read_indents(translation):
        yield _mixed("the indentation of code differs", source.blocks, translation.blocks)


_STRING_OR_COMMENT = re.compile(
    r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|/\*[\s\S]*?\*/'
    r'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
    r"|(?<![:/\w])//(?= ?[^\d\s]).*|#(?!include|define|if|endif|pragma).*|--(?=\s).*"
)
_SPACE = re.compile(r"\s+")
_CODE_SIGN = re.compile(r"[=()\[\]{};<>:#]|^\W*(?:return|import|else|break|pass|SELECT|FROM)|^\w+$")


def _strip(code: str) -> str:
    """``code`` with quoted texts and comments emptied: their words may be translated."""
    return _STRING_OR_COMMENT.sub(lambda match: '""' if match[0][0] in "\"'" else "#", code)


def _normalise(line: str) -> str:
    return _SPACE.sub("", _strip(line))


def _read_lines(text: Text) -> Counter[str]:
    """The lines of code without their spaces, comments and quoted texts."""
    lines: Counter[str] = Counter()
    for span in text.blocks:
        for line in _strip(text.cut(span).strip("`")).splitlines()[1:]:
            lines[_SPACE.sub("", line)] += 1
    for span in text.code_lines:
        lines[_normalise(text.cut(span))] += 1
    del lines[""]
    return lines


_LITERAL = re.compile(r"""(["'])((?:(?!\1)[^\\\n]|\\.)*)\1""")
_NAME = re.compile(r"[A-Za-z0-9][\w.@/:%-]*")
_SHOWN = re.compile(
    r"(?i)print|puts\b|echo|log\(|alert|prompt|input|raise|throw|error|exception|cout|write|message"
    r"|title|label|descr|text|assert|greet|say|msg|f['\"]"
)


def _list_literals(text: Text) -> Counter[str]:
    """The quoted words of code that are no text to be shown: keys, names, values compared with."""
    code = "\n".join(map(text.cut, text.blocks + text.code_lines))
    return Counter(
        match[2]
        for line in code.splitlines()
        for match in _LITERAL.finditer(line)
        if _NAME.fullmatch(match[2])
        and (line[: match.start()].endswith("[") or not _SHOWN.search(line))
    )


def _looks_like_code(line: str) -> bool:
    return bool(_CODE_SIGN.search(line)) and not line.endswith((".", "다", "요", "?"))


def _read_indents(text: Text) -> list[int]:
    """How deep each line of the code blocks stands, as the rank of its indentation."""
    ranks: list[int] = []
    for span in text.blocks:
        lines = [
            line.expandtabs(4)
            for line in _strip(text.cut(span)).splitlines()[1:-1]
            if line.strip() and line.strip() != '""'
        ]
        indents = [len(line) - len(line.lstrip()) for line in lines]
        order = sorted(set(indents))
        ranks += [order.index(indent) for indent in indents]
    return ranks


def _count_groups(text: Text) -> int:
    """How many groups the code lines without a fence form: only blank lines stand within one."""
    gaps = (text.raw[end:start] for (_, end), (start, _) in pairwise(text.code_lines))
    return sum(bool(gap.strip()) for gap in gaps)


def _locate(text: Text, lines: list[str]) -> list[Span]:
    """Where the code is that holds ``lines``: whole blocks and lines, enough for a reader."""
    if not lines:
        return []
    wanted = set(lines)
    return [
        span
        for span in text.blocks + text.code_lines
        if not wanted.isdisjoint(map(_normalise, text.cut(span).splitlines()))
    ]


def _compare_inline(source: Text, translation: Text) -> Findings:
    wanted = Counter(_normalise(source.cut(span)) for span in source.inline)
    found = Counter(_normalise(translation.cut(span)) for span in translation.inline)
    if wanted == found:
        return
    lost, new = list(wanted - found), list(found - wanted)
    # A name that stands in code twice may well be said once; that is worth no more than a look.
    harmless = set(lost) <= set(found) and set(new) <= set(wanted)
    detail = "inline code differs: " + ", ".join(
        [*(f"{shorten(x, 30)} lost" for x in lost[:3]), *(f"{shorten(x, 30)} new" for x in new[:3])]
    )
    yield _mixed(detail, source.inline, translation.inline, is_error=not harmless)
