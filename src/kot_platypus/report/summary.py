"""What a stage or a whole run found, on one terminal screen of 80 x 24."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kot_platypus.report.runs import Run, make_run
from kot_platypus.report.sentences import (
    list_guesses,
    name_benchmark,
    write_headline,
)
from kot_platypus.report.tables import ScoreTable, list_problems, tabulate_scores
from kot_platypus.results.guesses import CHANCE
from kot_platypus.results.run import load_results
from kot_platypus.results.schema import (
    ALL,
    BASE,
    RESULTS,
    TUNED,
    ChoiceResults,
    ReasoningResults,
    ReasoningScore,
    WayScore,
    read_part,
)
from kot_platypus.results.wording import (
    WAY_NAMES,
    describe_rationales,
    format_count,
    format_interval,
    format_percent,
    format_points,
    format_score,
    format_shots,
    name_task,
)

_FILES = {
    "report.html": "the report, with pictures",
    "README.md": "the model card",
    "merged": "the model",
    "recipe.yaml": "the recipe",
}
_MARKS = {1: "\N{BLACK UP-POINTING SMALL TRIANGLE}", -1: "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"}
MAX_SHOTS = 4


def summary_table(run: Path) -> RenderableType:
    """The headline, the accuracies, the KoBEST scores and where the files lie."""
    shown = make_run(load_results(run))
    parts: list[RenderableType] = [Text(write_headline(shown.results), style="bold")]
    if any(model.is_tested for model in shown.models):
        parts.append(_show_problems(shown))
    if shown.results.kobest:
        parts.append(_show_kobest(shown))
    files = [(name, what) for name, what in _FILES.items() if (run / name).exists()]
    if files:
        parts.append(_show_files(run, files))
    return Group(*parts)


def scores_table(folder: Path) -> RenderableType:
    """What ``kot eval`` found: a line for each task and number of shots."""
    scores = read_part(folder / RESULTS, ChoiceResults)
    table = _new_table(
        f"Protocol {scores.protocol.name}", "shots", "macro F1", "95% interval", "accuracy", "of"
    )
    is_cut = False
    for task, by_shots in scores.results.items():
        for shots, score in by_shots.items():
            fitted = format_shots(shots, score.effective_shots)
            is_cut = is_cut or fitted != str(shots)
            table.add_row(
                Text(name_task(task)),
                fitted,
                format_score(score.macro_f1.value),
                format_interval(score.macro_f1, "score"),
                format_score(score.acc.value),
                format_count(score.n),
            )
    note = "fit: shots that the model's limit leaves in full, on average"
    return Group(table, Text(note, style="dim")) if is_cut else table


_GAINS = {
    "": 13, "strict": 6, "equiv.": 6, "F1": 5, "change": 6, "95% interval": 16, "unread": 6,
    "cut": 4, "tokens": 7,
}  # fmt: skip
"""The columns of ``gains_table`` and their widths, which fill a terminal's 80."""


_STRICT = ("the answer line", "what the authors' pattern finds")


