"""Final answers as people and models write them: read, and never guessed."""

from __future__ import annotations

import time

import pytest

from kot_platypus.answers import are_equal, latex, means, name_choices, read_answer

PREFIX = "정답: "
CHOICES = ("서울", "부산", "대구")
MARKS = ("가", "나", "다")

RIGHT = [
    ("**정답:** 42", "42"),
    ("정답:42", "42"),
    ("정답은 42입니다.", "42"),
    ("### 정답: 42", "42"),
    ("정답： ４２", "42"),
    ("정답:\xa042", "42"),
    ("풀이\n\\boxed{42}", "42"),
    ("정답: $42$", "42"),
    ("a \\boxed{41}\n b \\boxed{42}.", "42"),
    ("정답:\n42", "42"),
    ("**정답**\n\n**42**", "42"),
    ("### 최종 답\n$$\n42\n$$", "42"),
    ("The answer is 42.", "42"),
    ("1+1\n#### 42", "42"),
    ("따라서 답은 42이다.", "42"),
    ("정답: 1,234", "1234"),
    ("정답: 42.0", "42"),
    ("정답: 1/2", "0.5"),
    ("정답: 42개", "42"),
    ("정답: 마흔두 개", "42"),
    ("정답: 50%", "50%"),
    ("정답: 오십 퍼센트", "50%"),
    ("정답: −5", "-5"),
    ("정답: \\frac{1}{2}", "0.5"),
    ("정답: 3½", "3.5"),
    ("정답은 42가 아니라 43입니다.", "43"),
    ("정답: 41\n다시 계산하니 21+22=43이다.\n정답: 43", "43"),
    ("정답: 42\n\n질문: 1+1?\n답변:\n정답: 2", "42"),
    ("정답: 서울입니다", "서울"),
    ("정답: '서울'", "서울"),
    ("따라서 남은 사과는 모두 7개입니다.", "7"),
    ("풀이.\n따라서 42입니다.", "42"),
    ("42", "42"),
    ("서울입니다.", "서울"),
    ("정답: 3만 5천 원", "35000원"),
    ("정답: x = 5", "5"),
    ("정답: 6 × 7 = 42", "42"),
    ("정답: 42 (6 × 7 = 42)", "42"),
    ("<think>정답: 3</think>정답: 42", "42"),
    ("정답: 예, 맞습니다.", "예"),
    ("정답: 네", "예"),
    ("정답은 다음과 같습니다.\n42", "42"),
    ("최종 답: **42**", "42"),
    ("[정답] 42", "42"),
    ("정답: 42. 왜냐하면 20+22=42이기 때문이다.", "42"),
    ("Final Answer: The final answer is $\\boxed{42}$. I hope it is correct.", "42"),
    ("<answer>42</answer>", "42"),
    ("정답: 42cm", "42 cm"),
    ("42가 정답입니다.", "42"),
    ("정답: 일곱", "7"),
    ("답: 2,000,000원", "200만 원"),
    ("정답: 5원", "₩5"),
    ("정답: $5", "5달러"),
    ("따라서 구하는 값은 \\(77\\)입니다.", "77"),
    ("정답: _42_", "42"),
    ("정답: 42 ✅", "42"),
    ("정답: 이분의 일", "0.5"),
    ("정답: 영하 5도", "-5"),
    ("정답: 1.5e3", "1500"),
    ("참석자는 모두 열두 명입니다.", "12"),
    ("정답: 42 (43이 아님에 주의하세요.)", "42"),
    ('{"answer": 42}', "42"),
    ("더하면 40이고\n∴ 42", "42"),
    ("48+16=64\n따라서 4월과 5월에 총 64개의 클립을 팔았습니다.", "64"),
    ("풀이\n결론적으로, 주차장에는 자동차 17대가 있다.", "17"),
    (r"정답: $\frac{-1}{2}$", r"-\frac{1}{2}"),
    ("정답: CO₂", "CO2"),
    ("| 정답 | 42 |", "42"),
    ("정답: 42</s>", "42"),
    ("정답은 41... 아니, 다시 계산하면 42이다.\n정답: 42", "42"),
    ("정답: 42\n\n(검산: 42 - 22 = 20, 맞습니다.)", "42"),
    ("정답: 42\n\n궁금한 점이 있으면 다시 물어보세요.", "42"),
    ("배를 만든 장군은 **이순신**입니다.", "이순신"),
    ("정답: 1945-08-15", "1945년 8월 15일"),
    ("정답: 세 시 삼십 분", "3시 30분"),
    ("**예**, 고래는 포유류입니다.", "예"),
    ("아니요. 박쥐는 새가 아니라 포유류입니다.", "아니요"),
]
WRONG = [
    ("정답: 42 또는 43", "42"),
    ("정답은 42가 아니라 43입니다.", "42"),
    ("정답은 42가 아닙니다.", "42"),
    ("<think>정답: 42", "42"),
    ("정답: 42\n정답: 43", "42"),
    ("정답: 42\n정답: 43", "43"),
    ("정답: 42, 43", "42"),
    ("정답: 42개", "42명"),
    ("정답: 3 1/2", "31/2"),
    ("정답: 50", "50%"),
    ("정답: 50%", "50"),
    ("마지막 줄에 '정답: '와 답만 쓰세요.", "42"),
    ("정답: 42 이상", "42"),
    ("정답: 약 42", "42"),
    ("정답: 42. 아니, 43.", "42"),
    ("정답: 42만", "42"),
    ("정답: 42?", "42"),
    ("답은 42일 수도 있습니다.", "42"),
    ("정답: {target}", "42"),
    ("42와 43", "42"),
    ("정답: 41\n따라서 42", "42"),
    ("정답: -42", "42"),
    ("정답: 4.2", "42"),
    ("정답: $y = 5$", "x=5"),
    ("정답: 10", "10!"),
    ("정답: 만두", "10002"),
    ("정답: 이 문제", "2"),
    ("정답: 42. 43입니다.", "42"),
    ("42가 정답은 아닙니다.", "42"),
    ("정답: 고양이를 제외한 동물", "고양이"),
    ("정답: 42 m", "42 km"),
    ("정답: 42\n\n죄송합니다. 다시 생각해 보니 틀렸습니다.", "42"),
    ("첫째 답은 42, 둘째 답은 43이다.", "42"),
    ("정답: 예, 하지만 아닐 수도 있다.", "예"),
    ("정답: 울릉도\n\n### 다음 문제\n동쪽 끝의 섬은?\n\n### 정답\n독도", "독도"),
    ("더하면 42이다.\n따라서 42 이상이다.", "42"),
    ("예를 들어 답은 42이다.", "42"),
]
NAMED = [
    ("정답: 1. 서울", 0),
    ("정답: B", 1),
    ("정답: ②번", 1),
    ("정답: 부산 (나)", 1),
    ("정답: (나) 부산입니다", 1),
    ("정답: (나)", 1),
    ("정답: 나입니다", 1),
    ("정답은 (나)입니다.", 1),
    ("정답: 2번", 1),
    ("(나)가 정답입니다.", 1),
    ("따라서 (나)가 가장 적절하다.", 1),
    ("정답: B) 부산", 1),
    ("정답: 나. 부산", 1),
    ("정답: 두 번째 보기", 1),
    ("정답: ②부산", 1),
    ("정답: 부산이다. 왜냐하면 바다가 있기 때문이다.", 1),
    ("The answer is (B).", 1),
    ("정답: 나번", 1),
    ("정답: 부산(②)", 1),
    ("정답: 선택지 B", 1),
    ("정답: (나), 왜냐하면 그렇다.", 1),
]
UNNAMED = [
    "정답: (나) 서울",
    "정답: (가), (나)",
    "정답: 나 또는 다",
    "정답: 서울과 부산",
    "정답: (나)가 아니다",
    "정답: 5번",
    "정답: B와 C",
    "정답: B. 서울",
    "정답: 부산 (가)",
]


