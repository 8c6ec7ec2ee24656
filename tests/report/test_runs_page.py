"""Several runs on one page: side by side, and in one table only where they may be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.errors import UsageError
from kot_platypus.report import write_runs
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import compare_runs, load_runs, share_problems, write_headline
from kot_platypus.report.tables import put_differing_first, tabulate_scores

from .run_builder import ATTACK, estimate, make_answer, write, write_run
from .test_page import parse


def change_json(path: Path, **changes: Any) -> None:
    write(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two runs of different names, tested on the same problems."""
    found = [write_run(tmp_path / name) for name in ("one", "two")]
    recipe = found[1] / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8").replace("name: small-run", "name: 둘째")
    recipe.write_text(text.replace("num_epochs: 3", "num_epochs: 4"), encoding="utf-8")
    for folder in found:
        path = folder / "evaluate" / "cot" / "problems" / "manifest.json"
        change_json(path, inputs={"problems": "ab" * 32})
    return found


def test_the_page_is_whole_and_loads_nothing(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    write_runs(folders, out)
    page = out.read_text(encoding="utf-8")
    checker = parse(page)
    assert not checker.loads
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.references) <= set(checker.ids)
    assert ATTACK not in page
    assert '<span lang="ko">둘째</span>' in page
    assert page.count("<svg") == 10  # five pictures in two sizes
    assert page.count('role="img" aria-label="') == 10
    write_runs(folders, out)
    assert out.read_text(encoding="utf-8") == page


def test_every_run_has_its_row_in_each_task_and_a_shared_base_one(folders: list[Path]) -> None:
    tables = tabulate_scores(load_runs(folders))
    assert [table.task for table in tables] == ["copa", "hellaswag", "boolq", "sentineg", "wic"]
    for table in tables:
        assert [model.full_name for model, _ in table.rows] == ["gemma-3-270m", "small-run", "둘째"]
        assert [model.is_ours for model, _ in table.rows] == [False, True, True]
    sentineg = tables[3]
    assert sentineg.signs == {(run, shots): 1 for run in ("run1", "run2") for shots in (0, 5)}


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": {"name": "lm-eval", "fingerprint": "9" * 64}},
        {"data": {"copa": "other"}},
    ],
)
def test_other_protocol_or_data_has_a_table_of_its_own(
    folders: list[Path], changes: dict[str, Any]
) -> None:
    change_json(folders[1] / "evaluate" / "cot" / "kobest" / "results.json", **changes)
    copa = [table for table in tabulate_scores(load_runs(folders)) if table.task == "copa"]
    assert [[model.full_name for model, _ in table.rows] for table in copa] == [
        ["gemma-3-270m", "small-run"],
        ["둘째"],
    ]


def change_answers(folder: Path, rights: list[bool]) -> None:
    """Write which of the held-out problems the run's tuned model answered right."""
    path = folder / "evaluate" / "cot" / "problems"
    rows = [
        make_answer(number, "cot", 2).model_copy(update={"correct": correct})
        for number, correct in enumerate(rights)
    ]
    text = "".join(row.model_dump_json() + "\n" for row in rows)
    (path / "answers.jsonl").write_text(text, encoding="utf-8")
    scores = json.loads((path / "results.json").read_text(encoding="utf-8"))["results"]
    scores["all"] |= {"accuracy": estimate(sum(rights) / len(rights), 0.1), "n": len(rights)}
    change_json(path / "results.json", results=scores)


def test_headline_names_the_best_only_where_a_test_shows_it(folders: list[Path]) -> None:
    change_answers(folders[0], [n < 8 for n in range(20)])
    change_answers(folders[1], [n < 15 for n in range(20)])
    runs = load_runs(folders)
    (pair,) = between = compare_runs(runs)
    # Seven problems that only one solves: twice 2 to the power of -7.
    assert (pair.a, pair.b, pair.n) == ("둘째", "small-run", 20)
    assert pair.p_holm == pair.p_value == pytest.approx(2 * 0.5**7)
    assert write_headline(runs, between) == (
        "Of 2 runs, 둘째 solves the most of the same 20 held-out problems: 75.0% "
        "(35.0 points above small-run, p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.016)."
    )
    page = render_page(runs)
    assert '<td class="n">+35.0</td>' in page
    assert "둘째 \N{MINUS SIGN}</span> small-run" in page

    change_answers(folders[1], [n < 13 for n in range(20)])
    runs = load_runs(folders)
    assert write_headline(runs, compare_runs(runs)) == (
        "2 runs on the same 20 held-out problems: small-run 40.0% and 둘째 65.0%; no difference "
        "between them is shown."
    )
    change_json(
        folders[1] / "evaluate" / "cot" / "problems" / "manifest.json", inputs={"problems": "cd"}
    )
    runs = load_runs(folders)
    assert write_headline(runs) == "2 runs side by side: small-run and 둘째."
    assert compare_runs(runs) == []
    assert not share_problems(runs)


def test_the_best_of_several_must_beat_each_other_one(folders: list[Path], tmp_path: Path) -> None:
    third = write_run(tmp_path / "three")
    for folder, right in zip([*folders, third], (8, 15, 14), strict=True):
        change_json(
            folder / "evaluate" / "cot" / "problems" / "manifest.json", inputs={"problems": "ab"}
        )
        change_answers(folder, [n < right for n in range(20)])
    runs = load_runs([*folders, third])
    between = compare_runs(runs)
    assert [pair.p_holm >= (pair.p_value or 0) for pair in between] == [True] * 3
    assert write_headline(runs, between).endswith("; no one is shown to be the best.")


def test_settings_that_differ_come_first() -> None:
    rows = [("a", ["1", "1"]), ("b", ["1", "2"])]
    assert put_differing_first(rows) == rows[::-1]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name) for name in ("a", "b")]
    assert [run.name for run in load_runs(folders)] == ["small-run (a)", "small-run (b)"]
    twice = [run.name for run in load_runs([folders[0], folders[0]])]
    assert twice == ["small-run (a) (1)", "small-run (a) (2)"]


def test_more_runs_than_can_be_told_apart_are_refused(finished_run: Path) -> None:
    with pytest.raises(UsageError, match="at most 6"):
        load_runs([finished_run] * 7)


@pytest.mark.slow
def test_one_run_and_out_is_the_runs_own_page(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_runs([finished_run], out)
    assert out.read_text(encoding="utf-8") == render_page(load_runs([finished_run]))


def test_published_figures_stand_beside_all_runs_and_differing_settings_are_marked(
    folders: list[Path],
) -> None:
    page = render_page(load_runs(folders), ["Llama-2-Ko-7b 40B"])
    section = page.partition('<h2 id="published">')[2]
    assert "small-run (ours)" in section
    assert '<span lang="ko">둘째</span> (ours)' in section
    assert "0.7436" in section
    table = page.partition("Hyperparameters (those that differ first)")[2].partition("</table>")[0]
    first, second = table.split("<tr")[2:4]
    assert first.startswith(' class="differs"><th scope="row">num_epochs</th>')
    assert "differs" not in second


def test_several_runs_without_out_are_refused(folders: list[Path]) -> None:
    result = CliRunner().invoke(app, ["report", *map(str, folders)])
    assert result.exit_code != 0
    assert not (folders[0] / "report.html").exists()


def test_command_writes_the_page(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    result = CliRunner().invoke(app, ["report", *map(str, folders), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.is_file()
    assert not (folders[0] / "report.html").exists()
