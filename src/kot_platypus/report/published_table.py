"""A run's KoBEST figures beside published ones, for the terminal: marked, and never ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.errors import DataError
from kot_platypus.records import BosReading
from kot_platypus.report.comparison_table import list_keys
from kot_platypus.results.comparison import Key
from kot_platypus.results.published import NUM_QUESTIONS, Figure, load_figures, select_models
from kot_platypus.results.schema import ChoiceScore, Estimate, Part, read_part
from kot_platypus.results.wording import METRIC_NAMES, format_count, format_score, name_task

Line = tuple[Text, dict[int, Text]]
"""A label, and a cell for each number of shots."""
_NO_TEST = (
    "Published figures have no intervals and no answers to pair ours with, so nothing is tested "
    "here. Read them beside each other; do not rank them."
)


class _Protocol(Part):
    name: str


class Scores(Part):
    """The part of an evaluation's ``results.json`` that can stand beside published figures."""

    protocol: _Protocol
    results: dict[str, dict[int, ChoiceScore]]
    bos: BosReading | None = None


class Ours(Estimate):
    """Our figure, on ``n`` questions with ``effective_shots`` in the prompt on average."""

    n: int
    effective_shots: float


class FigureRow(Key):
    """Our figure and the published ones of the same task, shots and metric."""

    metric: str
    ours: Ours
    published: tuple[Figure, ...]


class Beside(Part):
    """What ``kot compare --published`` shows."""

    folder: str
    protocol: str
    notes: dict[str, tuple[str, ...]]
    """Task -> what to know of our figures before reading them beside published ones."""
    rows: tuple[FigureRow, ...]
    unpublished: tuple[Key, ...]


def gather_published(folder: Path, models: str) -> dict[str, Any]:
    """An evaluation's figures with the published ones of ``models``, as JSON of a ``Beside``.

    Each published figure stands beside ours in the metric that it is, or is inferred to be.

    Raises:
        UsageError: no such published model.
        DataError: a damaged folder, or none of its tasks and shots was published.
    """
    scores = read_part(folder / "results.json", Scores)
    chosen = select_models(models)
    found: dict[tuple[str, str, int], list[Figure]] = {}
    for figure in (figure for figure in load_figures() if figure.model in chosen):
        if figure.num_fewshot in scores.results.get(figure.task, {}):
            key = (figure.task, figure.metric, figure.num_fewshot)
            found.setdefault(key, []).append(figure)
    if not found:
        tasks = ", ".join(dict.fromkeys(figure.task for figure in load_figures()))
        raise DataError(
            f"{folder} has no task at a number of shots that was published",
            expected=f"one of {tasks} at 0, 5, 10 or 50 shots",
            hint="Score some: kot eval --num-fewshot 0,5,10,50",
        )
    rows = [
        FigureRow(
            task=task,
            num_fewshot=num_fewshot,
            metric=metric,
            ours=_take_ours(scores.results[task][num_fewshot], metric),
            published=tuple(figures),
        )
        for (task, metric, num_fewshot), figures in found.items()
    ]
    published = {(task, num_fewshot) for task, _, num_fewshot in found}
    unpublished = [
        Key(task=task, num_fewshot=num_fewshot)
        for task, by_shots in scores.results.items()
        for num_fewshot in by_shots
        if (task, num_fewshot) not in published
    ]
    beside = Beside(
        folder=str(folder),
        protocol=scores.protocol.name,
        notes=_note_ours(scores, rows),
        rows=tuple(rows),
        unpublished=tuple(unpublished),
    )
    return beside.model_dump(mode="json")


def _take_ours(score: ChoiceScore, metric: str) -> Ours:
    estimate: Estimate = getattr(score, metric)
    return Ours(**estimate.model_dump(), n=score.n, effective_shots=score.effective_shots)


