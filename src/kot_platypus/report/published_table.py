"""An evaluation's KoBEST figures beside published ones, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.errors import DataError
from kot_platypus.report.comparison_table import list_keys
from kot_platypus.results.comparison import Key
from kot_platypus.results.files import read_results
from kot_platypus.results.published import (
    Beside,
    BesideRow,
    Cell,
    Ours,
    list_tasks,
    put_beside,
    select_models,
)
from kot_platypus.results.schema import RESULTS, ChoiceResults
from kot_platypus.results.wording import METRIC_NAMES, name_task

_NO_TEST = (
    "Published figures have no intervals and no answers to pair ours with, so nothing is tested "
    "here. Read them beside each other; do not rank them."
)


class FolderBeside(Beside):
    """What ``kot compare --published`` shows."""

    folder: str
    protocol: str
    unpublished: tuple[Key, ...]


def gather_published(folder: Path, models: str) -> FolderBeside:
    """An evaluation's figures with the published ones of ``models``, at the shots that both have.

    Raises:
        UsageError: no such published model.
        DataError: a damaged folder, or none of its tasks and shots was published.
    """
    part = read_results(folder / RESULTS)
    if not isinstance(part, ChoiceResults):
        raise DataError(
            f"{folder} holds no multiple-choice scores of kot",
            expected="a folder of kot eval: what was published is KoBEST's",
            hint="Score it: kot eval --num-fewshot 0,5,10,50",
        )
    beside = put_beside([Ours("ours", True, part)], select_models(models), all_shots=False)
    if not beside.tables:
        raise DataError(
            f"{folder} has no task at a number of shots that was published",
            expected=f"one of {', '.join(list_tasks())} at 0, 5, 10 or 50 shots",
            hint="Score some: kot eval --num-fewshot 0,5,10,50",
        )
    published = {
        (table.task, shots)
        for table in beside.tables
        for row in table.rows
        if row.hub_id
        for shots in row.cells
    }
    unpublished = [
        Key(task=task, num_fewshot=num_fewshot)
        for task, by_shots in part.results.items()
        for num_fewshot in by_shots
        if (task, num_fewshot) not in published
    ]
    return FolderBeside(
        **dict(beside),
        folder=str(folder),
        protocol=part.protocol.name,
        unpublished=tuple(unpublished),
    )


def published_table(beside: FolderBeside) -> RenderableType:
    """One block a task and metric: ours with its interval, then the published models."""
    shots = sorted({each for table in beside.tables for each in table.shots})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for each in shots:
        table.add_column(f"{each}-shot", no_wrap=True)
    for task in beside.tables:
        for metric in dict.fromkeys(row.metric for row in task.rows if not row.hub_id):
            if table.row_count:
                table.add_row()
            title = f"{name_task(task.task)}, {METRIC_NAMES[metric]}"
            table.add_row(Text(title, style="bold"))
            for label, cells in _list_lines([r for r in task.rows if r.metric == metric]):
                table.add_row(label, *(cells.get(each) for each in shots))
    footnotes = Table.grid(padding=(0, 2, 0, 0))
    for letter, note in beside.notes:
        footnotes.add_row(Text(letter, style="cyan"), Text(note, style="dim"))
    last = _NO_TEST
    if beside.unpublished:
        last += f" No figure was published for: {list_keys(beside.unpublished)}."
    return Group(
        Text(f"Ours: {beside.folder}, protocol {beside.protocol}"),
        "",
        table,
        "",
        footnotes,
        "",
        Text(last),
    )


def _list_lines(rows: list[BesideRow]) -> Iterator[tuple[Text, dict[int, Text]]]:
    """The lines of one task and metric, a label and a cell for each number of shots: ours first."""
    (ours,) = (row for row in rows if not row.hub_id)
    cells = {
        shots: cell
        for shots, cell in ours.cells.items()
        if any(shots in row.cells for row in rows if row.hub_id)
    }
    yield _mark("  ours", ours.marks), {s: Text(cell.text) for s, cell in cells.items()}
    yield Text("    95% interval"), {s: Text(_show_interval(c)) for s, c in cells.items()}
    fitted = {s: c.effective_shots for s, c in cells.items() if c.effective_shots is not None}
    if any(s >= 50 or s > fit + 0.05 for s, fit in fitted.items()):
        fit = {s: Text(f"{fit:.1f} of {s}") for s, fit in fitted.items() if s}
        yield Text("    shots that fit"), fit
    for row in rows:
        if row.hub_id:
            label = _mark(f"  {row.name}", row.marks)
            yield label, {s: _mark(cell.text, cell.marks) for s, cell in row.cells.items()}


def _mark(text: str, letters: str) -> Text:
    return Text.assemble(text, *((f" {letter}", "cyan") for letter in letters))


def _show_interval(cell: Cell) -> str:
    low, high = cell.ci95 or (0.0, 1.0)
    return f"{low:.3f}\N{EN DASH}{high:.3f}"  # three decimals, so that four fit 80 columns
