from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl
from kot_platypus.cli import app
from kot_platypus.data.gathering import gather_rows
from kot_platypus.data.pipeline.sources import Unreadable
from kot_platypus.errors import DataError, UsageError
from kot_platypus.row_sources import open_parts, parse_source

GOOD = {"question": "사과 3개와 배 4개는 모두 몇 개인가?", "answer": "7개", "id": 1}
NAMES = {"source": "question", "target": "answer"}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def dump(**fields: object) -> str:
    return json.dumps({**GOOD, **fields}, ensure_ascii=False)


def test_one_whole_file_is_looked_at_itself(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", dump(), dump())
    assert gather_rows(parse_source(str(path), NAMES), tmp_path / "out") == path
    assert not (tmp_path / "out").exists()


def test_several_files_become_one_with_their_own_columns(tmp_path: Path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", dump(id=name))
    out = tmp_path / "out"
    found = gather_rows(parse_source(f"{tmp_path}/*.jsonl", NAMES), out)
    assert found == out / "rows" / "rows.jsonl"
    assert found.read_text("utf-8").splitlines() == [dump(id="a"), dump(id="b")]


def test_several_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", dump(id=name))
    opened = []

    def count_parts(*args: Any) -> Any:
        opened.append(args)
        return open_parts(*args)

    monkeypatch.setattr("kot_platypus.data.gathering.open_parts", count_parts)
    for _ in range(2):
        gather_rows(parse_source(f"{tmp_path}/*.jsonl", NAMES), tmp_path / "out")
    assert len(opened) == 1


def test_files_that_cannot_be_read_leave_nothing_done(tmp_path: Path):
    write(tmp_path / "a.jsonl", "{", "{", "{")
    bad = write(tmp_path / "b.jsonl", "{")
    out = tmp_path / "out"
    with pytest.raises(DataError, match="cannot be read"):
        gather_rows(parse_source(f"{tmp_path}/*.jsonl", NAMES), out)
    write(tmp_path / "a.jsonl", dump())
    write(bad, dump())
    rows = gather_rows(parse_source(f"{tmp_path}/*.jsonl", NAMES), out)
    assert len(rows.read_text("utf-8").splitlines()) == 2


def test_a_bad_line_is_left_out_listed_and_said(tmp_path: Path, capfd):
    path = write(tmp_path / "a.jsonl", dump(id=1), '{"question": "a', dump(id=3))
    out = tmp_path / "out"
    assert len(gather_rows(parse_source(str(path), NAMES), out).read_text().splitlines()) == 2
    (left_out,) = read_jsonl(out / "rows" / "unreadable.jsonl", Unreadable)
    assert left_out.id == "line 2"
    assert "Left out: 1 of 3 rows" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize("lines", [("{", "{", dump()), ("{",)])
def test_more_than_a_few_are_an_error(tmp_path: Path, lines: tuple[str, ...]):
    path = write(tmp_path / "a.jsonl", *lines)
    with pytest.raises(DataError, match="cannot be read"):
        gather_rows(parse_source(str(path), NAMES), tmp_path / "out")


def test_a_file_without_rows_is_said(tmp_path: Path):
    path = write(tmp_path / "a.jsonl")
    result = CliRunner().invoke(app, ["data", "page", str(path), "--out", str(tmp_path / "out")])
    assert "a.jsonl holds no rows" in result.output


def test_a_weight_means_nothing_here(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", dump())
    with pytest.raises(UsageError, match="weight"):
        gather_rows(parse_source(f"{path}:0.5"), tmp_path / "out")


COMMANDS = {
    "check": "2 rows: 0 with errors, 1 duplicate",
    "duplicates": "2 rows: 1 kept, 1 dropped",
    "contamination": "none of 2 rows",
}


def run(command: str, rows: object, out: Path) -> str:
    options = ["--columns", "source=question,target=answer", "--out", str(out)]
    if command == "contamination":
        options += ["--against", "kobest", "--kobest-dir", "mini"]
    return " ".join(CliRunner().invoke(app, ["data", command, str(rows), *options]).output.split())


@pytest.mark.parametrize(("command", "said"), COMMANDS.items())
def test_commands_take_patterns_and_the_same_again(tmp_path: Path, command: str, said: str):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", dump(id=name))
    for _ in range(2):
        assert said in run(command, f"{tmp_path}/*.jsonl", tmp_path / "out")


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_gathered_before_are_not_overwritten(tmp_path: Path, command: str):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", dump(id=name))
    run(command, f"{tmp_path}/*.jsonl", tmp_path / "out")
    before = (tmp_path / "out" / "rows" / "rows.jsonl").read_bytes()
    write(tmp_path / "c.jsonl", dump(id="c"))
    assert "holds another run" in run(command, f"{tmp_path}/*.jsonl", tmp_path / "out")
    assert (tmp_path / "out" / "rows" / "rows.jsonl").read_bytes() == before


def test_a_file_of_ones_own_named_rows_is_not_overwritten(tmp_path: Path):
    mine = write(tmp_path / "rows.jsonl", dump(id=1))
    write(tmp_path / "b.jsonl", dump(id=2))
    run("duplicates", tmp_path, tmp_path)
    assert mine.read_text("utf-8") == dump(id=1) + "\n"


@pytest.mark.parametrize("command", [["data", "page"], ["data", "check"], ["train"]])
def test_the_help_has_no_emoji_for_a_name(command: list[str]):
    said = CliRunner().invoke(app, [*command, "--help"]).output
    assert "hub:NAME" in said
    assert "\N{SQUARED ID}" not in said
