"""Result folders that earlier code wrote open in report, compare and leaderboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app

FILES = Path(__file__).parent / "files"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_report_opens_one_run_and_two(tmp_path: Path) -> None:
    shutil.copytree(FILES / "runs", tmp_path / "runs")
    one, two = tmp_path / "runs" / "first", tmp_path / "runs" / "second"
    run("report", one)
    page = (one / "report.html").read_text(encoding="utf-8")
    for part in ("COPA", "WiC", "held-out problems", "0.6667"):
        assert part in page
    run("report", one, two, "--out", tmp_path / "both.html", "--published", "all")
    assert "second" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "## COPA (F1)" in run("card", one)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("runs/second", "runs/first", "Held-out problems: accuracy"),
        ("runs/first", "runs/first/evaluate/base/kobest", "protocol polyglot"),
        ("scores/llama", "scores/polyglot", "Holm: p corrected for 4 comparisons"),
        ("scores/llama-cot", "scores/polyglot-cot", "then scored"),
        ("scores/llama-problems", "scores/polyglot-problems", "with and without reasoning"),
        ("scores/llama-lm-eval", "scores/polyglot-lm-eval", "exact_match, lm-eval 0.4.13"),
        ("lm-eval/tiny-llama-ko", "lm-eval/tiny-polyglot-ko", "lm-eval 0.4.13"),
    ],
)
def test_compare_opens_every_kind(a: str, b: str, said: str, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert said in " ".join(run("compare", FILES / a, FILES / b, "--out", out).split())
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert all(row["p_holm"] >= row["p_value"] for row in rows)


def test_what_has_no_answers_is_refused_in_one_line(tmp_path: Path) -> None:
    shutil.copy(FILES / "lm-eval-0.3" / "all" / "0_shot.json", tmp_path / "results.json")
    result = CliRunner().invoke(app, ["compare", str(tmp_path), str(FILES / "scores" / "llama")])
    assert result.exit_code != 0
    assert "without the answers to each question" in str(result.exception) + result.output


def test_the_leaderboard_opens_everything(tmp_path: Path) -> None:
    text = run("leaderboard", FILES)
    for part in ("polyglot", "held-out problems", "kot reason", "lm-eval 0.4.13", "lm-eval 0.3"):
        assert part in text
    run("leaderboard", FILES, "--out", tmp_path / "all.html")
    run("leaderboard", FILES, "--out", tmp_path / "all.csv")
    rows = (tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 100
    assert len(set(rows)) == len(rows)
