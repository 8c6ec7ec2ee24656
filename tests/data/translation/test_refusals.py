from __future__ import annotations

import pytest

from kot_platypus.data.translation.refusals import is_refusal

SOURCE = "Air scatters blue light &amp; more."


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with that request.",
        "I’m unable to translate this text.",
        "Sorry, I won't be able to do this. Is there anything else?",
        "As an AI language model, I cannot provide that.",
        "죄송하지만 이 요청은 도와드릴 수 없습니다.",
        "죄송합니다. 해당 내용은 번역할 수 없습니다.",
        "저는 그 요청을 도와드릴 수 없습니다.",
        "요청하신 내용은 제공할 수 없습니다.",
        "죄송합니다.\n\n도와드릴 수 없습니다.",
        "도와드릴 수 없습니다.",
    ],
)
def test_refusals_in_plain_words(answer: str):
    assert is_refusal(SOURCE, answer)
    assert is_refusal("He was sorry that it could not be done. " * 20, answer), "of a long text"


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("Sorry, I cannot help you today.", "죄송하지만 오늘은 도와드릴 수 없습니다."),
        ("I'm sorry, but I can't help.", "I'm sorry, but I can't help."),  # left in English
        ("I can't answer that.", "저는 그 질문에 대답할 수 없습니다."),
        ("The request is not possible.", "그 요청은 처리할 수 없습니다."),
        ("This task is beyond anyone.", "이 작업은 누구도 수행할 수 없습니다."),
        ("I help him. Food is rare.", "저는 그를 도와줍니다. 음식을 구할 수 없습니다."),
        ("An apple has no ticket.", "사과는 표를 가질 수 없습니다."),
        ("He feels bad.", "미안해하며 그는 갔습니다."),
        ("Air scatters light.", "공기가 빛을 흩뜨립니다."),
        ("Sadly, the aid never came.", "안타깝게도 도움을 받을 수 없었습니다."),
        ("I can lift 7 boxes.", "I can lift 7 boxes."),
        (
            "Air scatters light.",
            "죄송하지만 도와드릴 수 없습니다. " + "공기가 빛을 흩뜨립니다. " * 30,
        ),
    ],
)
def test_translations_are_none(source: str, answer: str):
    assert not is_refusal(source, answer)
