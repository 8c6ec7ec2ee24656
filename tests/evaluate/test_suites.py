"""Korean suites: their authors' prompts, as lm-eval has them, and rows in their formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kot_platypus.answers import AnswerPattern, read_answer
from kot_platypus.cli import app
from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.prompting import Question, build_prompt, hash_questions
from kot_platypus.evaluate.replies import is_right, means_right, read_reply
from kot_platypus.evaluate.suites import (
    Suite,
    list_suites,
    load_suite,
    load_suite_questions,
    read_suite,
)
from kot_platypus.evaluate.texts import Generated
from kot_platypus.formats import write_values
from kot_platypus.prompts import load_template

ROOT = Path(__file__).parents[2]
CHAT, KOT = load_template("chat"), load_template("kot")


def pose(tmp_path: Path, suite: str, rows: list[dict[str, Any]], task: str = "") -> list[Question]:
    write_values(tmp_path / "rows.jsonl", rows)
    return load_suite_questions(load_suite(suite), tmp_path / "rows.jsonl", (task,) if task else ())


# --- the authors' own programs -----------------------------------------------------------------

CLICK = {"id": "KIIP_economy_1", "paragraph": "", "question": "맞는 것은?", "answer": "나"}
CLICK |= {"choices": ["가", "나", "다", "라"]}


@pytest.mark.parametrize("task", ["GSM8K", "MATH", "OMNI_MATH", "KSM", "MMMLU"])
def test_hrm8k_is_asked_as_its_authors_ask(task, tmp_path):
    theirs = pytest.importorskip("lm_eval.tasks.hrm8k.default.utils")
    row = {"question": "  사과 {3}개와 4개는 모두 몇 개?\n", "answer": 3.0}
    (question,) = pose(tmp_path, "hrm8k", [row], task)
    ask = theirs.doc_to_text_mmmlu if task == "MMMLU" else theirs.doc_to_text
    assert question.source == ask(row)
    assert question.target == theirs.doc_to_target(row) == "3"


@pytest.mark.parametrize("paragraph", ["", "어느 날의 글"])
def test_click_is_asked_as_its_authors_ask(paragraph, tmp_path):
    theirs = pytest.importorskip("lm_eval.tasks.click.click_cul.utils")
    row = {**CLICK, "paragraph": paragraph}
    (question,) = pose(tmp_path, "click", [row])
    assert question.source == theirs.get_context(row)
    assert question.marks[question.gold] == theirs.get_target(row) == "B"


def test_clicks_fifth_choice_is_shown(tmp_path):
    row = {**CLICK, "choices": [*CLICK["choices"], "마"], "answer": "마"}
    (question,) = pose(tmp_path, "click", [row])
    assert "A, B, C, D, E 중에" in question.source
    assert question.source.endswith("D: 라, E: 마\n정답:")
    assert question.gold == 4


def test_haerae_is_asked_with_its_own_query(tmp_path):
    query = "맞는 것은?\n### 선택지:\n(A) 가\n(B) 나\n(C) 다\n(D) 라\n(E) 마\n### 정답:"
    (question,) = pose(tmp_path, "haerae", [{"query": query, "answer": "(E)"}], "history")
    assert question.source.endswith(f"\n\n{query}")  # before it our request for a rationale
    assert (question.choices, question.gold) == (("가", "나", "다", "라", "마"), 4)


@pytest.mark.parametrize(
    "reply",
    [
        "3+4=7 $\\boxed{7}$", "$\\boxed{3}$ 아니, $\\boxed{7}$", "$\\boxed{8}$",
        "$\\boxed{\\frac{14}{2}}$", "\\fbox{7}", "\\boxed{7} 또는 \\boxed{}", "\\boxed{7}개",
        "\\boxed{7} \\boxed{2",
    ],
)  # fmt: skip
def test_hrm8ks_boxes_are_read_as_its_authors_read_them(reply):
    theirs = pytest.importorskip("lm_eval.tasks.hrm8k.default.utils")
    reader = load_suite("hrm8k").reader
    assert reader is not None
    mine = reader.find(reply)
    assert (mine == "7") == theirs.is_equiv(reply, "7")


def test_no_number_is_guessed_where_no_box_is():
    reader = load_suite("hrm8k").reader
    assert reader is not None
    assert reader.find("답은 7") is None


def read_kobalt(text: str) -> str | None:
    """The authors' extraction, written anew from their description of it."""
    letters: list[str] = []
    for said in re.findall(r"정답은\s*(.*?)\s*입니다", text):
        letters += [letter for letter in said if letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    return ", ".join(dict.fromkeys(letters)) or None


@pytest.mark.parametrize(
    "reply",
    [
        "정답은 H입니다.", "정답은 [H]입니다. 정답은 H입니다", "정답은 A와 B입니다.", "정답은 H",
        "정답은 A입니다. 다시 보니 정답은 H입니다.", "정답은 없습니다.\n정답은 B 입니다", "H",
    ],
)  # fmt: skip
def test_kobalts_letters_are_read_as_its_authors_read_them(reply):
    reader = load_suite("kobalt").reader
    assert reader is not None
    assert (reader.find(reply) or None) == read_kobalt(reply)


def test_an_authors_pattern_reads_after_the_thoughts_only():
    reading = read_answer(
        "<think>정답은 A입니다.</think>정답은 B입니다.", "정답: ", pattern=PATTERN
    )
    assert reading.strict == "B"
    assert read_answer("<think>정답은 A입니다.", "정답: ", pattern=PATTERN).strict is None


PATTERN = AnswerPattern(r"정답은 (\w)입니다")


# --- what is asked -----------------------------------------------------------------------------

LISTED = [f"{a}: {b}" for a, b in zip("ABCDEFGHIJ", "가나다라마바사아자차", strict=True)]
KOBALT = {"Class": "Semantics", "Answer": "H"}
KOBALT |= {"Question": "\n".join(["지문:", "A: 안녕?", "B: 응.", "", *LISTED, ""])}


def test_a_dialogue_in_the_question_is_no_choice(tmp_path):
    (question,) = pose(tmp_path, "kobalt", [KOBALT])
    assert question.choices == tuple("가나다라마바사아자차")
    assert (question.target, question.task) == ("아", "kobalt/Semantics")


def test_choices_that_are_not_found_go_by_their_label(tmp_path, capsys):
    rows = [KOBALT, {**KOBALT, "Question": "보기 없음"}]
    _, second = pose(tmp_path, "kobalt", rows)
    assert second.choices == tuple("ABCDEFGHIJ")
    assert (second.gold, second.target) == (7, "H")
    assert "the choices of 1 of 2 questions are not found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gold", "box", "strict", "meant"),
    [
        ("f(x) = x", "f(x) = x", True, True),
        ("x=1, y=2", "x=1, y=2", True, True),
        ("2", "x=1, y=2", False, False),
        ("7", "x=7", False, True),
        ("8", "8 \\text{ 개}", False, True),
        ("\\frac{\\sqrt{\\frac{3}{2}}}{4}", "\\frac{\\sqrt{\\frac{3}{2}}}{4}", True, True),
        ("9007199254740993", "9007199254740992", False, False),
    ],
)  # fmt: skip
def test_a_box_is_read_whole(gold, box, strict, meant, tmp_path):
    (question,) = pose(tmp_path, "hrm8k", [{"question": "?", "answer": gold}], "KSM")
    text = Generated(text=f"처음엔 $\\boxed{{3}}$, 답은 $\\boxed{{{box}}}$", num_tokens=1)
    reply = read_reply(question, 0, text, CHAT, load_suite("hrm8k").reader)
    assert (is_right(question, reply), means_right(question, reply)) == (strict, meant)


