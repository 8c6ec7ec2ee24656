from __future__ import annotations

import json
from collections import Counter

import pytest

from kot_platypus.errors import DataError
from kot_platypus.records import Dialogue, Example, Message
from kot_platypus.row_formats import parse_row

ASKED = Message(role="user", content="3+3은?")
TOLD = Message(role="assistant", content="6입니다.")
THEN = Message(role="user", content="거기에 2를 더하면?")
LAST = Message(role="assistant", content="8입니다.")
SYSTEM = Message(role="system", content="짧게 답하라.")


def read(values: object, notes: Counter[str] | None = None):
    return parse_row(values, "a.jsonl line 1", notes)


def assert_refused(values: object, *named: str) -> None:
    with pytest.raises(DataError) as raised:
        read(values)
    assert "\n" not in str(raised.value)
    assert [name for name in named if name not in str(raised.value)] == []


# --- ShareGPT ----------------------------------------------------------------------------------


def test_sharegpt_is_a_conversation():
    turns = [
        {"from": "human", "value": "3+3은?"},
        {"from": "gpt", "value": "6입니다."},
        {"from": "human", "value": "거기에 2를 더하면?"},
        {"from": "gpt", "value": "8입니다."},
    ]
    assert read({"conversations": turns}) == Dialogue(messages=(ASKED, TOLD, THEN, LAST))
    assert read({"conversations": json.dumps(turns)}) == read({"conversations": turns})


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_sharegpt_has_its_system_prompt_as_a_turn_or_a_column(column):
    turns = [{"from": "user", "value": "3+3은?"}, {"from": "model", "value": "6입니다."}]
    inside = [{"from": "system", "value": SYSTEM.content}, *turns]
    expected = Dialogue(messages=(SYSTEM, ASKED, TOLD))
    assert read({"conversations": inside}) == expected
    assert read({"conversations": turns, column: SYSTEM.content}) == expected
    assert read({"conversations": inside, column: SYSTEM.content}) == expected
    assert_refused({"conversations": inside, column: "길게"}, "two system prompts")


def test_sharegpt_calls_tools():
    call = {"name": "add", "arguments": {"a": 3, "b": 3}}
    row = read(
        {
            "conversations": [
                {"from": "human", "value": "3+3은?"},
                {"from": "function_call", "value": json.dumps(call)},
                {"from": "observation", "value": "6"},
                {"from": "gpt", "value": "6입니다.", "weight": 0},
            ],
            "tools": '[{"name": "add"}]',
        }
    )
    roles = [turn.role for turn in row.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert row.messages[1].tool_calls == ({"type": "function", "function": call},)
    assert row.messages[3].weight == 0
    assert row.tools == ({"name": "add"},)


def test_conversations_may_hold_roles_and_contents():
    turns = [{"role": "user", "content": "3+3은?"}, {"role": "assistant", "content": "6입니다."}]
    assert read({"conversations": turns, "source": "위키"}) == Dialogue(messages=(ASKED, TOLD))


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        ({"from": "moderator", "value": "아니"}, "a turn from 'moderator'; known are human"),
        ({"from": "gpt"}, "conversations.0: Value error, a turn without content"),
        ("안녕", "conversations.0"),
    ],
)
def test_turn_of_sharegpt_that_is_none_is_named(turn, named):
    assert_refused({"conversations": [turn]}, "line 1", named)


# --- TRL ---------------------------------------------------------------------------------------


def test_trl_texts_are_a_question_and_its_response():
    row = read({"prompt": "3+3은?", "completion": "6입니다."})
    assert row == Example(source="3+3은?", rationale="6입니다.", target="")


def test_trl_messages_are_a_conversation_of_which_the_completion_is_learnt():
    prompt = [turn.model_dump() for turn in (ASKED, TOLD, THEN)]
    shown = TOLD.model_copy(update={"weight": 0})
    expected = Dialogue(messages=(ASKED, shown, THEN, LAST))
    assert read({"prompt": prompt, "completion": [LAST.model_dump()]}) == expected
    assert read({"prompt": prompt, "completion": LAST.content}) == expected


