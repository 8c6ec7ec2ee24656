"""What reasoning gained, for the terminal: a line for each task and way of answering."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.results.schema import Estimate, Part, read_part
from kot_platypus.results.wording import format_count, format_interval, format_points, name_task

_NAMES = {
    "direct": "direct",
    "cot": "reasoned",
    "cot_scored": "then scored",
}


class Way(Part):
    """One way of answering a task's questions."""

    accuracy: Estimate
    macro_f1: Estimate | None = None
    num_parsed: int
    mean_tokens: float


class Gain(Part):
    """Reasoning minus direct."""

    accuracy: Estimate


class TaskGains(Part):
    """One task, every way of answering it."""

    n: int
    direct: Way
    cot: Way
    cot_scored: Way | None = None
    difference: dict[str, Gain]
    repaired: int
    broken: int
    distinct: float


class GainResults(Part):
    """``results.json`` of ``kot reason``."""

    samples: int
    results: dict[str, TaskGains]


def gains_table(folder: Path) -> RenderableType:
    """What ``kot reason`` found, in 80 columns."""
    found = read_part(folder / "results.json", GainResults)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for column in ("accuracy", "F1", "change", "95% interval", "unread", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for task, gains in found.results.items():
        table.add_row(Text(f"{name_task(task)}, {format_count(gains.n)} questions", style="bold"))
        for name, title in _NAMES.items():
            way: Way | None = getattr(gains, name)
            if way is not None:
                table.add_row(*_fill_row(title, way, gains, name))
        changed = f"  {gains.repaired} repaired, {gains.broken} broken"
        table.add_row(Text(changed, style="dim"))
    note = (
        "change: accuracy against direct, in points; unread: no answer stated; tokens: generated "
        "for a question"
    )
    if found.samples > 1:
        note += f"; the majority of {found.samples} samples"
    if found.samples > 1 and all(gains.distinct == 1 for gains in found.results.values()):
        note += ", which are all the same: whoever generated them does not draw"
    return Group(table, Text(note, style="dim"))


def _fill_row(title: str, way: Way, gains: TaskGains, name: str) -> list[Text]:
    gain = gains.difference.get(name)
    cells = [
        f"  {title}",
        f"{way.accuracy.value:.3f}",
        f"{way.macro_f1.value:.3f}" if way.macro_f1 else "",
        format_points(gain.accuracy.value) if gain else "",
        format_interval(gain.accuracy, "points") if gain else "",
        format_count(gains.n - way.num_parsed),
        f"{way.mean_tokens:.1f}",
    ]
    return [Text(cell) for cell in cells]