def test_a_label_that_was_asked_for_comes_before_a_text_that_looks_like_one(tmp_path):
    row = {"question": "혈액형은?", "A": "B", "B": "A", "C": "O", "D": "AB", "answer": 1}
    (question,) = pose(tmp_path, "kmmlu", [row], "Biology")
    for said, right in (("A", True), ("B", False)):
        text = Generated(text=f"풀이\n정답: {said}", num_tokens=1)
        reply = read_reply(question, 0, text, CHAT, load_suite("kmmlu").reader)
        assert (is_right(question, reply), means_right(question, reply)) == (right, right)


def test_capital_letters_of_a_choices_text_are_no_labels(tmp_path):
    listed = [f"{a}: {'DNA 검사' if a == 'H' else a * 3}" for a in "ABCDEFGHIJ"]
    (question,) = pose(tmp_path, "kobalt", [{**KOBALT, "Question": "\n".join(listed)}])
    text = Generated(text="따라서 정답은 H: DNA 검사입니다.", num_tokens=1)
    reply = read_reply(question, 0, text, CHAT, load_suite("kobalt").reader)
    assert (is_right(question, reply), means_right(question, reply)) == (False, True)


def test_what_fills_up_a_list_of_choices_is_no_choice(tmp_path):
    row = {"question": "?", "options": ["가", "나", "다", "라", None], "solution": "2"}
    (question,) = pose(tmp_path, "kmmlu-pro", [row])
    assert question.choices == ("가", "나", "다", "라")
    assert "ABCD 중" in question.source