@pytest.mark.parametrize(("reply", "target"), RIGHT)
def test_right_answer_is_read_in_any_form(reply, target):
    assert means(read_answer(reply, PREFIX).stated, target)


@pytest.mark.parametrize(("reply", "target"), WRONG)
def test_what_is_not_said_is_not_guessed(reply, target):
    assert not means(read_answer(reply, PREFIX).stated, target)


@pytest.mark.parametrize(("reply", "place"), NAMED)
def test_choice_is_named_by_text_mark_or_both(reply, place):
    assert name_choices(read_answer(reply, PREFIX), CHOICES, MARKS)[1] == place


@pytest.mark.parametrize("reply", UNNAMED)
def test_choice_that_is_not_named_is_not_guessed(reply):
    assert name_choices(read_answer(reply, PREFIX), CHOICES, MARKS)[1] is None


@pytest.mark.parametrize("reply", ["정답: (나)", "정답: 2번", "정답: ②", "정답: B"])
def test_marks_that_were_not_shown_name_nothing(reply):
    assert name_choices(read_answer(reply, PREFIX), CHOICES) == (None, None)


@pytest.mark.parametrize(
    ("reply", "place"),
    [("정답: 3번", 2), ("정답: ③", 2), ("정답: 3) 2", 2), ("정답: 3", None)],
)
def test_number_that_is_a_mark_and_another_choice_is_not_guessed(reply, place):
    assert name_choices(read_answer(reply, PREFIX), ("4", "3", "2", "1"), "1234")[1] == place


