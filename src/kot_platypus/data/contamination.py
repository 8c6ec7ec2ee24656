"""Contamination: which training rows hold text of a benchmark, and where.

Three passes over each row: 13 characters in a row of the normal form, 5 content morphemes in a row
(a copy whose particles and endings were changed), and equality for items too short for either. The
benchmark is in memory, the training set streams by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

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
from kot_platypus.data.windows import Bags, Places, Windows, join_runs

NUM_CHARS = 13
NUM_MORPHEMES = 5
SEED_CHARS = 9
"""Where a row shares so many characters in a row with the benchmark, ..."""
AROUND_CHARS = 60
"""... it is split into morphemes, with so many characters on either side."""
SHORT_CHARS = 25
"""Items up to this length are also found as a line or quotation with the same morphemes, ..."""
SHORT_SEED_CHARS = 4
"""... looked for where so many characters in a row agree."""
MIN_CELL_CHARS = 4
"""Shorter cells of an item (a label, a word, 원인 or 결과) are no text of it."""
How = Literal["characters", "morphemes", "reordered", "exact"]

_SEGMENT = re.compile(r"""[^\n:"“”'‘’「」『』]+""")


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
    """One question of a benchmark. ``text`` is its cells, joined by spaces."""

    benchmark: str
    number: int
    text: str


