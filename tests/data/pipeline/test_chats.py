"""Conversations translated turn by turn, and out again in the columns in which they came."""

from __future__ import annotations

from typing import Any

from kot_platypus.chat_rows import write_back
from kot_platypus.data.pipeline.decisions import Decision
from kot_platypus.data.pipeline.drafts import Draft
from kot_platypus.formats import iter_values, read_rows
from kot_platypus.records import Dialogue, Message
from kot_platypus.row_formats import parse_row
from kot_platypus.row_texts import list_texts, replace_texts
from tests.data.pipeline.conftest import Builder

ASKED = "Mina has 112 apples and buys 5 more. How many apples are there now?"
CODE = "```python\nprint(112 + 5)  # add\n```"
TOLD = f"At first there are 112 apples.\n\n{CODE}\n\nSo there are 117 in the end."
CALL = '{"name": "add", "arguments": {"a": 112, "b": 5}}'
ASKED_KO = "민아에게 사과 112개가 있고 5개를 더 삽니다. 지금 사과는 모두 몇 개입니까?"
TOLD_KO = f"처음에는 사과가 112개 있습니다.\n\n{CODE}\n\n그래서 마지막에는 117개가 됩니다."
SHAREGPT = {
    "id": "chat-7",
    "conversations": [
        {"from": "human", "value": ASKED},
        {"from": "function_call", "value": CALL},
        {"from": "observation", "value": "So there are 117 in the end."},
        {"from": "gpt", "value": TOLD},
    ],
}
CHAT = {
    "system": "How many coins are there now?",
    "conversations": [
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        {"role": "assistant", "content": TOLD, "reasoning": "Then 5 more are bought."},
    ],
    "score": 3,
}


def build(builder: Builder, *rows: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    recipe = builder.make_recipe(
        list(rows), columns="chat", decontaminate={"against": []}, **fields
    )
    builder.build(recipe)
    return [dict(values) for _, values in iter_values(builder.out / "dataset" / "train.jsonl")]


def once(builder: Builder) -> dict[str, Any]:
    """The fake service, asked no second time."""
    options = {"server_url": builder.url, "settle_s": 0.05, "pause_s": 0.01}
    return {"service": "deepl", "options": options}


def test_sharegpt_goes_out_as_it_came_with_its_id_and_what_tools_said(builder: Builder):
    (row,) = build(builder, SHAREGPT)
    turns = SHAREGPT["conversations"]
    assert row["conversations"] == [
        {"from": "human", "value": ASKED_KO},
        *turns[1:3],
        {"from": "gpt", "value": TOLD_KO},
    ]
    assert row["id"] == "chat-7"
    assert row["origin"]["id"] == "row 0"


def test_system_prompts_thoughts_and_parts_are_translated_where_they_stood(builder: Builder):
    (row,) = build(builder, CHAT)
    assert row["system"] == "지금 동전는 모두 몇 개입니까?"
    assert row["conversations"] == [
        {"role": "user", "content": [{"type": "text", "text": ASKED_KO}]},
        {"role": "assistant", "content": TOLD_KO, "reasoning": "그런 다음 5개를 더 삽니다."},
    ]
    assert row["score"] == 3


def test_a_system_prompt_that_is_not_read_is_said(builder: Builder, capfd):
    build(builder, {"system": "Add.", "messages": CHAT["conversations"]})
    assert "Of 1 rows 1 with a `system` that is not read" in capfd.readouterr().err


def test_code_in_a_turn_is_never_sent(builder: Builder):
    build(builder, SHAREGPT)
    assert not any("print" in text for body in builder.service.bodies for text in body["text"])


def test_a_bad_turn_waits_for_review_and_an_edit_of_it_is_taken(builder: Builder):
    right = builder.service.translation
    builder.service.translation = lambda xml: right(xml).replace("사과 <", "사과 7개와 <")
    assert build(builder, SHAREGPT, translate=once(builder)) == []
    (line,) = (builder.out / "review" / "queue.jsonl").read_text().splitlines()
    draft = Draft.model_validate_json(line)
    assert {finding.field for finding in draft.errors} == {"messages.0"}
    decision = Decision(
        key=draft.key, action="edit", fields={"messages.0": ASKED_KO}, decided_at=""
    )
    (builder.out / "review" / "decisions.jsonl").write_text(decision.model_dump_json() + "\n")
    (row,) = build(builder, SHAREGPT, translate=once(builder))
    assert row["conversations"][0]["value"] == ASKED_KO


def test_parquet_is_read_again_as_the_same_conversations(builder: Builder):
    said = ["Then 9 more are bought.", "Then 4 more are bought."]
    turns = [{"from": who, "value": text} for who, text in zip(("human", "gpt"), said, strict=True)]
    build(builder, SHAREGPT, CHAT, {"id": 8, "conversations": turns})
    folder = builder.out / "dataset"
    assert read_rows(folder / "train.parquet") == read_rows(folder / "train.jsonl")


# --- texts of a conversation, and its columns --------------------------------------------------


def test_texts_of_tools_are_none_of_a_conversation():
    row = parse_row(SHAREGPT, "row")
    assert list_texts(row) == {"messages.0": ASKED, "messages.3": TOLD}
    assert list_texts(replace_texts(row, {"messages.3": "네."}))["messages.3"] == "네."


def test_turns_of_other_columns_go_out_as_messages():
    values = {"instruction": "b", "output": "c", "system": "s", "history": [["x", "y"]], "id": 1}
    was = parse_row(values, "row")
    assert isinstance(was, Dialogue)
    now = replace_texts(was, {"messages.0": "에스", "messages.4": "다"})
    assert isinstance(now, Dialogue)
    out = write_back(values, was, now)
    assert [turn["content"] for turn in out["messages"]] == ["에스", "x", "y", "b", "다"]
    assert parse_row(out, "row") == Dialogue(messages=now.messages), "no history in English"
    assert out.keys() == {"messages", "id"}


def test_a_column_that_repeats_a_turn_changes_with_it():
    values = {"prompt": "Hello", "messages": [{"role": "user", "content": "Hello"}]}
    was = Dialogue(messages=(Message(role="user", content="Hello"),))
    now = Dialogue(messages=(Message(role="user", content="안녕"),))
    assert write_back(values, was, now) == {
        "prompt": "안녕",
        "messages": [{"role": "user", "content": "안녕"}],
    }


def test_an_id_that_somebody_says_stays():
    values = {"id": "Hello", "label": "Hello", "messages": [{"role": "user", "content": "Hello"}]}
    was = Dialogue(messages=(Message(role="user", content="Hello"),))
    now = Dialogue(messages=(Message(role="user", content="안녕"),))
    out = write_back(values, was, now)
    assert (out["id"], out["label"]) == ("Hello", "Hello")


def test_turns_that_stand_in_two_columns_change_in_both():
    values = {
        "messages": [{"role": "user", "content": "Hello"}],
        "conversations": [{"from": "human", "value": "Hello"}],
    }
    was = Dialogue(messages=(Message(role="user", content="Hello"),))
    now = Dialogue(messages=(Message(role="user", content="안녕"),))
    out = write_back(values, was, now)
    assert out["messages"][0]["content"] == out["conversations"][0]["value"] == "안녕"
