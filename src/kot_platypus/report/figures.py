"""The pictures: what each shows of runs, how it is drawn, and how it is said in words.

A new picture is a function here, an entry in ``FIGURES`` and ``ENGLISH``, and a place in a
template. What a picture shows of one run alone are its models; of several runs, their tuned ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from kot_platypus.report.canvas import (
    INK,
    MUTED,
    PAPER,
    RULE,
    Bar,
    Draw,
    draw_bars,
    draw_dot,
    draw_mark,
    find_colour,
    find_marker,
    label_rows,
    new_axes,
    render_figure,
    write_value,
)
from kot_platypus.report.families import UNTRAINED, tabulate_families
from kot_platypus.report.funnel import list_funnel
from kot_platypus.report.runs import Model, Run, list_pictured, list_scored, share_problems
from kot_platypus.report.sentences import (
    select_kobest_pairs,
    write_kobest_sentence,
)
from kot_platypus.report.tables import find_kind, list_tasks
from kot_platypus.results.schema import ALL, BASE, SEED, TUNED, ChoiceDifference, ChoiceScore
from kot_platypus.results.wording import (
    MINUS,
    format_count,
    format_percent,
    format_score_difference,
    name_task,
)

ENGLISH = {
    "problems": "Dot plot of the share of held-out problems solved: {values}.",
    "differences": "Forest plot of KoBEST macro F1, tuned minus base. {values}",
    "shots": "Macro F1 over the number of shots, one panel a task; figures in the tables above.",
    "losses": "Training loss over optimizer steps; at the end: {values}.",
    "funnel": "Bars from the sources to the rows trained on: {values}.",
    "tokens": "Bars of the tokens each training learnt, of those it saw: {values}.",
}
"""What a picture shows, for those who do not see it."""
KOREAN = {
    "problems": "문제 풀이 정답률: {values}.",
    "differences": "KoBEST macro F1, 학습한 모델 − 기본 모델. 값은 아래 표에 있음.",
    "shots": "예시 수에 따른 macro F1. 값은 위 표에 있음.",
}


class Picture(NamedTuple):
    """What there is to see: the values in words, and the drawing."""

    values: str
    draw: Draw


def draw_figures(runs: Sequence[Run], labels: Mapping[str, str] = ENGLISH) -> dict[str, Markup]:
    """Every picture of ``labels`` that the runs have figures for, by name, as SVG."""
    pictures = {name: FIGURES[name](runs) for name in labels}
    return {
        name: render_figure(name, labels[name].format(values=picture.values), picture.draw)
        for name, picture in pictures.items()
        if picture is not None
    }


# --- held-out problems -------------------------------------------------------------------------


def show_problems(runs: Sequence[Run]) -> Picture | None:
    """Accuracies: a row a model for all problems; of one run also a row a family."""
    models = [model for model in list_pictured(runs) if model.is_tested]
    if not models or (len(runs) > 1 and not share_problems(runs)):
        return None
    rows = tabulate_families(runs[0]) if len(runs) == 1 else []
    families = {row.name: ", untrained" * (row.kind == UNTRAINED) for row in rows}
    seeds = [] if len(runs) > 1 else [m for m in runs[0].models if m.who.startswith(SEED)]
    values = ((m.name, format_percent(_find_accuracy(m, ALL).value)) for m in (*models, *seeds))
    return Picture(_join(values), partial(_draw_accuracies, models, seeds, families))


def _find_accuracy(model: Model, family: str) -> Any:
    score = model.problems.results.get(family) if model.problems else None
    return score.accuracy if score else None


def _join(values: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values)


def _draw_accuracies(
    models: Sequence[Model], seeds: Sequence[Model], families: Mapping[str, str], width_in: float
) -> Figure:
    """``families``: what a row's label says after the family's name.

    The main training's other ``seeds`` are hollow marks on its rows, without intervals.
    """
    rows = len(models) + (1.25 * len(families) + 0.6 if families else 0)
    figure, axes = new_axes(width_in, rows, right_in=0.55, bottom_in=0.27)
    labels: list[tuple[float, str]] = []
    for row, model in enumerate(models):
        accuracy = _find_accuracy(model, ALL)
        draw_dot(axes, accuracy, row, model.key, size=6.5 if width_in > 5 else 5)
        _draw_seeds(axes, model, seeds, ALL, row)
        labels.append((row, model.name))
        text = format_percent(accuracy.value)
        write_value(axes, row, text, color=find_colour(model.key), weight="bold")
    for number, (family, remark) in enumerate(families.items()):
        middle = len(models) + 0.6 + 1.25 * number
        labels.append((middle, family + remark))
        for place, model in enumerate(models):
            accuracy = _find_accuracy(model, family)
            if accuracy is not None:
                offset = 0.28 * (place - (len(models) - 1) / 2)
                draw_dot(axes, accuracy, middle + offset, model.key, size=4)
                _draw_seeds(axes, model, seeds, family, middle + offset)
    if families:
        axes.axhline(len(models) - 0.25, color=RULE, linewidth=0.8)
    label_rows(axes, labels)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(-0.01, 1.01)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100%"])
    return figure


def _draw_seeds(axes: Any, model: Model, seeds: Sequence[Model], family: str, y: float) -> None:
    for seed in seeds if model.who == TUNED else ():
        accuracy = _find_accuracy(seed, family)
        if accuracy is not None:
            draw_mark(axes, accuracy.value, y, model.key, size=4, hollow=True)


# --- KoBEST ------------------------------------------------------------------------------------


def show_differences(runs: Sequence[Run]) -> Picture | None:
    """Tuned minus base with intervals: a row a task and number of shots, zero in the middle."""
    pairs = {run.key: found for run in runs if (found := select_kobest_pairs(run.results))}
    if not pairs:
        return None
    sentences = [
        ("" if len(runs) == 1 else f"{run.name}: ") + write_kobest_sentence(run.results)
        for run in runs
        if run.key in pairs
    ]
    return Picture(" ".join(sentences), partial(_draw_forest, pairs))


def _draw_forest(pairs: Mapping[str, Sequence[ChoiceDifference]], width_in: float) -> Figure:
    """One run's differences are printed too; those of several stand in one row."""
    every = [pair for part in pairs.values() for pair in part]
    tasks = list(dict.fromkeys(pair.task for pair in every))
    keys = sorted({(tasks.index(pair.task), pair.num_fewshot) for pair in every})
    apart = 1 + 0.5 * (len(pairs) - 1)
    height = apart * len(keys) + 0.5 * (len(tasks) - 1)
    is_alone = len(pairs) == 1
    figure, axes = new_axes(width_in, height, right_in=0.65 if is_alone else 0.1, bottom_in=0.42)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    rows = {(tasks[t], shots): apart * n + 0.5 * t for n, (t, shots) in enumerate(keys)}
    for place, (key, part) in enumerate(pairs.items()):
        for pair in part:
            y = rows[pair.task, pair.num_fewshot]
            at = y + 0.45 * (place - (len(pairs) - 1) / 2)
            draw_dot(axes, pair.difference, at, key, size=5.5, hollow=pair.verdict == 0)
            if is_alone:
                write_value(axes, y, format_score_difference(pair.difference.value), color=INK)
    label_rows(axes, [(y, f"{name_task(task)} {s}-shot") for (task, s), y in rows.items()])
    axes.set_ylim(height - 0.5 * apart + 0.1, -0.5 * apart - 0.1)
    reach = 1.08 * max(abs(end) for pair in every for end in pair.difference.ci95) or 0.1
    axes.set_xlim(-reach, reach)
    axes.locator_params(axis="x", nbins=5 if width_in > 5 else 3)
    axes.set_xlabel(f"macro F1, tuned {MINUS} base")
    return figure


