"""Data: the review page of a data set, and the run's rows with what the checks say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from kot_platypus.app.markup import render
from kot_platypus.app.page import Page, add_pages, cut_page, describe_error
from kot_platypus.artifacts import read_jsonl
from kot_platypus.errors import KotError
from kot_platypus.formats import read_rows
from kot_platypus.records import Dialogue, FoundInRow, Row

FILES = {"train.jsonl": "학습 (train)", "heldout.jsonl": "시험 (held-out)"}


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
    asked = [page.chosen, file, words, only_found]
    show = partial(show_rows, page)
    events = [file.input, words.input, only_found.input]
    shown = add_pages("rows", show, asked, events, [found])
    page.on_choice(partial(show, 0), asked, shown)


# --- rows --------------------------------------------------------------------------------------


class ShownRow(NamedTuple):
    """A row as its fields' names and texts, and what the checks say of it."""

    number: int
    label: str
    head: str
    fields: tuple[tuple[str, str], ...]
    findings: tuple[tuple[str, str, str], ...]


def load_rows(run: Path, name: str) -> Sequence[ShownRow]:
    """The rows of ``data/<name>``, none where there is no such file."""
    path, findings = run / "data" / name, run / "audit" / "findings.jsonl"
    times = tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in (path, findings))
    return _load(path, findings if name == "train.jsonl" else None, times)


@lru_cache(maxsize=8)
def _load(path: Path, findings: Path | None, _times: tuple[int, ...]) -> tuple[ShownRow, ...]:
    if not path.is_file():
        return ()
    found: dict[int, list[tuple[str, str, str]]] = {}
    for line in read_jsonl(findings, FoundInRow) if findings and findings.is_file() else ():
        finding = line.finding
        found.setdefault(line.row, []).append((finding.check, finding.severity, finding.detail))
    return tuple(_show(number, row, found) for number, row in enumerate(read_rows(path)))


def _show(number: int, row: Row, found: Mapping[int, Sequence[tuple[str, str, str]]]) -> ShownRow:
    if isinstance(row, Dialogue):
        fields = tuple((turn.role, turn.content) for turn in row.messages)
    else:
        texts = {
            "질문 source": row.source,
            "입력 input": row.input,
            "풀이 rationale": row.rationale,
            "정답 target": row.target,
        }
        fields = tuple((name, text) for name, text in texts.items() if text)
    label = " · ".join(part for part in (row.task, row.type) if part)
    return ShownRow(number, label, row.source, fields, tuple(found.get(number, ())))


def select_rows(
    rows: Sequence[ShownRow], words: str = "", *, only_found: bool = False
) -> list[ShownRow]:
    """The rows with every one of ``words`` in a field or label; those that a check found, only."""
    wanted = words.casefold().split()
    return [
        row
        for row in rows
        if (row.findings or not only_found)
        and (not wanted or all(word in _list_texts(row) for word in wanted))
    ]


def _list_texts(row: ShownRow) -> str:
    return "\n".join([row.label, *(text for _, text in row.fields)]).casefold()
