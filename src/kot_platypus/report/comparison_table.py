"""What ``kot compare`` shows in 80 columns: two evaluations, or one beside published figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.errors import DataError
from kot_platypus.results.answers import LM_EVAL, PROBLEMS, REASONING
from kot_platypus.results.comparison import ComparedPair, ComparedRow, Key
from kot_platypus.results.files import find_results, read_results
from kot_platypus.results.metrics import EQUIVALENT
from kot_platypus.results.published import (
    Beside,
    BesideRow,
    Cell,
    Ours,
    list_tasks,
    put_beside,
    select_models,
)
from kot_platypus.results.schema import (
    ALL,
    ALPHA,
    AT_ONCE,
    BASE,
    TUNED,
    ChoiceResults,
    Sides,
)
from kot_platypus.results.wording import (
    METRIC_NAMES,
    MINUS,
    WAY_NAMES,
    count_noun,
    describe_rationales,
    format_count,
    format_p,
    format_signed,
    join_words,
    name_task,
)

_WHO = {BASE: "base model", TUNED: "trained model", AT_ONCE: "no rationale"}


def comparison_table(pair: ComparedPair) -> RenderableType:
    """The rows, the verdict in words, what only one has, and how to read it."""
    heads = [Text(f"{name}  {side.folder}") for name, side in (("A", pair.a), ("B", pair.b))]
    parts: list[RenderableType] = []
    for title, rows in groupby(pair.rows, key=_title_row):
        parts += ["", Text(title, style="dim"), _show_rows(rows)]
    notes = [
        *_note_intervals(pair.rows),
        *_note_shots(pair.rows),
        *_note_rationales(pair.rows),
        *(
            f"Only in {name}: {list_keys(keys)}."
            for name, keys in (("A", pair.only_a), ("B", pair.only_b))
            if keys
        ),
        *(f"Not compared: {reason}." for reason in pair.left_out),
        *(
            f"{name}: {side.bos.describe(pair.protocol)}."
            for name, side in (("A", pair.a), ("B", pair.b))
            if side.bos is not None and side.bos.reads_badly
        ),
        "95% interval: of the difference (paired bootstrap; Tango's where all differences of an "
        "accuracy go one way), uncorrected. p: exact McNemar test on which answers are right. "
        f"Holm: p corrected for {count_noun(len(pair.rows), 'comparison')}.",
    ]
    return Group(
        *heads,
        *parts,
        "",
        Text(write_verdict(pair.rows), style="bold"),
        *(Text(note, style="dim") for note in notes),
    )


_METRICS = {**METRIC_NAMES, EQUIVALENT: "accuracy in what is meant"}


def _title_row(row: ComparedRow) -> str:
    """What a row stands under: the test, the metric, and of which model where a run has several."""
    what = _METRICS.get(row.metric, row.metric)
    norm = ", each choice's score divided by its length" if row.metric.endswith("norm") else ""
    if row.test == PROBLEMS:
        return f"Held-out problems: {what}"
    if row.test == REASONING:
        return f"{_name_place(row)}, with and without reasoning: {what}"
    who = f", {_name_who(row.who)}" if row.who else ""
    protocol = row.protocol if row.test == LM_EVAL else f"protocol {row.protocol}"
    return f"{what}, {protocol}, the same questions{who}{norm}"


def _name_who(who: str) -> str:
    return _WHO.get(who, f"{who} only")


def _name_place(key: Key | ComparedRow) -> str:
    return "Problems" if key.task == ALL else name_task(key.task)


def name_row(key: Key | ComparedRow) -> str:
    """What stands in the first column."""
    if key.test == PROBLEMS:
        return _name_who(key.who) if key.who else "held-out problems"
    return WAY_NAMES[key.way] if key.test == REASONING else name_task(key.task)


def _show_rows(rows: Iterable[ComparedRow]) -> Table:
    """A table whose first column gives way: no figure is cut off."""
    names = ("", "shots", "n", "A", "B", f"A {MINUS} B", "95% interval", "p", "Holm")
    lines = [(_list_cells(row), bool(row.verdict)) for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", overflow="ellipsis")
    for place, name in enumerate(names[1:], start=1):
        width = max(len(cells[place]) for cells, _ in lines)
        table.add_column(name, justify="right", no_wrap=True, min_width=max(width, len(name)))
    for cells, is_shown in lines:
        table.add_row(*map(Text, cells), style="bold" if is_shown else "")
    return table


def _list_cells(row: ComparedRow) -> list[str]:
    return [
        name_row(row),
        ", ".join(str(n) for n in (row.num_fewshot, row.num_fewshot_b) if n is not None),
        format_count(row.n),
        f"{row.values.a:.3f}",
        f"{row.values.b:.3f}",
        format_signed(row.difference.value),
        _describe_interval(row),
        _format_p(row.p_value),
        _format_p(row.p_holm),
    ]


def _describe_interval(row: ComparedRow) -> str:
    """The interval; in words where it has no width, which figures would make look like proof."""
    if row.identical:
        return "same predictions"
    if row.difference.ci95 == (0, 0):  # accuracy: wrong in different ways
        return "same ones right"
    return " to ".join(map(format_signed, row.difference.ci95))


def _format_p(value: float) -> str:
    return format_p(value).replace(" ", "")


# --- sentences ---------------------------------------------------------------------------------


def write_verdict(rows: Sequence[ComparedRow]) -> str:
    """Which differences are shown after correction, and which are not, in plain words."""
    after = f"After Holm's correction for {count_noun(len(rows), 'comparison')}"
    better = [
        f"{name} is right more often than {other} on {list_keys(shown)}"
        for name, other, sign in (("A", "B", 1), ("B", "A", -1))
        if (shown := [row for row in rows if row.verdict == sign])
    ]
    num_open = sum(row.verdict == 0 for row in rows)
    if better:
        other = "comparison" if num_open == 1 else num_open
        rest = f" On the other {other} no difference is shown." if num_open else ""
        return f"{after}, {'; '.join(better)}.{rest}"
    if all(row.identical for row in rows):
        return "A and B made identical predictions on every question."
    alone = sum(row.p_value < ALPHA for row in rows)
    lucky = f" {alone} of the p are below {ALPHA}, as chance alone can do among so many."
    return (
        f"{after}, no difference between A and B is shown.{lucky if alone else ''} "
        "That does not show that they are equal."
    )


def list_keys(keys: Iterable[Key | ComparedRow]) -> str:
    """``COPA (0 and 5 shots), WiC (0 shots) and held-out problems (trained model)``."""
    names: dict[str, list[str]] = {}
    for key in keys:
        if key.test == PROBLEMS:
            names.setdefault("held-out problems", []).append(_name_who(key.who) if key.who else "")
        elif key.test == REASONING:
            names.setdefault(_name_place(key), []).append(WAY_NAMES[key.way])
        else:
            shots = f"{key.num_fewshot} shots"
            name = name_task(key.task)
            who = f", {_name_who(key.who)}" if key.who not in ("", TUNED) else ""
            names.setdefault(name + who, []).append(shots)
    return join_words([_list_of(name, which) for name, which in names.items()])


def _list_of(name: str, which: Sequence[str]) -> str:
    if not any(which):
        return name
    *first, last = which
    return f"{name} ({join_words([*(each.removesuffix(' shots') for each in first), last])})"


def _note_intervals(rows: Iterable[ComparedRow]) -> list[str]:
    """Where an interval seems to contradict the verdict."""
    alone = [row for row in rows if row.difference.sign and not row.verdict]
    if not alone:
        return []
    is_f1 = any("f1" in row.metric for row in alone)
    why = " Macro F1 can also differ where as many answers are right." if is_f1 else ""
    return [f"Intervals without zero, but uncorrected: {list_keys(alone)}.{why}"]


def _note_shots(rows: Iterable[ComparedRow]) -> list[str]:
    """Where long prompts lost their first shots: two models may have seen different numbers."""
    truncated = [
        f"{name_task(row.task)} {_format_shots(shots)} of {row.num_fewshot}"
        for row in rows
        if (shots := row.effective_shots) and min(shots.a, shots.b) < row.num_fewshot - 0.05
    ]
    return [f"Shots that fit, on average: {'; '.join(truncated)}."] if truncated else []


def _note_rationales(rows: Iterable[ComparedRow]) -> list[str]:
    """What the rationales of either side are worth, where they were checked."""
    return [
        f"{list_keys([row])}, {name}: {describe_rationales(found)}."
        for row in rows
        for name, found in zip("AB", row.rationales, strict=True)
        if found
    ]


def _format_shots(shots: Sides) -> str:
    a, b = f"{shots.a:.1f}", f"{shots.b:.1f}"
    return a if a == b else f"{a} (A) and {b} (B)"


# --- beside published figures ------------------------------------------------------------------

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

    Of a run they are those of its trained model.

    Raises:
        UsageError: no such published model.
        DataError: a damaged folder, or none of its tasks and shots was published.
    """
    paths = (path for who, path in find_results(folder) if who in ("", TUNED))
    part = next((p for p in map(read_results, paths) if isinstance(p, ChoiceResults)), None)
    if part is None:
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
