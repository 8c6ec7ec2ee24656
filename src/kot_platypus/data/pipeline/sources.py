"""Rows as their sources hold them, one at a time, and which of them to take."""

from __future__ import annotations

import random
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, hash_value, write_jsonl
from kot_platypus.columns import list_beside, map_columns
from kot_platypus.data.dataset_recipe import DatasetRecipe, DatasetSource
from kot_platypus.data.pipeline.drafts import CHAT, ROWS, Draft, Origin
from kot_platypus.errors import DataError
from kot_platypus.formats import sift_rows
from kot_platypus.progress import print_notice, show_progress
from kot_platypus.records import Dialogue, Example, Record, Row, find_rejected
from kot_platypus.row_formats import Notes
from kot_platypus.row_sources import describe_notes, list_inputs, open_parts
from kot_platypus.row_texts import list_texts, replace_texts
from kot_platypus.stages import open_stage

# What follows "\n" in TeX's commands: \ne, \neq, \nu, \nabla, \notin, \neg, \nmid, ...
_BREAK = re.compile(
    r"\\n(?!(?:eq?|eg|u|i|abla|ot|otin|mid|leq|geq|exists|subseteq|ewline|warrow|earrow)(?![A-Za-z]))"
)


UNREADABLE = "unreadable.jsonl"
MAX_UNREADABLE = 0.05
"""The share of a source's rows that may be left out because they cannot be read; one row always."""
_FIRST_ROWS = 1000
"""A source of which so many rows are none, and none is one, is not read to its end."""


class Unreadable(Record):
    """A row of a source that is none: a line of ``unreadable.jsonl``."""

    source: str
    id: str
    detail: str


@dataclass(frozen=True)
class Found:
    """A row of a source, and where it was found."""

    source: DatasetSource
    part: str
    """Its file, or the data set on the Hub."""
    id: str
    row: Row
    values: Mapping[str, Any]
    """As they stand there."""


