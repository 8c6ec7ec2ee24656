"""Contamination: which training rows hold text of a benchmark, and where.

Passes over each row: 13 characters in a row of the normal form; an item's short cells, wherever
they stand; a short item with a word edited; and, around traces of an edited copy, 5 content
morphemes in a row (particles and endings were changed) or most morphemes of a sentence close
together in any order. The benchmark is in memory, the training set streams by.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from kot_platypus.data.cells import MIN_CELL_CHARS, Cells, blank_markup, stands_alone
from kot_platypus.data.normal import (
    Codes,
    Morpheme,
    encode_text,
    find_span,
    join_codes,
    map_positions,
    normalise,
    split_morphemes,
)
from kot_platypus.data.traces import Trace, Traces
from kot_platypus.data.windows import Places, Windows, find_shortest, join_runs

RULES = 4
"""Their version: what others have checked is checked again."""
NUM_CHARS = 13
NUM_MORPHEMES = 5
PIECE_CHARS = 25
"""An item's sentences are looked for by so many characters or more at a time."""
AROUND_CHARS = 60
"""So many characters on either side of a trace are split into morphemes."""
SHORT_CHARS = 25
"""Items up to this length are also found as a line or quotation with the same words, but for one,
or with the same morphemes, ..."""
SHORT_SEED_CHARS = 4
"""... looked for where so many characters in a row agree ..."""
LENGTHS_APART = 6
"""... and the lengths differ by no more."""
LONGEST_SEGMENT = 120
"""Such a line has at most so many characters, spaces and marks of no width included."""
MIN_BAG = 4
"""A piece of fewer different morphemes is in any text by chance."""
BAG_MISSING = 3
"""One in so many of a piece's morphemes may be missing."""
Benchmarks = Mapping[str, Sequence[tuple[str, ...]]]
"""The cells of every item, by the name of its benchmark."""
How = Literal["characters", "cells", "morphemes", "reordered", "exact"]

_SEGMENT = re.compile(r"""[^\n\t|:"“”'‘’「」『』]+""")
_BRACKET = re.compile(r"[(\[]")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")


class Match(NamedTuple):
    """A stretch of a text that is also one of a benchmark's item. Characters count from 0."""

    text: int
    """The text's place among those scanned."""
    span: tuple[int, int]
    item: int
    """The item's place in the index."""
    item_span: tuple[int, int]
    how: How


