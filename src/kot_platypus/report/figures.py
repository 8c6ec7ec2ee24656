"""The page's pictures: matplotlib drawings turned into SVG that takes its colours from the page.

Text stays text, in the page's own font. Every colour is a stand-in that ``render_figure`` swaps
for a CSS variable, so one drawing serves light, dark and print. Each picture is drawn twice, for
a wide and for a narrow screen, because an SVG that is merely shrunk has unreadable labels.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from kot_platypus.report.funnel import Bar
from kot_platypus.results.schema import (
    ALL,
    BASE,
    TUNED,
    ChoiceDifference,
    ChoiceResults,
    Estimate,
    LogLine,
    ProblemResults,
)
from kot_platypus.results.wording import (
    MINUS,
    format_count,
    format_percent,
    format_score_difference,
    name_task,
)

WIDTHS_IN = {"wide": 7.0, "narrow": 3.55}
_INK, _MUTED, _RULE = "#010101", "#020202", "#030303"
_COLOURS = {BASE: "#040404", TUNED: "#050505"}
_OTHER, _PAPER = "#060606", "#070707"
SERIES = tuple(f"run{number}" for number in range(1, 7))
"""Names of the runs on a page that compares several; more could not be told apart."""
_COLOURS |= {who: f"#0808{number:02}" for number, who in enumerate(SERIES, start=1)}
_CSS = {
    _INK: "--ink", _MUTED: "--muted", _RULE: "--rule",
    _COLOURS[BASE]: "--base", _COLOURS[TUNED]: "--tuned", _OTHER: "--other", _PAPER: "--paper",
    **{_COLOURS[who]: f"--{who}" for who in SERIES},
}  # fmt: skip
_MARKERS = {BASE: "s", TUNED: "o", **dict(zip(SERIES, "oD^vPX", strict=True))}
MARKS = dict(zip(SERIES, "●◆▲▼✚✖", strict=True))
"""The same marks as letters, for legends."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kot",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "axes.unicode_minus": True,
    "axes.titlesize": 9.5,
}
_ROW_IN = 0.27

Draw = Callable[[float], Figure]


def render_figure(name: str, label: str, draw: Draw) -> Markup:
    """Both sizes of a picture as inline SVG. ``draw`` takes the width in inches."""
    return Markup("").join(_render_svg(f"{name}-{size}", size, label, draw) for size in WIDTHS_IN)


def _render_svg(name: str, size: str, label: str, draw: Draw) -> Markup:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A Korean label is the browser's to draw; matplotlib only lacks its width.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = draw(WIDTHS_IN[size])
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    for colour, variable in _CSS.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    # Ids must be unique in the page, or one picture borrows another's markers.
    svg = re.sub(r'(id="|"#|url\(#)', rf"\g<1>{name}-", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg class="{size}" {box.group() if box else ""} role="img" aria-label="{escape(label)}" '
        f'style="max-width: {WIDTHS_IN[size] * 96:.0f}px">'
    )
    return Markup(head + svg[svg.index(">") + 1 :])


# --- drawings ----------------------------------------------------------------------------------


def draw_accuracies(
    problems: dict[str, ProblemResults], names: dict[str, str], families: Sequence[str]
) -> Draw:
    """Dots with intervals: a labelled row a model for all problems, then a row a family."""

    def draw(width_in: float) -> Figure:
        models = list(problems)
        rows = len(models) + (1.25 * (len(families) - 1) + 0.6 if len(families) > 1 else 0)
        figure, axes = _new_axes(width_in, rows, right_in=0.55, bottom_in=0.27)
        labels: list[tuple[float, str]] = []
        for row, who in enumerate(models):
            score = problems[who].results[ALL].accuracy
            _dot(axes, score, row, who, size=6.5 if width_in > 5 else 5)
            labels.append((row, names[who]))
            _note(axes, row, format_percent(score.value), color=_colour(who), weight="bold")
        for number, family in enumerate(families[1:]):
            middle = len(models) + 0.6 + 1.25 * number
            labels.append((middle, family))
            for place, who in enumerate(models):
                score_of = problems[who].results.get(family)
                if score_of is not None:
                    offset = 0.28 * (place - (len(models) - 1) / 2)
                    _dot(axes, score_of.accuracy, middle + offset, who, size=4)
        if len(families) > 1:
            axes.axhline(len(models) - 0.25, color=_RULE, linewidth=0.8)
        _label_rows(axes, labels)
        axes.set_ylim(rows - 0.4, -0.6)
        axes.set_xlim(-0.01, 1.01)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100%"])
        return figure

    return draw


