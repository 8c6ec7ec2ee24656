from __future__ import annotations

import pytest

from kot_platypus.data.differences import list_signs, list_values, tell_apart

# --- two problems ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("삼백 원짜리 사탕을 샀다.", "오백 원짜리 사탕을 샀다."),
        ("삼백 원짜리 사탕을 샀다.", "사탕을 샀다."),
        ("반지름이 칠 센티미터인 원", "반지름이 구 센티미터인 원"),
        ("이십사 명이 탔다.", "이십 명이 탔다."),
        ("사십이 되었다.", "사십일이 되었다."),
        ("값은 3만 원이다.", "값은 3 원이다."),
        ("값은 5억 원이다.", "값은 5만 원이다."),
        ("이만 오천 원을 냈다.", "이만 육천 원을 냈다."),
        ("사과를 스물다섯 개 샀다.", "사과를 스물여섯 개 샀다."),
        ("이틀 동안 걸었다.", "사흘 동안 걸었다."),
        ("두 시간 반이 걸린다.", "두 시간이 걸린다."),
        ("빵을 3개 샀다.", "빵을 샀다."),
        ("길이는 3.5이다.", "길이는 35이다."),
        ("x는 -4보다 크다.", "x는 4보다 크다."),
        ("모두 5%이다.", "모두 5이다."),
        ("a > b일 때", "a < b일 때"),
        ("밑변 × 높이를 구하라.", "밑변 ÷ 높이를 구하라."),
        ("Ann has three apples.", "Ann has four apples."),
    ],
)
def test_numbers_and_signs_keep_problems_apart(one, other):
    assert tell_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("나는 학교에 간다.", "나는 학교에 안 간다."),
        ("나는 학교에 간다.", "나는 학교에 안간다."),
        ("그는 산에 올랐다.", "그는 산에 못 올랐다."),
        ("비가 왔다.", "비가 오지 않았다."),
        ("그는 읽었다.", "그는 읽지 못했다."),
        ("문을 여세요.", "문을 열지 마세요. 문을 열지 말아요."),
        ("집에 쌀이 있다.", "집에 쌀이 없다."),
        ("고래는 물고기이다.", "고래는 물고기가 아니다."),
        ("It is true.", "It is not true."),
    ],
)
def test_negation_keeps_problems_apart(one, other):
    assert tell_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("오전 세 시에 떠났다.", "오후 세 시에 떠났다."),
        ("10 이상인 수", "10 이하인 수"),
        ("18세이상 관람", "18세미만 관람"),
        ("가장 큰 수는?", "가장 작은 수는?"),
        ("홀수를 모두 쓰시오.", "짝수를 모두 쓰시오."),
        ("두 수의 합은?", "두 수의 곱은?"),
        ("월요일에 만났다.", "목요일에 만났다."),
        ("가능한 것은?", "불가능한 것은?"),
        ("The train left at 3 a.m. today.", "The train left at 3 p.m. today."),
    ],
)
def test_opposites_keep_problems_apart(one, other):
    assert tell_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("사과 3개와 배 5개를 샀다.", "사과 5개와 배 3개를 샀다."),
        ("빨간 구슬 12개와 파란 구슬 8개가 있다.", "빨간 구슬 8개와 파란 구슬 12개가 있다."),
        ("빨간 구슬 세 개와 파란 구슬 네 개가 있다.", "빨간 구슬 네 개와 파란 구슬 세 개가 있다."),
        (
            "큰 유리 구슬 열두 개와 작은 유리 구슬 8개가 있다.",
            "큰 유리 구슬 8개와 작은 유리 구슬 열두 개가 있다.",
        ),
    ],
)
def test_numbers_that_changed_places_keep_problems_apart(one, other):
    assert tell_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("사과 3개와 배 5개를 샀다.", "배 5개와 사과 3개를 샀다."),
        ("빨간 구슬 12개와 파란 구슬 8개가 있다.", "파란 구슬 8개와 빨간 구슬 12개가 있다."),
        ("빨간 구슬 세 개와 파란 구슬 네 개가 있다.", "파란 구슬 네 개와 빨간 구슬 세 개가 있다."),
    ],
)
def test_clauses_that_changed_places_with_their_numbers_are_one_problem(one, other):
    assert not tell_apart(one, other)


# --- one problem -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("사과 세 개를 샀다.", "사과 3개를 샀다."),
        ("섭씨 100도에서 끓는다.", "섭씨 백 도에서 끓는다."),
        ("값은 30,000원이다.", "값은 3만 원이다."),
        ("값은 3만 5천 원이다.", "값은 삼만 오천 원이다."),
        ("설탕 1/3컵을 넣는다.", "설탕 3분의 1컵을 넣는다."),
        ("모두 5%이다.", "모두 5 퍼센트이다."),
        ("2024년 3월 15일에 갔다.", "2024-03-15에 갔다."),
        ("길이는 3.50이다.", "길이는 3.5이다."),
        ("답은 오십이다.", "답은 50이다."),
        ("사과 세 개를 샀다.", "사과세개를샀다."),
        ("Ann has three apples.", "Ann has 3 apples."),
        ("for (i = 0; i < 9; i++)", "for (i = 0; i < 9; ++i)"),
    ],
)
def test_a_number_written_otherwise_is_the_same(one, other):
    assert not tell_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("나는 학교에 안 간다.", "나는 학교에 안간다."),
        ("나는 가지 못한다.", "나는 못 간다."),
        ("비가 오지 않았다.", "비가 오지 않았습니다."),
        ("그럴 수밖에 없다.", "그래야 한다."),
        ("그뿐만 아니라 배도 샀다.", "그 밖에 배도 샀다."),
        ("우리 나라의 수도는?", "우리나라의 수도는?"),
        ("만약 비가 오면 어떻게 되나?", "혹시 비가 오면 어떻게 되나?"),
        ("그런 일조차 몰랐다.", "그런 것조차 몰랐다."),
        ("<보기>를 읽고 **알맞은** 말을 쓰시오.", "[보기]를 읽고 알맞은 말을 쓰시오."),
        ("COVID-19의 증상은?", "COVID 19의 증상은?"),
        ("- 수도는 어디인가?", "수도는 어디인가?"),
        ("배 5개를 샀고 사과 3개를 샀다.", "사과 3개를 샀고 배 5개를 샀다."),
        ("", ""),
    ],
)
def test_other_wording_spacing_and_punctuation_leave_one_problem(one, other):
    assert not tell_apart(one, other)


# --- what a row is known by --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("1,000원과 3.50원", ("1000", "3.5")),
        ("７ － ３", ("7", "-", "3")),
        ("3×4 = 12", ("3", "×", "4", "=", "12")),
        ("a/b, and/or, 그리고/또는", ("/",)),
        ("0.5%", ("0.5", "%")),
    ],
)
def test_signs_are_what_the_normal_form_loses(text, signs):
    assert list_signs(text) == signs


def test_values_are_the_same_in_words_and_digits():
    assert (
        list_values("사과 세 개와 배 25개")
        == list_values("사과 3개와 배 스물다섯 개")
        == ["25", "3"]
    )
