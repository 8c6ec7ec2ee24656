"""What a data set is like as a whole: lengths, tasks, languages, endings, clusters, checks.

``take_census`` writes one JSON file of counts, which a page is made of. Every row is looked at by
itself, so that any executor may share the work; memory holds a few numbers a row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kot_platypus.artifacts import hash_file, read_json, write_json
from kot_platypus.checks.speech import KOREAN, SENTENCE, read_level
from kot_platypus.columns import Columns
from kot_platypus.data.executors import Executor
from kot_platypus.data.spool import iter_chunks
from kot_platypus.formats import iter_rows, iter_values, parse_rows
from kot_platypus.progress import show_progress
from kot_platypus.records import Dialogue, Row
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import open_stage

CENSUS = "census.json"
CountTokens = Callable[[Sequence[str]], Sequence[int]]
_CHUNK_ROWS = 512


class TokenCount(NamedTuple):
    """In whose tokens lengths are counted too, if in any: the model's name, and who counts them."""

    tokenizer: str = ""
    count_tokens: CountTokens | None = None
    """Called in the command's own process."""


NO_TOKENS = TokenCount()


_QUANTILES = {"least": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "most": 1.0}
_BINS_A_DECADE = 6
_TOP = 30
"""So many tasks and endings are named; the others are counted together."""

_CODE = r"```.*?(?:```|\Z)|`[^`\n]+`"
_FORMULA = r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|(?<![\\$])\$(?![\s$])[^$\n]*?(?<![\s\\])\$(?!\d)"
_APART = re.compile(rf"(?P<code>{_CODE})|(?P<formula>{_FORMULA})", re.DOTALL)
_KINDS = {
    "Korean": re.compile(r"[가-힣ㄱ-ㆎᄀ-ᇿ]+"),
    "English": re.compile(r"[A-Za-z]+"),
    "digits": re.compile(r"[0-9]+"),
    "other letters": re.compile(r"[^\W\d_A-Za-z가-힣ㄱ-ㆎᄀ-ᇿ]+"),
}
_SPACE = re.compile(r"\s+")
_MARKS = ".!?…"
_LAST_WORD = re.compile(r"([가-힣]+)[^\w가-힣]*$")


@dataclass
class Measures:
    """What was counted in some rows."""

    chars: dict[str, list[int]] = field(default_factory=dict)
    """Of each part of a row, as ``question``, one number a text."""
    tokens: dict[str, list[int]] = field(default_factory=dict)
    turns: list[int] = field(default_factory=list)
    """Of conversations: how many turns each has."""
    tasks: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Characters by what they are, without white space."""
    korean: Counter[int] = field(default_factory=Counter)
    """Rows by how many tenths of their letters, outside of code and formulas, are Korean."""
    levels: Counter[str] = field(default_factory=Counter)
    """Sentences of answers, those that end in a mark, by their speech level."""
    rows_by_level: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    """Sentences of answers by their last two syllables."""

    def add(self, other: Measures) -> None:
        """Count these rows too."""
        for mine, more in ((self.chars, other.chars), (self.tokens, other.tokens)):
            for name, lengths in more.items():
                mine.setdefault(name, []).extend(lengths)
        self.turns += other.turns
        for name in ("tasks", "kinds", "korean", "levels", "rows_by_level", "endings"):
            getattr(self, name).update(getattr(other, name))


def take_census(
    data: Path,
    out: Path,
    executor: Executor,
    *,
    columns: Columns | None = None,
    tokens: TokenCount = NO_TOKENS,
) -> dict[str, Any]:
    """Count what the rows of ``data`` are like, into ``out/census.json``. Returns it."""
    config = {"columns": dict(columns or {}), "tokenizer": tokens.tokenizer}
    with open_stage(out, "census", config=config, inputs={"data": hash_file(data)}) as stage:
        if not stage.is_done:
            total = Measures()
            measure = partial(_measure_values, columns=columns)
            with show_progress("Measuring rows", None, "rows") as advance:
                for part in executor.map(measure, iter_chunks(iter_values(data), _CHUNK_ROWS)):
                    total.add(part)
                    advance(sum(part.korean.values()))
            if tokens.count_tokens is not None:
                _add_tokens(total, data, columns, tokens.count_tokens)
            write_json(out / CENSUS, {**summarise(total), "tokenizer": tokens.tokenizer})
    return dict(read_json(out / CENSUS))


# --- one row -----------------------------------------------------------------------------------


def _measure_values(placed: Sequence[tuple[str, object]], columns: Columns | None) -> Measures:
    total = Measures()
    for row in parse_rows(placed, "row", columns):
        total.add(measure_row(row))
    return total


def measure_row(row: Row) -> Measures:
    """What is counted in one row."""
    found = Measures()
    parts = list_parts(row)
    for name, text in parts:
        found.chars.setdefault(name, []).append(len(text))
    if isinstance(row, Dialogue):
        found.turns.append(len(row.messages))
    found.tasks[row.task] += 1
    letters: Counter[str] = Counter()
    for _, text in parts:
        counted, prose = _count_kinds(text)
        found.kinds.update(counted)
        letters.update(_count_letters(prose))
    num_letters = letters.total() - letters["digits"]
    found.korean[min(9, 10 * letters["Korean"] // num_letters) if num_letters else -1] += 1
    _count_endings(found, [text for name, text in parts if name in ("rationale", "assistant")])
    return found


def list_parts(row: Row) -> list[tuple[str, str]]:
    """A row's texts, none empty, by what they are: question, rationale, answer; or who speaks."""
    texts = list_texts(row)
    if isinstance(row, Dialogue):
        return [(row.messages[int(name.split(".")[1])].role, text) for name, text in texts.items()]
    question = f"{row.source}\n\n{row.input}" if row.input else row.source
    parts = [("question", question), ("rationale", row.rationale), ("answer", row.target)]
    return [(name, text) for name, text in parts if text]


