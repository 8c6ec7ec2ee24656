from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files

import pytest
import yaml

from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.protocols import (
    build_questions,
    list_protocols,
    load_data,
    load_protocol,
)
from kot_platypus.evaluate.tasks import TASKS, load_task


def test_every_request_is_what_the_original_programs_made(shared, load_real):
    goldens = json.loads((shared / "goldens" / "requests.json").read_text(encoding="utf-8"))
    for golden in goldens:
        questions = build_questions(
            load_protocol(golden["protocol"]), load_real(golden["task"]), golden["num_fewshot"]
        )
        requests = [request for question in questions for request in question.requests]
        digest = hashlib.sha256()
        for request in requests:
            pair = [request.context, request.continuation]
            digest.update((json.dumps(pair, ensure_ascii=False) + "\n").encode())
        assert len(requests) == golden["requests"]
        assert digest.hexdigest() == golden["sha256"], golden


@pytest.mark.parametrize("protocol", list_protocols())
@pytest.mark.parametrize("task", TASKS)
def test_a_limit_keeps_the_first_questions(protocol, task):
    data = load_task(task, "mini")
    whole = build_questions(load_protocol(protocol), data, 3)
    assert build_questions(load_protocol(protocol), data, 3, limit=7) == whole[:7]


def test_the_prompts_differ_where_the_protocols_do():
    data = load_task("copa", "mini")
    polyglot, harness, lm_eval = (
        build_questions(load_protocol(name), data, 1)[0]
        for name in ("polyglot", "ko-harness", "lm-eval")
    )
    assert polyglot.requests[0].context == harness.requests[0].context  # shots have their space
    assert polyglot.requests[0].continuation == " " + harness.requests[0].continuation
    assert polyglot.choice_chars == harness.choice_chars
    assert "  왜냐하면" in lm_eval.requests[0].context or "  그래서" in lm_eval.requests[0].context


def test_lm_eval_shots_keep_both_spaces():
    data = load_task("boolq", "mini")
    context = build_questions(load_protocol("lm-eval"), data, 1)[0].requests[0].context
    assert "답변:  아니오\n\n" in context or "답변:  예\n\n" in context


def test_a_protocol_is_its_yaml(tmp_path):
    source = files("kot_platypus.prompts") / "protocols" / "polyglot.yaml"
    values = yaml.safe_load(source.read_text(encoding="utf-8"))
    values["description"] = "ours"
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    ours, shipped = load_protocol(str(path)), load_protocol("polyglot")
    assert ours.fingerprint_task("wic") == shipped.fingerprint_task("wic")
    values["tasks"]["wic"]["choices"] = [" X", " O"]
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    protocol = load_protocol(str(other))
    assert protocol.fingerprint_task("wic") != shipped.fingerprint_task("wic")
    assert protocol.fingerprint_task("copa") == shipped.fingerprint_task("copa")
    question = build_questions(protocol, load_task("wic", "mini"), 0)[0]
    assert [request.continuation for request in question.requests] == [" X", " O"]


@pytest.mark.parametrize(
    "change", [{"seeds": 1}, {"tokenisation": "both"}, {"tasks": {"copa": {"context": "{text}"}}}]
)
def test_a_protocol_that_cannot_be_read_is_refused(tmp_path, change):
    source = files("kot_platypus.prompts") / "protocols" / "polyglot.yaml"
    values = {**yaml.safe_load(source.read_text(encoding="utf-8")), **change}
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_protocol(str(path))
    assert "\n" not in str(caught.value)


def test_tasks_are_found_by_either_name():
    protocol = load_protocol("polyglot")
    assert protocol.find_task("kobest_COPA") == "copa"
    with pytest.raises(DataError, match="Did you mean hellaswag"):
        protocol.find_task("helaswag")


def test_what_does_not_exist_is_named():
    with pytest.raises(UsageError, match="Did you mean polyglot"):
        load_protocol("polyglott")
    with pytest.raises(DataError, match="20 training documents"):
        build_questions(load_protocol("polyglot"), load_task("copa", "mini"), 21)


def test_protocol_file_in_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("tasks:\n  copa: 질문\n".encode("cp949"))
    with pytest.raises(RecipeError, match="line 2 is not UTF-8"):
        load_protocol(str(path))


# --- tasks of one's own ------------------------------------------------------------------------

QUIZ = """
base: polyglot
tasks:
  quiz:
    data: {test: quiz.tsv, train: shots.tsv, label: answer, labels: [가, 나]}
    context: "문제: {question}\\n정답:"
    choices: [" {a}", " {b}"]
"""
ROWS = "question\ta\tb\tanswer\n바다의 색은?\t파랑\t빨강\t가\n눈의 색은?\t검정\t하양\t나\n"


@pytest.fixture
def quiz(tmp_path):
    """``quiz(yaml, rows)`` -> the path of a protocol with its data beside it."""

    def write(text=QUIZ, rows=ROWS, name="quiz.tsv"):
        (tmp_path / "quiz.yaml").write_text(text, encoding="utf-8")
        (tmp_path / name).write_text(rows, encoding="utf-8")
        (tmp_path / "shots.tsv").write_text(ROWS, encoding="utf-8")
        load_protocol.cache_clear()
        return str(tmp_path / "quiz.yaml")

    return write


def ask(path, num_fewshot=0):
    protocol = load_protocol(path)
    (task,) = protocol.tasks
    return build_questions(protocol, load_data(protocol, task), num_fewshot)


