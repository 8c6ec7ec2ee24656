"""The cells of a benchmark's items (premise, question, choices) wherever they stand in a text.

What stands between them, and in which order they are, is the template's business. A short cell is
in many texts by chance, so that one alone is no copy, unless it is a whole item and stands alone.
Beside one that is there letter by letter, another may be edited.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from kot_platypus.data.normal import Codes, encode_text, normalise
from kot_platypus.data.traces import list_bigrams
from kot_platypus.data.windows import Places, Windows, find_shortest

MIN_CELL_CHARS = 4
"""Shorter cells of an item (a label, a word, 원인 or 결과) are no text of it."""
MAX_OWNERS = 5
"""A cell of more items than these is a phrase, and no text of any ("모두 옳다")."""
CHOICES = 3
"""So many cells of an item are a copy even without its first one, which asks."""
MAX_PHRASE_CHARS = 6
"""An item up to so long is said often, and is one only as a line, a quotation or a field."""
MIN_RARE_CHARS = 8
"""An item from so long on is hardly ever said by chance, and is one between any two words."""

_MARKUP = re.compile(
    r"\\u([0-9A-Fa-f]{4})|\\[nrt]|&(?:#\w{1,7}|[A-Za-z]{2,8});|</?[A-Za-z][^<>]{0,200}>"
)
_AFTER = re.compile(r"[ \t]*(?:$|[^\w \t]|(?:\w{1,8} ){0,4}\w{1,8}\s?[:=?])")
"""What ends a unit: the end, a mark, the next field's name ("긍부정:") or a question about it."""
_MARKS = ".!?~…,"


class Cell(NamedTuple):
    """A cell of an item that stands in a text. Characters are those of normal forms."""

    text: int
    start: int
    end: int
    item: int
    number: int


class Cells:
    """The cells of at most ``longest`` characters of many items, by their normal forms.

    ``asking`` is which cell of each asks.
    """

    def __init__(self, items: Sequence[Sequence[str]], asking: Iterable[int], longest: int) -> None:
        owners: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for item, cells in enumerate(items):
            for number, cell in enumerate(cells):
                single = len(cells) == 1
                if (1 if single else MIN_CELL_CHARS) <= len(cell) <= longest:
                    owners[cell].append((item, number))
        by_size: dict[int, list[str]] = defaultdict(list)
        for cell, places in owners.items():
            if len(places) <= MAX_OWNERS or any(len(items[item]) == 1 for item, _ in places):
                by_size[len(cell)].append(cell)
        self._items = items
        self._owners = owners
        self._is_single = [len(cells) == 1 for cells in items]
        self._asking = list(asking)
        self._sizes = [
            (cells, Windows([encode_text(cell) for cell in cells], size, bits=20))
            for size, cells in sorted(by_size.items())
        ]

    def find(self, normals: Sequence[str], joined: Codes, starts: Places) -> Iterator[Cell]:
        """The cells that tell of their item in texts: ``normals``, and ``joined`` with ``starts``.

        Those are a cell that is all of an item, wherever it stands; and of other items the cell
        that asks with at least one other, one of the two perhaps edited, or ``CHOICES`` of any.
        """
        found: dict[tuple[int, int], list[Cell]] = defaultdict(list)
        for cells, windows in self._sizes:
            hits = windows.find(joined)
            texts = np.searchsorted(starts, hits.places, side="right") - 1
            offsets = hits.places - starts[texts]
            rows = (texts.tolist(), offsets.tolist(), hits.sequences.tolist())
            for text, start, place in zip(*rows, strict=True):
                for item, number in self._owners[cells[place]]:
                    cell = Cell(text, start, start + windows.size, item, number)
                    found[text, item].append(cell)
        read = cache(list_bigrams)
        for (text, item), here in found.items():
            numbers = {cell.number for cell in here}
            asks = self._asking[item] in numbers
            if self._is_single[item] or len(numbers) >= (2 if asks else CHOICES):
                yield from here
                continue
            missing = set(range(len(self._items[item]))) - numbers
            for number in sorted(missing) if asks else [self._asking[item]]:
                place = _find_edited(normals[text], self._items[item][number], read)
                if place:
                    yield from [*here, Cell(text, *place, item, number)]
                    break


def _find_edited(
    text: str, cell: str, read: Callable[[str], frozenset[tuple[str, str]]]
) -> tuple[int, int] | None:
    """Where at least half of a cell's pairs of neighbouring letters stand, no longer than it."""
    wanted = read(cell)
    needed = -(-len(wanted) // 2)
    if not wanted or len(wanted & read(text)) < needed:
        return None
    found = find_shortest(list(pairwise(text)), wanted, needed)
    return (found[0], found[1] + 1) if found and found[1] - found[0] < len(cell) else None


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is a unit: a line, a quotation, a field or a sentence.

    If short, not a sentence among others: "좋아요." is one of any review. If long, any words.
    """
    before, after = text[:start].rstrip(" \t")[-1:], text[end:]
    if len(normalise(text[start:end])) >= MIN_RARE_CHARS:
        return not (text[start - 1 : start].isalnum() or after[:1].isalnum())
    if end - start <= MAX_PHRASE_CHARS:
        after = after.lstrip(_MARKS)
        if before and before in _MARKS:
            return False
    return not (before.isalpha() or before.isdecimal()) and _AFTER.match(after) is not None


def blank_markup(text: str) -> str:
    """The text with tags, entities and escapes as spaces, so that each character keeps its place.

    A character that was escaped by its number stands before the spaces.
    """
    if not ("<" in text or "&" in text or "\\" in text):
        return text
    return _MARKUP.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16)) if found[1] else ""
    return char.ljust(len(found[0]))
