"""Rows as their sources hold them, one at a time, and which of them to take."""

from __future__ import annotations

import random
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kot_platypus.artifacts import hash_file, hash_value, write_jsonl
from kot_platypus.columns import map_columns
from kot_platypus.data.dataset_recipe import DatasetRecipe, DatasetSource
from kot_platypus.data.pipeline.drafts import ROWS, Draft, Origin
from kot_platypus.errors import DataError
from kot_platypus.formats import iter_values
from kot_platypus.hub import iter_hub
from kot_platypus.progress import Advance, show_progress
from kot_platypus.records import Example, Record
from kot_platypus.row_formats import parse_row
from kot_platypus.stages import open_stage

# What follows "\n" in TeX's commands: \ne, \neq, \nu, \nabla, \notin, \neg, \nmid, ...
_BREAK = re.compile(
    r"\\n(?!(?:eq?|eg|u|i|abla|ot|otin|mid|leq|geq|exists|subseteq|ewline|warrow|earrow)(?![A-Za-z]))"
)


class Unreadable(Record):
    """A row of a source that is none: a line of ``unreadable.jsonl``."""

    source: str
    id: str
    detail: str


def draw_rows(out: Path, recipe: DatasetRecipe) -> Path:
    """Write the rows that a recipe asks for, in the order of their sources, as Drafts.

    What cannot be read is counted, listed in ``unreadable.jsonl``, and left out.

    Sources are read twice as streams. Memory: 8 bytes a row of the sources, and no text.
    """
    config = {
        "seed": recipe.seed,
        "sources": [each.model_dump(exclude={"licenses"}) for each in recipe.sources],
        "sample": recipe.sample.model_dump(),
    }
    inputs = {
        each.file: hash_file(Path(each.file))
        for each in recipe.sources
        if each.file and Path(each.file).is_file()
    }
    with open_stage(out, "draw", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        with show_progress("Counting the sources' rows", None, "rows") as advance:
            groups = _group_by_task(recipe.sources, advance)
        unreadable: list[Unreadable] = []
        available = sum(map(len, groups.values()))
        if not available:
            raise DataError("the sources are empty", expected="rows", hint="Check their paths.")
        chosen = choose_rows(groups, recipe.sample.rows, recipe.seed)
        tasks = set()

        def iter_chosen() -> Iterator[Draft]:
            with show_progress("Drawing rows", available, "rows") as advance:
                for number, (source, place, row) in enumerate(
                    _iter_all(recipe.sources, unreadable)
                ):
                    advance()
                    if number in chosen:
                        tasks.add(row.task)
                        yield make_draft(source, place, row)

        write_jsonl(out / ROWS, iter_chosen())
        write_jsonl(out / "unreadable.jsonl", unreadable)
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


def _group_by_task(sources: Iterable[DatasetSource], advance: Advance) -> dict[str, array[int]]:
    groups: dict[str, array[int]] = {}
    for number, (_, _, row) in enumerate(_iter_all(sources)):
        groups.setdefault(row.task, array("q")).append(number)
        advance()
    return groups


def _iter_all(
    sources: Iterable[DatasetSource], unreadable: list[Unreadable] | None = None
) -> Iterator[tuple[DatasetSource, str, Example]]:
    for source in sources:
        for place, row in iter_source(source, unreadable):
            yield source, place, row


def iter_source(
    source: DatasetSource, unreadable: list[Unreadable] | None = None
) -> Iterator[tuple[str, Example]]:
    """Every row of a source and its place there; what cannot be read as one goes to ``unreadable``.

    Raises DataError when already the first row is none: then the columns are others.
    """
    values_of = (
        iter_values(Path(source.file))
        if source.file
        else iter_hub(
            source.hub or "",
            source.hub_file,
            source.revision,
            config=source.config,
            split=source.split,
        )
    )
    is_first = True
    for place, values in values_of:
        try:
            yield place, _read_row(source, place, values)
        except DataError as error:
            if is_first:
                raise
            if unreadable is not None:
                unreadable.append(Unreadable(source=source.name, id=place, detail=error.found))
        is_first = False


def _read_row(source: DatasetSource, place: str, values: object) -> Example:
    where = f"{source.name} {place}"
    row = parse_row(map_columns(values, source.columns, where), where)
    if not isinstance(row, Example):
        raise DataError(
            f"{source.name} {place} is a conversation",
            expected="a question and its answer",
            hint="Take the first turns apart, or leave that source out.",
        )
    if not row.source.strip() or not (row.rationale + row.target).strip():
        raise DataError(
            f"{source.name} {place} has no question, or no answer",
            expected="both",
            hint="Leave that row out.",
        )
    if source.task_column and isinstance(values, Mapping):
        row = row.model_copy(update={"task": str(values.get(source.task_column) or "")})
    return row


def make_draft(source: DatasetSource, place: str, row: Example) -> Draft:
    """A source's row as it enters the pipeline, not yet translated."""
    origin = Origin(
        source=source.name,
        id=place,
        sha256=hash_value(row.model_dump()),
        language=source.language,
    )
    if source.unescape_newlines:
        texts = {name: unescape(getattr(row, name)) for name in ("source", "rationale")}
        row = row.model_copy(update=texts)
    return Draft(origin=origin, original=row, translated=row)


def unescape(text: str) -> str:
    r"""``text`` with each ``\n`` of two characters as a line break; TeX's ``\neq`` stays."""
    return _BREAK.sub("\n", text) if "\\n" in text else text
