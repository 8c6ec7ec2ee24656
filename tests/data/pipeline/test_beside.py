"""What a row has beside its texts, and its English original, in the data set that is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from kot_platypus.data.executors import InProcess
from kot_platypus.data.pairs import check_pairs
from kot_platypus.formats import iter_rows, iter_values, write_values
from kot_platypus.records import Example
from kot_platypus.row_formats import Notes, parse_row
from tests.data.pipeline.apples import make_rows
from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_chats import ASKED, ASKED_KO, CHAT, SHAREGPT, TOLD, TOLD_KO

AGAINST_NOTHING = {"decontaminate": {"against": []}}
ALPACA = {"instruction": ASKED, "input": "", "output": "So there are 117 in the end."}


def build(builder: Builder, *rows: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    builder.build(builder.make_recipe(list(rows), **AGAINST_NOTHING, **fields))
    return [dict(values) for _, values in iter_values(builder.out / "dataset" / "train.jsonl")]


def test_a_question_keeps_its_id_and_what_else_it_has(builder: Builder):
    beside = {"id": "apples-7", "score": 3, "tags": ["sum", "fruit"], "note": None}
    (row,) = build(builder, make_rows(1)[0] | beside)
    assert {name: row[name] for name in beside} == beside


def test_the_english_original_stands_beside_the_korean(builder: Builder):
    given = make_rows(1)[0]
    (row,) = build(builder, given)
    assert row["source_en"] == given["source"] != row["source"]
    assert row["rationale_en"] == given["rationale"].replace("\\n", "\n")
    assert row["target_en"] == given["target"]


def test_alpacas_columns_have_theirs(builder: Builder):
    source = {"file": str(builder.folder / "cot.json"), "task_column": "data_source"}
    given = ALPACA | {"data_source": "sums", "task": "first", "type": "CoT", "id": 1}
    (row,) = build(builder, given, columns="alpaca", sources=[source])
    assert (row["instruction_en"], row["output_en"]) == (ALPACA["instruction"], ALPACA["output"])
    assert (row["data_source"], row["row_task"], row["type"], row["id"]) == (
        "sums",
        "first",
        "CoT",
        1,
    )
    assert "row_data_source" not in row, "it is the task"


@pytest.mark.parametrize("name", ["origin", "edits", "source_en", "question", "messages", "tools"])
def test_no_column_of_a_source_is_taken_for_another(builder: Builder, name: str):
    """Nor is one that a row format knows: the row could be read as another format's."""
    (row,) = build(builder, make_rows(1)[0] | {name: [], f"row_{name}": 1})
    others = {each: value for each, value in row.items() if each.startswith("row_")}
    assert others == {f"row_{name}": [], f"row_row_{name}": 1}
    assert isinstance(parse_row(row, "row"), Example)


def test_a_column_that_another_is_named_after_is_kept(builder: Builder):
    given = {"question": ASKED, "reply": "So there are 117 in the end.", "source": "a forum"}
    columns = {"source": "question", "rationale": "reply", "target": "sum", "type": None}
    source = {"file": str(builder.folder / "cot.json"), "columns": columns}
    (row,) = build(builder, given | {"sum": 117, "type": "x"}, sources=[source])
    assert row["row_source"] == "a forum"
    assert not row.keys() & {"question", "row_question", "reply", "sum", "row_type"}


def test_a_dialogue_that_repeats_the_question_in_english_goes(builder: Builder):
    turns = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ALPACA["output"]}]
    (row,) = build(builder, ALPACA | {"turns": turns})
    assert "turns" not in row
    assert isinstance(parse_row(row, "row"), Example)


def test_a_korean_row_has_no_english_original_but_its_own(builder: Builder, tmp_path: Path):
    file = tmp_path / "mine.jsonl"
    given = {"source": "1 더하기 1은?", "rationale": "2이다.", "target": "2", "id": 9}
    file.write_text(json.dumps(given | {"source_en": "1 + 1?"}), encoding="utf-8")
    source = {"file": str(file), "language": "ko"}
    (row,) = build(builder, sources=[source], translate=None)
    assert (row["id"], row["source_en"]) == (9, "1 + 1?")
    assert "target_en" not in row


