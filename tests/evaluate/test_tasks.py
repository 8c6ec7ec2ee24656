from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas
import pytest

from kot_platypus.errors import DataError
from kot_platypus.evaluate.tasks import COLUMNS, TASKS, load_task

SIZES = {
    "boolq": (3665, 1404),
    "copa": (3076, 1000),
    "hellaswag": (2029, 500),
    "sentineg": (3649, 397),
    "wic": (3318, 1260),
}


def write_boolq(root: Path, text: str | bytes, name: str = "train.tsv") -> Path:
    folder = root / "BoolQ"
    folder.mkdir(exist_ok=True)
    good = "ID\tText\tQuestion\tAnswer\n1\t글\t물음\tTRUE\n"
    (folder / "train.tsv").write_text(good, encoding="utf-8")
    (folder / "test.tsv").write_text(good, encoding="utf-8")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


@pytest.mark.parametrize("task", TASKS)
def test_real_data_have_the_published_sizes(task, load_real):
    data = load_real(task)
    assert (len(data.train), len(data.test)) == SIZES[task]
    assert all(tuple(row) == COLUMNS[task] for row in data.test)


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_set_loads_and_is_nearly_balanced(task):
    data = load_task(task, "mini")
    assert (len(data.train), len(data.test)) == (20, 40)
    labels = [row["label"] for row in data.test]
    assert set(labels) == set(range(4 if task == "hellaswag" else 2))
    assert max(map(labels.count, set(labels))) <= len(labels) / len(set(labels)) + 2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_the_hubs_columns_give_the_same_data(task, suffix, tmp_path):
    data = load_task(task, "mini")
    folder = tmp_path / f"kobest_{task}"
    folder.mkdir()
    for split, rows in (("train", data.train), ("test", data.test)):
        if suffix == "jsonl":
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        else:
            lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
        (folder / f"{split}.{suffix}").write_text("\n".join(lines), encoding="utf-8")
    again = load_task(task, tmp_path)
    assert again == data
    assert again.content_hash == data.content_hash


def test_crlf_bom_and_quotes_are_read_as_pandas_reads_them(tmp_path):
    text = '\ufeffID\tText\tQuestion\tAnswer\r\n1\t"글 ""속"" 글"\t"말"은?\tfalse\r\n'
    data = load_task("boolq", write_boolq(tmp_path, text))
    assert data.train == ({"paragraph": '글 "속" 글', "question": "말은?", "label": 0},)


def test_rows_with_an_empty_cell_are_dropped(tmp_path):
    text = "ID\tText\tQuestion\tAnswer\n1\t\t물음\tTRUE\n2\t글\t물음\tTRUE\n3\t글\t \tTRUE\n"
    assert len(load_task("boolq", write_boolq(tmp_path, text)).train) == 1


def test_rows_dropped_for_an_empty_cell_are_said(tmp_path, capsys):
    """One of a thousand changes the order and the shots of all the others."""
    text = "ID\tText\tQuestion\tAnswer\n1\t글\t물음\tTRUE\n2\t\t물음\tTRUE\n3\t글\t \tTRUE\n"
    load_task("boolq", write_boolq(tmp_path, text))
    said = capsys.readouterr().err
    assert "train.tsv: 2 of 3 rows are left out for an empty cell (the first in line 3)" in said
    assert "test.tsv" not in said


def test_nan_of_json_is_an_empty_cell(tmp_path, capsys):
    rows = '{"paragraph": "글", "question": "물음", "label": 1}\n' * 2
    folder = tmp_path / "boolq"
    folder.mkdir()
    (folder / "train.jsonl").write_text(rows, encoding="utf-8")
    (folder / "test.jsonl").write_text(rows.replace('"글"', "NaN", 1), encoding="utf-8")
    assert [row["paragraph"] for row in load_task("boolq", tmp_path).test] == ["글"]
    assert "1 of 2 rows" in capsys.readouterr().err


def test_text_after_a_closing_quote_is_read_as_pandas_reads_it(tmp_path):
    """As it stands in the real train.tsv of BoolQ, and nowhere else."""
    text = 'ID\tText\tQuestion\tAnswer\n1\t"글" 뒤\t물음\tTRUE\n'
    path = write_boolq(tmp_path, text) / "BoolQ" / "train.tsv"
    (row,) = load_task("boolq", tmp_path).train
    assert row["paragraph"] == pandas.read_csv(path, sep="\t")["Text"][0] == "글 뒤"


def test_a_quote_that_never_closes_swallows_no_rows_of_kobest(tmp_path):
    good = "1\t글\t물음\tTRUE\n"
    text = f'ID\tText\tQuestion\tAnswer\n{good}2\t글\t물음\t"TRUE\n{good}'
    with pytest.raises(DataError, match=r"train\.tsv line 3 has a quotation mark"):
        load_task("boolq", write_boolq(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("ID\tText\tQuestion\tAnswer\n1\t글\t물음\n", "train.tsv", "line 2 has 3 cells"),
        ("ID\tText\tQuestion\tAnswer\n1\t글\t물음\t2\n", "test.tsv", "line 2 has the label '2'"),
        ("ID\tText\tQ\tAnswer\n1\t글\t물음\t1\n", "train.tsv", "no column 'paragraph'"),
        ("ID\tText\tQuestion\tAnswer\n", "train.tsv", "holds no rows"),
        ("", "train.tsv", "holds no rows"),
        ("ID\tText\n1\t글".encode("cp949"), "train.tsv", "line 2 is not UTF-8"),
    ],
)
def test_malformed_tables_are_one_line_errors(tmp_path, text, name, message):
    with pytest.raises(DataError, match=message) as caught:
        load_task("boolq", write_boolq(tmp_path, text, name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[1]", '{"paragraph": "글"}'])
def test_malformed_json_is_a_one_line_error(tmp_path, line):
    good = '{"paragraph": "글", "question": "물음", "label": 1}'
    folder = tmp_path / "boolq"
    folder.mkdir()
    (folder / "train.jsonl").write_text(f"{good}\n{line}\n", encoding="utf-8")
    (folder / "test.jsonl").write_text(good, encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.jsonl line 2") as caught:
        load_task("boolq", tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no folder for the task copa"):
        load_task("copa", tmp_path)
    (tmp_path / "COPA").mkdir()
    with pytest.raises(DataError, match="no train file"):
        load_task("copa", tmp_path)


def test_no_hub_is_a_data_error(monkeypatch):
    class Offline:
        @staticmethod
        def load_dataset(*_: object, **__: object) -> None:
            raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", Offline)
    with pytest.raises(DataError, match="ConnectionError"):
        load_task("copa")