def draw_rows(out: Path, recipe: DatasetRecipe) -> Path:
    """Write the rows that a recipe asks for, in the order of their sources, as Drafts.

    What cannot be read is counted, said, listed in ``unreadable.jsonl``, and left out. Raises
    DataError where that is more than ``MAX_UNREADABLE`` of a source.

    Sources are read twice as streams. Memory: 8 bytes a row of the sources, and no text but that
    of what cannot be read.
    """
    config = {
        "seed": recipe.seed,
        "sources": [each.model_dump(exclude={"licenses"}) for each in recipe.sources],
        "sample": recipe.sample.model_dump(),
        **({"columns": recipe.columns} if recipe.columns == CHAT else {}),
    }
    inputs = {
        name: hash_file(file)
        for each in recipe.sources
        for name, file in list_inputs(each.place).items()
    }
    with open_stage(out, "draw", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        groups, unreadable = _group_by_task(recipe)
        available = sum(map(len, groups.values()))
        if not available:
            raise DataError("the sources are empty", expected="rows", hint="Check their paths.")
        chosen = choose_rows(groups, recipe.sample.rows, recipe.seed)
        tasks = set()

        def iter_chosen() -> Iterator[Draft]:
            with show_progress("Drawing rows", available, "rows") as advance:
                for number, found in enumerate(_iter_all(recipe)):
                    advance()
                    if number in chosen:
                        tasks.add(found.row.task)
                        yield make_draft(found)

        write_jsonl(out / ROWS, iter_chosen())
        write_jsonl(out / UNREADABLE, unreadable)
        stage.facts = {
            "counts": {
                "unreadable": len(unreadable),
                "available": available,
                "available_tasks": len(groups),
                "rows": len(chosen),
                "tasks": len(tasks),
            }
        }
    return out / ROWS


def choose_rows(groups: Mapping[str, Iterable[int]], count: int | None, seed: int) -> set[int]:
    """``count`` row numbers, as many of each task as possible; all when ``count`` is None."""
    rows = {task: list(numbers) for task, numbers in groups.items()}
    available = sum(map(len, rows.values()))
    if count is None:
        return {number for numbers in rows.values() for number in numbers}
    if count > available:
        raise DataError(
            f"{count:,} rows were asked for",
            expected=f"at most {available:,}, which the sources have",
            hint="Lower sample.rows.",
        )
    rng = random.Random(seed)
    quota = dict.fromkeys(sorted(rows), 0)
    left = count
    while left:
        open_tasks = [task for task in quota if quota[task] < len(rows[task])]
        if left < len(open_tasks):
            open_tasks = rng.sample(open_tasks, left)
        share = max(1, left // len(open_tasks))
        for task in open_tasks:
            more = min(share, len(rows[task]) - quota[task])
            quota[task] += more
            left -= more
    return {number for task in quota for number in rng.sample(rows[task], quota[task])}


def _group_by_task(recipe: DatasetRecipe) -> tuple[dict[str, array[int]], list[Unreadable]]:
    """The numbers of all sources' rows by their task, and what cannot be read of them."""
    groups: dict[str, array[int]] = {}
    unreadable: list[Unreadable] = []
    number = 0
    with show_progress("Counting the sources' rows", None, "rows") as advance:
        for source in recipe.sources:
            left_out: list[Unreadable] = []
            start = number
            notes = Notes()
            for found in iter_source(source, left_out, notes, is_chat=recipe.columns == CHAT):
                groups.setdefault(found.row.task, array("q")).append(number)
                number += 1
                advance()
            judge_unreadable(source.name, left_out, number - start)
            if notes:
                print_notice(f"{source.name}: {describe_notes(notes, number - start)}")
            unreadable += left_out
    return groups, unreadable


def judge_unreadable(source: str, left_out: Sequence[Unreadable], num_read: int) -> None:
    """Say what was left out of a source. Raises DataError where it is too much."""
    details = [each.detail for each in left_out]
    refuse_unreadable(source, details, num_read)
    if details:
        print_notice(
            f"Left out: {len(details):,} of {num_read + len(details):,} rows of {source} "
            f"that cannot be read, e.g. {details[0]}. See {UNREADABLE}."
        )


def refuse_unreadable(source: str, details: Sequence[str], num_read: int) -> None:
    """Raise DataError where too much of a source was left out, a detail for each row."""
    total = num_read + len(details)
    if details and (len(details) > max(1, MAX_UNREADABLE * total) or not num_read):
        raise DataError(
            f"{len(details):,} of {total:,} rows of {source} cannot be read, e.g. {details[0]}",
            expected=f"at most {MAX_UNREADABLE:.0%}, which are left out and listed",
            hint="Fix them, or say which column is which with `columns` or --columns.",
        )


def _iter_all(recipe: DatasetRecipe) -> Iterator[Found]:
    for source in recipe.sources:
        yield from iter_source(source, [], is_chat=recipe.columns == CHAT)


def iter_source(
    source: DatasetSource,
    unreadable: list[Unreadable],
    notes: Notes | None = None,
    *,
    is_chat: bool = False,
) -> Iterator[Found]:
    """Every row of a source; what cannot be read as one goes to ``unreadable``.

    Rows are conversations where ``is_chat``, else questions with their answers. Raises DataError
    where none of the first thousand is: then the columns are others.
    """
    num_read, part = 0, ""

    def leave_out(place: str, error: DataError) -> None:
        unreadable.append(Unreadable(source=part, id=place, detail=error.found))
        if not num_read and len(unreadable) == _FIRST_ROWS:
            raise error

    parts = open_parts(source.place, leave_out, hub_file=source.hub_file, revision=source.revision)
    for name, values_of in parts:
        part = source.hub or Path(name).name
        for place, values, row in sift_rows(values_of, part, source.columns, notes, leave_out):
            assert isinstance(values, Mapping)
            where = f"{part} {place}"
            try:
                _require_kind(row, where, is_chat=is_chat)
            except DataError as error:
                leave_out(place, error)
                continue
            if source.task_column:
                row = row.model_copy(update={"task": str(values.get(source.task_column) or "")})
            num_read += 1
            yield Found(source, part, place, row, values)


def _require_kind(row: Row, where: str, *, is_chat: bool) -> None:
    """Raise DataError for a row that is not of the kind that a recipe's ``columns`` hold."""
    if find_rejected(row) is not None:
        raise DataError(f"{where} is a pair", expected="one answer", hint="Leave one out.")
    if is_chat != isinstance(row, Dialogue):
        kinds = ["a question and its answer", "a conversation"]
        found, expected = kinds if is_chat else kinds[::-1]
        setting = f"the recipe has columns: {CHAT}" if is_chat else f"that needs columns: {CHAT}"
        raise DataError(f"{where} is {found} ({setting})", expected=expected, hint="Set `columns`.")
    if isinstance(row, Example):
        is_whole = all(map(str.strip, (row.source, row.rationale + row.target)))
    else:
        roles = {turn.role for turn in row.messages}
        is_whole = "assistant" in roles and len(list_texts(row)) > 1
    if not is_whole:
        raise DataError(
            f"{where} has no question, or no answer", expected="both", hint="Leave that row out."
        )


def make_draft(found: Found) -> Draft:
    """A source's row as it enters the pipeline, not yet translated."""
    source, row = found.source, found.row
    origin = Origin(
        source=found.part,
        id=found.id,
        sha256=hash_value(row.model_dump()),
        language=source.language,
    )
    if source.unescape_newlines:
        texts = list_texts(row)
        fields = [name for name in texts if name not in ("input", "target")]
        row = replace_texts(row, {name: unescape(texts[name]) for name in fields})
    return Draft(origin=origin, original=row, translated=row, values=_list_values(found))


def _list_values(found: Found) -> dict[str, Any]:
    """What a Draft keeps of the columns of its source."""
    source, columns = found.source, found.source.columns
    if isinstance(found.row, Dialogue):
        named = map_columns(found.values, columns, found.id)
        assert isinstance(named, Mapping)
        return dict(named)
    if source.task_column in found.values:
        columns = {**columns, "task": source.task_column}
    return list_beside(found.values, columns, found.id)


def unescape(text: str) -> str:
    r"""``text`` with each ``\n`` of two characters as a line break; TeX's ``\neq`` stays."""
    return _BREAK.sub("\n", text) if "\\n" in text else text