# --- OpenOrca, Alpaca with what LLaMA-Factory adds ---------------------------------------------


def test_openorca_has_a_system_prompt_or_none():
    asked = {"id": "flan.1", "question": "3+3은?", "response": "6입니다."}
    plain = Example(source="3+3은?", rationale="6입니다.", target="")
    assert read({**asked, "system_prompt": ""}) == plain
    row = read({**asked, "system_prompt": SYSTEM.content})
    assert row == Dialogue(messages=(SYSTEM, ASKED, TOLD))


@pytest.mark.parametrize("history", [[["3+3은?", "6입니다."]], '[["3+3은?", "6입니다."]]'])
def test_history_of_alpaca_is_asked_and_answered_before(history):
    values = {"instruction": "거기에 2를 더하면?", "output": "8입니다.", "history": history}
    assert read(values) == Dialogue(messages=(ASKED, TOLD, THEN, LAST))
    values["system"] = SYSTEM.content
    assert read(values) == Dialogue(messages=(SYSTEM, ASKED, TOLD, THEN, LAST))


@pytest.mark.parametrize("empty", [{"history": []}, {"history": "", "system": " "}, {}])
def test_alpaca_without_history_and_system_is_what_it_was(empty):
    row = read({"instruction": "옮겨라", "input": "Hello", "output": "안녕", **empty})
    assert row == Example(source="옮겨라", input="Hello", rationale="안녕", target="")


def test_input_stands_below_the_instruction_of_a_conversation():
    row = read({"instruction": "옮겨라", "input": "Hi", "output": "안녕", "system": "짧게"})
    assert row.messages[1].content == "옮겨라\n\nHi"


def test_history_that_is_no_list_of_pairs_is_named():
    values = {"instruction": "가", "output": "나"}
    assert_refused({**values, "history": [["다"]]}, "line 1: history.0.1")
    assert_refused({**values, "history": "['다', '라']"}, "text that is no list in JSON")


# --- dialogues that no format reads ------------------------------------------------------------

QUESTION = {"source": "거기에 2를 더하면?", "target": "8"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history", [["3+3은?", "6입니다."]]),
        ("history", "[['3+3은?', '6입니다.']]"),
        ("turns", ["3+3은?", "6입니다."]),
        ("Conversation", "사용자: 3+3은?\n도우미: 6입니다."),
        ("before", [{"role": "user", "content": "3+3은?"}]),
        ("before", [{"from": "human", "value": "3+3은?"}]),
    ],
)
def test_dialogue_beside_a_question_is_refused_by_name(name, value):
    assert_refused({**QUESTION, name: value}, f"a dialogue in '{name}'", f"--columns {name}=")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history", []),
        ("history", "조선"),
        ("turns", 2),
        ("turns", [1, 2]),
        ("entities", [["서울", "지명"]]),
        ("links", [{"from": "a", "to": "b"}]),
        ("messages", [{"role": "user", "content": "거기에 2를 더하면?"}]),
    ],
)
def test_what_is_no_dialogue_or_says_nothing_more_is_left_alone(name, value):
    assert read({**QUESTION, name: value}) == Example(**QUESTION)


def test_another_dialogue_beside_messages_is_counted():
    notes: Counter[str] = Counter()
    messages = [ASKED.model_dump(), TOLD.model_dump()]
    same = [{"from": "human", "value": "3+3은?"}, {"from": "gpt", "value": "6입니다."}]
    other = [*messages[:1], {"role": "assistant", "content": "7입니다."}]
    values = {"messages": messages, "conversations": same, "rejected": other, "system": "짧게"}
    assert read(values, notes) == Dialogue(messages=(ASKED, TOLD))
    assert notes == {
        "with another dialogue in `rejected` that is not read": 1,
        "with a `system` that is not read": 1,
    }
