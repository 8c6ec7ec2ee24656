"""The planted set's material, and the good rows made of it.

``development.txt`` and ``heldout.txt`` share no sentence. Each is passages of sentence pairs with
slots: a passage opens with ``# domain | slot=kind ...``; then come English lines, each with its
Korean renderings (``> ``, one is drawn), and lines for both languages (``| ``, with their own
Korean in ``> `` lines if it differs). Tables of slot values, ``English = Korean | other Korean``,
stand at the end: numbers are rendered from tables by hand, not by what the checks know.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent
Part = Literal["development", "heldout"]


@dataclass(frozen=True)
class Pair:
    """One sentence or one verbatim block, in both languages."""

    english: str
    korean: str
    verbatim: bool


@dataclass(frozen=True)
class Row:
    """A translation with what was planted in it: ``kind`` is "" when it is good."""

    domain: str
    pairs: tuple[Pair, ...]
    kind: str = ""
    way: str = ""
    broken: str | None = None

    @property
    def source(self) -> str:
        return join([(pair.english, pair.verbatim) for pair in self.pairs])

    @property
    def translation(self) -> str:
        return join_korean(self.pairs) if self.broken is None else self.broken


def join(texts: list[tuple[str, bool]]) -> str:
    out = ""
    for i, (text, verbatim) in enumerate(texts):
        glue = "\n" if i and (verbatim or texts[i - 1][1]) else " " if i else ""
        out += glue + text
    return out


def join_korean(pairs: tuple[Pair, ...] | list[Pair]) -> str:
    return join([(pair.korean, pair.verbatim) for pair in pairs])


# --- material ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    domain: str
    slots: dict[str, str]
    pairs: tuple[tuple[str, tuple[str, ...], bool], ...]


Tables = dict[str, list[tuple[str, list[str]]]]


def load(part: Part) -> tuple[list[Passage], Tables]:
    text = (FOLDER / f"{part}.txt").read_text(encoding="utf-8")
    passages, tables = [], {}
    for block in re.split(r"\n\n+", text.strip()):
        head, *lines = block.split("\n")
        if head.startswith("@"):
            pairs = (line.split(" = ") for line in lines)
            tables[head[1:]] = [(english, korean.split(" | ")) for english, korean in pairs]
        else:
            domain, _, slots = head[2:].partition("|")
            named = dict(re.findall(r"(\w+)=(= [^=]+?(?= \w+=|$)|\S+)", slots))
            passages.append(Passage(domain.strip(), named, tuple(read_pairs(lines))))
    return passages, tables


def read_pairs(lines: list[str]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    i = 0
    while i < len(lines):
        start, verbatim = i, lines[i].startswith("|")
        while (
            i < len(lines) and lines[i].startswith("|") == verbatim and not lines[i].startswith(">")
        ):
            i += 1
            if not verbatim:
                break
        english = "\n".join(line[2:] if verbatim else line for line in lines[start:i])
        start = i
        while i < len(lines) and lines[i].startswith(">"):
            i += 1
        korean = [line[2:] for line in lines[start:i]]
        if verbatim:
            yield english, ("\n".join(korean) if korean else english,), True
        else:
            assert korean, english
            yield english, tuple(korean), False


def fill(passage: Passage, tables: Tables, rng: random.Random) -> tuple[Pair, ...]:
    english: dict[str, str] = {}
    korean: dict[str, str] = {}
    values: dict[str, int] = {}
    names = rng.sample(tables["name"], 4)
    for slot, kind in passage.slots.items():
        name, *limits = kind.split(":")
        if name.startswith("= "):
            english[slot] = korean[slot] = str(eval(name[2:], {}, values))
        elif name == "int":
            values[slot] = rng.randint(*map(int, limits))
            english[slot] = korean[slot] = str(values[slot])
        elif name == "float":
            low, high, digits = float(limits[0]), float(limits[1]), int(limits[2])
            english[slot] = korean[slot] = f"{rng.uniform(low, high):.{digits}f}"
        elif name == "kilo":
            value = rng.randrange(int(limits[0]), int(limits[1]), 100)
            english[slot] = f"{value:,}"
            ways = [f"{value:,}", str(value)]
            if value > 10000:
                tens, rest = divmod(value, 10000)
                ways += [f"{tens}만 {rest:,}" if rest else f"{tens}만"]
            korean[slot] = rng.choice(ways)
        else:
            entry = names.pop() if name == "name" else rng.choice(tables[name])
            english[slot], korean[slot] = entry[0], rng.choice(entry[1])

    def put(text: str, texts: dict[str, str], verbatim: bool) -> str:
        filled = re.sub(r"«(\w+)»", lambda match: texts[match[1]], text)
        return filled[:1].upper() + filled[1:] if text[0] == "«" and not verbatim else filled

    return tuple(
        Pair(put(en, english, verbatim), put(rng.choice(ko), korean, verbatim), verbatim)
        for en, ko, verbatim in passage.pairs
    )


def make_clean(part: Part, count: int, seed: int = 0) -> list[Row]:
    """``count`` different good rows; two in five are two passages of a domain in a row."""
    passages, tables = load(part)
    rng = random.Random(f"{part}/clean/{seed}")
    rows: dict[tuple[str, str], Row] = {}
    for i in range(count * 50):
        passage = passages[i % len(passages)]
        pairs = fill(passage, tables, rng)
        if rng.random() < 0.4 and passage.domain not in ("short", "choice"):
            other = rng.choice([p for p in passages if p.domain == passage.domain])
            pairs = pairs if other is passage else pairs + fill(other, tables, rng)
        row = Row(passage.domain, pairs)
        rows.setdefault((row.source, row.translation), row)
        if len(rows) == count:
            return list(rows.values())
    raise ValueError(f"only {len(rows)} different rows")