def _count_letters(prose: str) -> Counter[str]:
    return Counter({n: sum(map(len, kind.findall(prose))) for n, kind in _KINDS.items()})


def _count_kinds(text: str) -> tuple[Counter[str], str]:
    """A text's characters by what they are, and the text without its code and formulas."""
    counted: Counter[str] = Counter()
    prose = text
    if "`" in text or "$" in text or "\\" in text:
        for match in _APART.finditer(text):
            counted[match.lastgroup or ""] += len(_SPACE.sub("", match[0]))
        prose = _APART.sub("\n", text)
    found = _count_letters(prose)
    counted.update(found)
    counted["signs"] += len(_SPACE.sub("", prose)) - found.total()
    return counted, prose


def _count_endings(found: Measures, answers: Sequence[str]) -> None:
    """How the sentences of answers end: in which speech level, on which syllables."""
    levels: Counter[str] = Counter()
    for text in answers:
        for match in SENTENCE.finditer(_APART.sub("\n", text)):
            if match[0][-1] in _MARKS and (word := _LAST_WORD.search(match[0])):
                found.endings[word[1][-2:]] += 1
                level = read_level(match[0])
                levels[KOREAN[level] if level else "not told"] += 1
    found.levels.update(levels)
    told = levels.keys() - {"not told"}
    if answers:
        found.rows_by_level["several" if len(told) > 1 else next(iter(told), "not told")] += 1


def _add_tokens(
    total: Measures, data: Path, columns: Columns | None, count_tokens: CountTokens
) -> None:
    with show_progress("Counting tokens", sum(total.tasks.values()), "rows") as advance:
        for rows in iter_chunks(iter_rows(data, columns), _CHUNK_ROWS):
            parts = [part for row in rows for part in list_parts(row)]
            lengths = count_tokens([text for _, text in parts])
            for (name, _), length in zip(parts, lengths, strict=True):
                total.tokens.setdefault(name, []).append(length)
            advance(len(rows))


# --- all of them -------------------------------------------------------------------------------


def summarise(total: Measures) -> dict[str, Any]:
    """The counts as they are written: lengths as histograms and quantiles."""
    return {
        "rows": sum(total.tasks.values()),
        "chars": {name: _summarise_lengths(found) for name, found in total.chars.items()},
        "tokens": {name: _summarise_lengths(found) for name, found in total.tokens.items()},
        "turns": dict(sorted(Counter(total.turns).items())),
        "num_tasks": len(total.tasks),
        "tasks": dict(total.tasks.most_common(_TOP)),
        "kinds": dict(total.kinds.most_common()),
        "korean": [total.korean[tenth] for tenth in range(10)],
        "no_letters": total.korean[-1],
        "levels": dict(total.levels.most_common()),
        "rows_by_level": dict(total.rows_by_level.most_common()),
        "num_endings": total.endings.total(),
        "endings": dict(total.endings.most_common(_TOP)),
    }


def _summarise_lengths(lengths: Sequence[int]) -> dict[str, Any]:
    """Texts by their length in steps of a sixth of a power of ten, and how long they are."""
    array = np.array(lengths)
    steps = np.floor(np.log10(np.maximum(array, 1)) * _BINS_A_DECADE).astype(int)
    counts = np.bincount(steps)
    return {
        "texts": len(array),
        "mean": float(array.mean()),
        **{n: int(np.quantile(array, q, method="nearest")) for n, q in _QUANTILES.items()},
        "histogram": counts.tolist(),
    }
