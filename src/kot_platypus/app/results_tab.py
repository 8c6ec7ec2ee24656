"""Results: the scores, their pictures, and what changed between two models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import gradio as gr

from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import PRIVATE, Page, add_pager, cut_page, describe_error
from kot_platypus.app.questions import (
    CHANGES,
    KOBEST,
    PROBLEMS,
    Pair,
    RunModel,
    load_pairs,
    select_pairs,
)
from kot_platypus.errors import KotError
from kot_platypus.results.schema import BASE, TUNED
from kot_platypus.results.wording import name_task

_NAMES = {
    "": "전체",
    "repaired": "고쳐짐 ✗→✓",
    "broken": "망가짐 ✓→✗",
    "both wrong": "둘 다 틀림",
    "both right": "둘 다 맞음",
}


def show_overview(page: Page, place: int) -> str:
    """The scores of a run as HTML."""
    try:
        results = page.runs[place].read()
    except KotError as error:
        return describe_error(error)
    return page.views.show_results(results)


def build_results(page: Page) -> None:
    """The tab."""
    overview = gr.HTML(elem_id="overview")
    page.on_choice(lambda place: show_overview(page, place), [page.chosen], [overview])
    gr.HTML('<h2 class="kot">무엇이 달라졌나 <small>question by question</small></h2>')
    with gr.Row():
        test = gr.Radio(
            [("문제 풀이 (held-out)", PROBLEMS), ("KoBEST", KOBEST)],
            value=PROBLEMS,
            label="시험 Test",
            elem_id="test",
            min_width=280,
        )
        before = gr.Dropdown([], label="앞 Before", elem_id="model-before")
        after = gr.Dropdown([], label="뒤 After", elem_id="model-after")
    change = gr.Radio([("전체", "")], value="", label="달라진 것 Change", elem_id="change")
    with gr.Row():
        task = gr.Dropdown([("모든 종류", "")], value="", label="종류 Task", elem_id="task")
        words = gr.Textbox("", label="찾기 Search", elem_id="words")
    found = gr.HTML(elem_id="questions")
    at, counted, back, on = add_pager("questions")
    asked = [test, before, after, change, task, words]
    shown = [found, change, task, counted, at]

    def show(place: int, step: int, *filters: Any) -> tuple[Any, ...]:
        return show_questions(page, place + step, *filters)

    events = [test.input, before.input, after.input, change.input, task.input, words.input]
    gr.on(events, lambda *a: show(0, 0, *a), asked, shown, trigger_mode="always_last", **PRIVATE)
    back.click(lambda n, *a: show(n, -1, *a), [at, *asked], shown, **PRIVATE)
    on.click(lambda n, *a: show(n, 1, *a), [at, *asked], shown, **PRIVATE)
    begun = gr.on(
        [page.blocks.load, page.chosen.change],
        lambda place: _offer_models(page, place),
        [page.chosen],
        [before, after, test],
        **PRIVATE,
    )
    begun.then(lambda *a: show(0, 0, *a), asked, shown, **PRIVATE)


def show_questions(
    page: Page,
    number: int,
    test: str,
    before: str,
    after: str,
    change: str,
    task: str,
    words: str,
) -> tuple[Any, ...]:
    """One page of questions, and how many of each kind there are."""
    if not before or not after:
        return render("questions", pairs=[], before="", after=""), gr.skip(), gr.skip(), "0", 0
    sides = [_find_model(page, value) for value in (before, after)]
    try:
        pairs = load_pairs(test, sides[0], sides[1], page.views.find_texts)
    except KotError as error:
        return describe_error(error), gr.skip(), gr.skip(), "", 0
    tasks = list(dict.fromkeys(pair.task for pair in pairs))
    task = task if task in tasks else ""
    fitting = select_pairs(pairs, task=task, words=words)
    chosen = select_pairs(fitting, change=change)
    number, part, text = cut_page(number, len(chosen))
    names = [_name_model_of_run(page, value) for value in (before, after)]
    return (
        render("questions", pairs=chosen[part], before=names[0], after=names[1]),
        gr.Radio(_count_changes(fitting), value=change),
        gr.Dropdown([("모든 종류", ""), *((name_task(t), t) for t in tasks)], value=task),
        render("message", text=text, kind="count"),
        number,
    )


def _count_changes(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    counts = Counter(pair.change for pair in pairs)
    return [
        (f"{_NAMES[change]} ({counts[change] if change else len(pairs):,})", change)
        for change in ("", *CHANGES)
    ]


def _offer_models(page: Page, place: int) -> tuple[Any, ...]:
    """Every tested model of every run; of the chosen run the base and the trained one first."""
    results = page.runs[place].read()
    values = [
        f"{number}/{who}"
        for number, run in enumerate(page.runs)
        for who in dict.fromkeys([*run.read().answers, *run.read().kobest])
    ]
    choices = [(_name_model_of_run(page, value), value) for value in values]
    test = PROBLEMS if results.answers or not results.kobest else KOBEST
    return (
        gr.Dropdown(choices, value=_choose(values, f"{place}/{BASE}")),
        gr.Dropdown(choices, value=_choose(values, f"{place}/{TUNED}")),
        test,
    )


def _choose(values: Sequence[str], wanted: str) -> str | None:
    return wanted if wanted in values else next(iter(values), None)


def _name_model_of_run(page: Page, value: str) -> str:
    number, who = value.split("/", 1)
    name = name_model(who)
    return f"{page.runs[int(number)].name} · {name}" if len(page.runs) > 1 else name


def _find_model(page: Page, value: str) -> RunModel:
    number, who = value.split("/", 1)
    run = page.runs[int(number)]
    return RunModel(run.folder, run.read(), who)
