"""Training: the steps of a run and its curves, live while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import pandas

from kot_platypus.app.curves import Curve, describe_state, read_curves, tabulate_curves
from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import PRIVATE, Page, describe_error
from kot_platypus.errors import KotError
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import TUNED

REFRESH_S = 2.0
# The style sheet's, between those of light and dark: a plot cannot change with the page.
_COLOURS = {name_model(TUNED): "#3a86c8", name_model("answer"): "#cf7433"}


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
    plot = gr.LinePlot(_make_frame(curves), visible=bool(curves))  # axes alone are no picture
    return html, plot, plot, drawn, timer


def _find_speed(curve: Curve, results: RunResults) -> float | None:
    """Tokens a second: as logged by a running training, on average of a finished one."""
    manifest = results.manifests.get(f"train/{curve.who}", {})
    if "tokens_seen" in manifest and manifest.get("seconds"):
        return float(manifest["tokens_seen"] / manifest["seconds"])
    return curve.last.tokens_per_second if curve.last else None


def _make_frame(curves: Sequence[Curve]) -> pandas.DataFrame:
    names = {curve.who: name_model(curve.who) for curve in curves}
    return pandas.DataFrame(tabulate_curves(curves, names))


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
                color_map=_COLOURS,
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
