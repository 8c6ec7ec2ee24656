"""Published figures beside ours: marked, ranked only where that is fair, digits as published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.report.card import render_card
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import list_ours, make_run
from kot_platypus.results.published import (
    NUM_QUESTIONS,
    STANDINGS,
    Beside,
    Ours,
    judge,
    list_models,
    load_figures,
    put_beside,
)
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.schema import ChoiceResults

from .run_builder import estimate, write, write_run

TASKS = {"copa": "COPA", "hellaswag": "HellaSwag", "boolq": "BoolQ", "sentineg": "SentiNeg"}
OURS, BASE = "KoT-platypus2-7B", "KO-platypus2-7B-EX"


def make_scores(model: str, protocol: str = "polyglot", n: int | None = None) -> dict[str, Any]:
    """A results file that holds a model's published figures as if they had been scored here."""
    results: dict[str, Any] = {}
    for figure in load_figures():
        if figure.model == model:
            both = {name: estimate(figure.value, 0.01) for name in ("macro_f1", "macro_f1_norm")}
            both |= {name: estimate(0.5, 0.01) for name in ("acc", "acc_norm")}
            score = {**both, "n": n or NUM_QUESTIONS[figure.task], "effective_shots": 0.0}
            results.setdefault(figure.task, {})[str(figure.num_fewshot)] = score
    return {
        "model": model,
        "protocol": {"name": protocol, "fingerprint": "0" * 64},
        "data": dict.fromkeys(TASKS, "0" * 64),
        "results": results,
    }


def make_ours(**changes: Any) -> list[Ours]:
    return [Ours("ours", True, ChoiceResults.model_validate(make_scores(OURS, **changes)))]


def test_the_prompts_with_bos_are_another_protocol_than_the_published_one() -> None:
    figures = [f for f in load_figures() if f.model in (OURS, BASE)]
    assert {judge(f, make_ours(protocol="polyglot-bos")) for f in figures} == {"other protocol"}
    assert "other protocol" not in {judge(f, make_ours()) for f in figures}


@pytest.fixture
def published_run(tmp_path: Path) -> RunResults:
    """A run whose trained and base model have the published figures of KoT-platypus2-7B's."""
    run = write_run(tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text(encoding="utf-8")
    recipe = recipe.replace("name: small-run", f"name: {OURS}")
    recipe = recipe.replace("name: gemma-3-270m", "name: kyujinpy/KO-Platypus2-7B-ex")
    (run / "recipe.yaml").write_text(recipe.replace("kobest_dir: mini", "kobest_dir: null"))
    (run / "evaluate" / "comparison.json").unlink()
    for who, model in (("base", BASE), ("cot", OURS)):
        write(run / "evaluate" / who / "kobest" / "results.json", make_scores(model))
    return load_results(run)


def find_table(card: str, task: str) -> list[str]:
    return card.partition(f"## {TASKS[task]} (F1)")[2].split("\n\n")[2].splitlines()


def write_upstream_row(task: str, model: str, digits: dict[str, Any]) -> str:
    rows = [r for r in digits["rows"] if (r["task"], r["model"]) == (f"kobest_{task}", model)]
    cells = " | ".join(r["f1"].ljust(6, "0") for r in rows)  # JSON leaves out last zeros
    link = f"[{model}](https://huggingface.co/{rows[0]['hub_id']})"
    return f"| {f'**{model}(ours)**' if model == OURS else link} | {cells} |"


@pytest.mark.parametrize("task", TASKS)
def test_the_published_table_comes_out_digit_for_digit(
    published_run: RunResults, shared: Path, task: str
) -> None:
    text = (shared / "published.json").read_text(encoding="utf-8")
    digits = json.loads(text, parse_float=str)
    others = [model for model in list_models() if model != OURS]
    tuned = published_run.model_copy(update={"kobest": {"cot": published_run.kobest["cot"]}})
    assert find_table(render_card(tuned, published=others), task) == [
        "| Model | 0-shot | 5-shot | 10-shot | 50-shot |",
        "| --- | --- | --- | --- | --- |",
        *(write_upstream_row(task, model, digits) for model in list_models()),
    ]


def test_rows_are_those_of_upstreams_readme(published_run: RunResults) -> None:
    """Two rows as they stand there, last zeros included."""
    card = render_card(published_run, published=list_models())
    link = "[Polyglot-ko-1.3b](https://huggingface.co/EleutherAI/polyglot-ko-1.3b)"
    table = find_table(card, "hellaswag")
    assert f"| {link} | 0.5247 | 0.5260 | 0.5278 | 0.5427 |" in table
    assert "| **KoT-platypus2-7B(ours)** | 0.4432 | 0.4382 | 0.4550 | 0.4534 |" in table
    assert "| kyujinpy/KO-Platypus2-7B-ex | 0.4571 | 0.4461 | 0.4371 | 0.4525 |" in table


# --- marks and places --------------------------------------------------------------------------


def find_standings(ours: list[Ours], task: str, num_fewshot: int = 0) -> dict[str, str]:
    return {
        figure.model: judge(figure, ours)
        for figure in load_figures()
        if (figure.task, figure.num_fewshot) == (task, num_fewshot)
    }


def test_each_figure_is_comparable_of_another_kind_or_unknown() -> None:
    assert find_standings(make_ours(), "copa") == {
        **dict.fromkeys([m for m in list_models() if "Polyglot" in m], "unknown protocol"),
        "Llama-2-Ko-7b 20B": "unknown protocol",
        "Llama-2-Ko-7b 40B": "comparable",
        BASE: "comparable, inferred",
        OURS: "comparable, inferred",
    }


def test_polyglots_hellaswag_is_another_metric() -> None:
    found = find_standings(make_ours(), "hellaswag")
    assert {m for m, standing in found.items() if standing == "other metric"} == {
        m for m in list_models() if "Polyglot" in m
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"protocol": "lm-eval"}, "other protocol"), ({"n": 100}, "other questions")],
)
def test_nothing_is_comparable_with_scores_of_another_kind(
    changes: dict[str, Any], expected: str
) -> None:
    ours = make_ours(**changes)
    assert find_standings(ours, "copa")["Llama-2-Ko-7b 40B"] == expected


