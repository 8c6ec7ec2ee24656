"""The page as a web app: Chat, Results, Data and Training of one or more runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: it asks at once

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kot_platypus.app.chat_tab import build_chat
from kot_platypus.app.data_tab import build_data
from kot_platypus.app.markup import read_css, render
from kot_platypus.app.page import Page, Views
from kot_platypus.app.results_tab import build_results
from kot_platypus.app.runs import Run
from kot_platypus.app.training_tab import build_training
from kot_platypus.serving import LOOPBACK, SetHeaders

if TYPE_CHECKING:
    from starlette.applications import Starlette

REVIEW_PATH = "/review/"
FONTS = (
    "Pretendard",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
)
"""Korean fonts that systems have; none is fetched."""
MONO_FONTS = ("D2Coding", "Menlo", "Consolas")

_POLICY = (
    # gradio's own page has scripts in it and makes functions of strings; nothing comes from, or
    # goes to, anywhere else.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def make_site(
    runs: Sequence[Run],
    views: Views,
    *,
    review: Starlette | None = None,
    only_here: bool = True,
    is_framed: bool = False,
) -> FastAPI:
    """The page as a web app.

    Args:
        runs: What it shows.
        views: What it shows of other stages.
        review: The review page of a data set, to be mounted in it, with the secret in its state.
        only_here: Whether to refuse requests that name another host than this machine: the name
            of another site may be made to resolve to it.
        is_framed: Whether pages of others may show it in a frame, as the Hub does.
    """
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    path = None
    if review is not None:
        path = f"{REVIEW_PATH}{review.state.token}/"
        site.mount(REVIEW_PATH.rstrip("/"), review)
    policy = _POLICY if is_framed else _POLICY + "; frame-ancestors 'self'"
    site.add_middleware(SetHeaders, headers={**_HEADERS, "Content-Security-Policy": policy})
    if only_here:
        site.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    blocks = build_page(runs, views, path)
    gr.mount_gradio_app(site, blocks, path="/", server_name=LOOPBACK[0], **make_style(views.css))
    return site


def build_page(runs: Sequence[Run], views: Views, review_path: str | None = None) -> gr.Blocks:
    """The page as gradio blocks. ``review_path`` is where the review page is mounted, if it is."""
    alone = runs[0].name if len(runs) == 1 else ""
    with gr.Blocks(title="KoT", analytics_enabled=False) as blocks:
        with gr.Row(elem_classes="top"):
            gr.HTML(render("brand", name=alone), elem_classes="brand")
            chosen = gr.Dropdown(
                [(run.name, place) for place, run in enumerate(runs)],
                value=0,
                show_label=False,
                container=False,
                label="실행 (run)",
                elem_id="run",
                visible=len(runs) > 1,
            )
        page = Page(blocks, runs, chosen, views)
        with gr.Tab("대화 Chat", id="chat"):
            build_chat(page)
        with gr.Tab("결과 Results", id="results"):
            build_results(page)
        with gr.Tab("데이터 Data", id="data"):
            build_data(page, review_path)
        with gr.Tab("학습 Training", id="training"):
            build_training(page)
    return blocks


def make_style(css: str) -> dict[str, Any]:
    """What gradio is told about looks: local fonts, our colours, Korean as the language."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_sm,
        font=[*map(gr.themes.Font, FONTS), "system-ui", "sans-serif"],
        font_mono=[*map(gr.themes.Font, MONO_FONTS), "monospace"],
    )
    return {
        "theme": theme,
        "css": css + read_css(),
        "js": "() => { document.documentElement.lang = 'ko'; }",
        "footer_links": [],
        "run_history": False,
        "show_error": False,
    }
