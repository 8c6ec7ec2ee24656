"""The verb that shows runs in a browser: app. Here the page gets what it needs of the stages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import example
from kot_platypus.errors import KotError, UsageError, require_extra
from kot_platypus.serving import LOOPBACK, listen, serve

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from kot_platypus.app.page import KobestText, ShownStep, Views
    from kot_platypus.results.run import RunResults

PORT = 7860


@app.command(
    "app",
    epilog=example(
        "kot app runs/demo", "kot app runs/a --data kocot", "kot app runs/demo --space space"
    ),
)
def show_app(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Also the review page of what kot data build wrote here."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = PORT,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = LOOPBACK[0],
    browser: Annotated[bool, typer.Option(help="Whether to open a browser.")] = True,
    space: Annotated[
        Path | None,
        typer.Option("--space", help="Write a folder for a Hugging Face Space instead."),
    ] = None,
    model_id: Annotated[
        str | None,
        typer.Option("--model-id", help="The model on the Hub that a Space takes, not a copy."),
    ] = None,
) -> None:
    """Show runs in a browser: chat, results, data, training. This machine only by default."""
    from kot_platypus.app.runs import open_runs

    opened = open_runs(runs)
    require_extra("gradio", "app", "the page of kot app")
    if space is not None:
        from kot_platypus.app.space import write_space

        if len(opened) > 1:
            raise UsageError(
                f"--space with {len(opened)} runs", expected="one", hint="Write a Space for each."
            )
        write_space(opened[0], space, model_id)
        print(space)
        return
    if model_id is not None:
        raise UsageError("--model-id without --space", expected="both", hint="Add --space FOLDER.")
    is_here = host in (*LOOPBACK, "::1")
    if not is_here:
        print(
            f"kot: listening on {host}: anyone who reaches this port can read these runs and use "
            "their models. There is no password.",
            file=sys.stderr,
        )
    listener = listen(host, port)
    from kot_platypus.app.site import make_site

    with ExitStack() as stack:
        review = open_review(data, stack) if data is not None else None
        site = make_site(opened, make_views(), review=review, only_here=is_here)
        serve(site, listener, open_browser=browser)


def open_review(folder: Path, stack: ExitStack) -> Starlette:
    """The review page of a data set, which is held until the stack closes."""
    from kot_platypus.data.review.server import make_app

    review = make_app(folder)
    stack.callback(review.state.store.close)
    return review


def serve_space(run: str, *, model_id: str | None, has_base: bool) -> None:
    """What the app.py of a Space calls: the page of the run in the folder ``run`` beside it.

    It listens where gradio would: $GRADIO_SERVER_NAME and $GRADIO_SERVER_PORT, which the Hub sets;
    else on this machine alone.
    """
    from kot_platypus.app.runs import open_runs
    from kot_platypus.app.site import make_site

    (opened,) = open_runs([Path(run)])
    opened = replace(opened, tuned=model_id or opened.tuned, has_base=has_base)
    host = os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0])
    listener = listen(host, int(os.environ.get("GRADIO_SERVER_PORT", PORT)))
    site = make_site([opened], make_views(), only_here=host in LOOPBACK, is_framed=True)
    serve(site, listener)


def make_views() -> Views:
    """What the page shows of report, evaluation and the run's plan."""
    from kot_platypus.app.markup import name_model
    from kot_platypus.app.page import Views
    from kot_platypus.report.page import render_tab, render_tab_css

    return Views(
        render_tab_css(), lambda found: render_tab(found, name_model), find_texts, list_steps
    )


# --- the stages, in the page's words -----------------------------------------------------------


def find_texts(results: RunResults) -> Mapping[tuple[str, int], KobestText]:
    """The run's KoBEST questions, if their files are on this machine: nothing is fetched."""
    section = results.recipe.evaluate
    where = section.kobest_dir
    return _read_texts(section.protocol, section.tasks, where, section.limit) if where else {}


@lru_cache(maxsize=4)
def _read_texts(
    protocol: str, tasks: tuple[str, ...], kobest_dir: str, limit: int | None
) -> Mapping[tuple[str, int], KobestText]:
    from kot_platypus.app.page import KobestText
    from kot_platypus.evaluate.protocols import build_questions, load_data, load_protocol

    texts = {}
    try:
        loaded = load_protocol(protocol)
        for task in tasks:
            for question in build_questions(loaded, load_data(loaded, task, kobest_dir), 0, limit):
                choices = tuple(request.continuation.strip() for request in question.requests)
                text = KobestText(question.requests[0].context, choices)
                texts[task, question.doc_id] = text
    except KotError:  # moved since, or another machine's path: the scores can be shown all the same
        return {}
    return texts


_STEPS = {
    "data": "데이터 만들기",
    "audit": "데이터 점검",
    "merged": "모델 합치기",
    "train": "학습",
    "kobest": "KoBEST 채점",
    "problems": "문제 풀이",
    "reasoning": "KoBEST를 풀이로",
    "rounds": "풀이 모으기",
}


def list_steps(run: Path, results: RunResults) -> Sequence[ShownStep]:
    """The steps of a run that leave a folder, and how far each is."""
    from kot_platypus.app.markup import name_model
    from kot_platypus.app.page import ShownStep
    from kot_platypus.results.wording import format_seconds
    from kot_platypus.run import plan_steps

    shown = []
    for step in plan_steps(results.recipe, run):
        if step.folder is None:
            continue
        first, *rest = place = step.folder.relative_to(run).parts
        kind = place[-1] if first == "evaluate" else first
        who = f": {name_model(rest[0])}" if rest else ""
        seconds = results.manifests.get("/".join(place), {}).get("seconds")
        duration = "" if seconds is None else format_seconds(seconds)
        shown.append(ShownStep(_STEPS[kind] + who, step.title, step.state, duration))
    return shown
