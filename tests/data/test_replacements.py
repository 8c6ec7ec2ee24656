from __future__ import annotations

import pytest

from kot_platypus.data.duplicates import cluster, iter_pairs
from kot_platypus.data.replacements import MAX_WORDS, is_word_replaced

FARM = "농장에 닭과 돼지가 합쳐서 열다섯 마리 있고 다리는 마흔여섯 개이다. "


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FARM + "닭은 몇 마리인가?", FARM + "돼지는 몇 마리인가?"),
        ("지름이 10cm인 원", "반지름이 10cm인 원"),
        ("끈을 칠 센티미터 잘랐다.", "끈을 칠 미터 잘랐다."),
        ("설탕 3kg을 넣었다.", "설탕 3g을 넣었다."),
        ("사탕 다섯 개를 샀다.", "사탕 다섯 개를 팔았다."),
        ("공정한 동전을 던진다.", "불공정한 동전을 던진다."),
        ("가로는 세로보다 길다.", "세로는 가로보다 길다."),
        ("철수가 영희에게 주었다.", "영희가 철수에게 주었다."),
        ("분모를 구하시오.", "분자를 구하시오."),
        ("A는 B보다 크다.", "B는 A보다 크다."),
    ],
)
def test_another_word_makes_another_problem(one, other):
    assert is_word_replaced(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("철수는 영희를 만났다.", "철수가 영희도 만났습니다."),
        ("답을 구하세요.", "답을 구하시오."),
        ("학교에 간다.", "학교로 갑니다."),
        ("학생이 모였다.", "학생들에게는 모였다."),
        ("민수는 사과를, 지호는 배를 샀다.", "지호는 배를, 민수는 사과를 샀다."),
        ("나는 어제 학교에 갔다.", "나 는어제 학교에 갔다."),
        ("물이 다섯 컵 들어 있다.", "물이 5컵 들어있다."),
        ("매우 큰 집이다.", "큰 집이다."),
        ("길이는 3 cm이다.", "길이는 3cm이다."),
        ("한 변이 7cm인 정사각형", "한 변이 7센티미터인 정사각형"),
        ("기온이 5℃에서 내렸다.", "기온이 5도에서 내렸다."),
        ("정가의 20%를 뺐다.", "정가의 20퍼센트를 뺐다."),
        ("...", "??? !"),
    ],
)
def test_forms_spaces_order_and_omissions_make_none(one, other):
    assert not is_word_replaced(one, other)


def test_a_long_text_is_the_same_but_for_a_word():
    rest = " 그리고" * (MAX_WORDS - 1)
    assert is_word_replaced("닭은" + rest, "돼지는" + rest)
    assert not is_word_replaced("닭은" + rest + " 또", "돼지는" + rest + " 또")


def test_rows_with_another_word_are_no_near_duplicates():
    assert not cluster(iter_pairs([FARM + "닭은 몇 마리인가?", FARM + "돼지는 몇 마리인가?"]))
    assert cluster(iter_pairs([FARM + "닭은 몇 마리인가?", FARM + "닭은 몇 마리인가요?"]))
