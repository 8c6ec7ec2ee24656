"""What reasoning gained, for the terminal: a line for each task and way of answering."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.results.schema import (
    RESULTS,
    ReasoningResults,
    ReasoningScore,
    WayScore,
    read_part,
)
from kot_platypus.results.wording import (
    WAY_NAMES,
    format_count,
    format_interval,
    format_points,
    name_task,
)


def gains_table(folder: Path) -> RenderableType:
    """What ``kot reason`` found, in 80 columns."""
    found = read_part(folder / RESULTS, ReasoningResults)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for column in ("accuracy", "F1", "change", "95% interval", "unread", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for task, gains in found.results.items():
        table.add_row(Text(f"{name_task(task)}, {format_count(gains.n)} questions", style="bold"))
        for name, way in gains.ways.items():
            table.add_row(*_fill_row(WAY_NAMES[name], way, gains, name))
        changed = f"  {gains.repaired} repaired, {gains.broken} broken"
        table.add_row(Text(changed, style="dim"))
    note = (
        "change: accuracy against direct, in points; unread: no answer stated; tokens: generated "
        "for a question"
    )
    if found.samples > 1:
        note += f"; the majority of {found.samples} samples"
    if found.samples > 1 and all(gains.distinct == 1 for gains in found.results.values()):
        note += ", which are all the same: what generated them does not draw"
    return Group(table, Text(note, style="dim"))


def _fill_row(title: str, way: WayScore, gains: ReasoningScore, name: str) -> list[Text]:
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
