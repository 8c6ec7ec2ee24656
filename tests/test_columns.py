from __future__ import annotations

import pytest

from kot_platypus.columns import map_columns, parse_columns
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import read_rows
from kot_platypus.records import Dialogue, Example

GSM8K = {"question": "48/2+48은?", "answer": "48/2=24이고\n24+48=72.\n#### 72"}


def test_columns_take_other_names(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer\n3+4는?,7\n", "utf-8")
    columns = parse_columns("source=question, target = answer")
    assert read_rows(tmp_path / "a.csv", columns) == [Example(source="3+4는?", target="7")]


def test_a_column_that_was_renamed_is_gone_from_its_old_name():
    values = {"source": "위키", "question": "가", "target": "나"}
    assert map_columns(values, {"source": "question"}, "row 1") == {"source": "가", "target": "나"}
    swapped = map_columns(values, {"source": "target", "target": "source"}, "row 1")
    assert swapped == {"question": "가", "source": "나", "target": "위키"}


def test_no_columns_leave_the_row_as_it_is():
    assert map_columns(GSM8K, {}, "row 1") is GSM8K


def test_any_format_may_be_named(tmp_path):
    line = '{"chosen": [{"role": "user", "content": "가"}]}\n'
    (tmp_path / "a.jsonl").write_text(line, "utf-8")
    (row,) = read_rows(tmp_path / "a.jsonl", parse_columns("messages=chosen"))
    assert isinstance(row, Dialogue)


def test_nothing_leaves_a_column_out(tmp_path):
    line = '{"source": "가", "target": "나", "history": [["다", "라"]]}\n'
    (tmp_path / "a.jsonl").write_text(line, "utf-8")
    columns = parse_columns("history=")
    assert read_rows(tmp_path / "a.jsonl", columns) == [Example(source="가", target="나")]


def test_answer_behind_a_mark_is_parted_where_that_is_asked_for():
    columns = parse_columns("source=question,rationale####target=answer")
    assert map_columns(GSM8K, columns, "row 1") == {
        "source": "48/2+48은?",
        "rationale": "48/2=24이고\n24+48=72.",
        "target": "72",
    }


@pytest.mark.parametrize("answer", ["72", "72 ####", None])
def test_row_without_mark_or_answer_is_named(answer):
    with pytest.raises(DataError, match="row 3 has no answer behind '####' in 'answer'"):
        map_columns({**GSM8K, "answer": answer}, {"rationale####target": "answer"}, "row 3")


def test_missing_column_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"row 1 has no column 'questoin'.*Did you mean 'question'"):
        map_columns(GSM8K, {"source": "questoin"}, "row 1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("question", "'question' is no pair"),
        ("source=a,source=b", "stands there twice"),
        ("sorce=question", "no row has a 'sorce'; did you mean source?"),
        ("rationale####target=answer,target=label", "two columns for the target"),
    ],
)
def test_wrong_columns_are_wrong_usage(text, named):
    with pytest.raises(UsageError, match="--columns") as raised:
        parse_columns(text)
    assert named in str(raised.value)