def draw_differences(pairs: Mapping[str, Sequence[ChoiceDifference]]) -> Draw:
    """A forest plot: tuned minus base, a row a task and number of shots, zero in the middle.

    ``pairs`` are by model. One model's differences are printed too; several stand in one row.
    """
    every = [pair for part in pairs.values() for pair in part]
    tasks = list(dict.fromkeys(pair.task for pair in every))
    keys = {(pair.task, pair.num_fewshot) for pair in every}
    ordered = sorted(keys, key=lambda key: (tasks.index(key[0]), key[1]))
    return lambda width_in: _draw_forest(width_in, ordered, pairs)


def _draw_forest(
    width_in: float,
    keys: Sequence[tuple[str, int]],
    pairs: Mapping[str, Sequence[ChoiceDifference]],
) -> Figure:
    tasks = list(dict.fromkeys(task for task, _ in keys))
    apart = 1 + 0.5 * (len(pairs) - 1)
    height = apart * len(keys) + 0.5 * (len(tasks) - 1)
    is_alone = len(pairs) == 1
    figure, axes = _new_axes(width_in, height, right_in=0.65 if is_alone else 0.1, bottom_in=0.42)
    axes.axvline(0, color=_MUTED, linewidth=0.9)
    rows = {key: apart * n + 0.5 * tasks.index(key[0]) for n, key in enumerate(keys)}
    for place, (who, part) in enumerate(pairs.items()):
        for pair in part:
            y = rows[pair.task, pair.num_fewshot]
            at = y + 0.45 * (place - (len(pairs) - 1) / 2)
            _dot(axes, pair.difference, at, who, size=5.5, hollow=pair.difference.sign == 0)
            if is_alone:
                _note(axes, y, format_score_difference(pair.difference.value), color=_INK)
    _label_rows(axes, [(y, f"{name_task(task)} {s}-shot") for (task, s), y in rows.items()])
    axes.set_ylim(height - 0.5 * apart + 0.1, -0.5 * apart - 0.1)
    ends = [abs(end) for part in pairs.values() for pair in part for end in pair.difference.ci95]
    reach = 1.08 * max(ends) or 0.1
    axes.set_xlim(-reach, reach)
    axes.locator_params(axis="x", nbins=5 if width_in > 5 else 3)
    axes.set_xlabel(f"macro F1, tuned {MINUS} base")
    return figure


def draw_shots(kobest: dict[str, ChoiceResults], tasks: Sequence[str]) -> Draw:
    """Small multiples: macro F1 over the number of shots, one panel a task."""

    def draw(width_in: float) -> Figure:
        columns = min(len(tasks), 5 if width_in > 5 else 2)
        lines = -(-len(tasks) // columns)
        height_in = 1.55 * lines + 0.25
        figure = Figure(figsize=(width_in, height_in))
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False).flat
        figure.subplots_adjust(
            left=0.36 / width_in, right=0.99, bottom=0.42 / height_in,
            top=1 - 0.25 / height_in, wspace=0.14, hspace=0.5,
        )  # fmt: skip
        for panel, axes in enumerate(grid):
            if panel >= len(tasks):
                axes.set_visible(False)
                continue
            _draw_shots_panel(axes, kobest, tasks[panel])
        return figure

    return draw


