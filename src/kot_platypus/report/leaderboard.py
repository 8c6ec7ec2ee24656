"""Figures of many files side by side: only those of the same questions stand in one block."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.errors import UsageError
from kot_platypus.results.schema import ScoreRow, SkippedFile
from kot_platypus.results.wording import format_count, name_task

MAIN_METRICS = ("macro_f1", "f1", "acc", "exact_match")
ALL = "all"
MAX_SKIPPED = 10
ESTIMATED = "\N{ALMOST EQUAL TO}"
NOTES = (
    "A block holds figures of one task, metric, protocol and set of questions. Nothing is ordered "
    "across blocks: figures of different ones say nothing about models.",
    f"Beneath each figure its 95% interval: computed from the answers, or ({ESTIMATED}) the figure "
    "\N{PLUS-MINUS SIGN} 1.96 of the standard errors that the file states. Where intervals of one "
    "block overlap, its order may be chance; kot compare tests two models on the same questions.",
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
class Line:
    """One model in a block: number of shots -> its score."""

    scores: dict[int | None, ScoreRow]

    @property
    def first(self) -> ScoreRow:
        """Any of its scores, for what they share."""
        return next(iter(self.scores.values()))

    @property
    def model(self) -> str:
        """The model's name."""
        return self.first.model

    @property
    def date(self) -> str:
        """When the latest of its files was made; marked where a file's own date stands in."""
        last = max(self.scores.values(), key=lambda score: score.date)
        return last.date + (" ~" if last.is_file_date else "")

    @property
    def files(self) -> str:
        """Its files: the folder once, since a harness writes one for each number of shots."""
        paths = [PurePosixPath(score.file) for score in self.scores.values()]
        paths = list(dict.fromkeys(paths))
        folder, *others = dict.fromkeys(path.parent for path in paths)
        if len(paths) == 1 or others or not folder.name:
            return ", ".join(map(str, paths))
        return f"{folder}/{{{', '.join(path.name for path in paths)}}}"


@dataclass(frozen=True)
class Block:
    """The figures that may be compared with each other."""

    key: BlockKey
    lines: tuple[Line, ...]
    is_main: bool
    """Whether its metric is the one to look at first."""

    @property
    def shots(self) -> tuple[int | None, ...]:
        """Its columns, in order."""
        return sort_shots(shots for line in self.lines for shots in line.scores)

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


def sort_shots(shots: Iterable[int | None]) -> tuple[int | None, ...]:
    """Numbers of shots in order; not said comes last."""
    return tuple(sorted(set(shots), key=lambda n: (n is None, n or 0)))


def name_shots(shots: int | None) -> str:
    """A column's heading."""
    return "shots not said" if shots is None else f"{shots}-shot"


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
    kept = list(scores)
    if protocol is not None:
        kept = _keep("--protocol", protocol, kept, _matches_protocol, lambda s: s.protocol)
    if task is not None:
        task = task.removeprefix("kobest_")
        kept = _keep("--task", task, kept, lambda s, t: s.task == t, lambda s: s.task)
    if num_fewshot is not None:
        wanted = ",".join(map(str, num_fewshot))
        kept = _keep(
            "--num-fewshot", wanted, kept,
            lambda s, _: s.num_fewshot in num_fewshot, lambda s: str(s.num_fewshot),
        )  # fmt: skip
    if metric not in (None, ALL):
        assert metric is not None
        kept = _keep("--metric", metric, kept, lambda s, m: s.metric == m, lambda s: s.metric)
    return kept


def _keep(
    option: str,
    wanted: str,
    scores: list[ScoreRow],
    matches: Callable[[ScoreRow, str], bool],
    name: Callable[[ScoreRow], str],
) -> list[ScoreRow]:
    kept = [score for score in scores if matches(score, wanted)]
    if scores and not kept:
        raise UsageError(
            f"{option} {wanted!r} leaves no figure",
            expected=f"one of {', '.join(dict.fromkeys(map(name, scores)))}",
            hint="Pick one of them.",
        )
    return kept


def _matches_protocol(score: ScoreRow, wanted: str) -> bool:
    is_name = score.protocol == wanted or score.protocol.startswith(f"{wanted} ")
    return is_name or (len(wanted) >= 6 and score.fingerprint.startswith(wanted))