def show_shots(runs: Sequence[Run]) -> Picture | None:
    """Macro F1 over the number of shots, a panel a task: tuned models, and the base if it is one.

    Of each task only the scores of one protocol and data, those of the first model that has any.
    """
    scored = list_scored(runs)
    bases = [model for model in scored if model.who == BASE]
    shown = [model for model in scored if model.is_ours or (model.who == BASE and len(bases) == 1)]
    parts = {model.key: part for model in shown if (part := model.kobest)}
    panels: dict[str, dict[str, dict[int, ChoiceScore]]] = {}
    for task in list_tasks(runs):
        tested = {key: part for key, part in parts.items() if task in part.results}
        kinds = [find_kind(part, task) for part in tested.values()]
        panels[task] = {
            key: part.results[task]
            for key, part in tested.items()
            if find_kind(part, task) == kinds[0]
        }
    several = {
        task: panel
        for task, panel in panels.items()
        if len({shots for by_shots in panel.values() for shots in by_shots}) > 1
    }
    return Picture("", partial(_draw_shots, several)) if several else None


def _draw_shots(
    panels: Mapping[str, Mapping[str, Mapping[int, ChoiceScore]]], width_in: float
) -> Figure:
    columns = min(len(panels), 5 if width_in > 5 else 2)
    lines = -(-len(panels) // columns)
    height_in = 1.55 * lines + 0.25
    figure = Figure(figsize=(width_in, height_in))
    grid = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    figure.subplots_adjust(
        left=0.36 / width_in, right=0.99, bottom=0.42 / height_in,
        top=1 - 0.25 / height_in, wspace=0.14, hspace=0.5,
    )  # fmt: skip
    for axes, (task, panel) in zip(grid, panels.items(), strict=False):
        _draw_panel(axes, task, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _draw_panel(axes: Any, task: str, panel: Mapping[str, Mapping[int, ChoiceScore]]) -> None:
    shots = sorted({number for by_shots in panel.values() for number in by_shots})
    for place, (key, by_shots) in enumerate(panel.items()):
        x = [shots.index(s) + 0.12 * (place - (len(panel) - 1) / 2) for s in by_shots]
        axes.plot(x, [s.macro_f1.value for s in by_shots.values()], color=find_colour(key),
                  marker=find_marker(key), markersize=4, linewidth=1.3)  # fmt: skip
        for at, score in zip(x, by_shots.values(), strict=True):
            axes.plot([at, at], score.macro_f1.ci95, color=find_colour(key), linewidth=0.8)
    axes.set_title(name_task(task), loc="left", color=INK)
    axes.set_xticks(range(len(shots)), [str(s) for s in shots])
    axes.set_xlim(-0.4, len(shots) - 0.6)
    _add_grid(axes)


def _add_grid(axes: Any) -> None:
    axes.tick_params(axis="y", labelcolor=MUTED, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


# --- training ----------------------------------------------------------------------------------


def show_losses(runs: Sequence[Run]) -> Picture | None:
    """Training loss over optimizer steps, each line named at its end."""
    models = [model for model in list_pictured(runs) if model.log]
    if not models:
        return None
    ends = _join((model.name, f"{model.log[-1].loss:.3f}{_say_lowest(model)}") for model in models)
    return Picture(ends, partial(_draw_losses, models))


def _list_validated(model: Model) -> list[tuple[int, float]]:
    """Step and validation loss, where it was looked at."""
    return [(line.step, line.eval_loss) for line in model.log if line.eval_loss is not None]


def _say_lowest(model: Model) -> str:
    step, loss = min(_list_validated(model), key=lambda found: found[1], default=(0, 0.0))
    return f" (validation loss lowest at step {step}, {loss:.3f})" if step else ""


def _draw_losses(models: Sequence[Model], width_in: float) -> Figure:
    figure = Figure(figsize=(width_in, 2.3))
    axes = figure.add_axes((0.4 / width_in, 0.2, 1 - 1.75 / width_in, 0.76))
    for model in models:
        axes.plot([line.step for line in model.log], [line.loss for line in model.log],
                  color=find_colour(model.key), linewidth=1.4, marker=find_marker(model.key),
                  markersize=3.5 if len(model.log) == 1 else 0)  # fmt: skip
        _draw_validation(axes, model)
    gap = max(line.loss for model in models for line in model.log) / 9
    place = float("-inf")
    for model in sorted(models, key=lambda model: (model.log[-1].loss, model.key)):
        place = max(model.log[-1].loss, place + gap)  # labels stand apart from each other
        axes.text(1.02, place, model.name, va="center_baseline", color=find_colour(model.key),
                  weight="bold", transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlabel("optimizer step")
    axes.set_ylim(bottom=0)
    _add_grid(axes)
    return figure


def _draw_validation(axes: Any, model: Model) -> None:
    """The validation loss, dashed, with a mark where it is lowest: there over-fitting begins."""
    found = _list_validated(model)
    if found:
        steps, losses = zip(*found, strict=True)
        axes.plot(steps, losses, color=find_colour(model.key), linewidth=1.2, linestyle=(0, (3, 2)))
        step, loss = min(found, key=lambda each: each[1])
        axes.plot([step], [loss], color=find_colour(model.key), marker=find_marker(model.key),
                  markersize=5, markerfacecolor=PAPER, markeredgewidth=1.2)  # fmt: skip


def show_funnel(runs: Sequence[Run]) -> Picture | None:
    """One run's rows from the sources to those trained on: a bar a step, what is lost hollow."""
    steps = list_funnel(runs[0].results) if len(runs) == 1 else []
    values = _join((step.label, format_count(step.length)) for step in steps)
    bars = [
        Bar(
            step.label,
            step.length,
            (MINUS if step.is_lost else "") + format_count(step.length),
            find_colour(TUNED if step is steps[-1] else BASE),
            step.start,
            step.is_lost,
        )
        for step in steps
    ]
    return Picture(values, partial(draw_bars, bars, right_in=0.7)) if bars else None


def show_tokens(runs: Sequence[Run]) -> Picture | None:
    """The token budget: for each training the tokens seen, and how many of them it learnt."""
    bars: list[Bar] = []
    for model in list_pictured(runs):
        seen, learnt = map(model.training.get, ("tokens_seen", "trained_tokens_seen"))
        if seen and learnt:
            share = f"{format_count(learnt)} of {format_count(seen)}"
            bars.append(Bar(model.name, learnt, share, find_colour(model.key), whole=seen))
    values = _join((bar.label, bar.text) for bar in bars)
    return Picture(values, partial(draw_bars, bars, right_in=1.45)) if bars else None


FIGURES: dict[str, Callable[[Sequence[Run]], Picture | None]] = {
    "problems": show_problems,
    "differences": show_differences,
    "shots": show_shots,
    "losses": show_losses,
    "funnel": show_funnel,
    "tokens": show_tokens,
}
