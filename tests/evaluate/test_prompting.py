"""How questions are put, and which answer a model stated."""

from __future__ import annotations

import pytest

from kot_platypus.answers import match_choice
from kot_platypus.artifacts import write_jsonl, write_text
from kot_platypus.errors import DataError
from kot_platypus.evaluate.prompting import (
    Question,
    build_prompt,
    complete_output,
    load_choices,
    load_problems,
    split_rationale,
)
from kot_platypus.evaluate.protocols import build_questions, load_data, load_protocol
from kot_platypus.evaluate.tasks import TASKS
from kot_platypus.prompts import load_template
from kot_platypus.records import Example

KOT, CHAT = load_template("kot"), load_template("chat")
TWO = ("제습기를 켜 두었다.", "배관이 터졌다.")
PROBLEM = Question("sum", 0, "3+4는?", "7개")
SHOT = Example(source="1+1은?", target="2개", rationale="1+1=2.")


@pytest.mark.parametrize(
    "said",
    [
        "배관이 터졌다.", "배관이 터졌다", " 배관이  터졌다 ", "'배관이 터졌다.'",
        "“배관이 터졌다”", "(나)", "나", "나.", "②", "2", "(2)", "2번", "2)", "(나) 배관이 터졌다.",
        "② 배관이 터졌다",
    ],
)  # fmt: skip
def test_choice_is_stated_by_its_text_or_its_mark(said):
    assert match_choice(said, TWO, ("가", "나")) == 1


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "배관",
        "배관이 터졌다고 본다",
        "나 또는 가",
        "다",
        "③",
        "3",
        "(나) 제습기를 켜 두었다.",
    ],
)
def test_what_is_no_choice_is_not_guessed(said):
    assert match_choice(said, TWO, ("가", "나")) is None


@pytest.mark.parametrize("said", ["나", "(나)", "②", "2번", "(나) 배관이 터졌다."])
def test_mark_that_was_not_shown_is_no_answer(said):
    assert match_choice(said, TWO) is None


def test_text_comes_before_mark():
    assert match_choice("2", ("2", "1"), ("가", "나")) == 0


def test_choices_that_read_alike_cannot_be_told_apart():
    assert match_choice("같다", ("같다", "같다.", "다르다")) is None


@pytest.mark.parametrize("said", ["아니요", "아니오", "아니오."])
def test_other_words_for_a_choice_are_read(said):
    assert match_choice(said, ("아니요", "예")) == 0


# --- prompts -----------------------------------------------------------------------------------


def test_answer_line_is_begun_without_its_last_space():
    assert build_prompt(PROBLEM, KOT).text == "질문: 3+4는?\n답변:\n"
    assert build_prompt(PROBLEM, KOT, way="prefilled").text == "질문: 3+4는?\n답변:\n정답:"
    assert complete_output(" 7개\n", KOT, "prefilled") == "정답: 7개\n"
    assert complete_output("7개\n", KOT, "prefilled") == "정답: 7개\n"


def test_shots_stand_whole_before_the_question():
    worked = "질문: 1+1은?\n답변:\n1+1=2.\n정답: 2개\n\n"
    prompt = build_prompt(PROBLEM, KOT, [SHOT, SHOT])
    assert prompt.text == f"{worked}{worked}질문: 3+4는?\n답변:\n"


def test_shots_of_a_chat_are_its_earlier_turns():
    prompt = build_prompt(PROBLEM, CHAT, [SHOT])
    assert [turn.role for turn in prompt.messages] == ["user", "assistant", "user"]
    assert prompt.messages[1].content == "1+1=2.\n정답: 2개"
    assert prompt.text == ""


def test_chat_is_told_how_to_answer_and_a_trained_template_is_not():
    reason, told = (
        build_prompt(PROBLEM, CHAT, way=w).messages[-1].content for w in ("reason", "instructed")
    )
    assert reason.startswith("3+4는?\n")
    assert "'정답: '" in reason
    assert "'정답: '" in told
    assert reason != told
    assert "차근차근" not in build_prompt(PROBLEM, KOT).text


