"""Chat messages: what the template gives is kept to the token, and every answer is learnt."""

from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.errors import DataError, ModelError
from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.records import Dialogue, Example, Message
from kot_platypus.train.items import Encoded
from kot_platypus.train.preview import split_runs

from . import chat_templates
from .conftest import encode_example

CHAT = load_template("chat")
EXAMPLE = Example(source="사과 3개와 배 4개는?", rationale="3+4=7개.", target="7개")


def talk(*texts: str) -> Dialogue:
    """A dialogue of these texts: the user begins, then they take turns."""
    roles = ("user", "assistant")
    return Dialogue(
        messages=tuple(Message(role=roles[i % 2], content=t) for i, t in enumerate(texts))
    )


TALK = talk("3+4는?", "7이다.", "그럼 3+5는?", " 8이다. ", "고마워.", "천만에.\n\n또 보자.")


@pytest.fixture(params=["tiny-llama-ko", "tiny-polyglot-ko"])
def tokenizer(request: pytest.FixtureRequest, shared: Path):
    tokenizer = load_tokenizer(shared / "models" / request.param)
    tokenizer.add_tokens(list(chat_templates.SPECIAL), special_tokens=True)
    return tokenizer


@pytest.fixture(params=chat_templates.ALL)
def style(request: pytest.FixtureRequest, tokenizer) -> str:
    """The name of a chat template that the tokenizer now has."""
    tokenizer.chat_template = chat_templates.ALL[request.param]
    return request.param


def encode(row, tokenizer, target="rationale_answer", cutoff_len=4096) -> Encoded | None:
    return encode_example(row, CHAT, target, tokenizer, cutoff_len)


def apply(row: Dialogue, tokenizer, **options):
    turns = [turn.model_dump() for turn in row.messages]
    return tokenizer.apply_chat_template(turns, **options)


def learnt_texts(encoded: Encoded, tokenizer) -> list[str]:
    return [tokenizer.decode(ids) for is_learnt, ids in split_runs(encoded) if is_learnt]


def end_of(style: str, tokenizer) -> str:
    return chat_templates.END[style].format(eos=tokenizer.eos_token)


# --- what is shown and what is learnt ----------------------------------------------------------


def test_shown_and_learnt_join_to_what_the_template_gives(tokenizer, style):
    encoded = encode(TALK, tokenizer)
    text = apply(TALK, tokenizer, tokenize=False)
    if style == "plain":  # nothing ends its last turn, so EOS does
        text = text.removesuffix("\n") + tokenizer.eos_token
    assert tokenizer.decode(encoded.ids) == text


@pytest.mark.parametrize("style", ["chatml", "gemma", "qwen3"], indirect=True)
def test_ids_are_those_of_the_template_where_special_tokens_part_the_turns(tokenizer, style):
    ids = apply(TALK, tokenizer, return_dict=True)["input_ids"]
    assert list(encode(TALK, tokenizer).ids) == ids


def test_every_answer_is_learnt_with_the_end_of_its_turn(tokenizer, style):
    end = end_of(style, tokenizer)
    answers = [turn.content for turn in TALK.messages if turn.role == "assistant"]
    texts = learnt_texts(encode(TALK, tokenizer), tokenizer)
    if style == "gemma":
        answers = [answer.strip() for answer in answers]
    if style == "llama2":
        answers = [" " + answer for answer in answers]
    if style == "plain":
        answers = [answers[0], " 8이다.", answers[2] + tokenizer.eos_token]
    if style == "qwen3":
        answers = [answers[0], answers[1].lstrip(), "<think>\n\n</think>\n\n" + answers[2]]
    assert texts == [answer + end for answer in answers]


def test_no_token_spans_prompt_and_answer(tokenizer, style):
    """The first prompt's tokens are those that the model will be asked with."""
    asked = apply(
        Dialogue(messages=TALK.messages[:1]),
        tokenizer,
        add_generation_prompt=True,
        return_dict=True,
    )["input_ids"]
    encoded = encode(TALK, tokenizer)
    assert list(encoded.ids[: encoded.prompt_len]) == asked


def test_questions_and_system_text_are_never_learnt(tokenizer):
    tokenizer.chat_template = chat_templates.CHATML
    system = Message(role="system", content="짧게 답하라.")
    row = Dialogue(messages=(system, *TALK.messages))
    encoded = encode(row, tokenizer)
    assert tokenizer.decode(encoded.ids) == apply(row, tokenizer, tokenize=False)
    assert learnt_texts(encoded, tokenizer) == learnt_texts(encode(TALK, tokenizer), tokenizer)


def test_answer_that_the_template_rewrites_is_shown_and_not_learnt(tokenizer):
    tokenizer.chat_template = chat_templates.QWEN3
    row = talk("3+4는?", "<think>\n세자.\n</think>\n\n7", "8+1은?", "<think>\n또.\n</think>\n\n9")
    encoded = encode(row, tokenizer)
    assert tokenizer.decode(encoded.ids) == apply(row, tokenizer, tokenize=False)
    assert learnt_texts(encoded, tokenizer) == ["<think>\n또.\n</think>\n\n9<|im_end|>"]