def join_cells(cells: Iterable[object]) -> str:
    """An item's text: its cells, without those too short to be text unless all of them are."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    long = [text for text in texts if len(normalise(text)) >= MIN_CELL_CHARS]
    return " ".join(long or texts)


class BenchmarkIndex:
    """The items of benchmarks, to look texts up in.

    Memory: some 130 bytes a character of the items, and kiwipiepy's model (about 0.5 GB).
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = tuple(items)
        normals = [normalise(item.text) for item in self.items]
        codes = [encode_text(normal) for normal in normals]
        self._chars, self._seeds = Windows(codes, NUM_CHARS), Windows(codes, SEED_CHARS)
        self._morphemes = list(split_morphemes(item.text for item in self.items))
        self._vocabulary: dict[str, int] = {}
        for morpheme in (each for morphemes in self._morphemes for each in morphemes):
            self._vocabulary.setdefault(morpheme.form, len(self._vocabulary) + 1)
        stems = [self._encode(morphemes) for morphemes in self._morphemes]
        self._stems, self._bags = Windows(stems, NUM_MORPHEMES), Bags(stems)
        self._equal: dict[str, list[int]] = {}
        self._short: dict[tuple[str, ...], list[int]] = {}
        for number, (normal, morphemes) in enumerate(zip(normals, self._morphemes, strict=True)):
            if normal and len(normal) < NUM_CHARS and len(morphemes) < NUM_MORPHEMES:
                self._equal.setdefault(normal, []).append(number)
            if len(normal) <= SHORT_CHARS and len(morphemes) >= 2:
                self._short.setdefault(_list_forms(morphemes), []).append(number)
        short = {number for numbers in self._short.values() for number in numbers}
        self._short_seeds = Windows([codes[number] for number in sorted(short)], SHORT_SEED_CHARS)

    def _encode(self, morphemes: Sequence[Morpheme]) -> Codes:
        """Numbers from 1; 0 for a form that no item has, so that no window with it is found."""
        codes = [self._vocabulary.get(morpheme.form, 0) for morpheme in morphemes]
        return np.array(codes, dtype=np.uint64)

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """All matches in ``texts``, by text and place. Each text is looked at by itself."""
        joined, starts = join_codes([encode_text(normalise(text)) for text in texts])
        matches = [*self._match_chars(texts, joined, starts), *self._match_short(texts)]
        parts = self._find_parts(texts, joined, starts)
        matches += self._match_morphemes(texts, parts, matches)
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

    def _find_parts(
        self, texts: Sequence[str], joined: Codes, starts: Places
    ) -> list[tuple[int, int, int]]:
        """The parts of texts that may hold an edited copy: number of the text, start, end."""
        places = np.unique(self._seeds.find(joined).places)
        owners = np.searchsorted(starts, places, side="right") - 1
        parts: list[tuple[int, int, int]] = []
        for number, offset in zip(owners.tolist(), (places - starts[owners]).tolist(), strict=True):
            if not parts or parts[-1][0] != number:
                positions = map_positions(texts[number])
            start = max(0, positions[offset] - AROUND_CHARS)
            end = min(len(texts[number]), positions[offset + SEED_CHARS] + AROUND_CHARS)
            if parts and parts[-1][0] == number and start <= parts[-1][2]:
                start = parts.pop()[1]
            parts.append((number, start, end))
        return parts

    def _match_morphemes(
        self,
        texts: Sequence[str],
        parts: Sequence[tuple[int, int, int]],
        known: Iterable[Match],
    ) -> list[Match]:
        """Runs of morphemes and, for items not found otherwise, their morphemes in any order."""
        chosen = [number for number, _, _ in parts]
        split = split_morphemes(texts[number][start:end] for number, start, end in parts)
        found = [
            [Morpheme(each.form, each.start + start, each.end + start) for each in morphemes]
            for (_, start, _), morphemes in zip(parts, split, strict=True)
        ]
        codes = [self._encode(morphemes) for morphemes in found]
        joined, starts = join_codes(codes)
        matches = [
            Match(
                chosen[run.text],
                _span_morphemes(found[run.text], run.start, run.end),
                run.item,
                _span_morphemes(self._morphemes[run.item], run.item_start, run.item_end),
                "morphemes",
            )
            for run in join_runs(self._stems.find(joined), starts, NUM_MORPHEMES)
        ]
        seen = {(match.text, match.item) for match in (*known, *matches)}
        for i, item, start, end in self._bags.find(codes):
            if (chosen[i], item) not in seen:
                whole = (0, len(self.items[item].text))
                span = _span_morphemes(found[i], start, end)
                matches.append(Match(chosen[i], span, item, whole, "reordered"))
        return matches

    def _match_short(self, texts: Sequence[str]) -> list[Match]:
        """Segments that are a short item: by their normal form, or by their morphemes."""
        segments = [
            (number, *segment)
            for number, text in enumerate(texts)
            for segment in _iter_segments(text)
        ]
        matches = []
        for number, start, end, normal in segments:
            for item in self._equal.get(normal, ()):
                matches.append(self._make_whole(number, (start, end), item, "exact"))
        short = [each for each in segments if len(each[3]) <= SHORT_CHARS + 5]
        joined, starts = join_codes([encode_text(normal) for *_, normal in short])
        likely = [short[i] for i in self._short_seeds.list_sequences(joined, starts)]
        split = split_morphemes(texts[number][start:end] for number, start, end, _ in likely)
        for (number, start, end, normal), morphemes in zip(likely, split, strict=True):
            for item in self._short.get(_list_forms(morphemes), ()):
                if item not in self._equal.get(normal, ()):
                    matches.append(self._make_whole(number, (start, end), item, "reordered"))
        return matches

    def _make_whole(self, text: int, span: tuple[int, int], item: int, how: How) -> Match:
        return Match(text, span, item, (0, len(self.items[item].text)), how)


def _list_forms(morphemes: Iterable[Morpheme]) -> tuple[str, ...]:
    return tuple(sorted(morpheme.form for morpheme in morphemes))


def _span_morphemes(morphemes: Sequence[Morpheme], start: int, end: int) -> tuple[int, int]:
    return morphemes[start].start, max(each.end for each in morphemes[start:end])


def _iter_segments(text: str) -> Iterator[tuple[int, int, str]]:
    """The text, its lines, and its parts in quotation marks or after a colon, normalised."""
    whole = normalise(text)
    seen = set()
    for found in _SEGMENT.finditer(text):
        normal = normalise(found[0])
        seen.add(normal)
        yield found.start(), found.end(), normal
    if whole not in seen:
        yield 0, len(text), whole