def test_a_task_named_twice_is_asked_once(tmp_path):
    write_values(tmp_path / "rows.jsonl", [{"question": "?", "answer": 1}])
    found = load_suite_questions(load_suite("hrm8k"), tmp_path / "rows.jsonl", ("KSM", "KSM"))
    assert len(found) == 1


def test_a_chat_is_told_what_the_authors_tell_it_and_no_more(tmp_path):
    (question,) = pose(tmp_path, "kobalt", [KOBALT])
    system, asked = build_prompt(question, CHAT).messages
    assert (system.role, system.content) == ("system", "당신은 문제를 해결하는 전문가입니다.")
    assert asked.content == question.source
    at_once = build_prompt(question, CHAT, way="instructed").messages[-1].content
    assert at_once.startswith(question.source)
    assert at_once != question.source
    assert build_prompt(question, KOT).text.startswith(f"{system.content}\n\n질문: ")


def test_another_system_message_is_another_question(tmp_path):
    (question,) = pose(tmp_path, "kobalt", [KOBALT])
    plain = Question(**{**vars(question), "system": ""})
    assert hash_questions([question]) != hash_questions([plain])


@pytest.mark.parametrize(
    ("suite", "row", "said"),
    [
        ("kmmlu", {"question": "?", "A": 1, "B": 2, "C": 3, "answer": 1}, "line 1 has no 'D'"),
        ("kmmlu", {**dict.fromkeys("ABCD", "가"), "answer": 1}, "fits no prompt of kmmlu"),
        ("kmmlu", {**dict.fromkeys("ABCD", "가"), "question": "?", "answer": 5}, "answer is '5'"),
        ("click", {**CLICK, "answer": "하"}, "the answer is '하'; expected one of 가, 나, 다, 라"),
        ("click", {**CLICK, "choices": "가"}, "choices is '가'; expected a list"),
        ("click", {**CLICK, "choices": ["가", None, "다", "라"]}, "a choice is None"),
        ("click", {**CLICK, "choices": [["가"], "나", "다", "라"]}, "a choice is ['가']"),
        ("kobalt", {**KOBALT, "question": "?"}, "has 'Question' under two names"),
        ("click", {**CLICK, "choices": list("가나다라마바")}, "6 choices; expected at most 5"),
        ("click", {**CLICK, "choices": ["가", "나", "다"]}, "fits no prompt of click"),
        ("hrm8k", {"question": "?", "answer": ""}, "no 'answer' among question, answer"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_question_is_named(suite, row, said, tmp_path):
    task = {"kmmlu": "Accounting", "hrm8k": "GSM8K"}.get(suite, "")
    with pytest.raises(DataError) as caught:
        pose(tmp_path, suite, [row], task)
    assert said in str(caught.value)
    assert "rows.jsonl line 1" in str(caught.value)


def test_what_cannot_be_asked_for_is_refused(tmp_path):
    hrm8k = load_suite("hrm8k")
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(UsageError, match="hrm8k has no task 'GSM'"):
        load_suite_questions(hrm8k, None, ("GSM",))
    with pytest.raises(UsageError, match="for 5 tasks"):
        load_suite_questions(hrm8k, tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="hrm8k/KSM holds no rows"):
        load_suite_questions(hrm8k, tmp_path / "rows.jsonl", ("KSM",))
    with pytest.raises(DataError, match="nowhere does not exist"):
        load_suite_questions(hrm8k, tmp_path / "nowhere")


def test_a_local_copy_is_read_as_the_hub_is(tmp_path):
    """A folder with the authors' layout: configurations in the README, Parquet or JSON below."""
    copy = tmp_path / "HRM8K"
    head = {
        "configs": [
            {"config_name": name, "data_files": [{"split": "test", "path": f"{name}.jsonl"}]}
            for name in ("GSM8K", "KSM")
        ]
    }
    copy.mkdir()
    (copy / "README.md").write_text(f"---\n{yaml.safe_dump(head)}---\n")
    for name, answer in (("GSM8K", 1), ("KSM", 2)):
        write_values(copy / f"{name}.jsonl", [{"question": f"{name}?", "answer": answer}] * 3)
    found = load_suite_questions(load_suite("hrm8k"), copy, ("KSM", "GSM8K"), limit=2)
    assert [(q.task, q.doc_id, q.target) for q in found] == [
        ("hrm8k/KSM", 0, "2"), ("hrm8k/KSM", 1, "2"),
        ("hrm8k/GSM8K", 0, "1"), ("hrm8k/GSM8K", 1, "1"),
    ]  # fmt: skip


# --- rows by another hand ----------------------------------------------------------------------

ROWS = Path(__file__).parent / "suite_rows"
EXPECTED = json.loads((ROWS / "expected.json").read_text(encoding="utf-8"))
TASKS = {"kmmlu_redux": "kmmlu-redux", "kmmlu_pro": "kmmlu-pro", "kobalt_github": "kobalt"}


@pytest.mark.parametrize("file", EXPECTED)
def test_rows_in_the_published_formats_are_asked_and_read(file):
    stem = file.removesuffix(".jsonl")
    name, _, task = (TASKS[stem], "", "") if stem in TASKS else stem.partition("_")
    suite = load_suite(name)
    found = load_suite_questions(suite, ROWS / file, (task,) if task else ())
    template = CHAT
    for question, row in zip(found, EXPECTED[file], strict=True):
        asked = f"{file} {question.doc_id}"
        if question.choices:
            assert "ABCDEFGHIJ"[question.gold] == row["gold_label"], asked
            assert list(question.choices) in (row["choices"], list(question.marks)), asked
        else:
            assert question.target == row["answer"], asked
        for text in (*row["good"], *row["bad"]):
            given = Generated(text=text, num_tokens=1)
            reply = read_reply(question, 0, given, template, suite.reader)
            is_good = text in row["good"]
            assert means_right(question, reply) is is_good, (asked, text, reply.stated)
            assert is_good or not is_right(question, reply), (asked, text, reply.answer)
            if name in ("kmmlu", "kmmlu-redux", "kmmlu-pro", "kobalt") and is_good:
                assert is_right(question, reply), (asked, text, reply.answer)


# --- the files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_suites())
def test_a_suite_says_where_it_comes_from(name):
    suite = load_suite(name)
    assert suite.name == name
    assert any("Prompt" in source for source in suite.sources)
    assert any("Sampling" in source or "sampling" in source for source in suite.sources)
    assert f"`{name}`" in (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_a_fingerprint_is_of_what_decides_a_score():
    suite = load_suite("hrm8k")
    same = suite.model_copy(update={"description": "else", "sources": ()})
    drawn = suite.model_copy(update={"max_new_tokens": 9})
    assert Suite.model_validate(same.model_dump()).fingerprint == suite.fingerprint
    assert Suite.model_validate(drawn.model_dump()).fingerprint != suite.fingerprint


def test_a_suite_of_ones_own_starts_from_a_shipped_one(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(read_suite("click").replace("name: click", "name: mine"), encoding="utf-8")
    assert load_suite(str(mine)).fingerprint == load_suite("click").fingerprint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("labels: [A, B, C, D, E]\n", "", "labels where the answer is a choice"),
        ("labels: [A, B, C, D, E]", "labels: [A, A, C, D, E]", "labels that differ"),
        ("prompts:", "prompt:", "not prompt: is it prompts?"),
        ("tasks: {train: {}}", "tasks: {}", "at least 1 item"),
        ("([A-E])", "[A-E]", "pattern: a regular expression with 1 groups, not 0"),
        ("([A-E])", "([A-E]", "pattern: a regular expression"),
        ("name: click", "name: a/b", "name"),
    ],
)
def test_a_suite_that_could_not_be_asked_or_read_is_refused(old, new, said, tmp_path):
    text = read_suite("click")
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_suite(str(tmp_path / "mine.yaml"))
    assert said in str(caught.value)


# --- the command -------------------------------------------------------------------------------


def test_the_command_takes_the_authors_sampling_and_says_the_suite(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    write_values(tmp_path / "ksm.jsonl", [{"question": "3+4는?", "answer": 7.0}])
    command = ["reason", "--model", str(shared / "models" / "tiny-llama-ko"), "--dtype", "float32"]
    command += ["--device", "cpu", "--suite", "hrm8k", "--tasks", "KSM", "--max-new-tokens", "8"]
    command += ["--data", str(tmp_path / "ksm.jsonl"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (facts["suite"], facts["fingerprint"]) == ("hrm8k", load_suite("hrm8k").fingerprint)
    assert (facts["temperature"], facts["top_p"], facts["max_new_tokens"]) == (0.7, 0.95, 8)
    assert list(facts["results"]) == ["hrm8k/KSM"]
    assert "what the authors' pattern finds" in " ".join(done.output.split())


@pytest.mark.parametrize(
    "options",
    [["--suite", "click", "--problems", "x.jsonl"], ["--data", "x.jsonl"],
     ["--suite", "click", "--kobest-dir", "mini"], ["--suite", "click", "--protocol", "lm-eval"],
     ["--suite", "click", "--shots", "x.jsonl"]],
)  # fmt: skip
def test_options_of_which_one_would_be_ignored_are_refused(options, tmp_path):
    done = CliRunner().invoke(app, ["reason", *options, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "Leave one out" in done.stderr
