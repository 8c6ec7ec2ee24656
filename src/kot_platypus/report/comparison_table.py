"""Two evaluations compared, for the terminal: a table of 80 columns and what it shows in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.records import BosReading
from kot_platypus.results.schema import Estimate, Part
from kot_platypus.results.wording import MINUS, format_count, format_p, join_words, name_task

ALPHA = 0.05
"""Differences whose corrected p-value is below it are called shown."""
METRIC_NAMES = {
    "macro_f1": "macro F1",
    "acc": "accuracy",
    "acc_norm": "accuracy norm",
    "macro_f1_norm": "macro F1 norm",
}


class Side(Part):
    """One of the two evaluations."""

    folder: str
    model: str
    bos: BosReading | None = None


class Sides(Part):
    """One figure of each evaluation."""

    a: float
    b: float


class Key(Part):
    """A task at a number of shots."""

    task: str
    num_fewshot: int


class PairedRow(Key):
    """A minus B on the ``n`` questions of one task at one number of shots."""

    n: int
    values: Sides
    difference: Estimate
    identical: bool
    right_alone: Sides
    p_value: float
    p_holm: float
    effective_shots: Sides

    @property
    def verdict(self) -> int:
        """1 or -1 when A or B is shown to be right more often, else 0."""
        if self.p_holm >= ALPHA:
            return 0
        return 1 if self.right_alone.a > self.right_alone.b else -1


class EvaluationPair(Part):
    """What ``kot compare`` found."""

    a: Side
    b: Side
    protocol: str
    metric: str
    rows: tuple[PairedRow, ...]
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]


def comparison_table(facts: Mapping[str, Any]) -> RenderableType:
    """The rows, the verdict in words, what only one has, and how to read it."""
    pair = EvaluationPair.model_validate(facts)
    heads = [Text(f"{name}  {side.folder}") for name, side in (("A", pair.a), ("B", pair.b))]
    what = f"{METRIC_NAMES[pair.metric]}, protocol {pair.protocol}, the same questions"
    if pair.metric.endswith("norm"):
        what += ", each choice's score divided by its length"
    notes = [
        *_note_intervals(pair.rows, pair.metric),
        *_note_shots(pair.rows),
        *_note_missing("A", pair.only_a),
        *_note_missing("B", pair.only_b),
        *(
            f"{name}: {side.bos.describe(pair.protocol)}."
            for name, side in (("A", pair.a), ("B", pair.b))
            if side.bos is not None and side.bos.reads_badly
        ),
        "95% interval: of the difference (paired bootstrap), uncorrected. p: exact McNemar test on "
        f"which answers are right. Holm: p corrected for {_count_rows(pair.rows)}.",
    ]
    return Group(
        *heads,
        Text(what, style="dim"),
        "",
        _show_rows(pair.rows),
        "",
        Text(write_verdict(pair.rows), style="bold"),
        *(Text(note, style="dim") for note in notes),
    )


def _show_rows(rows: Iterable[PairedRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Task", no_wrap=True, overflow="ellipsis")
    for column in ("shots", "n", "A", "B", f"A {MINUS} B", "95% interval", "p", "Holm"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(name_task(row.task)),
            str(row.num_fewshot),
            format_count(row.n),
            f"{row.values.a:.3f}",
            f"{row.values.b:.3f}",
            _format_signed(row.difference.value),
            _describe_interval(row),
            _format_p(row.p_value),
            _format_p(row.p_holm),
            style="bold" if row.verdict else "",
        )
    return table


def _describe_interval(row: PairedRow) -> str:
    """The interval; in words where it has no width, which figures would make look like proof."""
    if row.identical:
        return "same predictions"
    if row.difference.ci95 == (0, 0):  # accuracy: wrong in different ways
        return "same ones right"
    return " to ".join(map(_format_signed, row.difference.ci95))


def _format_signed(value: float) -> str:
    text = f"{abs(value):.3f}"  # three decimals, so that a row fits 80 columns
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text


def _format_p(value: float) -> str:
    return format_p(value).replace(" ", "")


# --- sentences ---------------------------------------------------------------------------------


def write_verdict(rows: Sequence[PairedRow]) -> str:
    """Which differences are shown after correction, and which are not, in plain words."""
    after = f"After Holm's correction for {_count_rows(rows)}"
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


def _count_rows(rows: Sequence[PairedRow]) -> str:
    return "1 comparison" if len(rows) == 1 else f"{len(rows)} comparisons"


def list_keys(keys: Iterable[Key]) -> str:
    """``COPA (0 and 5 shots) and WiC (0 shots)``."""
    by_task: dict[str, list[str]] = {}
    for key in keys:
        by_task.setdefault(key.task, []).append(str(key.num_fewshot))
    return join_words(
        [f"{name_task(task)} ({join_words(shots)} shots)" for task, shots in by_task.items()]
    )


def _note_intervals(rows: Iterable[PairedRow], metric: str) -> list[str]:
    """Where an interval seems to contradict the verdict."""
    alone = [row for row in rows if row.difference.sign and not row.verdict]
    if not alone:
        return []
    why = " Macro F1 can also differ where as many answers are right." if "f1" in metric else ""
    return [f"Intervals without zero, but uncorrected: {list_keys(alone)}.{why}"]


def _note_missing(name: str, keys: Sequence[Key]) -> list[str]:
    return [f"Only in {name}: {list_keys(keys)}."] if keys else []


def _note_shots(rows: Iterable[PairedRow]) -> list[str]:
    """Where long prompts lost their first shots: two models may have seen different numbers."""
    cut = [
        f"{name_task(row.task)} {_format_shots(row.effective_shots)} of {row.num_fewshot}"
        for row in rows
        if min(row.effective_shots.a, row.effective_shots.b) < row.num_fewshot - 0.05
    ]
    return [f"Shots that fit, on average: {'; '.join(cut)}."] if cut else []


def _format_shots(shots: Sides) -> str:
    a, b = f"{shots.a:.1f}", f"{shots.b:.1f}"
    return a if a == b else f"{a} (A) and {b} (B)"
