from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import ijson
import pytest

from kot_platypus.errors import DataError
from kot_platypus.formats import iter_rows, iter_values, read_rows
from kot_platypus.records import Dialogue, Example, Message

KOCOT = {"source": "3+4는?", "target": "7", "rationale": "셋에 넷을,\n더한다."}
ALPACA = {"instruction": "옮겨라", "input": "Hello", "output": '"안녕"'}
CHAT = {
    "messages": [
        {"role": "system", "content": "짧게"},
        {"role": "user", "content": "3+4는?"},
        {"role": "assistant", "content": "7"},
    ]
}
ROWS = {
    "kocot": (KOCOT, Example(**KOCOT)),
    "alpaca": (ALPACA, Example(source="옮겨라", input="Hello", rationale='"안녕"', target="")),
    "chat": (CHAT, Dialogue(messages=tuple(Message(**turn) for turn in CHAT["messages"]))),
}
each_format = pytest.mark.parametrize(("values", "row"), ROWS.values(), ids=ROWS)


def write_lines(path: Path, *rows: object, encoding: str = "utf-8") -> Path:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding=encoding)
    return path


def write_table(path: Path, *rows: dict[str, str], encoding: str = "utf-8") -> Path:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return path


def assert_refused(path: Path, *named: str) -> None:
    with pytest.raises(DataError) as raised:
        read_rows(path)
    assert "\n" not in str(raised.value)
    assert [name for name in named if name not in str(raised.value)] == []


# --- every format in every file ----------------------------------------------------------------


@each_format
def test_json_lines(tmp_path, values, row):
    assert read_rows(write_lines(tmp_path / "a.jsonl", values, values)) == [row, row]


@each_format
def test_json_list(tmp_path, values, row):
    (tmp_path / "a.json").write_text(json.dumps([values, values], indent=1))
    assert read_rows(tmp_path / "a.json") == [row, row]


def test_json_lines_by_the_name_of_json(tmp_path):
    assert read_rows(write_lines(tmp_path / "a.json", KOCOT)) == [ROWS["kocot"][1]]


@each_format
def test_parquet(tmp_path, values, row):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([values, values]), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet") == [row, row]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("name", ["kocot", "alpaca"])
def test_table_with_quotes_and_line_breaks(tmp_path, suffix, name):
    values, row = ROWS[name]
    assert read_rows(write_table(tmp_path / f"a.{suffix}", values, values)) == [row, row]


def test_one_file_may_mix_formats(tmp_path):
    rows = read_rows(write_lines(tmp_path / "a.jsonl", KOCOT, ALPACA, CHAT))
    assert rows == [row for _, row in ROWS.values()]


@each_format
def test_rows_survive_being_written_and_read_again(tmp_path, values, row):
    (tmp_path / "a.jsonl").write_text(row.model_dump_json() + "\n", encoding="utf-8")
    assert read_rows(tmp_path / "a.jsonl") == [row]


# --- what people's files hold ------------------------------------------------------------------


def test_further_columns_are_left_alone(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {**KOCOT, "id": 7, "notes": [1, {}]})
    assert read_rows(path) == [ROWS["kocot"][1]]


def test_alpaca_rows_with_a_source_of_their_own_stay_alpaca(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {**ALPACA, "source": "위키"})
    assert read_rows(path) == [ROWS["alpaca"][1]]


def test_null_is_as_good_as_nothing(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {**ALPACA, "input": None, "messages": None})
    assert read_rows(path) == [Example(source="옮겨라", rationale='"안녕"', target="")]


def test_nan_of_pandas_is_as_good_as_nothing(tmp_path):
    """Else the model would learn to write "nan"."""
    path = write_lines(tmp_path / "a.jsonl", {**KOCOT, "rationale": float("nan")})
    assert "NaN" in path.read_text()
    assert read_rows(path) == [Example(source="3+4는?", target="7")]


def test_table_that_mixes_formats_has_empty_cells_for_the_other(tmp_path):
    blank = dict.fromkeys([*KOCOT, *ALPACA], "")
    path = write_table(tmp_path / "a.csv", blank | KOCOT, blank | ALPACA)
    assert read_rows(path) == [ROWS["kocot"][1], ROWS["alpaca"][1]]


def test_cell_of_a_table_may_be_as_long_as_a_line_of_json(tmp_path):
    row = {**KOCOT, "rationale": "길다 " * 50_000}
    assert read_rows(write_table(tmp_path / "a.csv", row)) == [Example(**row)]


