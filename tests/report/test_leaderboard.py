"""The leaderboard: what stands in one block, in which order, on terminal, page and file."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.errors import UsageError
from kot_platypus.report.leaderboard import (
    leaderboard_table,
    make_blocks,
    render_leaderboard,
    select_scores,
    write_csv,
)
from kot_platypus.results.collect import ScoreRow, SkippedFile
from tests.browser import find_chromium
from tests.evaluation_builder import write_evaluation
from tests.report.test_page import parse
from tests.results.foreign_files import write_old_harness

ATTACK = "<img src=x onerror=alert(1)>"


def make_score(model: str = "a", value: float = 0.5, **changes: Any) -> ScoreRow:
    facts: dict[str, Any] = {
        "file": f"{model}.json",
        "model": model,
        "model_key": model,
        "protocol": "polyglot",
        "fingerprint": "0123456789abcdef",
        "data": "d",
        "task": "copa",
        "num_fewshot": 0,
        "metric": "macro_f1",
        "value": value,
        "ci95": (value - 0.1, value + 0.1),
        "interval": "bootstrap",
        "n": 1000,
        "date": "2026-01-01 10:00",
        "is_file_date": False,
    }
    return ScoreRow(**facts | changes)


def list_models(scores: list[ScoreRow], sort: str | None = None) -> list[list[str]]:
    return [[row.model for row in block.rows] for block in make_blocks(scores, sort)]


# --- blocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "ko-harness"},
        {"fingerprint": "f" * 16},
        {"task": "wic"},
        {"metric": "acc"},
        {"data": "e"},
        {"n": 100},
        {"n": None},
    ],
)
def test_figures_of_other_questions_never_share_a_block(change: dict[str, Any]) -> None:
    assert len(make_blocks([make_score("a", 0.1), make_score("b", 0.9)])) == 1
    assert len(make_blocks([make_score("a", 0.1), make_score("b", 0.9, **change)])) == 2


def test_each_figure_is_a_row_with_its_own_shots_date_and_dtype() -> None:
    five = {"num_fewshot": 5, "date": "2026-02-01 10:00", "dtype": "bfloat16"}
    (block,) = make_blocks([make_score(**five), make_score(dtype="float32"), make_score("b", 0.9)])
    assert [(row.num_fewshot, row.model, row.dtype) for row in block.rows] == [
        (0, "b", ""), (0, "a", "float32"), (5, "a", "bfloat16"),
    ]  # fmt: skip
    text = show(list(block.rows))
    assert re.search(r"a +5 0\.5000 +0\.400–0\.600 +– 2026-02-01 10:00.*\nbfloat16", text)


def test_lines_are_ordered_within_a_block_best_first() -> None:
    scores = [make_score("a", 0.1), make_score("b", 0.9), make_score("c", 0.5)]
    assert list_models(scores) == [["b", "c", "a"]]
    worse = [each.model_copy(update={"higher_is_better": False}) for each in scores]
    assert list_models(worse) == [["a", "c", "b"]]
    assert list_models(scores, "model") == [["a", "b", "c"]]


def test_rows_are_ordered_by_shots_and_then_by_a_column() -> None:
    five = {"num_fewshot": 5}
    scores = [make_score("a", 0.9), make_score("a", 0.1, **five), make_score("b", 0.5, **five)]
    assert list_models(scores) == [["a", "b", "a"]]
    assert list_models(scores, "model") == [["a", "a", "b"]]
    dated = [make_score(name, date=f"2026-01-0{day} 10:00") for day, name in enumerate("abc", 1)]
    assert list_models(dated, "date") == [["c", "b", "a"]]
    with pytest.raises(UsageError, match="'score'"):
        make_blocks(scores, "score")
    with pytest.raises(UsageError, match="Run: --num-fewshot 5"):
        make_blocks(scores, "5-shot")


def test_reasoning_is_looked_at_by_accuracy_first() -> None:
    facts = {"protocol": "kot reason"}
    blocks = make_blocks([make_score(**facts), make_score(**facts, metric="acc")])
    assert {block.key.metric: block.is_main for block in blocks} == {"acc": True, "macro_f1": False}


def test_scores_are_chosen_by_protocol_task_shots_and_metric() -> None:
    scores = [
        make_score("a"),
        make_score("b", protocol="lm-eval 0.4.13", fingerprint="ff" * 8),
        make_score("c", task="wic"),
        make_score("d", num_fewshot=5),
        make_score("e", metric="acc"),
    ]
    names = lambda **options: "".join(s.model for s in select_scores(scores, **options))  # noqa: E731
    assert names(protocol="polyglot") == "acde"
    assert names(protocol="lm-eval") == names(protocol="ffffff") == "b"
    assert names(task="kobest_wic") == "c"
    assert names(num_fewshot=(5, 10)) == "d"
    assert names(metric="acc") == "e"
    assert names(metric="all") == "abcde"
    with pytest.raises(UsageError, match=r"one of polyglot, lm-eval 0\.4\.13"):
        select_scores(scores, protocol="poly")


# --- the terminal ------------------------------------------------------------------------------


def show(scores: list[ScoreRow], skipped: list[SkippedFile] | None = None) -> str:
    console = Console(width=110, file=io.StringIO())
    console.print(leaderboard_table(make_blocks(scores), skipped or []))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_screen_says_how_an_interval_came_about() -> None:
    text = show([make_score(value=0.5), make_score("b", 0.4, interval="stderr")])
    assert "COPA  macro_f1, protocol polyglot 01234567, 1,000 questions" in text
    assert " 0.400–0.600" in text
    assert "≈0.300–0.500" in text
    none = show([make_score(ci95=None, interval=None, n=None)])
    assert "number of questions not said" in none


def test_lost_shots_and_borrowed_dates_are_marked() -> None:
    text = show([make_score(num_fewshot=50, effective_shots=12.34, is_file_date=True)])
    assert "50 (12.3 fit)" in " ".join(text.split())
    assert "2026-01-01 10:00 ~" in text


def test_left_out_files_are_listed_up_to_a_number() -> None:
    skipped = [SkippedFile(file=f"{i}.json", reason="not [bold]JSON") for i in range(12)]
    text = show([], skipped)
    assert "No figures." in text
    assert "9.json: not [bold]JSON" in text
    assert "10.json" not in text
    assert "and 2 more" in text


# --- files -------------------------------------------------------------------------------------


def test_rows_of_a_spreadsheet_hold_no_formula() -> None:
    text = write_csv([make_score("=cmd()", -0.5)])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["model"] == "'=cmd()"
    assert (row["value"], row["ci95_low"]) == ("-0.5", "-0.6")


def test_the_command_writes_rows_page_and_table(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    for shots in (0, 5):
        write_old_harness(folder / f"{shots}_shot.json", num_fewshot=shots)
    (folder / "torn.json").write_text("{")
    run = lambda *options: CliRunner().invoke(app, ["leaderboard", str(folder), *options])  # noqa: E731
    screen = run()
    assert screen.exit_code == 0, screen.output
    assert "torn.json: it is not JSON" in screen.stdout
    assert "hellaswag" not in run("--task", "copa").stdout.lower()
    out = folder / "board.json"
    assert run("--out", str(out)).stdout.split() == [str(out)]
    facts = json.loads(out.read_text())
    assert len(facts["scores"]) == 2 * 5
    assert [each["file"] for each in facts["skipped"]] == ["torn.json"]
    assert "board.json" not in run().stdout
    assert run("--out", str(tmp_path / "b.csv"), "--num-fewshot", "5").exit_code == 0
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 1 + 5
    assert run("--out", str(tmp_path / "b.xlsx")).exit_code == 2
    assert run("--protocol", "polyglot").exit_code == 2


def test_a_paired_test_stands_beside_each_figure_but_the_best(tmp_path: Path) -> None:
    gold = [i % 2 for i in range(40)]
    write_evaluation(tmp_path / "best", {("copa", 0): gold, ("copa", 5): gold})
    write_evaluation(tmp_path / "near", {("copa", 0): [*gold[:38], *(1 - g for g in gold[38:])]})
    write_evaluation(tmp_path / "far", {("copa", 0): [1 - g for g in gold], ("copa", 5): gold})
    shutil.copytree(tmp_path / "far", tmp_path / "no-answers")
    (tmp_path / "no-answers" / "samples.jsonl").unlink()
    for name in ("best", "near", "far", "no-answers"):
        path = tmp_path / name / "results.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model": name, "name": name}))
    out = tmp_path / "rows.json"
    run = CliRunner().invoke(
        app, ["leaderboard", str(tmp_path), "--metric", "acc", "--out", str(out)]
    )
    assert run.exit_code == 0, run.output
    found = {
        (row["model"], row["num_fewshot"]): row["p_holm"]
        for row in json.loads(out.read_text())["scores"]
    }
    assert found["best", 0] is None
    assert found["near", 0] == 0.5  # two of two
    assert found["far", 0] < 1e-9
    assert found["no-answers", 0] is None
    assert found["far", 5] == 1.0


# --- the page ----------------------------------------------------------------------------------


@pytest.fixture
def page_scores() -> list[ScoreRow]:
    return [
        make_score(ATTACK, 0.3),
        make_score("b", 0.5),
        make_score("c", 0.4, file=f"{ATTACK}.json"),
        make_score("b", 0.1, num_fewshot=5),
        make_score("b", 0.7, metric="acc"),
        make_score("d", 0.9, protocol=f'"{ATTACK}'),
    ]


def test_the_page_is_whole_safe_and_loads_nothing(page_scores: list[ScoreRow]) -> None:
    skipped = [SkippedFile(file=ATTACK, reason=ATTACK)]
    page = render_leaderboard(ATTACK, make_blocks(page_scores), skipped)
    checker = parse(page)
    assert not checker.loads
    assert not checker.tags & {"img", "link", "iframe"}
    assert ATTACK not in page
    assert page.count("&lt;img") >= 6
    assert set(checker.references) <= set(checker.ids)
    assert "default-src 'none'" in page.replace("&#39;", "'")
    assert not re.search(r"@import|url\(|https?://", page)


def test_the_page_without_figures_says_so() -> None:
    page = render_leaderboard("nothing", [], [])
    parse(page)
    assert "No figures were found." in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.slow
def test_the_page_sorts_within_blocks_and_filters(
    browser: Any, page_scores: list[ScoreRow], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_leaderboard("all", make_blocks(page_scores), []), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(path.as_uri())

    def models() -> list[str]:
        rows = page.locator("tbody tr:not(.block):visible th")
        return [text.strip() for text in rows.all_inner_texts()]

    assert models() == ["d", "b", "c", ATTACK, "b"]  # the metrics to look at first
    page.get_by_role("button", name="Model").focus()
    page.keyboard.press("Enter")
    assert models() == ["d", ATTACK, "b", "b", "c"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Model")
    page.get_by_role("button", name="Value").click()
    page.get_by_role("button", name="Value").click()
    assert models() == ["d", "b", ATTACK, "c", "b"]
    assert page.locator("th[aria-sort]").count() == 1
    page.select_option("[data-filter=protocol]", "polyglot")
    page.select_option("[data-filter=metric]", "*")
    assert models() == ["b", ATTACK, "c", "b", "b"]
    page.fill("[data-filter=model]", "B")
    assert models() == ["b", "b", "b"]
    assert page.locator("[role=status]").inner_text() == "3 lines in 2 blocks"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert errors == []
    page.close()


@pytest.mark.slow
def test_the_page_is_a_table_without_javascript(
    browser: Any, page_scores: list[ScoreRow], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_leaderboard("all", make_blocks(page_scores), []), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("tbody tr:not(.block):visible").count() == 6
    assert page.locator("form").is_hidden()
    context.close()
