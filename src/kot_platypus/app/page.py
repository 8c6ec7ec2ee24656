"""What the tabs of the page share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from kot_platypus.app.markup import render
from kot_platypus.app.runs import Run
from kot_platypus.errors import KotError
from kot_platypus.results.run import RunResults

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For every event: the page is its only caller."""
PER_PAGE = 20


class ShownStep(NamedTuple):
    """A step of a run. ``state`` is ``done``, ``started`` or ``to do``."""

    name: str
    title: str
    state: str
    duration: str


class KobestText(NamedTuple):
    """What a KoBEST question asks, without examples, and its choices in label order."""

    context: str
    choices: tuple[str, ...]


FindTexts = Callable[[RunResults], Mapping[tuple[str, int], KobestText]]
"""The texts of a run's KoBEST questions by task and place; empty where the data is elsewhere."""


@dataclass(frozen=True)
class Views:
    """What the page shows of stages that it does not know itself."""

    css: str
    """The style of what ``show_results`` returns."""
    show_results: Callable[[RunResults], str]
    """The scores of a run as HTML whose texts are escaped."""
    find_texts: FindTexts
    list_steps: Callable[[Path, RunResults], Sequence[ShownStep]]


@dataclass(frozen=True)
class Page:
    """What the tabs share."""

    blocks: gr.Blocks
    runs: Sequence[Run]
    chosen: gr.Dropdown
    """The run to show, as its place in ``runs``."""
    views: Views

    def on_choice(self, action: Callable[..., Any], inputs: Any, outputs: Any) -> None:
        """Do ``action`` when the page is opened and when another run is chosen."""
        gr.on([self.blocks.load, self.chosen.change], action, inputs, outputs, **PRIVATE)


def describe_error(error: KotError) -> str:
    """An error as HTML, for the place where the result would be."""
    return render("message", text=str(error), kind="error")


def add_pages(
    name: str,
    show: Callable[..., tuple[Any, ...]],
    asked: Sequence[Any],
    events: Sequence[Any],
    shown: Sequence[Any],
) -> list[Any]:
    """The buttons of what is shown page by page, and the count between them.

    Args:
        name: What the buttons' ids begin with.
        show: Takes the page's number, from 0, and the values of ``asked``. Returns those of
            ``shown``, the count as HTML and the page's number.
        asked: What decides what is shown.
        events: What begins again at the first page.
        shown: Where it goes.

    Returns:
        Where all goes that ``show`` returns.
    """
    with gr.Row(elem_classes="pager"):
        back = gr.Button("◀ 앞", min_width=80, size="sm", elem_id=f"{name}-back")
        counted = gr.HTML(elem_classes="counted", elem_id=f"{name}-count")
        on = gr.Button("다음 ▶", min_width=80, size="sm", elem_id=f"{name}-next")
    at = gr.State(0)
    every = [*shown, counted, at]
    gr.on(events, lambda *a: show(0, *a), asked, every, trigger_mode="always_last", **PRIVATE)
    back.click(lambda n, *a: show(n - 1, *a), [at, *asked], every, **PRIVATE)
    on.click(lambda n, *a: show(n + 1, *a), [at, *asked], every, **PRIVATE)
    return every


def cut_page(number: int, count: int) -> tuple[int, slice, str]:
    """The nearest page there is, what lies on it, and both in words."""
    number = min(max(number, 0), max(count - 1, 0) // PER_PAGE)
    start, end = number * PER_PAGE, min((number + 1) * PER_PAGE, count)
    text = f"{start + 1:,}~{end:,} / {count:,}" if count else "0"
    return number, slice(start, end), text