def _note_ours(scores: Scores, rows: Iterable[FigureRow]) -> dict[str, tuple[str, ...]]:
    """Where our own figures are not of the published kind: another protocol, other questions."""
    protocol, bos = scores.protocol.name, scores.bos
    counts = {row.task: row.ours.n for row in rows}
    others = {task: n for task, n in counts.items() if n != NUM_QUESTIONS[task]}
    questions = "; ".join(
        f"{name_task(task)} {format_count(n)}, not {format_count(NUM_QUESTIONS[task])}"
        for task, n in others.items()
    )
    about_questions = f"Ours: fewer or other questions than KoBEST's test sets ({questions})."
    about_protocol = (
        f"Ours: the protocol {protocol}. The published figures are of `polyglot` where that is "
        "known or inferred. A difference may be the protocol's and not the model's."
    )
    return {
        task: (
            *([about_protocol] if protocol != "polyglot" else []),
            *([about_questions] if task in others else []),
            *([f"Ours: {bos.describe(protocol)}."] if bos and bos.reads_badly else []),
        )
        for task in counts
    }


# --- the table ---------------------------------------------------------------------------------


class Marks:
    """Letters for footnotes, given out in the order in which they are first needed."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def mark(self, text: str, notes: Iterable[str]) -> Text:
        """``text`` followed by the letters of its notes."""
        notes = list(notes)
        self.notes += [note for note in notes if note not in self.notes]
        letters = sorted(ascii_lowercase[self.notes.index(note)] for note in notes)
        return Text.assemble(text, *((f" {letter}", "cyan") for letter in letters))


def published_table(facts: Mapping[str, Any]) -> RenderableType:
    """One block a task and metric: ours with its interval, then the published models."""
    beside = Beside.model_validate(facts)
    shots = sorted({row.num_fewshot for row in beside.rows})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for each in shots:
        table.add_column(f"{each}-shot", no_wrap=True)
    marks = Marks()
    # Rows of one task and metric follow each other, as in the published table.
    for (task, metric), group in groupby(beside.rows, key=lambda row: (row.task, row.metric)):
        block = {row.num_fewshot: row for row in group}
        if table.row_count:
            table.add_row()
        table.add_row(Text(f"{name_task(task)}, {METRIC_NAMES[metric]}", style="bold"))
        for label, cells in _list_lines(block, marks, beside.notes[task]):
            table.add_row(label, *(cells.get(each) for each in shots))
    footnotes = Table.grid(padding=(0, 2, 0, 0))
    for letter, note in zip(ascii_lowercase, marks.notes, strict=False):
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


def _list_lines(
    block: Mapping[int, FigureRow], marks: Marks, our_notes: Iterable[str]
) -> Iterator[Line]:
    """The lines of one task and metric: ours, then one a published model."""
    ours = {num_fewshot: row.ours for num_fewshot, row in block.items()}
    values = {s: Text(format_score(score.value)) for s, score in ours.items()}
    yield marks.mark("  ours", our_notes), values
    intervals = {s: Text(_format_interval(score)) for s, score in ours.items()}
    yield Text("    95% interval"), intervals
    if any(s >= 50 or s > score.effective_shots + 0.05 for s, score in ours.items()):
        fit = {s: Text(f"{score.effective_shots:.1f} of {s}") for s, score in ours.items() if s}
        yield Text("    shots that fit"), fit
    figures = [figure for row in block.values() for figure in row.published]
    for model in dict.fromkeys(figure.model for figure in figures):
        yield _write_model([figure for figure in figures if figure.model == model], marks)


def _write_model(figures: Sequence[Figure], marks: Marks) -> Line:
    """A published model's line. What holds for all its figures is marked once, at its name."""
    first = figures[0]
    common = [note for note in first.notes if all(note in other.notes for other in figures)]
    label = marks.mark(f"  {first.model}", common)
    return label, {
        figure.num_fewshot: marks.mark(
            format_score(figure.value), (note for note in figure.notes if note not in common)
        )
        for figure in figures
    }


def _format_interval(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return f"{low:.3f}\N{EN DASH}{high:.3f}"  # three decimals, so that four fit 80 columns