def _draw_shots_panel(axes: Any, kobest: dict[str, ChoiceResults], task: str) -> None:
    shots = sorted({s for part in kobest.values() for s in part.results.get(task, {})})
    for place, (who, part) in enumerate(kobest.items()):
        scores = part.results.get(task, {})
        x = [shots.index(s) + 0.12 * (place - (len(kobest) - 1) / 2) for s in scores]
        axes.plot(x, [s.macro_f1.value for s in scores.values()], color=_colour(who),
                  marker=_marker(who), markersize=4, linewidth=1.3)  # fmt: skip
        for at, score in zip(x, scores.values(), strict=True):
            axes.plot([at, at], score.macro_f1.ci95, color=_colour(who), linewidth=0.8)
    axes.set_title(name_task(task), loc="left", color=_INK)
    axes.set_xticks(range(len(shots)), [str(s) for s in shots])
    axes.set_xlim(-0.4, len(shots) - 0.6)
    axes.tick_params(axis="y", labelcolor=_MUTED, length=0)
    axes.grid(axis="y", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_losses(losses: dict[str, tuple[LogLine, ...]], names: dict[str, str]) -> Draw:
    """Training loss over optimizer steps, each line named at its end."""

    def draw(width_in: float) -> Figure:
        figure = Figure(figsize=(width_in, 2.3))
        axes = figure.add_axes((0.4 / width_in, 0.2, 1 - 1.75 / width_in, 0.76))
        for who, log in losses.items():
            axes.plot([line.step for line in log], [line.loss for line in log],
                      color=_colour(who), linewidth=1.4, marker=_marker(who),
                      markersize=3.5 if len(log) == 1 else 0)  # fmt: skip
        ends = [(log[-1].loss, who) for who, log in losses.items() if log]
        for place, who in _spread(ends, _span(losses) / 9):
            axes.text(1.02, place, names[who], va="center_baseline", color=_colour(who),
                      weight="bold", transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set_xlabel("optimizer step")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=_RULE, linewidth=0.6)
        axes.tick_params(axis="y", labelcolor=_MUTED, length=0)
        axes.set_axisbelow(True)
        return figure

    return draw


def draw_funnel(bars: Sequence[Bar]) -> Draw:
    """Rows from the sources to what was trained on: a bar a step, what is lost left hollow."""

    def draw(width_in: float) -> Figure:
        figure, axes = _new_axes(width_in, len(bars), right_in=0.7, bottom_in=0.02)
        for row, bar in enumerate(bars):
            is_last = row == len(bars) - 1
            axes.barh(
                row, bar.length, left=bar.start, height=0.5, linewidth=1,
                color=_PAPER if bar.is_lost else _COLOURS[TUNED if is_last else BASE],
                edgecolor=_COLOURS[BASE] if bar.is_lost else "none",
            )  # fmt: skip
            sign = MINUS if bar.is_lost else ""
            _note(axes, row, sign + format_count(bar.length), color=_INK)
        _label_rows(axes, [(row, bar.label) for row, bar in enumerate(bars)])
        return _finish_bars(figure, axes, len(bars), max(b.start + b.length for b in bars))

    return draw


def draw_tokens(tokens: dict[str, tuple[int, int]], names: dict[str, str]) -> Draw:
    """The token budget: for each training the tokens seen, and how many of them it learnt."""

    def draw(width_in: float) -> Figure:
        figure, axes = _new_axes(width_in, len(tokens), right_in=1.45, bottom_in=0.02)
        for row, (who, (seen, learnt)) in enumerate(tokens.items()):
            axes.barh(row, seen, height=0.5, color=_RULE)
            axes.barh(row, learnt, height=0.5, color=_colour(who))
            _note(axes, row, f"{format_count(learnt)} of {format_count(seen)}", color=_INK)
        _label_rows(axes, [(row, names[who]) for row, who in enumerate(tokens)])
        return _finish_bars(figure, axes, len(tokens), max(seen for seen, _ in tokens.values()))

    return draw


def _finish_bars(figure: Figure, axes: Any, rows: int, length: float) -> Figure:
    """No scale: every bar has its figure printed beside it."""
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xlim(0, length or 1)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    return figure


def _span(losses: dict[str, tuple[LogLine, ...]]) -> float:
    return max((line.loss for log in losses.values() for line in log), default=1.0)


def _spread(ends: list[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """Move labels apart until neighbours are at least ``gap`` from each other."""
    placed: list[tuple[float, str]] = []
    for value, who in sorted(ends):
        place = max(value, placed[-1][0] + gap) if placed else value
        placed.append((place, who))
    return placed


# --- pieces ------------------------------------------------------------------------------------


def _new_axes(
    width_in: float, rows: float, *, right_in: float, bottom_in: float
) -> tuple[Figure, Any]:
    """A figure whose rows have a fixed height, with room for labels on both sides."""
    left_in, top_in = 1.35 if width_in > 5 else 1.15, 0.05
    height_in = rows * _ROW_IN + bottom_in + top_in
    figure = Figure(figsize=(width_in, height_in))
    box = (
        left_in / width_in,
        bottom_in / height_in,
        1 - (left_in + right_in) / width_in,
        1 - (bottom_in + top_in) / height_in,
    )
    axes = figure.add_axes(box)
    axes.grid(axis="x", color=_RULE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    return figure, axes


def _label_rows(axes: Any, labels: Sequence[tuple[float, str]]) -> None:
    """Name the rows, flush left with the page's text."""
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.set_yticks([y for y, _ in labels], ["" for _ in labels])
    for y, text in labels:
        axes.text(0, y, text, va="center_baseline", transform=across)


def _note(axes: Any, y: float, text: str, **style: Any) -> None:
    """Print a row's figure, flush right with the page's text."""
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(1, y, text, ha="right", va="center_baseline", transform=across, **style)


def _dot(
    axes: Any, estimate: Estimate, y: float, who: str, *, size: float, hollow: bool = False
) -> None:
    colour = _colour(who)
    axes.plot(estimate.ci95, [y, y], color=colour, linewidth=size / 4, solid_capstyle="butt")
    axes.plot([estimate.value], [y], color=colour, marker=_marker(who), markersize=size,
              markerfacecolor=_PAPER if hollow else colour, markeredgewidth=1.2)  # fmt: skip


def _colour(who: str) -> str:
    return _COLOURS.get(who, _OTHER)


def _marker(who: str) -> str:
    return _MARKERS.get(who, "D")
