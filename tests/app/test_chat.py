from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kot_platypus.app.chat import style_pieces
from kot_platypus.prompts import load_template, render_question

from ..train import chat_templates

KOT = load_template("kot")


def join_by_style(pieces: list[str], prefix: str = "정답: ") -> list[tuple[str, str]]:
    """Neighbouring texts of one style as one."""
    joined: list[tuple[str, str]] = []
    for text, style in style_pieces(pieces, prefix):
        if joined and joined[-1][1] == style:
            joined[-1] = joined[-1][0] + text, style
        else:
            joined.append((text, style))
    return joined


WHOLE = "3에 4를 더한다.\n정답: 7\n"


@pytest.mark.parametrize(
    "pieces",
    [[WHOLE], list(WHOLE), ["3에 4를 더한다.\n정", "답", ": 7\n"]],
    ids=["at once", "by letters", "torn"],
)
def test_the_answer_line_is_bright_however_it_comes(pieces):
    assert join_by_style(pieces) == [("3에 4를 더한다.\n", "dim"), ("정답: 7\n", "bold")]


def test_the_word_within_a_line_is_no_answer():
    assert join_by_style(["이것이 정답: 7이다.\n"]) == [("이것이 정답: 7이다.\n", "dim")]


def test_nothing_is_lost_when_the_model_stops_in_the_middle_of_the_mark():
    assert join_by_style(["풀이\n", "정답"]) == [("풀이\n정답", "dim")]


def test_a_template_without_a_mark_has_one_style():
    assert join_by_style(["한 줄\n"], prefix="") == [("한 줄\n", "")]


def test_pieces_are_the_greedy_continuation(speaker):
    import torch

    question = "남자가 우산을 폈다. 왜 그랬는가?"
    inputs = speaker.tokenizer(KOT.render_prompt(question), return_tensors="pt")
    with torch.inference_mode():
        ids = speaker.model.generate(**inputs, max_new_tokens=24, do_sample=False)
    expected = speaker.tokenizer.decode(
        ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    pieces = list(speaker.stream(question, max_new_tokens=24))
    assert "".join(pieces) == expected
    assert len(pieces) > 3, "it came in one piece"


def test_who_stops_listening_stops_the_model(speaker):
    pieces = speaker.stream("끝이 없는 질문", max_new_tokens=2000)
    assert isinstance(pieces, Iterator)
    next(pieces)
    pieces.close()  # returns at once, or the test runs into its time-out


def test_a_direct_answer_begins_with_its_line(speaker):
    asked = (KOT, speaker.tokenizer, "3+4는?")
    assert render_question(*asked, direct=True) == "질문: 3+4는?\n답변:\n정답:"
    assert render_question(*asked) == "질문: 3+4는?\n답변:\n"


def test_a_failing_model_is_heard(speaker, monkeypatch):
    def fail(**_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(speaker.model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(speaker.stream("3+4는?"))


def test_thoughts_are_dim_whatever_they_say():
    said = "<think>\n정답: 3?\n아니다.\n</think>\n\n정답: 7\n"
    dim = said.removesuffix("정답: 7\n")
    assert join_by_style(list(said)) == [(dim, "dim"), ("정답: 7\n", "bold")]
    assert join_by_style(["<think>\n셋\n</think>\n", "일곱\n"], prefix="") == [
        ("<think>\n셋\n", "dim"),
        ("</think>\n일곱\n", ""),
    ]


@pytest.mark.parametrize("mode", ["cot", "direct"])
def test_model_that_thinks_shows_it_and_closes_it_before_a_direct_answer(speaker, mode):
    tokenizer = copy.deepcopy(speaker.tokenizer)
    tokenizer.chat_template = chat_templates.R1
    thinker = replace(speaker, tokenizer=tokenizer, template=load_template("chat"))
    text = "".join(thinker.stream("하나?", mode=mode, max_new_tokens=4))
    assert text.startswith("<think>\n") == (mode == "cot")
    asked = render_question(thinker.template, tokenizer, "하나?", direct=True)
    assert asked.endswith("<think>\n\n</think>\n\n정답:")
