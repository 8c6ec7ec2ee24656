from __future__ import annotations

import pytest

from kot_platypus.checks.rationales import examine_rationale, measure_korean


def test_share_of_korean_counts_letters_alone():
    assert measure_korean("사과 two 3개, 배!") == pytest.approx(4 / 7)
    assert measure_korean("3 + 4 = 7") == 1


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_said_of_no_rationale(text):
    assert examine_rationale(text, "7개") is None


@pytest.mark.parametrize(
    ("text", "loops"),
    [("사과가 3개 있고 4개를 더 샀으므로 7개이다.", False), ("그래서 다시 센다. " * 6, True)],
)
def test_loops_are_found(text, loops):
    assert examine_rationale(text, None).loops is loops


@pytest.mark.parametrize(
    ("text", "answer", "others", "contradicts"),
    [
        ("3개에 4개를 더하면 7개이다.", "7개", (), False),
        ("3개에 4개를 더하면 7개이다.", "8개", (), True),
        ("3개에 4개를 더하면 7개이다.", None, (), False),
        ("그러므로 우산을 썼다.", "우산을 썼다", ("문을 닫았다",), False),
        ("그러므로 우산을 썼다.", "문을 닫았다", ("우산을 썼다",), True),
        ("비가 왔기 때문이다.", "문을 닫았다", ("우산을 썼다",), False),
    ],
)
def test_contradiction_is_the_last_sentence_against_the_answer(text, answer, others, contradicts):
    assert examine_rationale(text, answer, others).contradicts is contradicts
