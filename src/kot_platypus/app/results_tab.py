"""Results: the scores, their pictures, and what changed between two models, by question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import (
    PRIVATE,
    FindTexts,
    KobestText,
    Page,
    add_pages,
    cut_page,
    describe_error,
)
from kot_platypus.artifacts import read_jsonl
from kot_platypus.errors import KotError
from kot_platypus.records import Answer, Sample
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import BASE, TUNED
from kot_platypus.results.wording import name_task

PROBLEMS, KOBEST = "problems", "kobest"
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
    asked = [test, before, after, change, task, words]
    show = partial(show_questions, page)
    events = [test.input, before.input, after.input, change.input, task.input, words.input]
    shown = add_pages("questions", show, asked, events, [found, change, task])
    begun = gr.on(
        [page.blocks.load, page.chosen.change],
        lambda place: _offer_models(page, place),
        [page.chosen],
        [before, after, test],
        **PRIVATE,
    )
    begun.then(partial(show, 0), asked, shown, **PRIVATE)


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


# --- what changed, question by question -----------------------------------------------------------


class Pair(NamedTuple):
    """One question and what two models made of it: texts that they wrote, or scored choices."""

    task: str
    label: str
    question: str
    truth: str
    choices: Sequence[str]
    before: Answer | Sample
    after: Answer | Sample

    @property
    def change(self) -> str:
        """One of ``CHANGES``."""
        return _CHANGES[self.before.correct, self.after.correct]

    @property
    def text(self) -> str:
        """Everything to search in."""
        outputs = [side.output for side in (self.before, self.after) if isinstance(side, Answer)]
        return "\n".join([self.question, self.truth, *outputs]).casefold()


_CHANGES = {
    (False, True): "repaired",
    (True, False): "broken",
    (False, False): "both wrong",
    (True, True): "both right",
}
CHANGES = tuple(_CHANGES.values())


def pair_answers(before: Iterable[Answer], after: Iterable[Answer]) -> list[Pair]:
    """Attempts at the same held-out problems, in the order of the test."""
    others = {(row.doc_id, row.source): row for row in after}
    return [
        Pair(a.task, f"{a.doc_id + 1}", a.source, a.target, (), a, b)
        for a in before
        if (b := others.get((a.doc_id, a.source))) is not None
    ]


def pair_samples(
    before: Iterable[Sample],
    after: Iterable[Sample],
    texts: Mapping[tuple[str, int], KobestText],
    same_tasks: Iterable[str],
) -> list[Pair]:
    """Scores of the same KoBEST questions, of the tasks that both have from the same data."""
    others = {(row.task, row.num_fewshot, row.doc_id): row for row in after}
    tasks = set(same_tasks)
    pairs = []
    for a in before:
        b = others.get((a.task, a.num_fewshot, a.doc_id))
        if a.task in tasks and b is not None:
            numbers = tuple(f"({n})" for n in range(1, len(a.logprobs) + 1))
            text = texts.get((a.task, a.doc_id), KobestText("", numbers))
            label = f"{a.doc_id + 1} · {a.num_fewshot}-shot"
            pairs.append(
                Pair(a.task, label, text.context, text.choices[a.gold], text.choices, a, b)
            )
    return pairs


def select_pairs(
    pairs: Iterable[Pair], *, change: str = "", task: str = "", words: str = ""
) -> list[Pair]:
    """The pairs of a kind, of a task, and with every one of ``words`` in question or outputs."""
    wanted = words.casefold().split()
    return [
        pair
        for pair in pairs
        if change in ("", pair.change)
        and task in ("", pair.task)
        and all(word in pair.text for word in wanted)
    ]


class RunModel(NamedTuple):
    """A model of a run, as it was tested."""

    folder: Path
    results: RunResults
    who: str


def load_pairs(test: str, before: RunModel, after: RunModel, find_texts: FindTexts) -> list[Pair]:
    """The pairs of a test, ``PROBLEMS`` or ``KOBEST``, that two models have in common."""
    if test == PROBLEMS:
        return pair_answers(*(side.results.answers.get(side.who, ()) for side in (before, after)))
    sides = [side.results.kobest.get(side.who) for side in (before, after)]
    files = [
        side.folder / "evaluate" / side.who / "kobest" / "samples.jsonl" for side in (before, after)
    ]
    if None in sides or not all(file.is_file() for file in files):
        return []
    data = [side.data for side in sides if side is not None]
    same = [task for task in data[0] if data[0][task] == data[1].get(task)]
    rows = [read_jsonl(file, Sample) for file in files]
    return pair_samples(rows[0], rows[1], find_texts(before.results), same)