def test_template_that_asks_with_words_its_answers_lack_leaves_nothing_to_learn(tokenizer):
    tokenizer.chat_template = chat_templates.CHATML.replace(
        "assistant\n{% endif %}", "assistant\n곧:\n{% endif %}"
    )
    assert encode(TALK, tokenizer) is None
    assert encode(EXAMPLE, tokenizer) is None


def test_answer_is_found_behind_empty_thoughts_that_hold_its_text(tokenizer):
    tokenizer.chat_template = chat_templates.QWEN3
    texts = learnt_texts(encode(talk("생각은 영어로?", "think"), tokenizer), tokenizer)
    assert texts == ["<think>\n\n</think>\n\nthink<|im_end|>"]


def test_answer_that_is_said_again_later_is_found_in_its_own_turn(tokenizer, style):
    encoded = encode(talk("네?", "네", "네 네", "네"), tokenizer)
    assert len(learnt_texts(encoded, tokenizer)) == 2


# --- rows of other formats ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "response"),
    [
        ("rationale_answer", "3+4=7개.\n정답: 7개"),
        ("rationale", "3+4=7개."),
        ("answer", "정답: 7개"),
    ],
)
def test_example_is_a_question_and_an_answer(tokenizer, style, target, response):
    encoded = encode(EXAMPLE, tokenizer, target)
    same = encode(talk(EXAMPLE.source, response), tokenizer)
    assert encoded.ids == same.ids
    assert encoded.label_positions == same.label_positions


def test_alpaca_input_stands_below_the_instruction(tokenizer, style):
    alpaca = Example(source="옮겨라", input="Hello", rationale="안녕", target="")
    assert encode(alpaca, tokenizer).ids == encode(talk("옮겨라\n\nHello", "안녕"), tokenizer).ids


# --- what does not fit -------------------------------------------------------------------------


def test_cut_example_loses_its_rationales_end_and_never_its_answer(tokenizer, style):
    whole = encode(EXAMPLE, tokenizer)
    long = EXAMPLE.model_copy(update={"rationale": "하나 둘 셋 넷 다섯. " * 50})
    cut = encode(long, tokenizer, cutoff_len=len(whole.ids))
    end = end_of(style, tokenizer) or tokenizer.eos_token
    assert len(cut.ids) == len(whole.ids)
    assert cut.num_truncated > 0
    assert tokenizer.decode(cut.ids).endswith("\n정답: 7개" + end)


def test_long_conversation_loses_whole_turns_from_its_end(tokenizer, style):
    whole = encode(TALK, tokenizer)
    learnt = whole.label_positions
    cut = encode(TALK, tokenizer, cutoff_len=max(learnt))
    kept = [p for p in learnt if p < len(cut.ids)]
    assert cut.ids == whole.ids[: len(cut.ids)]
    assert cut.label_positions == kept
    assert kept[-1] == len(cut.ids) - 1  # nothing unlearnt is dragged along
    assert len(learnt_texts(cut, tokenizer)) == 2
    assert cut.num_truncated == len(whole.ids) - len(cut.ids)


def test_first_answer_too_long_by_itself_loses_its_end(tokenizer, style):
    row = talk("세라.", "하나 둘 셋 넷 다섯 " * 50, "또?", "또.")
    whole, cut = encode(row, tokenizer), encode(row, tokenizer, cutoff_len=40)
    assert cut.ids == whole.ids[:40]
    assert cut.label_positions == list(range(whole.prompt_len, 40))


@pytest.mark.parametrize("cutoff", [1, 4])
def test_conversation_whose_question_does_not_fit_is_dropped(tokenizer, style, cutoff):
    assert encode(TALK, tokenizer, cutoff_len=cutoff) is None


@pytest.mark.parametrize("texts", [(), ("질문",), ("질문", "  ")], ids=len)
def test_conversation_without_an_answer_is_dropped(tokenizer, texts):
    tokenizer.chat_template = chat_templates.CHATML
    assert encode(talk(*texts), tokenizer) is None


def test_target_answer_leaves_nothing_to_learn_of_a_conversation(tokenizer, style):
    assert encode(TALK, tokenizer, "answer") is None


# --- what cannot be shown ----------------------------------------------------------------------


def test_tokenizer_without_a_chat_template_is_a_model_error(tokenizer):
    for row in (TALK, EXAMPLE):
        with pytest.raises(ModelError, match="no chat template"):
            encode(row, tokenizer)


def test_conversation_in_a_text_template_is_a_data_error(tokenizer):
    with pytest.raises(DataError, match=r"template 'kot'.*train\.template=chat"):
        encode_example(TALK, load_template("kot"), "rationale_answer", tokenizer, 512)


def test_row_that_the_template_refuses_is_named(tokenizer):
    tokenizer.chat_template = chat_templates.GEMMA
    row = Dialogue(
        messages=(Message(role="system", content="짧게"), Message(role="user", content="3+4는?"))
    )
    with pytest.raises(DataError, match=r"refuses the row that asks '3\+4는\?'.*alternate"):
        encode(row, tokenizer)
