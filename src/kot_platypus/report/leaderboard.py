"""Figures of many files side by side: only those of the same questions stand in one block."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.errors import UsageError
from kot_platypus.results.collect import REASONING_PROTOCOL, ScoreRow, SkippedFile
from kot_platypus.results.schema import RESULTS
from kot_platypus.results.templates import load_templates
from kot_platypus.results.wording import format_count, format_p, format_shots, name_task

MAIN_METRICS = ("macro_f1", "f1", "acc", "exact_match")
ALL = "all"
SORTS = ("value", "model", "date", "file")
MAX_SKIPPED = 10
ESTIMATED = "\N{ALMOST EQUAL TO}"
NOTES = (
    "A block holds figures of one task, metric, protocol and set of questions, the fewest shots "
    "first, then by --sort, or the best figure if it is left out. Nothing is ordered across "
    "blocks: figures of different ones say nothing about models.",
    f"Beside each figure its 95% interval: computed from the answers, or ({ESTIMATED}) the figure "
    "\N{PLUS-MINUS SIGN} 1.96 of the standard errors that the file states.",
    "An order is no rank. p: exact McNemar test, on which answers are right, against the best "
    "figure with as many shots, corrected by Holm for those beside it; \N{EN DASH} for the best, "
    "and where answers to pair are missing. At 0.05 or more no difference is shown.",
    "(~) The date is the file's: its results do not say when they were made.",
)


class BlockKey(NamedTuple):
    """What two figures must share to stand in one block."""

    protocol: str
    fingerprint: str
    task: str
    metric: str
    data: str
    n: int | None


@dataclass(frozen=True)
class Block:
    """The figures that may be compared with each other, where they have the same shots."""

    key: BlockKey
    rows: tuple[ScoreRow, ...]
    is_main: bool
    """Whether its metric is the one to look at first."""

    @property
    def questions(self) -> str:
        """How many questions, in words."""
        if self.key.n is None:
            return "number of questions not said"
        return f"{format_count(self.key.n)} questions"

    @property
    def task(self) -> str:
        """The task's name."""
        return name_task(self.key.task)


def name_shots(row: ScoreRow) -> str:
    """How many shots, and how many of them fitted where some did not."""
    shots = row.num_fewshot
    return "not said" if shots is None else format_shots(shots, row.effective_shots)


def name_file(row: ScoreRow) -> str:
    """Where it lies: of a kot folder, the folder."""
    return row.file.removesuffix(f"/{RESULTS}")


def name_date(row: ScoreRow) -> str:
    """When it was made; marked where the file's own date stands in."""
    return row.date + (" ~" if row.is_file_date else "")


# --- choosing ----------------------------------------------------------------------------------


def select_scores(
    scores: Sequence[ScoreRow],
    *,
    protocol: str | None = None,
    task: str | None = None,
    num_fewshot: Sequence[int] | None = None,
    metric: str | None = None,
) -> list[ScoreRow]:
    """The scores of a protocol (its name, how that begins, or its fingerprint), task, ...

    Raises UsageError naming what there is when nothing is left.
    """
    wanted: dict[str, Sequence[object] | None] = {
        "protocol": None if protocol is None else [protocol],
        "task": None if task is None else [task.removeprefix("kobest_")],
        "num_fewshot": num_fewshot,
        "metric": None if metric in (None, ALL) else [metric],
    }
    kept = list(scores)
    for field, values in wanted.items():
        if values is None:
            continue
        known = dict.fromkeys(str(getattr(score, field)) for score in kept)
        kept = [score for score in kept if _fits(score, field, values)]
        if known and not kept:
            raise UsageError(
                f"--{field.replace('_', '-')} {','.join(map(str, values))!r} leaves no figure",
                expected=f"one of {', '.join(known)}",
                hint="Pick one of them.",
            )
    return kept


def _fits(score: ScoreRow, field: str, values: Sequence[object]) -> bool:
    if field != "protocol":
        return getattr(score, field) in values
    wanted = str(values[0])
    is_name = score.protocol == wanted or score.protocol.startswith(f"{wanted} ")
    return is_name or (len(wanted) >= 6 and score.fingerprint.startswith(wanted))


def make_blocks(rows: Iterable[ScoreRow], sort: str | None = None) -> list[Block]:
    """The blocks by protocol, task and metric, their rows by shots and then by ``sort``.

    ``sort`` is one of ``SORTS``; left out, the value. Raises UsageError for another.
    """
    if sort is not None and sort not in SORTS:
        is_shots = sort.removesuffix("-shot").isdecimal()
        raise UsageError(
            f"--sort {sort!r}",
            expected=f"one of {', '.join(SORTS)}",
            hint=f"Run: --num-fewshot {sort.removesuffix('-shot')}" if is_shots else "Pick one.",
        )
    found: dict[BlockKey, list[ScoreRow]] = {}
    for row in rows:
        key = BlockKey(row.protocol, row.fingerprint, row.task, row.metric, row.data, row.n)
        found.setdefault(key, []).append(row)
    metrics: dict[tuple[str, ...], list[str]] = {}
    for key in found:
        metrics.setdefault(key[:3], []).append(key.metric)
    blocks = [
        Block(key, tuple(_sort_rows(some, sort)), key.metric == _choose_main(key, metrics[key[:3]]))
        for key, some in found.items()
    ]
    return sorted(blocks, key=_place_block)


