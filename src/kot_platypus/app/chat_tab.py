"""Chat: one question to the base and the trained model, answered side by side as they write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

import gradio as gr

from kot_platypus.app.markup import name_model, render
from kot_platypus.app.page import PRIVATE, Page, describe_error
from kot_platypus.app.runs import Run
from kot_platypus.app.speaker import Mode
from kot_platypus.app.turns import BOTH, MODES, answer, read_examples
from kot_platypus.errors import KotError
from kot_platypus.results.schema import BASE, TUNED

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
