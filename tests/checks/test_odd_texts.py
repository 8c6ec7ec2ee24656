"""Texts as nobody writes them: an odd number ends no check, a loop does not cost its square."""

from __future__ import annotations

import time

import pytest

from kot_platypus.checks import check_translation
from kot_platypus.checks.completeness import find_lost

HUGE = "9" * 50


@pytest.mark.parametrize(
    "text", [f"{HUGE} p.m.", f"the {HUGE}0s", f"a quarter to {HUGE}", f"ten minutes to {HUGE}"]
)
def test_a_number_of_fifty_digits_is_no_hour_and_no_year(text):
    assert check_translation(f"It was {text}.", "8시 45분이었다.")
    assert check_translation("It was 9.", f"{text}였다.")


def measure_s(function, *arguments) -> float:
    started_s = time.process_time()
    function(*arguments)
    return time.process_time() - started_s


@pytest.mark.parametrize("sign", ["?", ".", "\n", "!"])
def test_a_translation_that_loops_over_a_sign_is_read_in_no_time(sign):
    text = "그는 갔다." + 8_000 * sign
    assert measure_s(check_translation, "He went.", text) < 1  # 2.6 s before


def test_sentences_are_aligned_in_a_time_that_grows_as_they_do():
    wanted = [f"The {number} hens went home quietly." for number in range(500)]
    found = [f"암탉 {number}마리는 조용히 집에 갔다." for number in range(500) if number != 200]
    assert measure_s(find_lost, wanted, found) < 1.5  # 2.6 s before, growing as the square
    assert find_lost(wanted[100:300], found[100:299]) == [wanted[200]]
