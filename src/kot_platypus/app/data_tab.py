"""Data: the review page of a data set, and the run's rows with what the checks say of them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from kot_platypus.app.markup import render
from kot_platypus.app.page import PRIVATE, Page, add_pager, cut_page, describe_error
from kot_platypus.app.rows import FILES, load_rows, select_rows
from kot_platypus.errors import KotError


def show_audit(page: Page, place: int) -> str:
    """How many rows there are, and what the audit found in them."""
    try:
        results = page.runs[place].read()
    except KotError as error:
        return describe_error(error)
    return render("audit", counts=results.data_counts, audit=results.audit)


def show_rows(
    page: Page, number: int, place: int, file: str, words: str, only_found: bool
) -> tuple[str, str, int]:
    """One page of rows, where it lies among all, and its number."""
    try:
        rows = load_rows(page.runs[place].folder, file)
    except KotError as error:
        return describe_error(error), "", 0
    chosen = select_rows(rows, words, only_found=only_found)
    number, part, text = cut_page(number, len(chosen))
    count = render("message", text=text, kind="count")
    return render("rows", rows=chosen[part]), count, number


def build_data(page: Page, review_path: str | None) -> None:
    """The tab."""
    if review_path is not None:
        gr.HTML(render("review", path=review_path), elem_id="review")
    audit = gr.HTML(elem_id="audit")
    page.on_choice(lambda place: show_audit(page, place), [page.chosen], [audit])
    with gr.Row():
        file = gr.Radio(
            [(name, value) for value, name in FILES.items()],
            value=next(iter(FILES)),
            label="행 Rows",
            elem_id="file",
            min_width=280,
        )
        words = gr.Textbox("", label="찾기 Search", elem_id="row-words")
        only_found = gr.Checkbox(label="점검에 걸린 행만 Only with findings", elem_id="only-found")
    found = gr.HTML(elem_id="rows")
    at, counted, back, on = add_pager("rows")
    asked, shown = [page.chosen, file, words, only_found], [found, counted, at]

    def show(number: int, *filters: Any) -> tuple[str, str, int]:
        return show_rows(page, number, *filters)

    page.on_choice(lambda *a: show(0, *a), asked, shown)
    events = [file.input, words.input, only_found.input]
    gr.on(events, lambda *a: show(0, *a), asked, shown, trigger_mode="always_last", **PRIVATE)
    back.click(lambda n, *a: show(n - 1, *a), [at, *asked], shown, **PRIVATE)
    on.click(lambda n, *a: show(n + 1, *a), [at, *asked], shown, **PRIVATE)
