"""The summary fits one screen of 80 x 24."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.report.summary import scores_table, summary_table
from kot_platypus.results.run import load_results


def show(run: Path) -> list[str]:
    console = Console(width=80, height=24, no_color=True)
    with console.capture() as capture:
        console.print(summary_table(run))
    return capture.get().splitlines()


def test_the_summary_fits_and_shows_the_figures(run_folder: Path) -> None:
    for name in ("report.html", "README.md"):
        (run_folder / name).touch()
    lines = show(run_folder)
    text = "\n".join(lines)
    assert len(lines) <= 23  # the prompt needs one
    assert max(map(len, lines)) <= 80
    assert "Training raised the share" in text
    for part in load_results(run_folder).problems.values():
        assert f"{100 * part.results['all'].accuracy.value:.1f}%" in text
    assert "0.571→0.593▴" in text
    assert "report.html" in text
    assert "README.md" in text


@pytest.mark.parametrize("gone", ["evaluate", "evaluate/cot", "evaluate/base"])
def test_the_summary_of_a_partial_run(run_folder: Path, gone: str) -> None:
    shutil.rmtree(run_folder / gone)
    assert show(run_folder)


def test_four_shot_counts_fit(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load_results(run_folder)
    kobest = {
        who: part.model_copy(
            update={
                "results": {
                    task: dict.fromkeys((0, 5, 10, 50, 100), by_shot[5])
                    for task, by_shot in part.results.items()
                }
            }
        )
        for who, part in results.kobest.items()
    }
    many = results.model_copy(update={"kobest": kobest})
    monkeypatch.setattr("kot_platypus.report.summary.load_results", lambda run: many)
    lines = show(run_folder)
    assert max(map(len, lines)) <= 80
    assert any("50-shot" in line for line in lines)
    assert any("1 more in the report" in line for line in lines)
    assert not any("…" in line for line in lines if "→" in line)


def test_an_evaluation_is_a_line_for_each_task_and_number_of_shots(run_folder: Path) -> None:
    folder = run_folder / "evaluate" / "cot" / "kobest"
    facts = read_json(folder / "results.json")
    score = facts["results"]["copa"]["0"]
    facts["results"] = {"copa": {"0": score, "50": {**score, "effective_shots": 28.25}}}
    write_json(folder / "results.json", facts)
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(scores_table(folder))
    head, none, fifty, note = capture.get().splitlines()
    low, high = score["macro_f1"]["ci95"]
    assert head.split()[:2] == ["Protocol", "polyglot"]
    assert none.split()[:2] == ["COPA", "0"]
    assert f"{score['macro_f1']['value']:.4f}" in none
    assert f"{low:.4f}–{high:.4f}" in none
    assert "50 (28.2 fit)" in fifty
    assert note.startswith("fit:")
