"""What guessing scores, by hand."""

from __future__ import annotations

import pytest

from kot_platypus.data.problems import make_problems
from kot_platypus.records import Example
from kot_platypus.results.guesses import CHANCE, Guess, guess_problems


def ask(source: str, target: str, task: str = "") -> Example:
    return Example(source=source, target=target, task=task)


def test_chance_draws_from_the_answers_that_a_question_mentions():
    problems = [
        ask("사과, 배, 감 가운데?", "사과"),  # 1 of 3
        ask("배, 사과 가운데?", "배"),  # 1 of 2
        ask("감, 배 가운데?", "감"),  # 1 of 2
    ]
    assert guess_problems(problems) == [
        Guess(CHANCE, pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)),
        Guess("the first answer mentioned", 1.0),
    ]


def test_sums_have_no_chance_and_the_best_constant_is_a_rule():
    problems = [ask(f"{n} 더하기 1은?", "7" if n < 4 else str(10 * n)) for n in range(2, 8)]
    assert guess_problems(problems) == [Guess("always 7", pytest.approx(2 / 6))]


def test_very_many_different_answers_are_no_list():
    problems = [ask(f"{n}번 문은 {n}이다. 몇 번인가?", str(n)) for n in range(1000, 1300)]
    assert guess_problems(problems) == [Guess("always 1000", pytest.approx(1 / 300))]


def test_families_are_guessed_apart():
    problems = [ask("갑이나 을?", "을", "a"), ask("병이나 정?", "정", "b")] * 3
    chance, rule = guess_problems(problems)
    assert chance == Guess(CHANCE, 1.0)  # one answer a family is all there is to guess
    assert rule.accuracy == 1.0


def test_the_demos_problems_are_guessed_once_in_seven():
    (name, chance), (_, rule) = guess_problems(make_problems(64, 42, "heldout", ("chain",)))
    assert name == CHANCE
    assert chance == pytest.approx(1 / 7)
    assert rule == pytest.approx(8 / 64)


def test_nothing_is_guessed_of_nothing():
    assert guess_problems([]) == []
