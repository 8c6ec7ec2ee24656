"""A teacher's rationales: what is kept, what is dropped, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kot_platypus.artifacts import read_jsonl, read_manifest
from kot_platypus.errors import RunError
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.reasoning import Reasoning
from kot_platypus.evaluate.texts import Generated, Prompt, Sampling, Settings
from kot_platypus.formats import read_rows
from kot_platypus.prompts import load_template
from kot_platypus.rationale_card import describe_result
from kot_platypus.rationales import (
    Dropped,
    Selection,
    Taught,
    find_rationale,
    write_rationales,
)
from kot_platypus.records import Example

KOT = load_template("kot")
QUESTIONS = [
    Question("sum", 0, "사과 3개와 배 4개는 모두 몇 개인가?", "7개"),
    Question("sum", 1, "귤 2개와 감 3개는 모두 몇 개인가?", "5개"),
]
DUNNO = "사과를 먼저 세어 보자. 그리고 배를 세어 보자."
LONG = "사과가 3개이고 배가 4개이다. 둘을 더하면 3 + 4 = 7이므로 모두 7개이다."
SHORT = "3개에 4개를 더하면 7개이다."


class Teacher(ModelUnderTest):
    """Says what it was given for a question and a draw, and counts what it was asked."""

    name = identity = key = "teacher"
    about = {"model": "teacher"}  # noqa: RUF012

    def __init__(self, said: dict[str, Sequence[str]]) -> None:
        self.said, self.asked = said, list[str]()

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt.text)
            key = next(word for word in self.said if word in prompt.text)
            text = self.said[key][prompt.sample]
            yield place, Generated(text=text, num_tokens=len(text), truncated=text.endswith("…"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))


def teach(
    out: Path, said: dict[str, Sequence[str]], samples: int, **selection: object
) -> tuple[list[Taught], list[Dropped], Teacher]:
    teacher = Teacher(said)
    how = Reasoning(KOT, 64, samples, Sampling(temperature=0.7))
    questions = [each for each in QUESTIONS if any(word in each.source for word in said)]
    write_rationales(out, teacher, questions, how, Selection(**selection))  # type: ignore[arg-type]
    rows = read_jsonl(out / "train.jsonl", Taught)
    return rows, read_jsonl(out / "dropped.jsonl", Dropped), teacher


def test_shortest_right_reply_is_kept_with_the_questions_pass_rate(tmp_path):
    replies = [f"{LONG}\n정답: 7개", f"{SHORT}\n정답: 7개", "12개이다.\n정답: 12개", DUNNO]
    rows, dropped, _ = teach(tmp_path / "out", {"사과": replies}, 4)
    assert rows == [
        Taught(
            source=QUESTIONS[0].source, target="7개", rationale=SHORT, task="sum", pass_rate=0.5,
            origin="teacher", doc_id=0,
        )
    ]  # fmt: skip
    assert [(each.sample, each.reason, each.answer) for each in dropped] == [
        (0, "not chosen", "7개"),
        (2, "wrong answer", "12개"),
        (3, "wrong answer", None),
    ]
    assert read_rows(tmp_path / "out" / "train.jsonl")[0].rationale == SHORT
    assert "1 rows" in (tmp_path / "out" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("7.\n정답: 7개", "too short"),
        ("Three apples and four pears are seven in all.\n정답: 7개", "not Korean enough"),
        ("사과가 3개이고 배가 4개이므로 모두 8개이다.\n정답: 7개", "check: answer_mismatch"),
        ("사과와 배를 세어 보면 " + "하나 더, " * 40 + "…", "cut off"),
        ("사과와 배를 더하면 3 + 4 = 7个이다. 모두 7개이다.\n정답: 7개", "check: mixed_language"),
    ],
)
def test_what_does_not_hold_is_dropped_with_its_reason(tmp_path, reply, reason):
    rows, dropped, _ = teach(tmp_path / "out", {"사과": [reply]}, 1)
    assert rows == []
    assert [each.reason for each in dropped] == [reason]


def test_right_in_another_form_is_right_and_thoughts_are_the_rationale(tmp_path):
    reply = f"<think>\n{LONG}\n</think>\n\n따라서 답은 **일곱 개**입니다."
    rows, _, _ = teach(tmp_path / "out", {"사과": [reply]}, 1)
    assert [row.rationale for row in rows] == [LONG]


def test_diverse_keeps_those_that_differ_most(tmp_path):
    other = "배 4개를 먼저 놓고 사과 3개를 하나씩 더 놓으며 세면 다섯, 여섯, 일곱이 되어 7개이다."
    replies = [SHORT, SHORT + " 그래서 7개이다.", other, SHORT]
    said = {"사과": [f"{each}\n정답: 7개" for each in replies]}
    rows, _, _ = teach(tmp_path / "out", said, 4, keep="diverse", max_per_question=2)
    assert [row.rationale for row in rows] == [SHORT, other]
    rows, _, _ = teach(tmp_path / "all", said, 4, keep="all", max_per_question=9)
    assert [row.rationale for row in rows] == replies[:3]  # the same again is no row


def test_questions_outside_the_pass_rates_are_left_out(tmp_path):
    said = {"사과": [f"{SHORT}\n정답: 7개"] * 2, "귤": ["귤은 5개이다.\n정답: 5개", DUNNO]}
    rows, dropped, _ = teach(tmp_path / "out", said, 2, max_pass_rate=0.9, min_chars=1)
    assert [row.target for row in rows] == ["5개"]
    assert [each.reason for each in dropped] == ["pass rate", "pass rate", "wrong answer"]


def test_unsolved_question_is_asked_again_with_its_answer_and_the_row_says_so(tmp_path):
    tells = "정답을 미리 알았으므로 더하면 7개이다.\n정답: 7개"
    said = {"사과": [DUNNO, DUNNO], "!": [tells, f"{SHORT}\n정답: 7개"]}

    class Hinted(Teacher):
        def generate(self, prompts, settings):
            for place, prompt in enumerate(prompts):
                known = "정답은 '7개'" in prompt.text
                text = self.said["!" if known else "사과"][prompt.sample]
                yield place, Generated(text=text, num_tokens=9)

    how = Reasoning(KOT, 64, 2, Sampling(temperature=0.7))
    out = tmp_path / "out"
    write_rationales(out, Hinted(said), QUESTIONS[:1], how, Selection(rationalize=True))
    (row,) = read_jsonl(out / "train.jsonl", Taught)
    assert row.source == QUESTIONS[0].source  # without the hint
    assert (row.rationale, row.pass_rate) == (SHORT, 0.0)
    assert row.origin == "teacher, given the answer"
    reasons = [each.reason for each in read_jsonl(out / "dropped.jsonl", Dropped)]
    assert reasons == ["wrong answer", "wrong answer", "tells that the answer was known"]
    assert read_manifest(out)["given_answer"] == 1


def test_nothing_is_asked_twice_and_other_settings_want_another_folder(tmp_path):
    said = {"사과": [f"{SHORT}\n정답: 7개"] * 2}
    _, _, first = teach(tmp_path / "out", said, 2)
    assert len(first.asked) == 2
    _, _, again = teach(tmp_path / "out", said, 2)
    assert again.asked == []
    _, _, elsewhere = teach(tmp_path / "other", said, 2, keep="all")
    assert elsewhere.asked == []  # the texts are kept
    with pytest.raises(RunError, match=r"another run: config\.selection\.keep"):
        teach(tmp_path / "out", said, 2, keep="all")


def test_result_is_said_and_nothing_kept_is_a_warning(tmp_path):
    teach(tmp_path / "a", {"사과": [f"{SHORT}\n정답: 7개", DUNNO]}, 2)
    assert describe_result(read_manifest(tmp_path / "a")) == (
        "1 rows of 1 questions; 50.0% of the replies were right"
    )
    teach(tmp_path / "b", {"귤": [DUNNO]}, 1)
    assert describe_result(read_manifest(tmp_path / "b")) == (
        "Warning: 0 rows of 1 questions; 0.0% of the replies were right, and none was kept "
        "(mostly: wrong answer). See dropped.jsonl"
    )


def test_text_of_a_benchmark_is_neither_asked_nor_kept(tmp_path):
    """Neither a question nor a rationale."""
    quoted = "어제 장터에서 사과 장수가 배 네 개를 덤으로 주었다는 이야기"
    replies = [f"{quoted}이다. {SHORT}\n정답: 7개", f"{LONG}\n정답: 7개"]
    teacher = Teacher({"사과": replies})
    how = Reasoning(KOT, 64, 2, Sampling(temperature=0.7))
    items = {"test.csv": [(QUESTIONS[1].source,), (quoted,)]}
    out = tmp_path / "out"
    selection = Selection(keep="all", max_per_question=2)
    write_rationales(out, teacher, QUESTIONS, how, selection, benchmarks=items)
    assert len(teacher.asked) == 2  # the other question stands in the benchmark
    assert [row.rationale for row in read_jsonl(out / "train.jsonl", Taught)] == [LONG]
    dropped = read_jsonl(out / "dropped.jsonl", Dropped)
    assert [(each.doc_id, each.output, each.reason) for each in dropped] == [
        (1, "", "text of a benchmark"),
        (0, replies[0], "text of a benchmark"),
    ]
    assert "No row holds text of test.csv (2 items)." in (out / "README.md").read_text("utf-8")
    with pytest.raises(RunError, match=r"against test\.csv"):
        write_rationales(out, teacher, QUESTIONS, how, selection)


def test_chance_is_said_where_there_is_a_list_to_guess_from(tmp_path):
    asked = [
        Question("copa", i, f"사과 {i} (가) 온다 (나) 간다", "간다", ("온다", "간다"), 1)
        for i in range(2)
    ]
    teacher = Teacher({"사과": ["사과를 보고 생각하면 간다.\n정답: 간다"]})
    out = tmp_path / "out"
    write_rationales(out, teacher, asked, Reasoning(KOT, 64), Selection(), source="kobest/copa")
    assert describe_result(read_manifest(out)) == (
        "2 rows of 2 questions; 100.0% of the replies were right (chance: 50.0%)"
    )
    card = (out / "README.md").read_text("utf-8")
    assert "of kobest/copa's train split (CC BY-SA 4.0)" in card
    assert "Not compared with any benchmark." in card


@pytest.mark.parametrize(
    ("output", "rationale"),
    [
        ("셋이다.\n정답: 3", "셋이다."),
        ("<think>\n셋.\n</think>\n\n정답: 3", "셋."),
        ("셋.</think>3", "셋."),
        ("정답: 3", ""),
    ],
)
def test_rationale_of_a_reply(output, rationale):
    assert find_rationale(output, KOT) == rationale


def test_no_hint_is_given_where_its_row_would_be_left_out(tmp_path):
    how = Reasoning(KOT, 64, 2, Sampling(temperature=0.7))
    for least, asked in ((0.0, 4), (0.5, 2)):
        teacher = Teacher({"귤": [DUNNO, DUNNO + str(least)]})
        teacher.key = f"teacher-{least}"  # finds no texts of the other
        selection = Selection(rationalize=True, min_pass_rate=least)
        write_rationales(tmp_path / str(least), teacher, QUESTIONS[1:], how, selection)
        assert len(teacher.asked) == asked


def test_hinted_question_is_not_shown_itself_as_a_worked_example(tmp_path):
    """Its rationale would be copied from the row, and called the teacher's."""
    own = Example(source=QUESTIONS[0].source, target="7개", rationale="손으로 쓴 풀이.")
    teacher = Teacher({"사과": [DUNNO, DUNNO]})
    how = Reasoning(KOT, 64, 2, Sampling(temperature=0.7), shots=(own,))
    write_rationales(tmp_path / "out", teacher, QUESTIONS[:1], how, Selection(rationalize=True))
    assert len(teacher.asked) == 4
    assert sum("정답은 '7개'입니다" in prompt for prompt in teacher.asked) == 2
    assert not any("손으로 쓴 풀이" in prompt for prompt in teacher.asked)


def test_hint_follows_the_input_of_a_row(tmp_path):
    question = Question("", 0, "합은?", "7개", context="사과 3개와 배 4개")
    teacher = Teacher({"사과": [DUNNO, DUNNO]})
    how = Reasoning(KOT, 64, 2, Sampling(temperature=0.7))
    write_rationales(tmp_path / "out", teacher, [question], how, Selection(rationalize=True))
    assert teacher.asked[-1].startswith("질문: 합은?\n\n사과 3개와 배 4개\n\n(정답은 '7개'입니다")