@dataclass(frozen=True)
class Item:
    """One question of a benchmark: its cells, the one that asks before the choices."""

    benchmark: str
    number: int
    cells: tuple[str, ...]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The cells that are text: long enough for it, or all in one if none is."""
        long = tuple(cell for cell in self.cells if len(normalise(cell)) >= MIN_CELL_CHARS)
        return long or (" ".join(self.cells),)

    @property
    def asking(self) -> int:
        """The place of the part that asks: the first with a space, which no id or label has."""
        return next((i for i, part in enumerate(self.parts) if " " in part.strip()), 0)

    @cached_property
    def text(self) -> str:
        """The parts, joined by spaces."""
        return " ".join(self.parts)

    def list_pieces(self) -> list[tuple[int, int]]:
        """Where in the text its sentences are: as many at a time as make ``PIECE_CHARS``."""
        ends = [found.end() for found in _SENTENCE.finditer(self.text)]
        ends += np.cumsum([len(part) + 1 for part in self.parts]).tolist()
        pieces, start = [], 0
        for end in sorted({min(end, len(self.text)) for end in ends}):
            if len(normalise(self.text[start:end])) >= PIECE_CHARS:
                pieces.append((start, end))
                start = end
        first = pieces.pop()[0] if pieces and start < len(self.text) else start
        return [*pieces, (first, len(self.text))] if first < len(self.text) else pieces


@dataclass(frozen=True)
class _Bag:
    """The morphemes of a piece of an item, to be found in any order."""

    item: int
    span: tuple[int, int]
    forms: frozenset[int]
    length: int
    """How many morphemes there are."""

    def find(self, codes: Sequence[int]) -> tuple[int, int] | None:
        """Where all of them but one in three stand close together, and not far closer."""
        if len(self.forms) < MIN_BAG:
            return None
        found = find_shortest(codes, self.forms, len(self.forms) - len(self.forms) // BAG_MISSING)
        longest = self.length + self.length // 4 + 1
        return found if found and self.length / 2 <= found[1] - found[0] <= longest else None


class BenchmarkIndex:
    """The items of benchmarks, to look texts up in.

    Memory: some 130 bytes a character of the items, and kiwipiepy's model (about 0.5 GB).
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = tuple(items)
        normals = [normalise(item.text) for item in self.items]
        codes = [encode_text(normal) for normal in normals]
        self._chars = Windows(codes, NUM_CHARS)
        parts = [list(map(normalise, item.parts)) for item in self.items]
        self._cells = Cells(parts, (item.asking for item in self.items), NUM_CHARS - 1)
        self._morphemes = list(split_morphemes(item.text for item in self.items))
        self._vocabulary: dict[str, int] = {}
        for morpheme in (each for morphemes in self._morphemes for each in morphemes):
            self._vocabulary.setdefault(morpheme.form, len(self._vocabulary) + 1)
        self._stems = Windows([self._encode(each) for each in self._morphemes], NUM_MORPHEMES)
        self._bags = [bag for number in range(len(self.items)) for bag in self._iter_bags(number)]
        self._traces = Traces(
            [normalise(self.items[bag.item].text[slice(*bag.span)]) for bag in self._bags]
        )
        self._short: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._short_words: dict[tuple[str, ...], list[int]] = defaultdict(list)
        short = [number for number, normal in enumerate(normals) if len(normal) <= SHORT_CHARS]
        for number in short:
            if len(self._morphemes[number]) >= 2:
                self._short[_list_forms(self._morphemes[number])].append(number)
            for words in _leave_one_out(_list_words(self.items[number].text)):
                self._short_words[words].append(number)
        self._short_seeds = Windows([codes[number] for number in short], SHORT_SEED_CHARS)
        self._short_lengths = np.array([len(codes[number]) for number in short], dtype=np.int64)

    def _encode(self, morphemes: Sequence[Morpheme]) -> Codes:
        """Numbers from 1; 0 for a form that no item has, so that no window with it is found."""
        codes = [self._vocabulary.get(morpheme.form, 0) for morpheme in morphemes]
        return np.array(codes, dtype=np.uint64)

    def _iter_bags(self, number: int) -> Iterator[_Bag]:
        codes = self._encode(self._morphemes[number]).tolist()
        for start, end in self.items[number].list_pieces():
            inside = [
                code
                for code, morpheme in zip(codes, self._morphemes[number], strict=True)
                if start <= morpheme.start < end
            ]
            yield _Bag(number, (start, end), frozenset(inside), len(inside))

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """All matches in ``texts``, by text and place. Each text is looked at by itself."""
        texts = [blank_markup(text) for text in texts]
        normals = [normalise(text) for text in texts]
        joined, starts = join_codes([encode_text(normal) for normal in normals])
        matches = [*self._match_chars(texts, joined, starts)]
        matches += self._match_cells(texts, normals, joined, starts)
        known = {(match.text, match.item) for match in matches}
        matches += self._match_short(texts, known)
        known |= {(match.text, match.item) for match in matches}
        traces = [
            trace
            for trace in self._traces.find(normals, joined, starts)
            if (trace.text, self._bags[trace.piece].item) not in known
        ]
        matches += self._match_morphemes(texts, traces)
        return sorted(matches, key=lambda match: (match.text, match.span[0], match.item, match.how))

    def _match_chars(self, texts: Sequence[str], joined: Codes, starts: Places) -> Iterator[Match]:
        for run in join_runs(self._chars.find(joined), starts, NUM_CHARS):
            item = self.items[run.item]
            yield Match(
                run.text,
                find_span(texts[run.text], run.start, run.end),
                run.item,
                find_span(item.text, run.item_start, run.item_end),
                "characters",
            )

    def _match_cells(
        self, texts: Sequence[str], normals: Sequence[str], joined: Codes, starts: Places
    ) -> Iterator[Match]:
        """Short cells: together with others of their item, or where a cell is all of it."""
        for cell in self._cells.find(normals, joined, starts):
            parts = self.items[cell.item].parts
            text = texts[cell.text]
            span = find_span(text, cell.start, cell.end)
            if len(parts) == 1 and not stands_alone(text, *span):
                continue
            start = sum(len(part) + 1 for part in parts[: cell.number])
            item_span = (start, start + len(parts[cell.number]))
            yield Match(
                cell.text, span, cell.item, item_span, "exact" if len(parts) == 1 else "cells"
            )

    def _match_morphemes(self, texts: Sequence[str], traces: Sequence[Trace]) -> list[Match]:
        """Runs of morphemes and, for items not found otherwise, their morphemes in any order."""
        parts, owners = _list_parts(texts, traces)
        split = split_morphemes(texts[number][start:end] for number, start, end in parts)
        found = [
            [Morpheme(each.form, each.start + start, each.end + start) for each in morphemes]
            for (_, start, _), morphemes in zip(parts, split, strict=True)
        ]
        codes = [self._encode(morphemes) for morphemes in found]
        joined, starts = join_codes(codes)
        matches = [
            Match(
                parts[run.text][0],
                _span_morphemes(found[run.text], run.start, run.end),
                run.item,
                _span_morphemes(self._morphemes[run.item], run.item_start, run.item_end),
                "morphemes",
            )
            for run in join_runs(self._stems.find(joined), starts, NUM_MORPHEMES)
        ]
        seen = {(match.text, match.item) for match in matches}
        for trace, part in zip(traces, owners, strict=True):
            bag = self._bags[trace.piece]
            place = bag.find(codes[part].tolist())
            if place and (trace.text, bag.item) not in seen:
                span = _span_morphemes(found[part], *place)
                matches.append(Match(trace.text, span, bag.item, bag.span, "reordered"))
        return matches

    def _match_short(self, texts: Sequence[str], known: set[tuple[int, int]]) -> Iterator[Match]:
        """Lines and quotations with the words or morphemes of a short item, or all but one word."""
        segments = [
            (number, *segment)
            for number, text in enumerate(texts)
            for segment in _iter_segments(text)
            if len(segment[2]) <= SHORT_CHARS + LENGTHS_APART
        ]
        joined, starts = join_codes([encode_text(normal) for *_, normal in segments])
        places, items, _ = self._short_seeds.find(joined)
        owners = np.searchsorted(starts, places, side="right") - 1
        longer = np.diff(starts)[owners] - 1 - self._short_lengths[items]
        likely = [segments[i] for i in np.unique(owners[abs(longer) <= LENGTHS_APART])]
        split = split_morphemes(texts[number][start:end] for number, start, end, _ in likely)
        found = [
            (*segment[:3], item)
            for segment, morphemes in zip(likely, split, strict=True)
            for item in self._short.get(_list_forms(morphemes), ())
        ]
        for number, start, end, _ in segments:
            words = _list_words(texts[number][start:end])
            found += (
                (number, start, end, item)
                for rest in _leave_one_out(words)
                for item in self._short_words.get(rest, ())
                if _are_alike(words, _list_words(self.items[item].text))
            )
        for number, start, end, item in sorted(set(found)):
            if (number, item) not in known:
                whole = (0, len(self.items[item].text))
                yield Match(number, (start, end), item, whole, "reordered")


