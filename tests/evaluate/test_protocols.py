from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.protocols import (
    build_questions,
    list_protocols,
    load_data,
    load_protocol,
)
from kot_platypus.evaluate.tasks import TASKS, TaskData, load_task


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
        (QUIZ, ROWS + '"열린\t따옴표\n', "line 4 has a quotation mark"),
        (QUIZ, ROWS.replace("파랑", "파랑\t감"), "line 2 has 5 cells"),
        (QUIZ, ROWS.replace("\t파랑", ""), "line 2 has 3 cells"),
        (QUIZ, ROWS.replace("하양", " "), "line 3 has no 'b'"),
        (QUIZ, ROWS.replace("\tb\t", "\ta\t"), "line 1 names two columns 'a'"),
        (QUIZ.replace('[" {a}", " {b}"]', '" {question}"'), ROWS, "is a list of choices"),
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


@pytest.mark.parametrize("base", ["", "[a]", "''"])
def test_a_base_is_a_name_or_a_path(quiz, base):
    with pytest.raises(RecipeError, match=r"base is .*expected the name of a shipped protocol"):
        load_protocol(quiz(f"base: {base}\nseed: 7\n"))


def test_a_misspelt_base_is_told(quiz):
    with pytest.raises(RecipeError, match=r"one of base, .*Did you mean 'base'"):
        load_protocol(quiz("bas: polyglot\nseed: 7\n"))


def test_shots_need_training_rows(quiz):
    with pytest.raises(DataError, match="0 training documents"):
        ask(quiz(QUIZ.replace("train: shots.tsv, ", "")), 1)


def test_a_shipped_name_is_not_for_files(tmp_path):
    path = tmp_path / "lm-eval.yaml"
    path.write_text("base: lm-eval\nseed: 7\n")
    with pytest.raises(RecipeError, match="name of a shipped protocol"):
        load_protocol(str(path))


# --- what would score wrong without a word -----------------------------------------------------

LEAKY = QUIZ.replace("shots.tsv", "quiz.tsv")
MORE = ROWS + "해의 색은?\t노랑\t파랑\t가\n밤의 색은?\t파랑\t검정\t나\n"


def find_leaks(questions):
    """The questions whose shots hold the question itself, answered, as plain text tells it."""
    leaks = []
    for question in questions:
        *shots, asked = question.requests[0].context.split("\n\n")
        leaks += [question.doc_id for shot in shots if shot.startswith(asked)]
    return leaks


def test_no_question_of_ones_own_is_shown_itself(quiz, capsys):
    questions = ask(quiz(LEAKY, MORE), 3)
    assert find_leaks(questions) == []
    assert {len(q.shot_starts) for q in questions} == {3}
    assert "4 of its 4 questions are among its training documents too" in capsys.readouterr().err
    with pytest.raises(DataError, match="3 training documents other than a question"):
        ask(quiz(LEAKY, MORE), 4)


def test_the_question_itself_is_known_by_its_content(quiz, tmp_path):
    """In a file of another name, order and kind, with other spaces and Korean in single letters."""
    path = quiz(QUIZ.replace("shots.tsv", "copy.jsonl"), MORE)
    names, *rows = [line.split("\t") for line in MORE.splitlines()]
    copies = [dict(zip(names, row, strict=True), id=i) for i, row in enumerate(reversed(rows))]
    copies[0]["question"] = unicodedata.normalize("NFD", copies[0]["question"]) + "  "
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in copies)
    (tmp_path / "copy.jsonl").write_text(lines, encoding="utf-8")
    normal = [
        q.model_copy(update={"requests": tuple(
            r.model_copy(update={"context": unicodedata.normalize("NFC", r.context)})
            for r in q.requests)})
        for q in ask(path, 3)
    ]  # fmt: skip
    assert find_leaks(normal) == []


def test_shots_left_out_are_other_data_and_others_the_same(quiz, tmp_path):
    protocol = load_protocol(quiz(LEAKY, MORE))
    data = load_data(protocol, "quiz")
    unaware = dataclasses.replace(data, repeated=frozenset())
    assert data.content_hash != unaware.content_hash, "no old score passes for a new one"
    assert find_leaks(build_questions(protocol, unaware, 3)) != []
    other = load_data(load_protocol(quiz(rows=ROWS.replace("색", "빛깔"))), "quiz")
    assert other.repeated == frozenset()


def test_kobest_draws_as_the_originals_did_also_where_a_shot_is_the_question():
    copa = load_task("copa", "mini")
    same = TaskData("copa", copa.test, copa.test)
    for name in list_protocols():
        questions = build_questions(load_protocol(name), same, 20)
        assert any(
            q.requests[q.gold].context.split("\n\n")[-1] in q.requests[0].context[:-40]
            for q in questions
        )