def test_number_is_its_text(tmp_path):
    assert read_rows(write_lines(tmp_path / "a.jsonl", {**KOCOT, "target": 7})) == [
        ROWS["kocot"][1]
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_byte_order_mark_is_no_column(tmp_path, encoding):
    assert read_rows(write_lines(tmp_path / "a.jsonl", KOCOT, encoding=encoding))
    assert read_rows(write_table(tmp_path / "a.csv", KOCOT, encoding=encoding))


def test_empty_lines_are_no_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(KOCOT) + "\r\n\n  \n")
    (tmp_path / "a.csv").write_text("source,target\n\n3+4는?,7\n\n")
    assert len(read_rows(tmp_path / "a.jsonl")) == len(read_rows(tmp_path / "a.csv")) == 1


def test_line_separators_of_unicode_end_no_line(tmp_path):
    row = {**KOCOT, "rationale": "하나\u2028둘\x85셋"}
    assert read_rows(write_lines(tmp_path / "a.jsonl", row)) == [Example(**row)]


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_file_without_rows_is_an_empty_list(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read_rows(tmp_path / "a.json") == []


# --- what cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_cp949_is_refused_with_its_line(tmp_path, name):
    write = write_table if name.endswith("csv") else write_lines
    path = write(tmp_path / name, KOCOT, encoding="cp949")
    assert_refused(path, "is not UTF-8, but looks like CP949", "iconv -f CP949")
    said = []
    try:
        list(iter_values(path, lambda _, error: said.append(error)))  # as the checks read
    except DataError as error:
        said.append(error)
    assert "iconv -f CP949" in str(said[0])


@pytest.mark.parametrize("backend", ["yajl2_c", "python"])
def test_an_object_keyed_by_row_in_cp949_is_told_so_by_any_parser(tmp_path, monkeypatch, backend):
    monkeypatch.setattr(ijson, "kvitems", ijson.get_backend(backend).kvitems)
    path = write_lines(tmp_path / "a.json", {"0": KOCOT}, encoding="cp949")
    assert_refused(path, "line 1 is not UTF-8, but looks like CP949", "iconv -f CP949")


def test_unknown_columns_are_listed_beside_those_understood(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"question": "a", "answer": "b"})
    assert_refused(path, "line 1", "question, answer", "source, target", "instruction", "messages")


def test_table_of_thousands_of_columns_is_still_one_line(tmp_path):
    path = write_lines(tmp_path / "a.json", {f"column {i}": KOCOT for i in range(5000)})
    with pytest.raises(DataError) as raised:
        read_rows(path)
    assert len(str(raised.value)) < 600


def test_missing_column_is_named(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", KOCOT, {"instruction": "a"})
    assert_refused(path, "line 2: output: Field required")


def test_null_in_a_column_that_must_be_there_is_named(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"source": "가", "target": None})
    assert_refused(path, "line 1: target: Field required (it is null)")


def test_wrong_message_is_named(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"messages": [{"role": "user"}]})
    assert_refused(path, "line 1: messages.0: Value error, a turn without content")


@pytest.mark.parametrize("text", ["{", "[1", "[1]", "3", '"a"', "{}", '{"source": "\\ud800"}'])
def test_line_that_is_no_object_of_a_row_is_named(tmp_path, text):
    (tmp_path / "a.jsonl").write_text(text)
    assert_refused(tmp_path / "a.jsonl", "a.jsonl")


def test_row_of_a_table_with_too_many_cells_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("source,target\na,b\na,b,c\n")
    assert_refused(tmp_path / "a.csv", "line 3 has 3 cells; expected 2")


def test_quote_that_never_ends_is_refused_and_swallows_nothing(tmp_path):
    (tmp_path / "a.csv").write_text('source,target\n"a,b\na,b\n')
    assert_refused(tmp_path / "a.csv", "line 2 has a quotation mark", "unexpected end of data")


def test_columns_of_one_name_are_refused_and_none_is_lost(tmp_path):
    (tmp_path / "a.csv").write_text("source,target,target\na,b,c\n")
    assert_refused(tmp_path / "a.csv", "line 1 names two columns 'target'")
    (tmp_path / "b.csv").write_text("source,target,,\na,b,,\n")  # as spreadsheets leave them
    assert read_rows(tmp_path / "b.csv") == [Example(source="a", target="b")]


def test_a_quote_that_a_later_row_closes_swallows_no_rows(tmp_path):
    (tmp_path / "a.tsv").write_text('source\ttarget\na\tb\n"c\td\ne\tf"\tg\n')
    assert_refused(tmp_path / "a.tsv", "line 3", "closes in a later line")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32"])