def test_strict_is_the_first_answer_line_and_equivalent_the_last_statement():
    reading = read_answer("정답: 42\n아, 다시 더하면 43이다.\n정답: 43\n", PREFIX)
    assert (reading.strict, reading.stated) == ("42", "43")
    assert read_answer("답은 42이다.", PREFIX).strict is None


@pytest.mark.parametrize(
    ("reply", "stated"),
    [
        ("<think>정답: 3</think>정답: 1", "1"),
        ("정답: 3</THINK>정답: 1", "1"),
        ("[THINK]정답: 3[/THINK]정답: 1", "1"),
        ("<reasoning>정답: 1", None),
    ],
)
def test_answer_is_looked_for_after_the_thoughts(reply, stated):
    assert read_answer(reply, PREFIX).stated == stated


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("42개", "42", True),
        ("1,000원", "1000 원", True),
        ("2분의 1", "0.5", True),
        ("0.33", "1/3", False),
        ("42개", "42명", False),
        ("나무", "나", False),
        ("터졌습니다", "터졌다", True),
        ("서울", "부산", False),
        ("n>=2", "2", False),
        ("x!=3", "3", False),
        (r"x \neq 3", "3", False),
        ("n>=2", "n≥2", True),
        ("5!=120", "120", True),
        ("x=2", "2", True),
    ],
)
def test_equality_of_answers_is_symmetric(one, other, equal):
    assert are_equal(one, other) is are_equal(other, one) is equal


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (r"\frac{\sqrt{8}}{2}", r"\sqrt{2}", True),
        ("2(x+1)", "2x+2", True),
        ("x^2+1", "x^2-1", False),
    ],
)
def test_formulas_are_compared_by_the_extra(one, other, equal):
    pytest.importorskip("math_verify")
    assert are_equal(one, other) is equal


def test_what_only_the_extra_could_compare_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr("kot_platypus.answers.latex.has_math", lambda: False)
    latex.are_same_formula.cache_clear()
    latex._say_what_is_missing.cache_clear()
    assert not are_equal("(x+1)^2", "x^2+2x+1")
    assert not are_equal("(x+2)^2", "x^2+4x+4")
    assert not are_equal("7", "8")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("pip install 'kot-platypus[math]'") == 1
    latex.are_same_formula.cache_clear()


@pytest.mark.parametrize("unit", ["정답: 42 ", "42. ", "\\[", "1", "~~a", "\\boxed{", "(", "값은 "])
def test_a_reply_that_loops_takes_no_long_time(unit):
    started = time.process_time()
    means(read_answer("정답: " + unit * (6000 // len(unit)), PREFIX).stated, "서울")
    assert time.process_time() - started < 2
