"""Answers of more than one number or word, and the sentence that is the final one."""

from __future__ import annotations

import pytest

from kot_platypus.answers import are_equal, means, name_choices, read_answer

PREFIX = "정답: "
CHOICES = ("서울", "부산", "대구")

SAME = [
    ("1시간 30분", "90분"),
    ("한 시간 삼십 분", "90분"),
    ("1시간 반", "90분"),
    ("1.5km", "1500m"),
    ("2m 50cm", "250cm"),
    ("시속 60km", "60km/h"),
    ("72km/h", "20m/s"),
    ("2년 6개월", "30개월"),
    ("5000m (= 5km)", "5km"),
    ("1시간 반, 즉 90분", "90분"),
    ("x=1 또는 x=3", "x=1, x=3"),
    ("{3, 1}", "{1,3}"),
    ("x=1 또는 x=3", "1, 3"),
    ("x = ±3", "x=3 또는 x=-3"),
    ("1 ≤ x < 3", "[1, 3)"),
    ("빨강과 노랑과 파랑", "빨강, 노랑, 파랑"),
    ("3 대 2", "3:2"),
    ("오후 3시 20분", "15:20"),
    ("August 15, 1945", "1945년 8월 15일"),
    ("3×10⁸ m/s", "300000000"),
    ("삼점일사", "3.14"),
    ("1 500 000원", "1500000"),
    ("one third", "1/3"),
    ("이순신 장군", "이순신"),
    ("충무공 이순신", "이순신"),
    ("CO2 (이산화탄소)", "이산화탄소"),
    ("○", "참"),
    ("×", "거짓"),
    ("❌ 아니요", "아니요"),
]
DIFFERENT = [
    ("1시간 30분", "130분"),
    ("1시 30분", "90분"),
    ("30분 1시간", "90분"),
    ("1kg 20g", "1200g"),
    ("5 m²", "5 m"),
    ("60km", "60km/h"),
    ("1개월", "30일"),
    ("x = 4", "x = 1, x = 4"),
    ("x=1, y=3", "x=1, x=3"),
    ("2 또는 3", "2, 3"),
    ("(3, 4)", "(4, 3)"),
    ("3시 2분", "3:2"),
    ("2:3", "3:2"),
    ("오전 3시", "15시"),
    ("[1, 3]", "[1, 3)"),
    ("|-3|", "-3"),
    (r"\log_3 2", r"\log_2 3"),
    ("√18", "8"),
    ("42명 (43명)", "43명"),
    ("부산 (서울)", "서울"),
    ("김구의 아들", "김구"),
    ("참 또는 거짓", "참"),
]
STATED = [
    ("정답: 41\n정정: 42", "42"),
    ("정답: 41\n\n잘못 읽었습니다. 정답을 42로 정정합니다.", "42"),
    ("정답 - 42명", "42"),
    ("정답:\n- 빨강\n- 노랑", "빨강, 노랑"),
    ("```\n42\n```", "42"),
    ("이 과정을 '광합성'이라 부른다.", "광합성"),
    ("장수는 이순신이었다.", "이순신"),
    ("반례가 있으므로 이 명제는 거짓임을 알 수 있습니다.", "거짓"),
    ("영화는 3시 30분에 끝납니다.", "3시 30분"),
    ("정답: 42\n\n흔히 43으로 잘못 계산하기 쉽습니다.", "42"),
    ("정답: 42\n\n41은 조건에 맞지 않습니다.", "42"),
    ("정답: 42\n\n대한민국의 수도는?\n정답: 서울", "42"),
]
NOT_STATED = [
    ("정답: 42\n\n...아니, 이건 틀렸습니다.", "42"),
    ("정답: 42\n\n죄송합니다. 43이 맞습니다.", "42"),
    ("정답: 42\n아, 다시 보니 43이네요. 정답을 43으로 수정합니다.", "42"),
    ("정답: 41\n\n10에서 3을 빼면 얼마입니까?\n정답: 7", "7"),
    ("정답: 41\n\n다음 물음에 답하시오.\n정답: 7", "7"),
    ("정답: 42\n\n아, 43이네요.", "42"),
    ("정답: 42\n\n검산하니 맞지 않는다. 다시 풀면 43이다.", "42"),
    ("거짓이 아니다.", "거짓"),
    ("No. 3 문항의 정답은 예입니다.", "아니오"),
    ("아니오... 라고 생각했지만 예가 맞습니다.", "아니오"),
    ("오늘을 포함하면 수요일, 포함하지 않으면 목요일입니다.", "목요일"),
    ("금성 아니면 화성입니다.", "화성"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_value_in_another_form_is_equal(one, other):
    assert are_equal(one, other)
    assert are_equal(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_only_looks_alike_differs(one, other):
    assert not are_equal(one, other)
    assert not are_equal(other, one)


@pytest.mark.parametrize(("reply", "target"), STATED)
def test_final_statement_is_found(reply, target):
    assert means(read_answer(reply, PREFIX).stated, target)


@pytest.mark.parametrize(("reply", "target"), NOT_STATED)
def test_what_is_taken_back_or_not_the_models_answer_is_not_stated(reply, target):
    assert not means(read_answer(reply, PREFIX).stated, target)


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("A(X), C(X)이므로 남은 B가 정답입니다.", 1),
        ("두 번째 보기인 부산입니다.", 1),
        ("2️⃣", 1),
        ("부산입니다. 서울입니다.", None),
    ],
)
def test_choices_in_sentences(reply, choice):
    assert name_choices(read_answer(reply, PREFIX), CHOICES, "ABC")[1] == choice