def test_shots_that_were_cut_are_not_comparable() -> None:
    assert find_standings(make_ours(), "boolq", 50)["Llama-2-Ko-7b 40B"] == "unknown shots"
    assert find_standings(make_ours(), "copa", 50)["Llama-2-Ko-7b 40B"] == "comparable"


def test_what_cannot_be_tested_has_no_place(published_run: RunResults) -> None:
    """Published figures have no answers, so not even ours of the same value is put in an order."""
    page = render_page([make_run(published_run)], list_models())
    section = page.partition('<h2 id="published">')[2].partition("</section>")[0]
    assert "not ranked" in section
    assert not re.search(r"<small>\d+/\d+</small>", section)


def test_ours_stand_in_every_metric_that_a_published_figure_is() -> None:
    tables = {table.task: table for table in put_beside(make_ours(), list_models()).tables}
    own = {task: [r.name for r in t.rows if not r.hub_id] for task, t in tables.items()}
    assert own.pop("hellaswag") == ["ours", "ours, macro F1 norm"]
    assert set(map(tuple, own.values())) == {("ours",)}


def test_every_standing_and_note_that_occurs_is_explained() -> None:
    beside = put_beside(make_ours(), list_models())
    said = dict(beside.standings)
    for table in beside.tables:
        for row in table.rows:
            assert row.standing == "scored here" or set(row.standing.split("; ")) <= set(said)
    letters = {letter for letter, _ in beside.notes}
    used = {m for t in beside.tables for r in t.rows for m in r.marks}
    used |= {m for t in beside.tables for r in t.rows for c in r.cells.values() for m in c.marks}
    assert used == letters
    assert set(said) <= set(STANDINGS)


def test_page_shows_all_128_figures_with_their_notes(published_run: RunResults) -> None:
    page = render_page([make_run(published_run)], list_models())
    section = page.partition('<h2 id="published">')[2].partition("</section>")[0]
    for figure in load_figures():
        assert f">{figure.value:.4f}<" in section
    assert section.count('<td class="n">') == (8 + 2) * 4 * 4 + 2 * 4  # HellaSwag has two metrics
    assert "upstream probably copied a row" in section
    assert 'id="published"' not in render_page([make_run(published_run)])


def note(beside: Beside) -> str:
    return " ".join(text for _, text in beside.notes)


def test_other_questions_are_said(finished_run: Path) -> None:
    said = note(put_beside(list_ours([make_run(load_results(finished_run))]), list_models()))
    assert "COPA 100, not 1,000" in said
    assert "BoolQ 100, not 1,404" in said
    assert "fewer or other questions" not in note(put_beside(make_ours(), list_models()))
