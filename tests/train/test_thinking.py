"""Models that think: their rationale is learnt where the model will be asked to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import Template, load_template, render_opening, render_question
from kot_platypus.records import Dialogue, Example, Message
from kot_platypus.train.encoding import describe_losses
from kot_platypus.train.preview import split_runs

from . import chat_templates
from .conftest import encode_example

CHAT = load_template("chat")
EXAMPLE = Example(source="사과 3개와 배 4개는?", rationale="3+4=7개.", target="7개")
CLOSE = {"exaone-deep": "\n</thought>\n\n"}
END = {"r1": "</s>", "exaone-deep": "[|endofturn|]"}
ASSISTANT = {
    "r1": "<｜Assistant｜><think>\n",
    "exaone-deep": "[|assistant|]<thought>\n",
    "qwen3-thinking": "<|im_start|>assistant\n<think>\n",
    "qwen3-hybrid": "<|im_start|>assistant\n",
}


@pytest.fixture
def tokenizer(shared: Path):
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    special = [*chat_templates.SPECIAL, *chat_templates.THINKING_SPECIAL]
    tokenizer.add_tokens(special, special_tokens=True)
    return tokenizer


@pytest.fixture(params=chat_templates.THINKING)
def style(request: pytest.FixtureRequest, tokenizer) -> str:
    tokenizer.chat_template = chat_templates.THINKING[request.param]
    return request.param


def split(row: Example | Dialogue, tokenizer, template: Template = CHAT) -> list[tuple[bool, str]]:
    encoded = encode_example(row, template, "rationale_answer", tokenizer, 4096)
    return [(learnt, tokenizer.decode(ids)) for learnt, ids in split_runs(encoded)]


def learn(row: Example | Dialogue, tokenizer, template: Template = CHAT) -> list[str]:
    return [text for learnt, text in split(row, tokenizer, template) if learnt]


def talk(*turns: Message | str) -> Dialogue:
    messages = [
        Message(role="user", content=turn) if isinstance(turn, str) else turn for turn in turns
    ]
    return Dialogue(messages=tuple(messages))


def say(content: str = "", **fields: object) -> Message:
    return Message.model_validate({"role": "assistant", "content": content, **fields})


def thought(style: str, thoughts: str, answer: str) -> str:
    """What is learnt of an answer after the generation prompt."""
    opening = "<think>\n" if style == "qwen3-hybrid" else ""
    close = CLOSE.get(style, "\n</think>\n\n")
    return opening + thoughts + close + answer + END.get(style, "<|im_end|>")


def test_rationale_is_thoughts_and_the_answer_follows_them(tokenizer, style):
    assert learn(EXAMPLE, tokenizer) == [thought(style, "3+4=7개.", "정답: 7개")]


def test_prompt_is_the_one_that_the_model_will_be_asked_with(tokenizer, style):
    shown = split(EXAMPLE, tokenizer)[0][1]
    assert shown.endswith(ASSISTANT[style])
    assert shown == render_question(CHAT, tokenizer, EXAMPLE.source)


def test_thoughts_of_a_dialogue_are_learnt_in_its_last_turn_alone(tokenizer, style):
    row = talk("하나?", say("1", reasoning_content="세자."), "둘?", say("2", reasoning="또 세자."))
    assert learn(row, tokenizer) == [thought(style, "또 세자.", "2")]


@pytest.mark.parametrize("gap", ["", "\n", "\n\n", " "])
def test_thoughts_within_the_content_are_read_whatever_the_white_space(tokenizer, style, gap):
    name = "thought" if style == "exaone-deep" else "think"
    row = talk("3+4는?", say(f"<{name}>세자.{gap}</{name}>{gap}7입니다."))
    assert learn(row, tokenizer) == [thought(style, "세자.", "7입니다.")]


def test_last_turn_without_thoughts_closes_the_opened_ones(tokenizer, style):
    assert learn(talk("3+4는?", say("7")), tokenizer) == [thought(style, "", "7")]


def test_template_that_knows_no_thoughts_shows_them_in_the_content(tokenizer):
    tokenizer.chat_template = chat_templates.CHATML
    row = talk("3+4는?", say("7", reasoning_content="세자."))
    assert learn(row, tokenizer) == ["<think>\n세자.\n</think>\n\n7<|im_end|>"]


def test_thinking_switched_off_teaches_the_rationale_as_the_answer(tokenizer):
    tokenizer.chat_template = chat_templates.QWEN3_HYBRID
    off = CHAT.model_copy(update={"enable_thinking": False})
    (_, shown), (_, learnt), *_ = split(EXAMPLE, tokenizer, off)
    assert shown.endswith("assistant\n<think>\n\n</think>\n\n")
    assert learnt == "3+4=7개.\n정답: 7개<|im_end|>"


def test_an_answer_that_is_begun_stands_after_closed_thoughts(tokenizer, style):
    text = render_opening(tokenizer, [Message(role="user", content="?")], "정답:")
    name = "thought" if style == "exaone-deep" else "think"
    assert text.endswith(f"<{name}>\n\n</{name}>\n\n정답:")
    assert text.count(f"<{name}>") == text.count(f"</{name}>") == 1


def test_thoughts_of_earlier_turns_are_not_shown_where_the_template_opens_them(tokenizer, style):
    """As served: a reasoning parser takes them out, and the template knows no tags but its own."""
    row = talk("하나?", say("1", reasoning_content="세자."), "둘?", say("2"))
    shown = "".join(text for learnt, text in split(row, tokenizer) if not learnt)
    plain = "".join(
        text
        for learnt, text in split(talk("하나?", say("1"), "둘?", say("2")), tokenizer)
        if not learnt
    )
    assert "세자." not in shown
    if style in ("r1", "exaone-deep"):
        assert shown == plain


# --- what else a turn holds --------------------------------------------------------------------


def test_tool_calls_are_learnt_as_the_template_writes_them(tokenizer):
    tokenizer.chat_template = chat_templates.QWEN3_HYBRID
    call = {"type": "function", "function": {"name": "더하기", "arguments": '{"a": 3, "b": 4}'}}
    tools = [{"type": "function", "function": {"name": "더하기"}}]
    row = Dialogue.model_validate(
        {
            "tools": tools,
            "messages": [
                {"role": "user", "content": "3+4는?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": "7"},
                {"role": "assistant", "content": "7입니다."},
            ],
        }
    )
    runs = split(row, tokenizer)
    assert "더하기" in runs[0][1]  # the tools that the model may call
    assert [text for learnt, text in runs if learnt] == [
        '\n<tool_call>\n{"name": "더하기", "arguments": {"a": 3, "b": 4}}\n</tool_call><|im_end|>',
        "<think>\n\n</think>\n\n7입니다.<|im_end|>",
    ]


@pytest.mark.parametrize("mark", [{"weight": 0}, {"train": False}], ids=str)
def test_turn_of_no_weight_is_shown_and_not_learnt(tokenizer, mark):
    tokenizer.chat_template = chat_templates.CHATML
    row = talk("하나?", say("1", **mark), "둘?", say("2"))
    assert learn(row, tokenizer) == ["2<|im_end|>"]


# --- templates of plain text -------------------------------------------------------------------


def test_cut_thoughts_keep_their_end_and_the_answer(tokenizer):
    think = load_template("think")
    whole = encode_example(EXAMPLE, think, "rationale_answer", tokenizer, 512)
    long = EXAMPLE.model_copy(update={"rationale": "하나 둘 셋 넷 다섯. " * 50})
    cut = encode_example(long, think, "rationale_answer", tokenizer, len(whole.ids))
    text = tokenizer.decode(cut.ids)
    assert "<think>\n하나" in text
    assert text.endswith("\n</think>\n\n정답: 7개</s>")
    assert cut.num_truncated > 0


def test_answer_alone_has_no_thoughts(tokenizer):
    encoded = encode_example(EXAMPLE, load_template("think"), "answer", tokenizer, 512)
    assert tokenizer.decode(encoded.ids[encoded.prompt_len :]) == "정답: 7개</s>"


# --- what training does not see ----------------------------------------------------------------


def test_losses_are_counted_and_many_are_a_warning(tokenizer):
    tokenizer.chat_template = chat_templates.QWEN3_HYBRID
    row = talk("하나?", say("1", reasoning_content="세자."), "둘?", say("2"))
    shown = encode_example(row, CHAT, "rationale_answer", tokenizer, 4096)
    cut = encode_example(EXAMPLE, CHAT, "rationale_answer", tokenizer, 45)
    whole = encode_example(EXAMPLE, CHAT, "rationale_answer", tokenizer, 4096)
    assert describe_losses([whole] * 40) == ""
    few = describe_losses([whole] * 39 + [None])
    assert few.startswith("Of 40 rows 1 dropped (nothing to learn). To look")
    many = describe_losses([shown, cut, whole, None])
    assert many.startswith(
        "Warning: of 4 rows 1 dropped (nothing to learn), 1 truncated to cutoff_len, "
        "1 with answers that are only shown."
    )