def _list_parts(
    texts: Sequence[str], traces: Sequence[Trace]
) -> tuple[list[tuple[int, int, int]], list[int]]:
    """The parts of texts around traces (number of the text, start, end), and each trace's part."""
    parts: list[tuple[int, int, int]] = []
    owners = [0] * len(traces)
    for i in sorted(range(len(traces)), key=lambda i: traces[i]):
        trace = traces[i]
        if not parts or parts[-1][0] != trace.text:
            positions = map_positions(texts[trace.text])
        start = max(0, int(positions[trace.start]) - AROUND_CHARS)
        end = min(len(texts[trace.text]), int(positions[trace.end]) + AROUND_CHARS)
        if parts and parts[-1][0] == trace.text and start <= parts[-1][2]:
            _, start, before = parts.pop()
            end = max(end, before)
        parts.append((trace.text, start, end))
        owners[i] = len(parts) - 1
    return parts, owners


def _list_forms(morphemes: Iterable[Morpheme]) -> tuple[str, ...]:
    return tuple(sorted(morpheme.form for morpheme in morphemes))


def _span_morphemes(morphemes: Sequence[Morpheme], start: int, end: int) -> tuple[int, int]:
    return morphemes[start].start, max(each.end for each in morphemes[start:end])


def _list_words(text: str) -> tuple[str, ...]:
    """The normal forms of a text's words, sorted."""
    return tuple(sorted(word for word in map(normalise, text.split()) if word))


def _leave_one_out(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    """All of them but one, if there are two or more."""
    return {words[:i] + words[i + 1 :] for i in range(len(words))} - {()}


def _are_alike(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the one word in which they differ, if of two, keeps half its letters."""
    one, other = Counter(words) - Counter(others), Counter(others) - Counter(words)
    if len(words) > 2 or not one:
        return True
    (word,), (edited,) = one, other
    return 2 * sum((Counter(word) & Counter(edited)).values()) >= max(len(word), len(edited))


def _iter_segments(text: str) -> Iterator[tuple[int, int, str]]:
    """The text, its lines, and what is quoted or after a colon, if short: normalised.

    Before a colon stands the next field's name, which is also cut off, as is what is in brackets.
    """
    segments = {found.span() for found in _SEGMENT.finditer(text)} | {(0, len(text))}
    segments |= {
        (start, text.rindex(" ", start, end))
        for start, end in segments
        if text[end : end + 1] == ":" and " " in text[start:end].strip()
    }
    segments |= {
        (start, found.start())
        for start, end in segments
        if (found := _BRACKET.search(text, start + 1, end))
    }
    for start, end in sorted(segments):
        if end - start <= LONGEST_SEGMENT:
            yield start, end, normalise(text[start:end])