def test_utf16_is_named_with_and_without_its_mark(tmp_path, name, encoding):
    (tmp_path / name).write_bytes("source,target\n가나,b\n".encode(encoding))
    assert_refused(tmp_path / name, "is not UTF-8", f"iconv -f {encoding} ")
    with pytest.raises(
        DataError, match=f"iconv -f {encoding} "
    ):  # where lines may be left out, too
        list(iter_values(tmp_path / name, lambda *_: None))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_end_of_line_ends_a_row(tmp_path, end):
    (tmp_path / "a.csv").write_bytes(f'source,target{end}"a{end}b",c{end}'.encode())
    assert read_rows(tmp_path / "a.csv") == [Example(source="a\nb", target="c")]


def test_row_of_a_table_with_too_few_cells_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("source,target\na\n")
    assert_refused(tmp_path / "a.csv", "line 2: target: Field required")


def test_parquet_in_name_alone_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no table")
    assert_refused(tmp_path / "a.parquet", "expected a Parquet file")


@pytest.mark.parametrize("name", ["a.txt", "a", "a.xlsx"])
def test_other_names_are_refused_with_those_understood(tmp_path, name):
    (tmp_path / name).write_text("")
    assert_refused(tmp_path / name, ".jsonl", ".parquet")


def test_missing_file_and_folder_are_refused(tmp_path):
    (tmp_path / "b.jsonl").mkdir()
    assert_refused(tmp_path / "a.jsonl", "does not exist")
    assert_refused(tmp_path / "b.jsonl", "is a folder")


# --- streaming ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_rows_come_before_the_file_is_read_to_its_end(tmp_path, name):
    good = '{"source": "가", "target": "나"}\n' if name.endswith("l") else "source,target\n가,나\n"
    bad = "{\n" if name.endswith("l") else "라,마,바\n"
    (tmp_path / name).write_text(good + bad, encoding="utf-8")
    rows = iter_rows(tmp_path / name)
    assert next(rows).source == "가"
    with pytest.raises(DataError, match="line"):
        next(rows)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipe_is_named_as_one(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="is a pipe or a device; expected a file of rows"):
        read_rows(tmp_path / "rows.jsonl")


# --- compressed --------------------------------------------------------------------------------


def compress(path: Path, suffix: str) -> Path:
    import pyarrow

    packed = path.with_name(path.name + suffix)
    with pyarrow.output_stream(str(packed), compression=PACKED[suffix]) as file:
        file.write(path.read_bytes())
    path.unlink()
    return packed


PACKED = {".gz": "gzip", ".zst": "zstd"}
each_packing = pytest.mark.parametrize("suffix", PACKED)


@each_packing
@each_format
def test_compressed_lines_and_lists_are_what_they_hold(tmp_path, values, row, suffix):
    lines = write_lines(tmp_path / "a.jsonl", values, values, encoding="utf-8-sig")
    (tmp_path / "b.json").write_text(json.dumps([values, values]))
    (tmp_path / "c.json").write_text(json.dumps({"1": values, "2": values}))
    for path in (lines, tmp_path / "b.json", tmp_path / "c.json"):
        assert read_rows(compress(path, suffix)) == [row, row]


@each_packing
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_compressed_table_is_what_it_holds(tmp_path, name, suffix):
    path = write_table(tmp_path / name, KOCOT, KOCOT)
    assert read_rows(compress(path, suffix)) == [ROWS["kocot"][1]] * 2


@each_packing
def test_torn_and_false_archives_are_refused_in_a_line(tmp_path, suffix):
    path = compress(write_lines(tmp_path / "a.jsonl", *[KOCOT] * 300), suffix)
    path.write_bytes(path.read_bytes()[:-9])
    assert_refused(path, f"a.jsonl{suffix} cannot be read", f"a whole file of the kind {suffix}")
    path.write_text('{"source": "가"}')
    assert_refused(path, f"a.jsonl{suffix} cannot be read")


def test_text_of_another_encoding_in_an_archive_is_named(tmp_path):
    path = compress(write_lines(tmp_path / "a.jsonl", KOCOT, encoding="cp949"), ".gz")
    assert_refused(path, "line 1 is not UTF-8")


def test_parquet_is_not_compressed_once_more(tmp_path):
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    assert_refused(tmp_path / "a.parquet.gz", "no file of rows by its name", "all but the last")
