from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from kot_platypus.answers import read_answer
from kot_platypus.errors import UsageError
from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import Template, find_stop_tokens, load_template, load_templates
from kot_platypus.records import Example

KOT = load_template("kot")
EXAMPLE = Example(source="3+4는?", target="7개", rationale="3+4=7.")
each_template = pytest.mark.parametrize("template", load_templates().values(), ids=lambda t: t.name)


def test_kot_template_is_pinned():
    assert KOT.render_shot(EXAMPLE) == "질문: 3+4는?\n답변:\n3+4=7.\n정답: 7개"


def test_worked_example_shows_its_input():
    shot = EXAMPLE.model_copy(update={"source": "요약하세요.", "input": "긴 글"})
    assert KOT.render_shot(shot).startswith("질문: 요약하세요.\n\n긴 글\n답변:\n")
    assert KOT.render_turns(shot)[0].content == KOT.render_prompt("요약하세요.", "긴 글")


def test_alpaca_template_is_platypus_word_for_word():
    # https://github.com/arielnlee/Platypus, templates/alpaca.json, "prompt_no_input"
    assert load_template("alpaca").render_prompt("Hi") == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nHi\n\n### Response:\n"
    )


@pytest.mark.parametrize(
    "template", [t for t in load_templates().values() if not t.chat], ids=lambda t: t.name
)
def test_prompt_ends_in_a_line_break_so_that_no_token_spans_the_border(template):
    assert template.render_prompt("질문").endswith("\n")
    assert template.render_prompt("질문", "입력").endswith("\n")


@each_template
def test_prompt_holds_the_source_and_answer_the_target_once(template):
    assert template.prompt.count("{source}") == 1
    assert template.answer.count("{target}") == 1


@each_template
def test_source_with_braces_is_left_as_it_is(template):
    source = "{source} {target} {0} {{x}} \\n"
    assert source in template.render_prompt(source)


@each_template
def test_input_stands_once_in_the_prompt_after_the_source(template):
    prompt = template.render_prompt("{input} 질문 {source}", "{source} 입력 {input}")
    assert prompt.count("입력 {input}") == prompt.count("{input} 질문") == 1
    assert prompt.index("질문") < prompt.index("입력 {input}")


def test_alpaca_template_with_input_is_platypus_word_for_word():
    # https://github.com/arielnlee/Platypus, templates/alpaca.json, "prompt_input"
    assert load_template("alpaca").render_prompt("Hi", "you") == (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nHi\n\n### Input:\nyou\n\n### Response:\n"
    )


def test_row_without_an_answer_has_no_answer_line():
    assert KOT.render_answer("") == ""


@each_template
def test_rendered_answer_is_parsed_back_where_the_template_marks_one(template):
    output = f"3+4=7.\n{template.render_answer('7개')}"
    found = read_answer(output, template.answer_prefix).strict
    assert found == ("7개" if template.answer_prefix else None)


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("정답: 7개", "7개"),
        ("정답: 7개.", "7개"),
        ("정답:   7개  ", "7개"),
        ("정답: 3.5", "3.5"),
        ("정답: 일곱 개", "일곱 개"),
        ("3+4=7.\n정답: 7개\n", "7개"),
        ("정답: 7개\n정답: 8개", "7개"),  # the first counts
        ("정답: 7개\r\n질문: 다음", "7개"),
        ("정답: 7개\n\n질문: 1+1은?\n답변:\n정답: 2개", "7개"),
        ("", None),
        ("\n\n", None),
        ("7개", None),
        ("답은 7개이다.", None),
        ("정답은 7개", None),
        ("따라서 정답: 7개", None),  # no line of its own
        ("정답: ", None),
        ("정답: .", None),
        ("정답: \n정답: 7개", None),  # an empty answer is an answer line
    ],
)
def test_answer_is_parsed_from_its_line_and_never_guessed(output, answer):
    assert read_answer(output, KOT.answer_prefix).strict == answer


def test_unknown_template_is_wrong_usage_naming_those_that_exist():
    with pytest.raises(UsageError, match=r"no template 'kott'.*kot, think, alpaca-ko"):
        load_template("kott")


def test_template_with_an_unknown_field_is_refused():
    with pytest.raises(ValidationError):
        Template(name="a", description="", prompt="{source}\n", answer="{target}", anwser="x")


# --- conversations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closing", "ends"),
    [("<|im_end|>\n", ["<|im_end|>", "</s>"]), (" </s>", ["</s>"]), ("\n", ["</s>"])],
)
def test_answer_in_a_chat_stops_at_the_end_of_its_turn_and_at_eos(shared, closing, ends):
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    tokenizer.add_tokens(["<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message.content }}" + closing + "{% endfor %}"
    )
    assert find_stop_tokens(tokenizer) == tokenizer.convert_tokens_to_ids(ends)


# --- templates of one's own --------------------------------------------------------------------


def test_own_template_is_read_from_its_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        'prompt: "Q {source}\\n"\nrationale: "[{rationale}]"\nanswer: "A {target}"\n', "utf-8"
    )
    shot = load_template(str(path)).render_shot(Example(source="가", target="나", rationale="다"))
    assert shot == "Q 가\n[다]\nA 나"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('prompt: "{source}"', "answer Field required"),
        ('prompt: "?"\nanswer: "{target}"', "prompt with one {source}"),
        ('prompt: "{source}"\nanswer: "{target}"\nratoinale: ""', "ratoinale Extra inputs"),
        ("- 1", "it holds list"),
        ("prompt: [", "no YAML"),
    ],
)
def test_wrong_template_file_says_what_is_wrong(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=re.escape(said)):
        load_template(str(path))


def test_missing_template_file_and_a_switch_without_a_chat_are_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_template(str(tmp_path / "no.yaml"))
    with pytest.raises(UsageError, match="enable_thinking with the template 'kot'"):
        load_template("kot", True)
    assert load_template("chat", False).enable_thinking is False