def test_a_task_of_ones_own_is_ten_lines_of_yaml(quiz):
    questions = ask(quiz(), 1)
    assert sorted((q.gold, q.requests[0].continuation) for q in questions) == [
        (0, " 파랑"),
        (1, " 검정"),
    ]
    context = next(q for q in questions if q.gold).requests[0].context
    shots = ("문제: 바다의 색은?\n정답: 파랑", "문제: 눈의 색은?\n정답: 하양")
    assert context in [f"{shot}\n\n문제: 눈의 색은?\n정답:" for shot in shots]
    assert questions[0].choice_chars == (2, 2)
    base = load_protocol("polyglot")
    own = load_protocol(quiz())
    assert (own.seed, own.tokenisation, own.name) == (base.seed, base.tokenisation, "quiz")


def test_choices_may_be_one_column_of_any_length(quiz):
    text = QUIZ.replace("quiz.tsv", "quiz.jsonl").replace('[" {a}", " {b}"]', '" {options}"')
    text = text.replace(", labels: [가, 나]", "").replace("train: shots.tsv, ", "")
    rows = [
        {"question": "하나?", "options": ["1", 2, "3"], "answer": 2},
        {"question": "둘?", "options": ["4", "5"], "answer": "0", "source": "unused"},
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    questions = ask(quiz(text, lines, "quiz.jsonl"))
    found = {q.gold: [request.continuation for request in q.requests] for q in questions}
    assert found == {2: [" 1", " 2", " 3"], 0: [" 4", " 5"]}
    assert {q.choice_chars for q in questions} == {(1, 1, 1), (1, 1)}


def test_where_the_data_lies_is_not_part_of_the_fingerprint(quiz):
    before = load_protocol(quiz()).fingerprint_task("quiz")
    moved = quiz(QUIZ.replace("train: shots.tsv, ", ""))
    assert load_protocol(moved).fingerprint_task("quiz") == before
    changed = quiz(QUIZ.replace("정답:", "답:"))
    assert load_protocol(changed).fingerprint_task("quiz") != before


def test_a_base_lends_what_a_file_does_not_say(quiz):
    protocol = load_protocol(quiz("base: polyglot\nseed: 7\n"))
    base = load_protocol("polyglot")
    assert protocol.seed == 7
    assert protocol.tasks == base.tasks
    assert protocol.fingerprint_task("copa") != base.fingerprint_task("copa")


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        (QUIZ.replace("quiz.tsv", "none.tsv"), ROWS, "none.tsv does not exist"),
        (QUIZ, ROWS.replace("\t나", "\t다"), "line 3 has the label '다'"),
        (QUIZ, ROWS.replace("하양", ""), "line 3 has no 'b'"),
        (QUIZ.replace("{a}", "{aa}"), ROWS, "line 2 has no 'aa'"),
        (QUIZ.replace('[" {a}", " {b}"]', '[" {a}"]'), ROWS, "label 1 and 1 choices"),
        (QUIZ.replace("{a}", "{a.b}"), ROWS, "no plain column name"),
        (QUIZ.replace("data:", "files:"), ROWS, "tasks.quiz.files"),
        (QUIZ.replace("{a}", "{1}"), ROWS, "no plain column name"),
        (QUIZ.replace('[" {a}", " {b}"]', '" {a}"'), ROWS, "a is '파랑' in a document"),
        (QUIZ.replace('[" {a}", " {b}"]', '" {a} {b}"'), ROWS, "names the one column"),
        (QUIZ.replace("[가, 나]", "[yes, no]"), ROWS, "quote yes, no"),
        (QUIZ.replace("[가, 나]", '"가나"'), ROWS, "labels"),
        (QUIZ, "question\ta\tb\tanswer\n", "holds no rows"),
        (QUIZ, ROWS + '"열린\t따옴표\n', "cells"),
        (QUIZ + "    shot_choices: [' {a}']\n", ROWS, "as many as choices"),
    ],
)
def test_what_is_wrong_with_a_task_is_one_line(quiz, text, rows, message):
    with pytest.raises((DataError, RecipeError), match=re.escape(message)) as caught:
        ask(quiz(text, rows))
    assert "\n" not in str(caught.value)


def test_words_stand_in_choices_too(quiz):
    text = QUIZ.replace('" {b}"', '" {word}"') + "    words: {word: {b: {빨강: 붉음, 하양: 흼}}}\n"
    assert sorted(q.requests[1].continuation for q in ask(quiz(text))) == [" 붉음", " 흼"]


def test_a_base_lies_beside_its_file_and_has_none_itself(quiz, tmp_path, monkeypatch):
    quiz()
    (tmp_path / "own.yaml").write_text("base: quiz.yaml\nseed: 7\n")
    with pytest.raises(RecipeError, match="has a base itself"):
        load_protocol(str(tmp_path / "own.yaml"))
    shipped = files("kot_platypus.prompts") / "protocols" / "polyglot.yaml"
    (tmp_path / "copied.yaml").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "own.yaml").write_text("base: copied.yaml\nseed: 7\nname: polyglot\n")
    load_protocol.cache_clear()
    protocol = load_protocol(str(tmp_path / "own.yaml"))
    assert (protocol.seed, protocol.name) == (7, "own"), "a file cannot take a shipped name"


def test_shots_need_training_rows(quiz):
    with pytest.raises(DataError, match="0 training documents"):
        ask(quiz(QUIZ.replace("train: shots.tsv, ", "")), 1)


def test_a_shipped_name_is_not_for_files(tmp_path):
    path = tmp_path / "lm-eval.yaml"
    path.write_text("base: lm-eval\nseed: 7\n")
    with pytest.raises(RecipeError, match="name of a shipped protocol"):
        load_protocol(str(path))
