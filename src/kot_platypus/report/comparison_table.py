"""Two evaluations compared, for the terminal: a table of 80 columns and what it shows in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.results.answers import LM_EVAL, PROBLEMS, REASONING
from kot_platypus.results.comparison import (
    ComparedPair,
    ComparedRow,
    Key,
)
from kot_platypus.results.schema import ALL, ALPHA, AT_ONCE, BASE, TUNED, Sides
from kot_platypus.results.wording import (
    METRIC_NAMES,
    MINUS,
    WAY_NAMES,
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
        *_note_missing("A", pair.only_a),
        *_note_missing("B", pair.only_b),
        *(f"Not compared: {reason}." for reason in pair.left_out),
        *(
            f"{name}: {side.bos.describe(pair.protocol)}."
            for name, side in (("A", pair.a), ("B", pair.b))
            if side.bos is not None and side.bos.reads_badly
        ),
        "95% interval: of the difference (paired bootstrap; Tango's where all differences of an "
        "accuracy go one way), uncorrected. p: exact McNemar test on "
        f"which answers are right. Holm: p corrected for {_count_rows(pair.rows)}.",
    ]
    return Group(
        *heads,
        *parts,
        "",
        Text(write_verdict(pair.rows), style="bold"),
        *(Text(note, style="dim") for note in notes),
    )


def _title_row(row: ComparedRow) -> str:
    """What a row stands under: the test, the metric, and of which model where a run has several."""
    what = METRIC_NAMES.get(row.metric, row.metric)
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


def _count_rows(rows: Sequence[ComparedRow]) -> str:
    return "1 comparison" if len(rows) == 1 else f"{len(rows)} comparisons"


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


def _note_missing(name: str, keys: Sequence[Key]) -> list[str]:
    return [f"Only in {name}: {list_keys(keys)}."] if keys else []


def _note_shots(rows: Iterable[ComparedRow]) -> list[str]:
    """Where long prompts lost their first shots: two models may have seen different numbers."""
    truncated = [
        f"{name_task(row.task)} {_format_shots(shots)} of {row.num_fewshot}"
        for row in rows
        if (shots := row.effective_shots) and min(shots.a, shots.b) < row.num_fewshot - 0.05
    ]
    return [f"Shots that fit, on average: {'; '.join(truncated)}."] if truncated else []


def _format_shots(shots: Sides) -> str:
    a, b = f"{shots.a:.1f}", f"{shots.b:.1f}"
    return a if a == b else f"{a} (A) and {b} (B)"