def gains_table(folder: Path) -> RenderableType:
    """What ``kot reason`` found, in 80 columns."""
    found = read_part(folder / RESULTS, ReasoningResults)
    lines: list[RenderableType] = []
    for task, gains in found.results.items():
        lines.append(Text(f"{name_task(task)}, {format_count(gains.n)} questions", style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for name, width in _GAINS.items():
            table.add_column(name, justify="right" if name else "left", width=width, no_wrap=True)
        for name, way in gains.ways.items():
            table.add_row(*_list_gains(WAY_NAMES[name], way, gains, name))
        lines.append(table)
        lines += (Text(f"  {line}", style="dim") for line in _describe_gains(gains))
    note = (
        f"strict: {_STRICT[bool(found.pattern)]} says it word for word; equiv.: what is stated, in "
        "any form, means it; change: strict against direct, in points; unread: no strict answer; "
        "cut: not done at --max-new-tokens; tokens: generated for a question"
    )
    if found.samples > 1:
        note += f"; reasoned: the majority of {found.samples} replies"
    if found.samples > 1 and all(gains.distinct == 1 for gains in found.results.values()):
        note += ", which are all the same: what generated them does not draw"
    return Group(*lines, Text(note, style="dim"))


def _describe_gains(gains: ReasoningScore) -> Iterator[str]:
    yield f"{gains.repaired} repaired, {gains.broken} broken"
    if rationales := gains.cot.rationales:
        yield describe_rationales(rationales)
    if samples := gains.samples:
        one = f"one reply {samples.accuracy.value:.3f} ({samples.equivalent.value:.3f} equiv.)"
        any_of = (f"any of {k} {value:.3f}" for k, value in samples.pass_at.items() if k > 1)
        yield ", ".join([one, *any_of])


def _list_gains(title: str, way: WayScore, gains: ReasoningScore, name: str) -> list[Text]:
    gain = gains.difference.get(name)
    cells = [
        f"  {title}",
        f"{way.accuracy.value:.3f}",
        f"{way.equivalent.value:.3f}" if way.equivalent else "",
        f"{way.macro_f1.value:.3f}" if way.macro_f1 else "",
        format_points(gain.accuracy.value) if gain else "",
        format_interval(gain.accuracy, "points") if gain else "",
        format_count(gains.n - way.num_parsed),
        format_count(way.num_truncated),
        f"{way.mean_tokens:.1f}",
    ]
    return [Text(cell) for cell in cells]


def _new_table(*columns: str, gap: int = 2) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column(columns[0], no_wrap=True, overflow="ellipsis")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _show_problems(run: Run) -> Table:
    table = _new_table("Held-out problems", "solved", "95% interval", "of")
    for family, model, score in list_problems([run]):
        if family == ALL:
            cells = (
                format_percent(score.accuracy.value),
                format_interval(score.accuracy, "percent"),
                format_count(score.n),
            )
            table.add_row(Text(model.name), *cells, style="bold" if model.is_ours else "")
    for guess in list_guesses(run.results):
        name = guess.name if guess.name == CHANCE else f"rule: {guess.name}"
        table.add_row(Text(name), format_percent(guess.accuracy), style="dim")
    return table


def _show_kobest(run: Run) -> Group:
    """One row a task; base -> tuned in each cell, marked where the interval excludes zero."""
    scores = tabulate_scores([run])
    shots = sorted({number for each in scores for number in each.shots})
    shown = shots[:MAX_SHOTS]
    table = _new_table(name_benchmark(run.results.recipe), *(f"{s}-shot" for s in shown))
    for each in scores:
        table.add_row(Text(name_task(each.task)), *(_cell(each, number) for number in shown))
    note = f"macro F1, base\N{RIGHTWARDS ARROW}tuned; {_MARKS[1]}{_MARKS[-1]} a difference is shown"
    if len(shots) > len(shown):
        note += f"; {len(shots) - len(shown)} more in the report"
    return Group(table, Text(note, style="dim"))


def _cell(table: ScoreTable, shots: int) -> str:
    values = {BASE: "  \N{EN DASH}", TUNED: "  \N{EN DASH}"}
    for model, scores in table.rows:
        if model.who in values and shots in scores:
            values[model.who] = f"{scores[shots].macro_f1.value:.3f}"
    mark = _MARKS.get(table.signs.get((TUNED, shots), 0), " ")
    return "\N{RIGHTWARDS ARROW}".join(values.values()) + mark


def _show_files(run: Path, files: list[tuple[str, str]]) -> Text:
    """Where the files lie; the folder once, since its path may be long."""
    text = Text(f"In {run}:", no_wrap=True, overflow="ellipsis")
    for name, what in files:
        text.append(f"\n  {name:<12} {what}")
    return text
