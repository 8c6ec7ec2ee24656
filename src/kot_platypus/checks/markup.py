"""The check that marks which are no words came through: Markdown, tags, addresses."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from kot_platypus.checks.findings import Findings, Span, make_finding, shorten
from kot_platypus.checks.segments import TAG, Text
from kot_platypus.oddities import SPECIAL_TOKEN, ZERO_WIDTH

_broken = partial(make_finding, "markup")

_LINK = re.compile(r"\]\(")
_STAR, _LINE = re.compile(r"\*"), re.compile(r"(?m)^[ \t]*[-*•+·#>|]")
_MARKDOWN = {  # with what has to be there before it is worth a look
    "bold text": (_STAR, re.compile(r"\*\*(?=\S)[^*\n]+?\*\*")),
    "italics": (_STAR, re.compile(r"(?<![*\w])\*[^*\s](?:[^*\n]*[^*\s])?\*(?![*A-Za-z0-9])")),
    "headings": (_LINE, re.compile(r"(?m)^ {0,3}#{1,6} \S")),
    "list items": (_LINE, re.compile(r"(?m)^\s*[-*•+·] \S")),
    "table rows": (_LINE, re.compile(r"(?m)^\s*\|.*\|\s*$")),
    "quoted lines": (_LINE, re.compile(r"(?m)^> ?\S")),
    "links": (_LINK, re.compile(r"\[[^][\n]*\]\(")),
}
_ADDRESS = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>\"'`)\]가-힣]+[^\s<>\"'`)\].,;:!?*가-힣]"
    r"|(?<![\w.+-])[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)
_MARKER = re.compile(r"(?<![A-Za-z0-9)])\((?:[a-z]|[A-H]|i{1,3}|i?v)\)(?=[\s가-힣.,]|$)")
_KOREAN_MARKER = re.compile(r"[①-⑳]|\([가-하]\)|(?m:^)[가-하][.)] ")
_LETTER = re.compile(
    r"(?<![A-Za-z0-9'’.*°])(?:[B-HJ-Z]|(?<=\()A(?=\)))(?![A-Za-z0-9'’*]|\.[A-Za-z ])"
)
_ENTITY = re.compile(
    r"&amp;(?:amp|lt|gt|quot|#\d+);|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6}|#x[\da-fA-F]{1,5});"
)
_UNSEEN = re.compile(
    f"{ZERO_WIDTH.pattern}|[\u1100-\u11ff]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff]"
)
# Quick to look for: what any of the three begins with.
_SUSPECT = re.compile(r"[&<\[\u00ad\u1100-\u11ff\u200b-\u200f\u2060\ufeff\ue000-\uf8ff]")


def find_markup(source: Text, translation: Text) -> Findings:
    """Markdown, tags and addresses are kept, and nothing is written that no reader can see.

    Catches ``**``, headings, items, tables and links that are lost, an address that was changed, a
    tag without its partner, &quot; from nowhere, characters of no width, letters in pieces (NFD)
    and special tokens. Look-alikes: &amp; as "and"; another mark of an item; 2 * 3 * 4.
    """
    yield from _find_unseen(source, translation)
    marked = {
        mark: mark.search(source.prose) or mark.search(translation.prose)
        for mark in (_STAR, _LINE, _LINK)
    }
    for name, (mark, pattern) in _MARKDOWN.items():
        if not marked[mark]:
            continue
        wanted, found = _locate(pattern, source.prose), _locate(pattern, translation.prose)
        stray = name == "bold text" and translation.prose.count("**") - 2 * len(found)
        if len(found) < len(wanted) or (stray and stray > source.prose.count("**") % 2):
            yield _broken(f"{name}: {len(wanted)} became {len(found)}", wanted, found)
    if source.prose.count("\n") >= _FEWEST_TURNS - 1:
        yield from _compare_turns(source.prose, translation.prose)
    if "<" in source.raw or "<" in translation.raw:
        yield from _compare("tags", TAG, source, translation)
    if "//" in source.raw or "@" in source.raw or "www." in source.raw:
        yield from _compare("addresses", _ADDRESS, source, translation)
    yield from _compare_letters(source, translation)
    yield from _compare_marks(source.prose, translation.prose)
    markers = len(_MARKER.findall(source.prose)) if "(" in source.signs else 0
    if markers > 1 and len(_KOREAN_MARKER.findall(translation.prose)) != markers:
        yield from _compare("markers", _MARKER, source, translation)


_LABEL = re.compile(r"(?m)^([^\s:：|*#-][^:：\n]{0,20})[:：] ")
_FEWEST_TURNS = 4


def _compare_turns(source: str, translation: str) -> Findings:
    """A turn of a talk is lost: lines that begin with labels which come again."""
    wanted, found = (
        sum(n for n in Counter(_LABEL.findall(text)).values() if n > 1)
        for text in (source, translation)
    )
    if wanted >= _FEWEST_TURNS and 1 < found < wanted:
        yield _broken(f"turns: {wanted} became {found}")


def _locate(pattern: re.Pattern[str], text: str) -> list[Span]:
    return [match.span() for match in pattern.finditer(text)]


def _compare(name: str, pattern: re.Pattern[str], source: Text, translation: Text) -> Findings:
    """What must stand there word for word; all but tags may be said once more or less."""
    wanted = Counter(match[0] for match in pattern.finditer(source.raw))
    found = Counter(match[0] for match in pattern.finditer(translation.raw))
    lost, new = [*(wanted - found)], [*(found - wanted)]
    if name != "tags":
        lost, new = [x for x in lost if x not in found], [x for x in new if x not in wanted]
    if lost or new:
        words = [*(f"{shorten(x)} lost" for x in lost[:3]), *(f"{shorten(x)} new" for x in new[:3])]
        yield _broken(
            f"{name} differ: {', '.join(words)}",
            _locate(pattern, source.raw),
            _locate(pattern, translation.raw),
        )


def _compare_letters(source: Text, translation: Text) -> Findings:
    """Letters that stand alone, of choices, points and vitamins: none becomes another."""
    if not translation.lexicon:
        return
    found = _LETTER.findall(translation.prose)
    wanted = _LETTER.findall(source.prose) if found else []
    if wanted and sorted(wanted) != sorted(found):
        lost, new = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        if lost and new:
            yield _broken(f"letters: {next(iter(lost))} became {next(iter(new))}")


_MARK = re.compile(r"(?m)^[ \t]*\(?(?:([A-Ha-h])|(\d{1,2}))[.)] (.*)")


def _compare_marks(prose: str, other: str) -> Findings:
    """The marks of choices and steps (A., 2)) stand in their order, and all choices are Korean."""
    if "\n" not in prose or "\n" not in other:
        return
    wanted, found = _MARK.findall(prose), _MARK.findall(other)
    marks, others = [one[:2] for one in wanted], [one[:2] for one in found]
    if len(wanted) < 2 or not found:
        return
    if marks != others:
        yield _broken(f"marks differ: {_join(marks)} became {_join(others)}")
        return
    pairs = [(text, was) for (*_, text), (*_, was) in zip(found, wanted, strict=False)]
    kept = [text for text, was in pairs if text in (was, _ARTICLE.sub("", was))]
    names = [text for text in kept if _NAME.fullmatch(text)]
    if names and len(kept) < len(wanted):
        yield _broken(f"choices in part left in English: {shorten(names[0], 30)}")


_ARTICLE = re.compile("(?i)^(?:an?|the) ")
_NAME = re.compile(r"(?:[Aa]n? |[Tt]he )?[A-Za-z][a-z]{2,}(?: [A-Za-z]+)*\.?")


def _join(marks: list[tuple[str, ...]]) -> str:
    return ", ".join("".join(mark) for mark in marks)


def _find_unseen(source: Text, translation: Text) -> Findings:
    if translation.raw.replace("\n", "").isprintable() and not _SUSPECT.search(translation.raw):
        return
    kinds = {"unseen characters": _UNSEEN, "special tokens": SPECIAL_TOKEN, "entities": _ENTITY}
    for name, pattern in kinds.items():
        spans = _locate(pattern, translation.raw)
        before = Counter(pattern.findall(source.raw))
        if spans and Counter(pattern.findall(translation.raw)) - before:
            shown = ascii(translation.cut(spans[0])).strip("'")
            yield _broken(f"{name}: {shown}", (), spans)