def _place_block(block: Block) -> tuple[str | bool, ...]:
    key = block.key
    start = (key.protocol, key.task, key.fingerprint, not block.is_main)
    return (*start, key.metric, key.data, str(key.n))


def _choose_main(key: BlockKey, metrics: Sequence[str]) -> str:
    if key.protocol == REASONING_PROTOCOL:  # where nothing stated is wrong, but no label
        return "acc"
    return next((name for name in MAIN_METRICS if name in metrics), metrics[0])


def _sort_rows(rows: Iterable[ScoreRow], sort: str | None) -> list[ScoreRow]:
    keys: dict[str | None, Callable[[ScoreRow], Any]] = {
        "model": lambda row: row.model.casefold(),
        "date": lambda row: row.date,
        "file": lambda row: row.file,
    }
    ordered = sorted(
        rows, key=keys.get(sort, lambda row: -row.signed_value), reverse=sort == "date"
    )
    return sorted(ordered, key=lambda row: (row.num_fewshot is None, row.num_fewshot or 0))


# --- the terminal ------------------------------------------------------------------------------


def leaderboard_table(blocks: Sequence[Block], skipped: Sequence[SkippedFile]) -> RenderableType:
    """One table a block, each under its task, metric, protocol and number of questions."""
    parts: list[RenderableType] = []
    for block in blocks:
        parts += [_write_title(block), _show_block(block), ""]
    if not blocks:
        parts += ["No figures.", ""]
    parts += [Text(note, style="dim") for note in NOTES if blocks]
    if skipped:
        parts += ["", Text("Left out:")]
        parts += [Text(f"  {each.file}: {each.reason}") for each in skipped[:MAX_SKIPPED]]
    if len(skipped) > MAX_SKIPPED:
        parts.append(Text(f"  and {len(skipped) - MAX_SKIPPED} more; --out FILE.json has all"))
    return Group(*parts)


def _write_title(block: Block) -> Text:
    key = block.key
    fingerprint = f" {key.fingerprint[:8]}" if key.fingerprint else ""
    rest = f"  {key.metric}, protocol {key.protocol}{fingerprint}, {block.questions}"
    return Text.assemble((block.task, "bold"), rest)


def _show_block(block: Block) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold", ratio=3)
    for name in ("shots", "value", "95% interval", "p"):
        table.add_column(name, justify="right", no_wrap=name == "p", min_width=len(name))
    table.add_column("date", no_wrap=True, min_width=18)
    table.add_column("file", overflow="fold", ratio=4)
    for row in block.rows:
        model = Text(row.model)
        for line in filter(None, (row.dtype, *row.remarks)):
            model.append(f"\n{line}", style="dim")
        p_holm = Text(format_p(row.p_holm))
        bounds, file = Text(format_bounds(row)), Text(name_file(row), style="dim")
        cells = (name_shots(row), format_value(row.value))
        table.add_row(model, *map(Text, cells), bounds, p_holm, Text(name_date(row)), file)
    return table


def format_value(value: float) -> str:
    """A score to four decimals, a perplexity to four digits."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def format_bounds(score: ScoreRow) -> str:
    """A score's 95 % interval, marked where it is only estimated; empty where there is none."""
    if score.ci95 is None:
        return ""
    low, high = (f"{end:.3f}" if abs(end) < 100 else f"{end:.3g}" for end in score.ci95)
    mark = ESTIMATED if score.interval == "stderr" else ""
    return f"{mark}{low} to {high}" if low.startswith("-") else f"{mark}{low}\N{EN DASH}{high}"


# --- the page -----------------------------------------------------------------------------------


def render_leaderboard(title: str, blocks: Sequence[Block], skipped: Sequence[SkippedFile]) -> str:
    """The page: it loads nothing, and without JavaScript is a plain table. Text is escaped."""
    environment = load_templates(
        "kot_platypus.report",
        shots=name_shots,
        value=format_value,
        bounds=format_bounds,
        date=name_date,
        file=name_file,
    )
    script = environment.get_template("leaderboard.js.jinja").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("leaderboard.html.jinja").render(
        title=title,
        blocks=blocks,
        skipped=skipped,
        notes=NOTES,
        protocols=sorted({block.key.protocol for block in blocks}),
        tasks=sorted({block.key.task for block in blocks}),
        metrics=sorted({block.key.metric for block in blocks}),
        script=Markup(script),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
    ) + "\n"  # fmt: skip


# --- flat rows ---------------------------------------------------------------------------------


def write_csv(scores: Iterable[ScoreRow]) -> str:
    """A line a score. A text that a spreadsheet would take for a formula gets an apostrophe."""
    names = [name for name in ScoreRow.model_fields if name not in ("ci95", "remarks")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "ci95_low", "ci95_high", "remarks"])
    for score in scores:
        cells = [_defuse(getattr(score, name)) for name in names]
        writer.writerow([*cells, *(score.ci95 or ("", "")), "; ".join(score.remarks)])
    return out.getvalue()


def _defuse(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") and cell else cell
