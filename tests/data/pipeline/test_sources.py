from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.data.dataset_recipe import (
    DatasetRecipe,
    DatasetSource,
    is_dataset_recipe,
    list_dataset_recipes,
    load_dataset_recipe,
)
from kot_platypus.data.pipeline.sources import (
    Unreadable,
    choose_rows,
    draw_rows,
    iter_source,
    unescape,
)
from kot_platypus.errors import DataError, RecipeError
from kot_platypus.formats import iter_values
from kot_platypus.records import Example, Row
from tests.data.pipeline.apples import make_rows, write_keyed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"first\nsecond", "first\nsecond"),
        (r"a\n\nb", "a\n\nb"),
        (r"\next comes", "\next comes"),
        (r"x \neq y and \nu, \nabla f, \notin S", r"x \neq y and \nu, \nabla f, \notin S"),
        (r"\not that\ni think so", "\\not that\\ni think so"),
        (r"\nnot that", "\nnot that"),
        ("no escape", "no escape"),
    ],
)
def test_literal_line_breaks_are_told_from_tex(text: str, expected: str):
    assert unescape(text) == expected


def test_an_object_keyed_by_row_is_read_with_its_keys(tmp_path: Path):
    rows = make_rows(3)
    values = list(iter_values(write_keyed(tmp_path / "cot.json", rows)))
    assert values == [("row 0", rows[0]), ("row 1", rows[1]), ("row 2", rows[2])]


def test_an_object_keyed_by_row_is_read_as_a_stream(tmp_path: Path):
    path = tmp_path / "cot.json"
    with path.open("w", encoding="utf-8") as file:
        row = json.dumps({**make_rows(1)[0], "note": "x" * 5000})
        file.write("{" + ", ".join(f'"{i}": {row}' for i in range(4000)) + "}")
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    assert sum(1 for _ in iter_values(path)) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_torn_object_is_one_line_of_error(tmp_path: Path):
    path = write_keyed(tmp_path / "cot.json", make_rows(3))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is not JSON"):
        list(iter_values(path))


def test_a_line_whose_first_cell_is_an_object_is_no_object_of_rows(tmp_path: Path):
    path = tmp_path / "rows.json"
    path.write_text('{"meta": {"id": 1}, "source": "a", "target": "b"}\n' * 2, encoding="utf-8")
    assert [place for place, _ in iter_values(path)] == ["line 1", "line 2"]


def read(source: DatasetSource, **options: bool) -> list[Row]:
    return [found.row for found in iter_source(source, [], **options)]


def test_a_column_may_stand_for_the_task(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "output": "b", "data_source": "MATH"}\n')
    (row,) = read(DatasetSource(file=str(path), task_column="data_source"))
    assert row.task == "MATH"


def test_columns_have_the_names_that_the_source_says(tmp_path: Path):
    path = tmp_path / "test.csv"
    path.write_text("question,answer\na,b #### c\n")
    columns = {"source": "question", "rationale####target": "answer"}
    expected = Example(source="a", rationale="b", target="c")
    for where in ({"file": str(path)}, {"hub": str(tmp_path), "split": "test"}):
        assert read(DatasetSource(**where, columns=columns)) == [expected]


def test_a_pattern_is_all_its_files_compressed_or_not(tmp_path: Path):
    line = json.dumps(make_rows(1)[0]) + "\n"
    (tmp_path / "a.jsonl").write_text(line)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(line)
    found = iter_source(DatasetSource(file=f"{tmp_path}/*.jsonl*"), [])
    assert [(each.part, each.id) for each in found] == [
        ("a.jsonl", "line 1"),
        ("b.jsonl.gz", "line 1"),
    ]


def test_a_source_without_the_later_settings_is_written_as_before():
    written = DatasetSource(file="a.jsonl").model_dump()
    assert not written.keys() & {"columns", "config", "split"}
    assert DatasetSource(hub="a/b", split="test").model_dump()["split"] == "test"


TALK = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.mark.parametrize(("row", "is_chat"), [(TALK, False), (make_rows(1)[0], True)])
def test_rows_of_the_other_kind_are_left_out(tmp_path: Path, row: dict[str, Any], is_chat: bool):
    source = DatasetSource(file=str(write_keyed(tmp_path / "rows.json", [row])))
    left_out: list[Unreadable] = []
    assert not list(iter_source(source, left_out, is_chat=is_chat))
    assert "is a conversation" in left_out[0].detail or "is a question" in left_out[0].detail


# --- what cannot be read -----------------------------------------------------------------------


def test_rows_that_are_none_are_left_out_and_listed(tmp_path: Path):
    rows = [*make_rows(2), {"text": "?"}, {**make_rows(1)[0], "source": "  "}, *make_rows(1)]
    source = DatasetSource(file=str(write_keyed(tmp_path / "cot.json", rows)))
    unreadable: list[Unreadable] = []
    found = [each.id for each in iter_source(source, unreadable)]
    assert found == ["row 0", "row 1", "row 4"]
    assert [each.id for each in unreadable] == ["row 2", "row 3"]
    assert "columns text" in unreadable[0].detail