@pytest.mark.parametrize(
    ("output", "rationale"),
    [
        ("3+4=7.\n정답: 7개\n", "3+4=7.\n"),
        ("정답: 7개", ""),
        ("아직", "아직\n"),
        ("", ""),
        ("가\n나\n", "가\n나\n"),
        ("가\n정답: 1\n나\n정답: 2\n", "가\n"),
    ],
)
def test_rationale_is_what_stands_before_the_answer_line(output, rationale):
    assert split_rationale(output, KOT) == rationale


def test_no_question_is_among_its_own_worked_examples():
    itself = SHOT.model_copy(update={"source": f" {PROBLEM.source}\n", "target": "77"})
    for template in (KOT, load_template("chat")):
        prompt = build_prompt(PROBLEM, template, [SHOT, itself])
        assert prompt == build_prompt(PROBLEM, template, [SHOT])
        assert "77" not in str(prompt)


# --- questions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_every_kobest_task_is_put_with_its_choices(task):
    questions, _ = load_choices(load_protocol("polyglot"), task, "mini")
    for question in questions:
        assert question.target == question.choices[question.gold]
        assert match_choice(question.target, question.choices) == question.gold
        assert "{" not in question.source
        assert question.marks == ("가", "나", "다", "라")[: len(question.choices)] or (
            task in ("boolq", "sentineg", "wic") and question.marks == ()
        )
        assert task == "sentineg" or all(choice in question.source for choice in question.choices)


def test_questions_stand_in_the_protocols_order():
    protocol = load_protocol("polyglot")
    data = load_data(protocol, "copa", "mini")
    direct = build_questions(protocol, data, 0, 7)
    questions, data_hash = load_choices(protocol, "copa", "mini", 7)
    assert [question.gold for question in questions] == [q.gold for q in direct]
    assert [
        q.source.split("'")[1] in d.requests[0].context
        for q, d in zip(questions, direct, strict=True)
    ] == [True] * 7
    assert data_hash == data.content_hash


def test_task_of_ones_own_is_put_as_its_protocol_words_it(tmp_path):
    write_text(tmp_path / "quiz.csv", "question,a,b,label\n수도는?,서울,부산,0\n")
    write_text(
        tmp_path / "mine.yaml",
        "base: lm-eval\ntasks:\n  quiz:\n    context: '질문: {question} 답:'\n"
        "    choices: [' {a}', ' {b}']\n    data: {test: quiz.csv}\n",
    )
    (question,), _ = load_choices(load_protocol(str(tmp_path / "mine.yaml")), "quiz")
    assert question.source == "질문: 수도는? 답:\n알맞은 것은? (가) 서울 (나) 부산"
    assert question.choices == ("서울", "부산")


def test_more_choices_than_marks_are_refused(tmp_path):
    """They would be cut off: the right answer might not be shown."""
    names = [f"c{i}" for i in range(11)]
    write_text(tmp_path / "quiz.csv", f"question,{','.join(names)},label\n수는?,{'가,' * 11}0\n")
    choices = ", ".join(f"' {{{name}}}'" for name in names)
    write_text(
        tmp_path / "mine.yaml",
        "base: lm-eval\ntasks:\n  quiz:\n    context: '질문: {question} 답:'\n"
        f"    choices: [{choices}]\n    data: {{test: quiz.csv}}\n",
    )
    with pytest.raises(DataError, match="a question with 11 choices"):
        load_choices(load_protocol(str(tmp_path / "mine.yaml")), "quiz")


def test_row_without_a_final_answer_is_refused(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [SHOT, SHOT.model_copy(update={"target": ""})])
    with pytest.raises(DataError, match="row 2 states no final answer"):
        load_problems(tmp_path / "rows.jsonl")
    assert [q.target for q in load_problems(tmp_path / "rows.jsonl", 1)] == ["2개"]


def test_input_stands_where_the_template_has_a_place_for_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [Example(source="요약하라.", input="긴 글", target="글")])
    (question,) = load_problems(path)
    assert build_prompt(question, load_template("alpaca-ko")).text.count("### 입력:\n긴 글\n") == 1
    assert "요약하라.\n\n긴 글\n" in build_prompt(question, KOT).text
    (turn,) = build_prompt(question, CHAT).messages
    assert turn.content.startswith("요약하라.\n\n긴 글\n")  # and then how to answer
