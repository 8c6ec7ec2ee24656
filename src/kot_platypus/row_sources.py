"""Where rows come from: files, folders and patterns of files, the Hub; each with its weight."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import MANIFEST, describe_no_file, hash_file
from kot_platypus.columns import Columns
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import LeaveOut, Placed, is_rows_file, iter_values, parse_rows, refuse
from kot_platypus.hub import iter_hub
from kot_platypus.recipe import SourceSection, TrainSection
from kot_platypus.records import Row
from kot_platypus.row_formats import Notes
from kot_platypus.verdicts import SUFFIX

HUB = "hub:"
_WEIGHTED = re.compile(r"(.+):(\d*\.?\d+)")


@dataclass(frozen=True)
class Part:
    """What is taken of one file, or of one split on the Hub, and how many rows that has."""

    name: str
    rows: Sequence[Row]
    found: int


@dataclass(frozen=True)
class Loaded:
    """The rows of several sources, in their order, and what is to be said of them."""

    parts: Sequence[Part]
    notes: Notes = field(default_factory=Notes)

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [row for part in self.parts for row in part.rows]

    @property
    def name(self) -> str:
        """Where they are from, for errors that name a row by its place among all."""
        first, *others = dict.fromkeys(part.name for part in self.parts)
        return (
            f"{first} and {len(others)} more" if len(others) > 1 else " + ".join((first, *others))
        )

    def count_parts(self) -> dict[str, dict[str, int]]:
        """For a manifest: the rows of each part, where there are several."""
        if len(self.parts) == 1:
            return {}
        counts: Counter[str] = Counter()
        for part in self.parts:
            counts[part.name] += len(part.rows)
        return {"num_rows_of": dict(counts)}

    def describe(self) -> list[str]:
        """Which rows came from where, if that is a question, and what is not read of them."""
        lines = []
        total = sum(len(part.rows) for part in self.parts)
        if len(self.parts) > 1 or any(len(part.rows) != part.found for part in self.parts):
            lines.append(f"{total:,} rows: {', '.join(map(_describe_part, self.parts))}")
        if self.notes:
            found = sum(part.found for part in self.parts)
            lines.append(describe_notes(self.notes, found))
        return lines


def describe_notes(notes: Notes, num_rows: int) -> str:
    """What was read otherwise than it may be meant, in one line."""
    counted = ", ".join(f"{count:,} {what}" for what, count in sorted(notes.items()))
    return f"Of {num_rows:,} rows {counted}"


def _describe_part(part: Part) -> str:
    of_all = f" (of {part.found:,})" if len(part.rows) != part.found else ""
    return f"{len(part.rows):,} of {part.name}{of_all}"


# --- what is asked for -------------------------------------------------------------------------


def parse_source(text: str, columns: Columns | None = None) -> SourceSection:
    """A source as the command line names it: ``rows/*.jsonl:0.5``, ``hub:ID:CONFIG@SPLIT:2``.

    The last number behind a colon is its weight, unless a file has that name. Raises UsageError.
    """
    weighted = None if Path(text).exists() else _WEIGHTED.fullmatch(text)
    path, weight = (weighted[1], float(weighted[2])) if weighted else (text, 1.0)
    if not weight or path in ("", HUB):
        raise UsageError(
            f"--data {text!r}",
            expected="FILE, FOLDER, 'PATTERN' or hub:ID[:CONFIG][@SPLIT], then :WEIGHT above 0",
            hint="E.g. --data a.jsonl --data b.jsonl:0.5",
        )
    options: dict[str, Any] = {"columns": dict(columns or {}), "weight": weight}
    if path.startswith(HUB):
        return SourceSection(name="hub", **parse_hub(path), **options)
    return SourceSection(name="file", path=path, **options)


def parse_hub(text: str) -> dict[str, Any]:
    """The fields of ``hub:ID[:CONFIG][@SPLIT]``."""
    name, _, split = text.removeprefix(HUB).partition("@")
    path, _, config = name.partition(":")
    return {"path": path, "config": config or None, "split": split or "train"}


def check_validation(section: TrainSection) -> None:
    """Raise DataError unless the files to validate on are there, if it names some."""
    if isinstance(section.validation, str):
        try:
            list_inputs(parse_source(section.validation))
        except DataError as error:
            raise DataError(
                f"train.validation: {error.found}",
                expected="a file of rows, or a share of the training rows such as 0.1",
                hint="Check train.validation.",
            ) from error


def list_files(path: str) -> list[Path]:
    """The file of a path, those of rows in a folder (not below it), or those of a pattern.

    Raises DataError where there is none, and for a folder that a stage wrote: not all of its files
    are to be trained on.
    """
    place = Path(path)
    if place.is_dir() and (place / MANIFEST).is_file():
        raise DataError(
            f"{path} is a folder that kot wrote",
            expected="one of its files",
            hint=f"E.g. {place / 'train.jsonl'}",
        )
    if not place.is_dir() and (place.exists() or not has_magic(path)):
        if not place.is_file():
            raise DataError(
                f"{path} {describe_no_file(place)}",
                expected="a file of rows",
                hint="Check the path.",
            )
        return [place]
    root = Path(place.anchor)
    found = place.iterdir() if place.is_dir() else root.glob(str(place.relative_to(root)))
    files = sorted(file for file in found if _holds_rows(file))
    if not files:
        raise DataError(
            f"{path} holds no file of rows" if place.is_dir() else f"no file of rows is {path}",
            expected="at least one, e.g. a .jsonl",
            hint="Check the path.",
        )
    return files


def _holds_rows(file: Path) -> bool:
    is_note = file.name.startswith(".") or file.name.endswith(SUFFIX)
    return file.is_file() and is_rows_file(file) and not is_note


def list_inputs(source: SourceSection) -> dict[str, Path]:
    """The files of a source, in the order in which they are read: one by the name it was given."""
    if source.name != "file" or source.path is None:
        return {}
    files = list_files(source.path)
    return {source.path: files[0]} if len(files) == 1 else {str(file): file for file in files}


def identify_sources(sources: Sequence[SourceSection]) -> tuple[dict[str, Any], dict[str, str]]:
    """What of sources decides a training: settings, and the hashes of files.

    A file's name does not, so that it may move. One file as it stands has no settings.
    """
    files = [file for source in sources for file in list_inputs(source).values()]
    single = len(files) == len(sources) == 1
    hashes = {"data" if single else f"data {i}": hash_file(f) for i, f in enumerate(files, 1)}
    settings = [
        source.model_dump(mode="json", exclude={"path"} if source.name == "file" else None)
        for source in sources
    ]
    is_plain = single and sources[0] == SourceSection(name="file", path=sources[0].path)
    return {} if is_plain else {"sources": settings}, hashes


# --- rows --------------------------------------------------------------------------------------


def read_sources(sources: Sequence[SourceSection], seed: int = 0) -> Loaded:
    """The rows of sources that are files or on the Hub, each as often as its weight says.

    Raises DataError for what cannot be read.
    """
    notes = Notes()
    parts = [part for source in sources for part in read_parts(source, seed, notes)]
    return Loaded(parts, notes)


def read_parts(source: SourceSection, seed: int, notes: Notes) -> Iterator[Part]:
    """What is taken of each file, or of the split, of one source. Raises as ``read_sources``."""
    for name, values in open_parts(source):
        rows = parse_rows(values, name, source.columns, notes)
        yield _weigh(name, rows, source.weight, seed)


def open_parts(
    source: SourceSection,
    leave_out: LeaveOut = refuse,
    *,
    hub_file: str | None = None,
    revision: str | None = None,
) -> Iterator[tuple[str, Placed]]:
    """The name and the rows, as they stand there, of each file, or of the split, of one source.

    ``leave_out`` takes lines of files that are none. Of a data set on the Hub it may be one file,
    or a revision. Raises as ``read_sources``.
    """
    assert source.path is not None
    if source.name == "hub":
        config, split = source.config, source.split
        found = iter_hub(source.path, hub_file, revision, config=config, split=split)
        yield describe_hub(source), found
        return
    for file in list_files(source.path):
        yield str(file), iter_values(file, leave_out)


def describe_hub(source: SourceSection) -> str:
    """A split on the Hub in one word: ``openai/gsm8k:main@train``; the defaults are left out."""
    config = f":{source.config}" if source.config else ""
    return f"{source.path}{config}{f'@{source.split}' if source.split != 'train' else ''}"


def _weigh(name: str, found: Iterable[Row], weight: float, seed: int) -> Part:
    """All rows as often as ``weight`` says; of a fraction of them those that the seed draws."""
    rows = list(found)
    whole, rest = divmod(round(weight * len(rows)), len(rows) or 1)
    drawn = sorted(random.Random(seed).sample(range(len(rows)), rest))
    return Part(name, rows * whole + [rows[i] for i in drawn], len(rows))