@pytest.mark.parametrize(
    ("name", "lines", "bad"),
    [
        ("a.jsonl", [b'{"source": "a", "target": "b"}', b'{"source": "a", ', b"[1]"], 2),
        ("a.jsonl", [b'{"source": "a", "target": "b"}', b'{"source": "\xb0\xa1"}'], 1),
        ("a.csv", [b"source,target", b"a,b", b"a,b,c", b"d,e"], 1),
    ],
)
def test_a_line_that_is_none_does_not_end_the_file(tmp_path: Path, name: str, lines, bad: int):
    (tmp_path / name).write_bytes(b"\n".join([*lines, lines[0 if name == "a.jsonl" else 1]]))
    unreadable: list[Unreadable] = []
    found = list(iter_source(DatasetSource(file=str(tmp_path / name)), unreadable))
    assert len(unreadable) == bad
    assert (found[0].row, len(found)) == (found[-1].row, len(lines) + 1 - bad - (name == "a.csv"))


def make_recipe(path: Path) -> DatasetRecipe:
    fields = {"kind": "dataset", "name": "n", "description": "d", "license": "l"}
    source = {"file": str(path), "language": "ko"}
    return DatasetRecipe.model_validate({**fields, "sources": [source]})


def write_lines(path: Path, num_good: int, num_bad: int) -> Path:
    lines = [json.dumps(row) for row in make_rows(num_good)]
    path.write_text("\n".join([*lines[:1], *["{"] * num_bad, *lines[1:]]) + "\n")
    return path


@pytest.mark.parametrize(("num_good", "num_bad"), [(1, 1), (38, 2)])
def test_few_bad_lines_are_left_out_counted_and_said(tmp_path: Path, capfd, num_good, num_bad):
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", num_good, num_bad))
    drawn = draw_rows(tmp_path / "drawn", recipe)
    assert len(drawn.read_text().splitlines()) == num_good
    assert len((tmp_path / "drawn" / "unreadable.jsonl").read_text().splitlines()) == num_bad
    said = f"Left out: {num_bad} of {num_good + num_bad} rows of a.jsonl that cannot be read"
    assert said in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(("num_good", "num_bad"), [(2, 2), (37, 3)])
def test_many_bad_lines_are_an_error(tmp_path: Path, num_good: int, num_bad: int):
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", num_good, num_bad))
    with pytest.raises(DataError, match=r"rows of a.jsonl cannot be read, e.g. .*line 2 is not"):
        draw_rows(tmp_path / "drawn", recipe)


def test_a_source_of_other_columns_is_not_read_to_its_end(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "?"}\n' * 1500)
    left_out: list[Unreadable] = []
    with pytest.raises(DataError, match="has the columns text"):
        list(iter_source(DatasetSource(file=str(path)), left_out))
    assert len(left_out) == 1000


# --- drawing -----------------------------------------------------------------------------------


def make_groups(**sizes: int) -> dict[str, list[int]]:
    groups, start = {}, 0
    for task, size in sizes.items():
        groups[task] = list(range(start, start + size))
        start += size
    return groups


def count_chosen(groups: dict[str, list[int]], chosen: set[int]) -> dict[str, int]:
    return dict(Counter(task for task, rows in groups.items() for row in rows if row in chosen))


def test_small_tasks_are_taken_whole_and_the_rest_shared():
    groups = make_groups(a=100, b=2, c=100)
    assert count_chosen(groups, choose_rows(groups, 22, seed=1)) == {"a": 10, "b": 2, "c": 10}


def test_fewer_rows_than_tasks_come_from_different_ones():
    groups = make_groups(**{f"t{i}": 5 for i in range(50)})
    counts = count_chosen(groups, choose_rows(groups, 20, seed=1))
    assert set(counts.values()) == {1}
    assert len(counts) == 20


def test_a_draw_of_cot_collection_is_even_over_its_tasks():
    groups = make_groups(**{f"t{i}": 1 + i % 40 for i in range(1060)})
    counts = count_chosen(groups, choose_rows(groups, 2000, seed=42))
    assert sum(counts.values()) == 2000
    assert len(counts) == 1060
    assert max(counts.values()) <= 2


def test_the_draw_depends_on_the_seed_alone():
    groups = make_groups(a=50, b=50)
    assert choose_rows(groups, 20, seed=1) == choose_rows(groups, 20, seed=1)
    assert choose_rows(groups, 20, seed=1) != choose_rows(groups, 20, seed=2)


def test_more_rows_than_there_are_is_an_error():
    with pytest.raises(DataError, match="at most 5"):
        choose_rows(make_groups(a=5), 6, seed=1)


# --- recipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_dataset_recipes())
def test_shipped_recipes_load_under_their_names(name: str):
    assert load_dataset_recipe(name).name == name
    assert is_dataset_recipe(name)


def test_a_training_recipe_is_none_of_a_data_set(tmp_path: Path):
    assert not is_dataset_recipe("demo")
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    assert not is_dataset_recipe(str(tmp_path / "mine.yaml"))


def test_a_misspelt_key_of_a_source_is_named_with_the_right_one():
    with pytest.raises(RecipeError, match="revision"):
        load_dataset_recipe("kocot-2000", ["sources=[{hub: a/b, revison: main}]"])
