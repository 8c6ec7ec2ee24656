"""Thoughts and what follows them."""

from __future__ import annotations

import pytest

from kot_platypus.answers import read_answer
from kot_platypus.thoughts import close_thoughts, find_opening, split_thoughts, strip_tags


@pytest.mark.parametrize(
    ("text", "thoughts", "rest"),
    [
        ("<think>\n셋.\n</think>\n\n정답: 3", "<think>\n셋.\n</think>", "\n\n정답: 3"),
        ("셋.</think>3", "셋.</think>", "3"),  # the prompt held the opening tag
        ("<think>가</think>나</think>다", "<think>가</think>나</think>", "다"),
        ("<Thought>가</Thought>다", "<Thought>가</Thought>", "다"),
        ("<think>\n정답: 3\n", "<think>\n정답: 3\n", None),
        ("정답: 3", "", "정답: 3"),
        ("글 속의 <think> 표", "", "글 속의 <think> 표"),
        ("", "", ""),
    ],
)
def test_what_follows_thoughts(text, thoughts, rest):
    assert split_thoughts(text) == (thoughts, rest)


def test_tags_are_taken_off():
    assert strip_tags("<think>\n가 </think> 나\n</think>") == "가  나"


@pytest.mark.parametrize(
    ("prompt", "opening", "closing"),
    [
        ("assistant\n<think>\n", "<think>\n", "\n</think>\n\n"),
        ("[|assistant|]<thought>\n", "<thought>\n", "\n</thought>\n\n"),
        ("assistant\n<think>\n\n</think>\n\n", "", None),
        ("assistant\n", "", None),
    ],
)
def test_opening_at_the_end_of_a_prompt(prompt, opening, closing):
    assert find_opening(prompt) == opening
    if closing:
        assert close_thoughts(opening) == closing


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<think>\n정답: 3?\n아니다.\n</think>\n\n정답: 5", "5"),
        ("<think>\n정답: 3\n", None),
        ("정답: 3</think>\n정답: 5", "5"),
        ("<think>\n셋\n</think>\n\n셋입니다", None),
    ],
)
def test_answer_is_looked_for_after_the_thoughts_only(reply, answer):
    assert read_answer(reply, "정답: ").strict == answer
