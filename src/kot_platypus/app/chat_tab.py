"""Chat: one question to the base and the trained model, answered side by side as they write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from textwrap import shorten
from typing import Any

import gradio as gr

from kot_platypus.app.chat import ANSWER_STYLE, RATIONALE_STYLE, style_pieces
from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import PRIVATE, Page, describe_error
from kot_platypus.app.runs import Run
from kot_platypus.app.speaker import Mode, Speaker, load_speaker
from kot_platypus.artifacts import read_jsonl
from kot_platypus.errors import KotError, ModelError
from kot_platypus.models import TRAINING_INFO, find_model, read_template, resolve_model
from kot_platypus.prompts import Template
from kot_platypus.records import Example
from kot_platypus.results.schema import BASE, TUNED

MODES: dict[Mode, str] = {"cot": "풀이 후 답 (chain of thought)", "direct": "바로 답 (direct)"}
BOTH = "both"
_REFRESH_S = 0.1
"""How often a turn is sent: a quick model writes faster than a browser draws."""
_CLASSES = {RATIONALE_STYLE: "rationale", ANSWER_STYLE: "answer"}
_MAX_QUESTION_CHARS = 4000
_MAX_TURNS = 20


@dataclass
class Stops:
    """The sessions that asked for an end of their answer."""

    asked: set[str] = field(default_factory=set)

    def ask(self, request: gr.Request) -> None:
        """End the answer that this session is waiting for."""
        self.asked.add(str(request.session_hash))

    def take(self, session: str) -> bool:
        """Whether the session asked; it counts once."""
        is_asked = session in self.asked
        self.asked.discard(session)
        return is_asked


def build_chat(page: Page) -> None:
    """The tab."""
    question = gr.Textbox(
        "",
        label="질문 Question",
        lines=3,
        max_lines=8,
        max_length=_MAX_QUESTION_CHARS,
        placeholder="한국어로 물어보세요. 질문마다 새로 시작합니다.",
        elem_id="question",
    )
    examples = gr.Dropdown([], label="예시 질문 Held-out problems", value=None, elem_id="examples")
    with gr.Row():
        mode = gr.Radio(
            [(name, value) for value, name in MODES.items()],
            value="cot",
            label="방식 Mode",
            elem_id="mode",
            min_width=280,
        )
        whom = gr.Radio([], label="모델 Models", elem_id="whom", min_width=280)
        max_tokens = gr.Slider(
            16, 1024, 256, step=16, label="최대 토큰 Max tokens", buttons=[], min_width=220
        )
    with gr.Row(elem_classes="asking"):
        stop = gr.Button("멈춤 Stop", min_width=100, elem_id="stop")
        ask = gr.Button("묻기 Ask", variant="primary", min_width=100, elem_id="ask")
    now = gr.HTML(elem_id="now")
    before = gr.HTML(elem_id="before")
    turns = gr.State([])
    page.on_choice(
        lambda place: _offer(page.runs[place]), [page.chosen], [examples, whom, turns, now, before]
    )
    examples.input(lambda text: text, [examples], [question], **PRIVATE)
    stops = Stops()
    gr.on(
        [ask.click, question.submit],
        _make_asking(page.runs, stops),
        [page.chosen, question, mode, whom, max_tokens, turns],
        [now, before, turns],
        concurrency_limit=1,
        concurrency_id="models",
        **PRIVATE,
    )
    stop.click(stops.ask, None, None, queue=False, **PRIVATE)


def _offer(run: Run) -> tuple[Any, ...]:
    """What a run has to offer: example questions and models; what was said to another is gone."""
    choices = [(shorten(text, 70, placeholder=" …"), text) for text in read_examples(run)]
    names = {BOTH: "나란히 Both", TUNED: name_model(TUNED), BASE: name_model(BASE)}
    offered = list(names) if run.has_base else [TUNED]
    whom = gr.Radio([(names[who], who) for who in offered], value=offered[0])
    return gr.Dropdown(choices, value=None, visible=bool(choices)), whom, [], "", ""


def _make_asking(runs: Sequence[Run], stops: Stops) -> Callable[..., Iterator[Any]]:
    def ask(
        place: int,
        question: str,
        mode: Mode,
        whom: str,
        max_tokens: int,
        turns: list[str],
        request: gr.Request,
    ) -> Iterator[Any]:
        session = str(request.session_hash)
        stops.take(session)  # one that came too late for the answer before
        question = question.strip()
        if not question:
            yield render("message", text="질문을 먼저 적어 주세요.", kind=""), gr.skip(), gr.skip()
            return
        shown, html = "".join(turns), ""
        try:
            for html in answer(
                runs[place], question, mode, whom, max_tokens, lambda: stops.take(session)
            ):
                yield html, shown, gr.skip()
        except KotError as error:
            html = describe_error(error)
        yield html, shown, [html, *turns][:_MAX_TURNS]

    return ask


# --- what the models answer --------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """What one model has said so far."""

    who: str
    note: str = "기다리는 중"
    parts: tuple[tuple[str, str], ...] = ()
    is_writing: bool = False

    def add(self, text: str, style: str) -> Side:
        """With another piece of text."""
        name = _CLASSES.get(style, "plain")
        if self.parts and self.parts[-1][1] == name:
            text = self.parts[-1][0] + text
            return replace(self, parts=(*self.parts[:-1], (text, name)))
        return replace(self, parts=(*self.parts, (text, name)))


def stream_answer(
    speaker: Speaker, side: Side, question: str, mode: Mode, max_new_tokens: int
) -> Iterator[Side]:
    """The side as it grows, a step for each piece. Closing it stops the model."""
    prefix = speaker.template.answer_prefix
    pieces = speaker.stream(question, mode=mode, max_new_tokens=max_new_tokens)
    said = _begin_line(prefix, pieces) if mode == "direct" and prefix else pieces
    side, started = replace(side, note="", is_writing=True), time.monotonic()
    try:
        yield side
        for text, style in style_pieces(said, prefix):
            side = side.add(text, style)
            yield side
    finally:
        pieces.close()  # type: ignore[attr-defined]
    yield replace(side, note=f"{time.monotonic() - started:.1f}초", is_writing=False)


def _begin_line(prefix: str, pieces: Iterator[str]) -> Iterator[str]:
    """A direct answer with how its line begins, which stands in the prompt."""
    yield prefix
    yield next(pieces, "").lstrip(" ")
    yield from pieces


@lru_cache(maxsize=4)
def _load(name: str, revision: str | None, template: Template | None) -> Speaker:
    """A model and its own template, or the one given; loaded when it is first asked."""
    found = find_model(name, revision)
    is_whole = found is not None and any(found.glob("*.safetensors"))
    folder = found if found and is_whole else resolve_model(name, revision)
    return load_speaker(folder, template)


def find_speaker(run: Run, who: str) -> Speaker:
    """A model of a run to talk to; the base answers in the template of the trained one.

    Raises ModelError while there is none.
    """
    recipe, tuned = run.read().recipe, Path(run.tuned)
    if who == BASE:
        template = read_template(tuned, recipe.train.template)
        return _load(recipe.model.name, recipe.model.revision, template)
    if run.tuned == str(run.folder / "merged") and not (tuned / TRAINING_INFO).is_file():
        raise ModelError(
            f"{run.name} has no trained model yet",
            expected="a finished kot run",
            hint="Run the recipe first: kot run.",
        )
    return _load(run.tuned, None, None)


def read_examples(run: Run) -> dict[str, str]:
    """The held-out questions and their answers."""
    path = run.folder / "data" / "heldout.jsonl"
    rows = read_jsonl(path, Example) if path.is_file() else []
    return {row.source: row.target for row in rows}


def answer(
    run: Run,
    question: str,
    mode: Mode,
    whom: str,
    max_new_tokens: int,
    is_stopped: Callable[[], bool],
) -> Iterator[str]:
    """The turn as HTML, again and again as it grows: the trained model first, for it ends first."""
    truth = read_examples(run).get(question)
    label = MODES[mode] + (f" · 정답 {truth}" if truth else "")
    sides = {who: Side(who) for who in (BASE, TUNED) if whom in (who, BOTH)}

    def show(side: Side) -> str:
        sides[side.who] = side
        return render("turn", question=question, mode=label, sides=list(sides.values()))

    for who in reversed(list(sides)):
        yield show(replace(sides[who], note="모델을 불러오는 중"))
        try:
            speaker = find_speaker(run, who)
            grown = stream_answer(speaker, sides[who], question, mode, max_new_tokens)
            shown_s = 0.0
            for side in grown:
                sides[who] = side
                if not side.is_writing or time.monotonic() - shown_s > _REFRESH_S:
                    yield show(side)
                    shown_s = time.monotonic()
                if is_stopped():
                    grown.close()  # type: ignore[attr-defined]
                    for each in sides.values():
                        if each.who == who or not each.parts:
                            html = show(replace(each, note="멈춤", is_writing=False))
                    yield html
                    return
        except KotError as error:
            yield show(Side(who, "").add(str(error), ""))
