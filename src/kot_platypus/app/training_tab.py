"""Training: the steps of a run and its curves, live while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pandas

from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import PRIVATE, Page, describe_error
from kot_platypus.artifacts import read_log
from kot_platypus.errors import KotError
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import TUNED, LogLine

REFRESH_S = 2.0
# The style sheet's, between those of light and dark: a plot cannot change with the page.
_COLOURS = ("#3a86c8", "#cf7433", "#8d63c4", "#2a9180", "#c4527c", "#948415")

VALIDATION = " · 검증"
"""After a training's name: the loss of its validation rows."""
_LIVE = "checkpoints/log.jsonl"


class Curve(NamedTuple):
    """The log of one training. ``age_s`` are seconds since the last step; None: it is done."""

    who: str
    lines: tuple[LogLine, ...]
    age_s: float | None

    @property
    def last(self) -> LogLine | None:
        """The latest step."""
        return self.lines[-1] if self.lines else None

    @property
    def validated(self) -> tuple[LogLine, ...]:
        """The steps after which the validation rows were looked at."""
        return tuple(line for line in self.lines if line.eval_loss is not None)

    @property
    def asked(self) -> LogLine | None:
        """The last step after which they were answered in words."""
        asked = [line for line in self.lines if line.eval_accuracy is not None]
        return asked[-1] if asked else None

    @property
    def best(self) -> LogLine | None:
        """The step of the lowest validation loss."""
        return min(self.validated, key=lambda line: line.eval_loss or 0.0, default=None)


def read_curves(run: Path) -> list[Curve]:
    """The trainings of a run that have begun, in the order of their beginning."""
    found = []
    for folder in (run / "train").glob("*/"):
        done, live = folder / "log.jsonl", folder / _LIVE
        path = done if done.is_file() else live
        if path.is_file():
            written_s = path.stat().st_mtime
            age_s = None if path == done else max(0.0, time.time() - written_s)
            found.append((written_s, Curve(folder.name, tuple(read_log(path, LogLine)), age_s)))
    return [curve for _, curve in sorted(found)]


def tabulate_curves(curves: Sequence[Curve], names: dict[str, str]) -> dict[str, list[Any]]:
    """Columns for a plot: step, loss, learning rate, and the training's name.

    What validation found is a series of its own.
    """
    rows: list[tuple[Any, ...]] = []
    for curve in curves:
        name = names.get(curve.who, curve.who)
        rows += [(line.step, line.loss, line.learning_rate, name) for line in curve.lines]
        rows += [(line.step, line.eval_loss, None, name + VALIDATION) for line in curve.validated]
    columns = ("step", "loss", "learning_rate", "model")
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}


def choose_colours(curves: Sequence[Curve]) -> dict[str, str]:
    """A colour for the name of each series; the trained model's is always the first."""
    ordered = sorted(curves, key=lambda curve: curve.who != TUNED)
    names = [name_model(curve.who) for curve in ordered]
    names += [name_model(curve.who) + VALIDATION for curve in ordered if curve.validated]
    return dict(zip(names, cycle(_COLOURS), strict=False))


def describe_state(curves: Sequence[Curve]) -> str:
    """Changes whenever there is something new to draw."""
    return json.dumps([(c.who, len(c.lines), len(c.validated), c.age_s is None) for c in curves])


# --- the tab -----------------------------------------------------------------------------------


def show_training(page: Page, place: int, state: str) -> tuple[Any, ...]:
    """The steps, both curves, what was drawn, and a timer that stops when the run is done."""
    run = page.runs[place]
    try:
        results = run.read()
        curves, steps = read_curves(run.folder), page.views.list_steps(run.folder, results)
    except KotError as error:
        return describe_error(error), gr.skip(), gr.skip(), state, gr.skip()
    speeds = {curve.who: _find_speed(curve, results) for curve in curves}
    html = render("training", curves=curves, steps=steps, speeds=speeds)
    is_over = all(step.state == "done" for step in steps)
    timer = gr.Timer(active=not is_over)
    drawn = f"{place} {describe_state(curves)}"
    if drawn == state:
        return html, gr.skip(), gr.skip(), state, timer
    # Axes alone are no picture.
    colours = choose_colours(curves)
    losses, rates = (
        gr.LinePlot(frame, color_map=colours, visible=bool(curves))
        for frame in _make_frames(curves)
    )
    return html, losses, rates, drawn, timer


def _find_speed(curve: Curve, results: RunResults) -> float | None:
    """Tokens a second: as logged by a running training, on average of a finished one."""
    manifest = results.manifests.get(f"train/{curve.who}", {})
    if "tokens_seen" in manifest and manifest.get("seconds"):
        return float(manifest["tokens_seen"] / manifest["seconds"])
    return curve.last.tokens_per_second if curve.last else None


def _make_frames(curves: Sequence[Curve]) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """What is drawn of losses, and of learning rates, which validation has none of."""
    names = {curve.who: name_model(curve.who) for curve in curves}
    frame = pandas.DataFrame(tabulate_curves(curves, names))
    return frame, frame[frame["model"].isin(list(names.values()))]


def build_training(page: Page) -> None:
    """The tab."""
    timer = gr.Timer(REFRESH_S)
    text = gr.HTML(elem_id="training-state")
    with gr.Row():
        curves = [
            gr.LinePlot(
                x="step",
                y=column,
                color="model",
                x_title="단계 step",
                y_title=" ",
                color_title=" ",
                title=title,
                height=300,
                min_width=320,
                buttons=[],
                visible=False,
                elem_id=f"curve-{column}",
            )
            for column, title in (("loss", "손실 loss"), ("learning_rate", "학습률 learning rate"))
        ]
    drawn = gr.State("")
    shown = [text, *curves, drawn, timer]

    def show(place: int, state: str) -> tuple[Any, ...]:
        return show_training(page, place, state)

    page.on_choice(show, [page.chosen, drawn], shown)
    timer.tick(show, [page.chosen, drawn], shown, **PRIVATE)
