from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl
from kot_platypus.cli import app
from kot_platypus.data.gathering import gather_rows
from kot_platypus.data.pipeline.sources import Unreadable
from kot_platypus.errors import DataError, UsageError
from kot_platypus.row_sources import parse_source

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
    assert found == out / "rows.jsonl"
    assert found.read_text("utf-8").splitlines() == [dump(id="a"), dump(id="b")]


def test_a_bad_line_is_left_out_listed_and_said(tmp_path: Path, capfd):
    path = write(tmp_path / "a.jsonl", dump(id=1), '{"question": "a', dump(id=3))
    out = tmp_path / "out"
    assert len(gather_rows(parse_source(str(path), NAMES), out).read_text().splitlines()) == 2
    (left_out,) = read_jsonl(out / "unreadable.jsonl", Unreadable)
    assert left_out.id == "line 2"
    assert "Left out: 1 of 3 rows" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize("lines", [("{", "{", dump()), ("{",)])
def test_more_than_a_few_are_an_error(tmp_path: Path, lines: tuple[str, ...]):
    path = write(tmp_path / "a.jsonl", *lines)
    with pytest.raises(DataError, match="cannot be read"):
        gather_rows(parse_source(str(path), NAMES), tmp_path / "out")


def test_a_weight_means_nothing_here(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", dump())
    with pytest.raises(UsageError, match="weight"):
        gather_rows(parse_source(f"{path}:0.5"), tmp_path / "out")


def test_commands_take_patterns(tmp_path: Path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", dump(id=name))
    options = ["--columns", "source=question,target=answer", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["data", "duplicates", f"{tmp_path}/*.jsonl", *options])
    assert "2 rows: 1 kept, 1 dropped" in result.output