@pytest.mark.parametrize("shown", [json.dumps("나"), "NaN", "null", '""', '" "', "[]"])
def test_what_is_missing_in_json_is_no_choice(quiz, shown):
    text = QUIZ.replace("quiz.tsv", "quiz.jsonl")
    rows = f'{{"question": "하나?", "a": "가", "b": {shown}, "answer": "가"}}\n'
    if shown == json.dumps("나"):
        assert ask(quiz(text, rows, "quiz.jsonl"))[0].requests[1].continuation == " 나"
        return
    with pytest.raises(DataError, match=r"quiz.jsonl line 1 has (no|a list in) 'b'"):
        ask(quiz(text, rows, "quiz.jsonl"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"text": "x"}, "line 1 has an object in 'b'"),
        (["y", "z"], "line 1 has a list in 'b'"),
    ],
)
def test_what_is_no_text_is_no_choice(quiz, cell, message):
    text = QUIZ.replace("quiz.tsv", "quiz.jsonl")
    row = {"question": "하나?", "a": "가", "b": cell, "answer": "가"}
    with pytest.raises(DataError, match=message):
        ask(quiz(text, json.dumps(row), "quiz.jsonl"))
    text = text.replace('[" {a}", " {b}"]', '" {b}"')
    with pytest.raises(DataError, match=r"line 1 has (an object|a list) in 'b'"):
        ask(quiz(text, json.dumps({**row, "b": [cell, {"text": "x"}]}), "quiz.jsonl"))


def test_numbers_and_truth_stand_as_json_writes_them(quiz):
    text = QUIZ.replace("quiz.tsv", "quiz.jsonl").replace("[가, 나]", "['false', 'true']")
    text = text.replace("train: shots.tsv, ", "")
    row = {"question": "2+2=4?", "a": False, "b": 4, "answer": True}
    (question,) = ask(quiz(text, json.dumps(row), "quiz.jsonl"))
    assert [r.continuation for r in question.requests] == [" false", " 4"]
    assert question.gold == 1


def test_a_name_twice_in_an_object_is_refused(quiz):
    text = QUIZ.replace("quiz.tsv", "quiz.jsonl")
    row = '{"question": "하나?", "a": "가", "b": "나", "b": "다", "answer": "가"}'
    with pytest.raises(DataError, match="line 1 is not a JSON object with each name once"):
        ask(quiz(text, row, "quiz.jsonl"))


def test_labels_that_count_from_one_are_not_taken_for_others(quiz):
    text = QUIZ.replace(", labels: [가, 나]", "")
    counted = ROWS.replace("\t가", "\t1").replace("\t나", "\t1")
    with pytest.raises(DataError, match=r"no label of quiz is 0.*labels: \[1\]"):
        ask(quiz(text.replace("train: shots.tsv, ", ""), counted))
    said = text.replace("train: shots.tsv, label: answer", "label: answer, labels: [1, 2]")
    assert {q.gold for q in ask(quiz(said, counted))} == {0}
    said = text.replace("train: shots.tsv, label: answer", "label: answer, labels: [0, 1]")
    assert {q.gold for q in ask(quiz(said, counted))} == {1}


def test_labels_and_names_match_in_single_letters_too(quiz, capsys):
    decomposed = unicodedata.normalize("NFD", ROWS.replace("question", "물음"))
    own = QUIZ.replace("{question}", "{물음}").replace("train: shots.tsv, ", "")
    questions = ask(quiz(own, decomposed))
    assert sorted(question.gold for question in questions) == [0, 1]
    assert "2 of 2 documents hold Korean in single letters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('question\ta\tb\tanswer\n하나\t1\t2\t가\n"둘\t1\t2\t가\n셋\t1\t2\t나\n', 3),
        ('answer\ta\tb\tquestion\n가\t1\t2\t하나\n가\t1\t2\t"둘\n나\t1\t2\t셋\n', 3),
        ('question\ta\tb\tanswer\n"하나"는?\t1\t2\t가\n', 2),
        ('question\ta\tb\tanswer\n"한\n줄"\t1\t"2\t가\n둘\t1\t2\t나\n', 3),
        ('question\ta\tb\tanswer\n"하나\t1\t2\t가\n둘"\t1\t2\t나\n', 2),
    ],
)
def test_a_quote_that_does_not_close_is_named_where_it_opens(quiz, rows, line):
    with pytest.raises(DataError, match=rf"quiz.tsv line {line} has a quotation mark"):
        ask(quiz(rows=rows))


def test_a_table_whose_lines_end_in_cr_alone(quiz):
    path = quiz()
    (Path(path).parent / "quiz.tsv").write_bytes(ROWS.replace("\n", "\r").encode())
    assert sorted(question.gold for question in ask(path)) == [0, 1]


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: polyglot\nseed: 7\nseed: 8\n")
    with pytest.raises(RecipeError, match="line 3: 'seed' stands there twice"):
        load_protocol(str(path))