@pytest.mark.parametrize("ids", [[2**70, "7", None], [1, "1", 2.5], [2**63, 1, None]])
def test_parquet_has_one_kind_of_value_in_a_column(builder: Builder, ids: list[Any]):
    file = builder.folder / "rows.jsonl"
    write_values(file, [row | {"id": each} for row, each in zip(make_rows(3), ids, strict=True)])
    rows = build(builder, sources=[{"file": str(file), "unescape_newlines": True}])
    read = [dict(each) for _, each in iter_values(builder.out / "dataset" / "train.parquet")]
    assert [row["id"] for row in rows] == ids
    assert [row["id"] for row in read] == [None if each is None else str(each) for each in ids]
    assert [row["source_en"] for row in read] == [row["source_en"] for row in rows]


@pytest.mark.parametrize(("given", "kept"), [(b"\xff\x00", "_wA="), (float("nan"), None)])
def test_what_json_has_no_word_for_ends_no_build(builder: Builder, given: object, kept: object):
    file = builder.folder / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([make_rows(1)[0] | {"picture": given}]), file)
    (row,) = build(builder, sources=[{"file": str(file), "unescape_newlines": True}])
    assert row["picture"] == kept


def test_the_card_says_which_columns_there_are(builder: Builder):
    build(builder, make_rows(1)[0] | {"id": "apples-7"})
    card = (builder.out / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "`source_en`, `rationale_en`, `target_en`" in card
    assert "every other column of the sources (as `row_NAME` where the name is taken)" in card


# --- conversations -----------------------------------------------------------------------------


def test_a_conversation_has_its_original_turn_by_turn(builder: Builder):
    (row,) = build(builder, SHAREGPT, columns="chat")
    assert row["conversations_en"] == SHAREGPT["conversations"]
    assert [turn["value"] for turn in row["conversations"][::3]] == [ASKED_KO, TOLD_KO]
    (beside,) = build_again(builder, CHAT)
    assert beside["system_en"] == CHAT["system"]


def build_again(builder: Builder, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    other = Builder(builder.folder / "again", builder.url, builder.service)
    other.folder.mkdir()
    return build(other, *rows, columns="chat")


def test_a_conversations_own_columns_are_not_written_over(builder: Builder):
    given = {"origin": "a forum", "conversations_en": "here", "edits": 3}
    (row,) = build(builder, SHAREGPT | given, columns="chat")
    assert {name: row[f"row_{name}"] for name in given} == given
    assert row["conversations_en"] == SHAREGPT["conversations"]


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_training_learns_no_original_and_says_nothing_of_it(builder: Builder, name: str):
    turns = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": TOLD}]
    build(builder, {"messages": turns, "id": 7}, columns="chat")
    notes = Notes()
    (row,) = iter_rows(builder.out / "dataset" / name, notes=notes)
    assert [turn.content for turn in row.messages] == [ASKED_KO, TOLD_KO]
    assert not notes


def test_an_original_of_anothers_data_set_is_said():
    turns = [{"role": "user", "content": "가"}, {"role": "assistant", "content": "나"}]
    other = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    notes = Notes()
    parse_row({"messages": turns, "messages_en": other}, "row", notes)
    assert list(notes) == ["with another dialogue in `messages_en` that is not read"]


# --- checked again -----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["kocot", "alpaca"])
def test_pairs_of_a_built_data_set_are_found_by_themselves(builder: Builder, columns: str):
    rows = build(builder, *make_rows(2), columns=columns)
    answer = "target" if columns == "kocot" else "output"
    write_values(builder.folder / "mine.jsonl", [rows[0], rows[1] | {answer: "99"}])
    report = check_pairs(builder.folder / "mine.jsonl", builder.folder / "checked", InProcess())
    assert (report["rows"], report["rows_with_errors"]) == (2, 1)


def test_a_korean_row_of_a_built_data_set_has_no_english(tmp_path: Path):
    own = {"origin": {"id": "1"}, "translation": None, "checks_passed": [], "edits": []}
    row = {"source": "1 더하기 1은?", "target": "2", **own}
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(row), encoding="utf-8")
    report = check_pairs(file, tmp_path / "checked", InProcess())
    assert (report["rows_without_english"], report["rows_with_errors"]) == (1, 0)
