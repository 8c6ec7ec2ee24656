from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from kot_platypus.data.dataset_recipe import (
    DatasetSource,
    is_dataset_recipe,
    list_dataset_recipes,
    load_dataset_recipe,
)
from kot_platypus.data.pipeline.sources import Unreadable, choose_rows, iter_source, unescape
from kot_platypus.errors import DataError, RecipeError
from kot_platypus.formats import iter_values
from kot_platypus.records import Example
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


def test_a_column_may_stand_for_the_task(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "output": "b", "data_source": "MATH"}\n')
    ((_, row),) = iter_source(DatasetSource(file=str(path), task_column="data_source"))
    assert row.task == "MATH"


def test_columns_have_the_names_that_the_source_says(tmp_path: Path):
    path = tmp_path / "test.csv"
    path.write_text("question,answer\na,b #### c\n")
    columns = {"source": "question", "rationale####target": "answer"}
    expected = Example(source="a", rationale="b", target="c")
    for where in ({"file": str(path)}, {"hub": str(tmp_path), "split": "test"}):
        ((_, row),) = iter_source(DatasetSource(**where, columns=columns))
        assert row == expected


def test_a_source_without_the_later_settings_is_written_as_before():
    written = DatasetSource(file="a.jsonl").model_dump()
    assert not written.keys() & {"columns", "config", "split"}
    assert DatasetSource(hub="a/b", split="test").model_dump()["split"] == "test"


def test_conversations_are_refused(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    with pytest.raises(DataError, match="is a conversation"):
        list(iter_source(DatasetSource(file=str(path))))


def test_rows_that_are_none_are_left_out_and_listed(tmp_path: Path):
    rows = [*make_rows(2), {"text": "?"}, {**make_rows(1)[0], "source": "  "}, *make_rows(1)]
    source = DatasetSource(file=str(write_keyed(tmp_path / "cot.json", rows)))
    unreadable: list[Unreadable] = []
    assert [place for place, _ in iter_source(source, unreadable)] == ["row 0", "row 1", "row 4"]
    assert [each.id for each in unreadable] == ["row 2", "row 3"]
    assert "columns text" in unreadable[0].detail


def test_a_source_of_other_columns_is_an_error(tmp_path: Path):
    path = write_keyed(tmp_path / "cot.json", [{"text": "?"}, *make_rows(2)])
    with pytest.raises(DataError, match="has the columns text"):
        list(iter_source(DatasetSource(file=str(path)), []))


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