def make_blocks(scores: Iterable[ScoreRow], sort: str | None = None) -> list[Block]:
    """The blocks by protocol, task and metric, their lines sorted by a column.

    ``sort`` is model, date, file, or a number of shots (``5`` or ``5-shot``); left out, the fewest
    shots of each block. Raises UsageError for another.
    """
    found: dict[BlockKey, list[ScoreRow]] = {}
    for score in scores:
        key = BlockKey(
            score.protocol, score.fingerprint, score.task, score.metric, score.data, score.n
        )
        found.setdefault(key, []).append(score)
    metrics: dict[tuple[str, ...], list[str]] = {}
    for key in found:
        metrics.setdefault(key[:3], []).append(key.metric)
    blocks = [
        Block(key, tuple(_make_lines(some)), key.metric == _choose_main(metrics[key[:3]]))
        for key, some in found.items()
    ]
    blocks.sort(key=_rank_block)
    return [_sort_block(block, sort) for block in blocks]


def _rank_block(block: Block) -> tuple[str | bool, ...]:
    key = block.key
    start = (key.protocol, key.task, key.fingerprint, not block.is_main)
    return (*start, key.metric, key.data, str(key.n))


def _choose_main(metrics: Sequence[str]) -> str:
    return next((name for name in MAIN_METRICS if name in metrics), metrics[0])


def _make_lines(scores: Iterable[ScoreRow]) -> list[Line]:
    """One line a model; a figure that it has twice starts another."""
    lines: dict[tuple[str, int], Line] = {}
    for score in scores:
        turn = 0
        while score.num_fewshot in lines.setdefault((score.model_key, turn), Line({})).scores:
            turn += 1
        lines[score.model_key, turn].scores[score.num_fewshot] = score
    return list(lines.values())


def _sort_block(block: Block, sort: str | None) -> Block:
    texts: dict[str, Callable[[Line], str]] = {
        "model": lambda line: line.model.casefold(),
        "date": lambda line: line.date,
        "file": lambda line: line.files,
    }
    if sort in texts:
        lines = sorted(block.lines, key=texts[sort], reverse=sort == "date")
        return Block(block.key, tuple(lines), block.is_main)
    number = (sort or "0").removesuffix("-shot")
    if not number.isdecimal():
        raise UsageError(
            f"--sort {sort!r}",
            expected=f"{', '.join(texts)}, or a number of shots such as 5",
            hint="Pick one of them.",
        )
    shots = block.shots[0] if sort is None else int(number)

    def rank(line: Line) -> tuple[bool, float]:
        score = line.scores.get(shots)
        return (score is None, -sign_score(score) if score else 0)  # without a figure: last

    return Block(block.key, tuple(sorted(block.lines, key=rank)), block.is_main)


def sign_score(score: ScoreRow) -> float:
    """A value that is larger where the figure is better."""
    return score.value if score.higher_is_better else -score.value


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
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold")
    for shots in block.shots:
        table.add_column(name_shots(shots), justify="right", no_wrap=True)
    table.add_column("date")
    table.add_column("file", overflow="fold")
    for line in block.lines:
        cells = [_show_score(line.scores.get(shots)) for shots in block.shots]
        table.add_row(Text(line.model), *cells, Text(line.date), Text(line.files, style="dim"))
    return table


def _show_score(score: ScoreRow | None) -> Text:
    if score is None:
        return Text("\N{EN DASH}")
    lines = [format_value(score.value), format_bounds(score), describe_cut(score)]
    return Text("\n".join(line for line in lines if line))


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


def describe_cut(score: ScoreRow) -> str:
    """How many shots fit, where some were cut off."""
    if score.num_fewshot is None or score.effective_shots is None:
        return ""
    is_cut = score.effective_shots < score.num_fewshot - 0.05
    return f"{score.effective_shots:.1f} shots fit" if is_cut else ""


# --- flat rows ---------------------------------------------------------------------------------


def write_csv(scores: Iterable[ScoreRow]) -> str:
    """A line a score. A text that a spreadsheet would take for a formula gets an apostrophe."""
    names = [name for name in ScoreRow.model_fields if name != "ci95"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "ci95_low", "ci95_high"])
    for score in scores:
        cells = [_defuse(getattr(score, name)) for name in names]
        writer.writerow([*cells, *(score.ci95 or ("", ""))])
    return out.getvalue()


def _defuse(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") and cell else cell
