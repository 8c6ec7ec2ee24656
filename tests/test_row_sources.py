from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from kot_platypus.errors import DataError, UsageError
from kot_platypus.recipe import DataSection, SourceSection
from kot_platypus.row_sources import (
    identify_sources,
    list_files,
    parse_source,
    read_sources,
)


def write_rows(path: Path, count: int, name: str = "") -> Path:
    rows = ({"source": f"{name}{i}?", "target": str(i)} for i in range(count))
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(*texts: str):
    return read_sources([parse_source(text) for text in texts])


# --- what is asked for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a.jsonl", {"name": "file", "path": "a.jsonl"}),
        ("a.jsonl:0.5", {"name": "file", "path": "a.jsonl", "weight": 0.5}),
        ("rows/*.csv:2", {"name": "file", "path": "rows/*.csv", "weight": 2}),
        ("hub:a/b", {"name": "hub", "path": "a/b"}),
        ("hub:a/b:main@test", {"name": "hub", "path": "a/b", "config": "main", "split": "test"}),
        ("hub:a/b@train[:5]", {"name": "hub", "path": "a/b", "split": "train[:5]"}),
        ("hub:a/b:.5", {"name": "hub", "path": "a/b", "weight": 0.5}),
        ("hub:a/b:2024:1", {"name": "hub", "path": "a/b", "config": "2024"}),
        ("C:\\rows\\a.jsonl", {"name": "file", "path": "C:\\rows\\a.jsonl"}),
    ],
)
def test_source_is_what_its_text_says(text, fields):
    assert parse_source(text) == SourceSection(**fields)


def test_file_whose_name_ends_like_a_weight_is_that_file(tmp_path):
    (tmp_path / "a.jsonl:2").write_text("")
    assert parse_source(str(tmp_path / "a.jsonl:2")).weight == 1


@pytest.mark.parametrize("text", ["a.jsonl:0", "", "hub:"])
def test_source_that_is_none_is_wrong_usage(text):
    with pytest.raises(UsageError, match="--data"):
        parse_source(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "file", "path": "a", "rows": 3, "weight": 0.5},
        {"name": "korean-cot", "columns": {"source": "a"}},
        {"name": "file", "path": "a", "config": "main"},
        {"name": "file", "path": "a", "columns": {"sorce": "a"}},
    ],
)
def test_settings_that_mean_nothing_are_refused(fields):
    with pytest.raises(ValidationError):
        SourceSection(**fields)


def test_source_without_the_later_settings_is_written_as_before():
    section = DataSection(sources=(SourceSection(name="file", path="a.jsonl"),))
    values = {"name": "file", "path": "a.jsonl", "rows": None, "families": None}
    assert section.model_dump(mode="json")["sources"] == [values]


# --- files -------------------------------------------------------------------------------------


def test_folder_is_its_files_of_rows(tmp_path):
    names = ["b.jsonl", "a.csv", "a.csv.contamination.json", ".c.jsonl", "notes.txt", "d.json.gz"]
    for name in names:
        (tmp_path / name).write_text("")
    write_rows(tmp_path / "below" / "e.jsonl", 1)
    found = list_files(str(tmp_path))
    assert [file.name for file in found] == ["a.csv", "b.jsonl", "d.json.gz"]


def test_pattern_is_the_files_that_fit(tmp_path, monkeypatch):
    for name in ("b/1.jsonl", "a/2.jsonl", "a/3.csv"):
        write_rows(tmp_path / name, 1)
    assert [file.name for file in list_files(f"{tmp_path}/*/*.jsonl")] == ["2.jsonl", "1.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert list_files("**/*.jsonl") == [Path("a/2.jsonl"), Path("b/1.jsonl")]


def test_name_with_brackets_is_a_file_if_there_is_one(tmp_path):
    path = write_rows(tmp_path / "a[1].jsonl", 1)
    assert list_files(str(path)) == [path]


def test_folder_that_kot_wrote_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"is a folder that kot wrote.*train.jsonl"):
        list_files(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.jsonl", "does not exist"), ("*.jsonl", "no file of rows is"), ("", "holds no file")],
)
def test_nothing_there_is_said(tmp_path, name, said):
    with pytest.raises(DataError, match=said):
        list_files(str(tmp_path / name))


# --- rows --------------------------------------------------------------------------------------


def test_one_file_is_all_its_rows_and_nothing_is_said(tmp_path):
    loaded = read(str(write_rows(tmp_path / "a.jsonl", 3)))
    assert [row.source for row in loaded.rows] == ["0?", "1?", "2?"]
    assert (loaded.describe(), loaded.count_parts()) == ([], {})


def test_weight_takes_a_share_or_several_times_all(tmp_path):
    a, b = write_rows(tmp_path / "a.jsonl", 4, "a"), write_rows(tmp_path / "b.jsonl", 4, "b")
    loaded = read(f"{a}:0.5", f"{b}:2.25")
    sources = [row.source for row in loaded.rows]
    assert len({each for each in sources if each.startswith("a")}) == 2
    assert sources[2:10] == ["b0?", "b1?", "b2?", "b3?"] * 2
    assert len(sources) == 11
    assert loaded.describe() == [f"11 rows: 2 of {a} (of 4), 9 of {b} (of 4)"]
    assert loaded.count_parts() == {"num_rows_of": {str(a): 2, str(b): 9}}
    assert read(f"{a}:0.5", f"{b}:2.25").rows == loaded.rows


def test_what_is_not_read_is_said(tmp_path):
    other = [{"role": "assistant", "content": "다"}]
    row = {"messages": [{"role": "user", "content": "가"}], "rejected": other}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    said = "Of 1 rows 1 with another dialogue in `rejected` that is not read"
    assert read(str(tmp_path / "a.jsonl")).describe() == [said]


def test_hub_takes_config_and_split(tmp_path):
    """A local copy of a data set is read as the Hub's is."""
    write_rows(tmp_path / "train.jsonl", 3)
    write_rows(tmp_path / "test.jsonl", 2)
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: test, path: test.jsonl}\n"
        "- config_name: all\n  data_files:\n  - {split: train, path: train.jsonl}\n---\n"
    )
    assert len(read(f"hub:{tmp_path}:small@test").rows) == 2
    loaded = read(f"hub:{tmp_path}:all", f"hub:{tmp_path}:all@train[:1]:2")
    assert loaded.describe() == [
        f"5 rows: 3 of {tmp_path}:all, 2 of {tmp_path}:all@train[:1] (of 1)"
    ]


# --- identity ----------------------------------------------------------------------------------


def test_one_file_as_it_stands_is_identified_by_its_bytes_alone(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 3)
    settings, hashes = identify_sources([parse_source(str(path))])
    assert (settings, list(hashes)) == ({}, ["data"])


def test_weights_and_columns_are_part_of_the_identity_and_paths_are_not(tmp_path):
    a, b = write_rows(tmp_path / "a.jsonl", 3), write_rows(tmp_path / "b.jsonl", 3)
    texts = [[f"{a}:0.5"], [f"{b}:0.5"], [f"{b}:2"], [str(a), str(b)]]
    half, moved, twice, both = (identify_sources([*map(parse_source, each)]) for each in texts)
    assert half == moved != twice
    assert list(both[1]) == ["data 1", "data 2"]
    named = identify_sources([parse_source(str(a), {"source": "target"})])
    assert named[0]["sources"][0]["columns"] == {"source": "target"}
