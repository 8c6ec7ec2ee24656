from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kot_platypus.checks import (
    CHECK_NAMES,
    CHECKS,
    Finding,
    check_row,
    check_translation,
)
from kot_platypus.checks.alignment import split_sentences
from kot_platypus.checks.answers import agrees, last_sentence
from kot_platypus.checks.completeness import find_lost
from kot_platypus.checks.segments import Text
from kot_platypus.data.build import load_korean_cot
from kot_platypus.numerals import (
    read_digits,
    read_english_words,
    read_korean_words,
)
from kot_platypus.records import Example

from .planted import KINDS, load, make_clean, plant


def find(check: str, source: str, translation: str) -> list[Finding]:
    return list(CHECKS[check](Text(source), Text(translation)))


def is_error(check: str, source: str, translation: str) -> bool:
    return any(finding.severity == "error" for finding in find(check, source, translation))


def table(*rows: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("source", "translation"), rows)


# --- numbers -----------------------------------------------------------------------------------


@table(
    ("The value is 3.75.", "그 값은 37.5이다."),
    ("The value is 3.75.", "그 값은 3이다."),
    ("The value is 3.75.", "그 값은 이다."),
    ("It costs 1,250 won.", "1,520원이다."),
    ("It grew by 12.5%.", "12.5 늘었다."),
    ("It grew by 12.5.", "12.5% 늘었다."),
    ("It fell to -4 degrees.", "4도로 떨어졌다."),
    ("It fell to 4 degrees.", "-4도로 떨어졌다."),
    ("A city of 2.5 million.", "25만 명의 도시."),
    ("She has seven cats.", "그녀는 고양이 여덟 마리를 키운다."),
    ("I bought two apples.", "나는 사과 세 개를 샀다."),
    ("He was born in March.", "그는 5월에 태어났다."),
    ("Add 3 and 3.", "3을 더하라."),
    ("Let x1 be odd.", "x2가 홀수라 하자."),
    ("Two and a half hours.", "1.5시간."),
    ("About 5 billion people live there.", "약 5억 명이 그곳에 산다."),
    ("It cost 3 million dollars.", "비용은 3만 달러였다."),
    ("The city has 2 million residents.", "그 도시의 주민은 2천 명이다."),
    ("He has 5 books.", "그는 책이 5만 권 있다."),
    ("Half a million copies.", "5만 부."),
)
def test_numbers_that_differ(source, translation):
    assert is_error("numbers", source, translation)


@table(
    ("1,000 people", "1000명"),
    ("It costs 35,000 won.", "3만 5천 원이다."),
    ("It costs 35,000 won.", "3만5000원이다."),
    ("2.5 million people", "250만 명"),
    ("1.2 billion dollars", "12억 달러"),
    ("5 billion people", "50억 명"),
    ("half a million copies", "50만 부"),
    ("We need only 5 of them.", "그중 5만 필요하다."),
    ("cut into 3 pieces", "3조각으로 자르다"),
    ("group 3 met", "3조는 만났다"),
    ("three cups", "세 컵"),
    ("three hundred and fifty won", "삼백오십 원"),
    ("It is fifty.", "오십이다."),
    ("twenty-five years old", "스물다섯 살"),
    ("twelve books and 3 pens", "책 12권과 펜 세 자루"),
    ("12.5% of them", "그중 12.5퍼센트"),
    ("fifty percent", "50%"),
    ("3/4 of it", "그 4분의 3"),
    ("three quarters of it", "그 4분의 3"),
    ("2/3 of it", "그 삼분의 이"),
    ("¾ cup", "3/4컵"),
    ("one half of it", "그 절반"),
    ("1/2 of it", "그 절반"),
    ("March 5, 2021", "2021년 3월 5일"),
    ("the 3rd of May", "5월 3일"),
    ("at 3:30 p.m.", "오후 3시 30분에"),
    ("at 3:30 p.m.", "15시 30분에"),
    ("at 3:30", "3시 반에"),
    ("at 2:15 p.m., twice as fast", "14시 15분에 2배로"),
    ("at 10:00", "10시에"),
    ("quarter past three", "세 시 15분"),
    ("an hour and a half", "한 시간 반"),
    ("one and a half hours", "1.5시간"),
    ("3.5 hours", "3시간 반"),
    ("an hour", "1시간"),
    ("two dozen eggs", "달걀 24개"),
    ("two dozen eggs", "달걀 두 다스"),
    ("the first and the second", "첫째와 둘째"),
    ("twice as fast", "두 배 빠르게"),
    ("twice as fast", "2배 빠르게"),
    ("for a decade", "10년 동안"),
    ("in the 1850s", "1850년대에"),
    ("It fell to -4.5 degrees.", "영하 4.5도로 떨어졌다."),
    ("from 3-5 days", "3~5일"),
    ("H2O and CO2", "물과 이산화탄소"),
    ("5 square meters", "5m²"),
    ("You may march on.", "계속 행진해도 된다."),
    (r"$10,\!000$", "10000"),
    ("0.50 and .5", "0.5와 0.5"),
    ("one of them", "그중 하나"),
    ("ten days", "열흘"),
)
def test_numbers_written_otherwise(source, translation):
    assert find("numbers", source, translation) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1억 2,000만", [120_000_000]),
        ("2백만", [2_000_000]),
        ("3천5백", [3500]),
        ("1,2345", [1, 2345]),
        ("v 3.14, 2.", [3.14, 2]),
        ("10³", [10, 3]),
        ("5 thousand", [5000]),
    ],
)
def test_digits_are_read_with_their_scale(text, values):
    assert [float(number.value) for number in read_digits(text)] == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("two hundred and five", [205]),
        ("two and five", [2, 5]),
        ("five six", [5, 6]),
        ("one million two hundred thousand", [1_200_000]),
        ("forty-two", [42]),
        ("twenty-first", [21]),
        ("In May they may march.", [5]),
    ],
)
def test_english_words_make_up_numbers(text, values):
    assert [int(number.value) for number in read_english_words(text)] == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("스물다섯 살", 25),
        ("서른 명", 30),
        ("삼백오십 원", 350),
        ("사흘 뒤", 3),
        ("만 원", 10_000),
        ("열두 시", 12),
    ],
)
def test_korean_words_are_numerals(text, value):
    assert value in [int(number.value) for number in read_korean_words(text)]


@pytest.mark.parametrize(
    "text", ["세계는 넓다", "네모난 상자", "사람이 온다", "대한민국", "오이와 구두"]
)
def test_korean_words_that_only_look_like_numerals(text):
    assert read_korean_words(text) == []


def test_numbers_are_shown_where_they_stand():
    (finding,) = find("numbers", "It is 3.75 m.", "37.5m이다.")
    assert finding.detail == "missing: 3.75; not in the source: 37.5"
    assert finding.source_spans == ((6, 10),)
    assert finding.translation_spans == ((0, 4),)


# --- code --------------------------------------------------------------------------------------

CODE = "```python\ndef add(a, b):\n    return a + b  # the sum\n```"
EXPLAINED = f"The function adds two numbers.\n{CODE}\nIt returns their `sum` to you."
GOOD = (
    "이 함수는 두 수를 더합니다.\n```python\ndef add(a, b):\n    return a + b  # 합\n```\n"
    "두 수의 `sum`을 돌려줍니다."
)


def test_good_translation_of_explained_code_is_clean():
    assert check_translation(EXPLAINED, GOOD) == []


@table(
    (EXPLAINED, CODE),
    (EXPLAINED, f"코드:\n{CODE}"),
    (EXPLAINED, "def add(a, b):\n    return a + b"),
    ("Write a loop that prints every number.", "for i in range(9):\n    print(i)"),
)
def test_code_only(source, translation):
    assert is_error("code_only", source, translation)


@table(
    (EXPLAINED, GOOD),
    (f"The code:\n{CODE}", f"코드:\n{CODE}"),
    (CODE, CODE),
    ("Use `sorted(x)`.", "`sorted(x)`를 쓰라."),
)
def test_code_that_is_rightly_nearly_all(source, translation):
    assert find("code_only", source, translation) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("```python\n", ""),
        ("# 합\n```", "# 합\n"),
        ("def add(a, b):", "def 더하기(a, b):"),
        ("    return a + b  # 합\n", ""),
        ("    return", "return"),
        ("def add(a, b):\n    return", "def add(a, b): return"),
        ("def add(a, b):\n", "def add(a, b):\n이 함수는 두 수를 더합니다.\n"),
        ("`sum`", "합"),
        ("`sum`", "`합`"),
    ],
)
def test_code_and_explanation_mixed_up(old, new):
    assert old in GOOD
    assert is_error("code_mixed", EXPLAINED, GOOD.replace(old, new))


@table(
    ('```\nprint("hello")\n```', '```\nprint("안녕")\n```'),
    ("```\nif x:\n  y()\n```", "```\nif x:\n    y()\n```"),
    ("Use `f` and `g`.", "`g`와 `f`를 쓰라."),
    ("For example, if you have the following:\nmany cats", "예를 들어 다음이 있다면:\n많은 고양이"),
    ('```\ndef f():\n    """Add it."""\n```', '```\ndef f():\n    """더한다."""\n```'),
)
def test_code_look_alikes(source, translation):
    assert find("code_mixed", source, translation) == []


@table(("x = f(1)\nprint(x)\nThis prints it.", "x = f(1)\n이것을 출력한다.\nprint(x)"))
def test_explanation_among_bare_code_lines(source, translation):
    assert is_error("code_mixed", source, translation)


# --- math --------------------------------------------------------------------------------------


@table(
    (r"Find $2 \times 3$.", r"$2 \시간 3$을 구하라."),
    (r"Find $\frac{1}{2}$.", "$frac{1}{2}$을 구하라."),
    (r"Find $\frac{1}{2}$.", r"$\frac{1}{2$을 구하라."),
    ("Find $x + 1$.", "$x + 1을 구하라."),
    ("We have x ≤ 3.", "x < 3이다."),
    ("We have x <= 3.", "x < 3이다."),
    ("We have x^2 here.", "여기 x2가 있다."),
    ("It is 3 × 4.", "3 ? 4이다."),
    ("It is 9 - 4.", "9 4이다."),
    ("So x ∈ A.", "따라서 x E A."),
    ("If a ≠ b, both are equal.", "a = b이면 둘은 같지 않다."),
    (r"Find \[ x \] now.", r"\[ x 를 구하라."),
)
def test_broken_math(source, translation):
    assert is_error("math_symbols", source, translation)


@table(
    (r"Find $2\times 3$.", r"$2 \times 3$을 구하라."),
    (r"$5 \text{ apples}$ here", r"여기 $5 \text{ 개}$"),
    (r"Find $x$.", r"\(x\)를 구하라."),
    ("It costs $5 and $7.", "5달러와 7달러이다."),
    ("It is 3 × 4.", "3 곱하기 4이다."),
    ("at 30°", "30도에서"),
    ("3/4 of it", "그 4분의 3"),
    ("3 square meters", "3제곱미터"),
    ("A well-known co-op - the best.", "잘 알려진 협동조합이자 최고이다."),
    ("the square root of 2", "2의 제곱근"),
)
def test_math_look_alikes(source, translation):
    assert find("math_symbols", source, translation) == []


def test_signs_are_reported_in_one_order_in_every_process():
    """That of a set of characters differs from process to process."""
    signs = "∅∉∏∑∞∠∧≡"
    found = find("math_symbols", signs, "")
    assert [finding.detail for finding in found] == [f"{sign}: 1 became 0" for sign in signs]


# --- language ----------------------------------------------------------------------------------


@table(
    ("The cat is on the mat.", "The cat is on the mat."),
    ("He runs. The cat is on the mat.", "그는 달린다. The cat is on the mat."),
    ("He runs because the cat is gone today.", "그는 달린다 because the cat is gone today."),
    ("Its area is \\(x^2\\) square units.", "Its area is \\(x^2\\) square units 이다."),
)
def test_untranslated(source, translation):
    assert is_error("untranslated", source, translation)


@table(
    ("Isaac Newton", "Isaac Newton"),
    ("B", "B"),
    ("DNA", "DNA"),
    ("Isaac Newton was born in England.", "Isaac Newton은 England에서 태어났다."),
    ("I saw The Lord of the Rings.", "나는 The Lord of the Rings를 보았다."),
    (
        'What does "it is raining cats and dogs" mean?',
        '"it is raining cats and dogs"는 무슨 뜻인가?',
    ),
    ("It is 5 km.", "5 km이다."),
    ("See https://example.org/the/cat-is-on.", "https://example.org/the/cat-is-on 참고."),
)
def test_english_that_may_stay(source, translation):
    assert find("untranslated", source, translation) == []


def test_single_english_word_is_an_error_where_none_may_be_kept():
    (finding,) = find("untranslated", "Print the list as a table.", "table로 목록을 출력하세요.")
    assert finding.severity == "warning"
    (finding,) = find("untranslated", "I ate an apple today.", "나는 오늘 apple을 먹었다.")
    assert finding.severity == "error"


@table(
    ("Hello there.", "안녕하세요 你好."),
    ("Hello there.", "안녕하세요 こんにちは."),
    ("Hello there.", "안녕하세요 привет."),
    ("Hello there.", "안녕하세요 \ufffd\ufffd."),
)
def test_mixed_language(source, translation):
    assert is_error("mixed_language", source, translation)


@table(("Say 你好.", "你好라고 말하라."), ("Let α be.", "α라 하자."), ("A café.", "카페 café."))
def test_scripts_that_may_stand(source, translation):
    assert find("mixed_language", source, translation) == []


def test_hanja_gloss_is_a_warning():
    (finding,) = find("mixed_language", "Benevolence is a virtue.", "인(仁)은 덕이다.")
    assert finding.severity == "warning"


@table(
    ("He said it.", "그는 말했다. " * 6),
    ("A short text.", "그리고 그리고 그리고 그리고 그리고 그리고 그리고 그리고 그리고 그리고"),
    ("A short text.", "아" * 30),
    ("A short text.", "합니다" * 9),
)
def test_repetition(source, translation):
    assert is_error("repetition", source, translation)


@table(
    ("ha " * 12, "하 " * 12),
    ("He came and he went.", "그는 왔고 그는 갔다."),
    ("row row row row", "저어라 저어라 저어라 저어라"),
)
def test_repetition_look_alikes(source, translation):
    assert find("repetition", source, translation) == []


# --- completeness ------------------------------------------------------------------------------

STORY = (
    "The old man walked slowly to the harbor. He looked at the gray sea for a long time. "
    "Then he went home and wrote a letter to his daughter."
)
TOLD = (
    "노인은 천천히 항구로 걸어갔다. 그는 오랫동안 잿빛 바다를 바라보았다. "
    "그러고는 집에 가서 딸에게 편지를 썼다."
)


def test_whole_story_is_clean():
    assert check_translation(STORY, TOLD) == []


@pytest.mark.parametrize(
    "translation",
    [
        "",
        " \n",
        "노인은 갔다.",
        TOLD[:-8],
        TOLD.partition(" 그러고는")[0],
        TOLD.partition("걸어갔다. ")[2],
        TOLD * 3,
        TOLD.replace("바다를", "(바다를"),
        TOLD.replace("바다를", '"바다를'),
    ],
)
def test_cut_off(translation):
    assert is_error("cut_off", STORY, translation)


@table(
    (STORY, TOLD.replace("걸어갔다. 그는", "걸어가서")),
    ("It is raining. We stay.", "비가 와서 우리는 머문다."),
    ("The answer is 3 apples.", "사과 3개"),
    ("Dr. Kim met Mr. Lee, e.g. at 3 p.m. today.", "김 박사는 이 씨를 오늘 오후 3시쯤 만났다."),
    ("a) one b) two", "a) 하나 b) 둘"),
    ("Yes", "예"),
)
def test_cut_off_look_alikes(source, translation):
    assert not is_error("cut_off", source, translation)


def test_merged_sentences_are_a_warning():
    findings = find("cut_off", STORY, TOLD.replace("걸어갔다. 그는", "걸어가서"))
    assert [finding.severity for finding in findings] == ["warning"]


def test_sentence_without_counterpart_is_found():
    wanted = ["a" * 100, "b" * 60, "c" * 100]
    assert find_lost(wanted, ["가" * 44, "나" * 26, "다" * 44]) == []
    assert find_lost(wanted, ["가" * 44, "다" * 44]) == ["b" * 60]
    assert find_lost(wanted, ["가" * 70, "다" * 44]) == []


def test_full_stops_within_numbers_end_no_sentence():
    assert len(split_sentences("It is 3.75 m. Is it? Yes.")) == 3


# --- placeholders ------------------------------------------------------------------------------


@table(
    ('Use <x id="1"/> and <x id="2"/>.', '<x id="1"/>을 쓰라.'),
    ('Use <x id="1"/>.', '<x id="1"/>과 <x id="1"/>을 쓰라.'),
    ('Use <x id="1"/>.', '<x id="2"/>를 쓰라.'),
    ("Use it.", '<x id="1"/>을 쓰라.'),
    ("Use it.", "&lt;x id=1 을 쓰라."),
)
def test_placeholder(source, translation):
    assert is_error("placeholder", source, translation)


@table(
    ('<x id="1"/> then <x id="2"/>', '<x id="2"/> 앞에 <x id="1"/>'),
    ("Use <b>it</b>.", "<b>그것</b>을 쓰라."),
)
def test_placeholders_in_another_order(source, translation):
    assert find("placeholder", source, translation) == []


# --- rows --------------------------------------------------------------------------------------


def row(target: str, rationale: str, source: str = "How many?") -> Example:
    return Example(source=source, target=target, rationale=rationale)


@pytest.mark.parametrize(
    ("original", "translated"),
    [
        (row("6 apples", "So there are 6 apples."), row("사과 8개", "따라서 사과는 6개이다.")),
        (row("(B)", "So the answer is (B)."), row("(B)", "따라서 답은 (C)이다.")),
        (row("yes", "Yes, this is true."), row("예", "아니다.")),
        (row("Paris", "It is Paris."), row("런던시", "그곳은 파리이다.")),
    ],
)
def test_answer_mismatch(original, translated):
    findings = check_row(original, translated)
    assert ("answer_mismatch", "error") in {(f.check, f.severity) for f in findings}


@pytest.mark.parametrize(
    ("original", "translated"),
    [
        (row("42", "So it is 42."), row("42", "따라서 42개이다.")),
        (row("six", "So there are six."), row("6", "따라서 여섯 개이다.")),
        (row("(B)", "So the answer is (B)."), row("B", "따라서 답은 B이다.")),
        (row("7", "It is 8, I think."), row("7", "8인 것 같다.")),
        (row("no", "So it is not true."), row("아니요", "따라서 사실이 아니다.")),
        (row("3.5", "We get 3.5."), row("3.5", "3.5를 얻는다.")),
        (row("6", ""), row("6", "")),
    ],
)
def test_answers_that_agree_or_never_did(original, translated):
    assert "answer_mismatch" not in {f.check for f in check_row(original, translated)}


LISTED = "Where are books? (A) library (B) hospital (C) school"
MEANT = row("(A) library", "Many books are there. So the answer is (A) library.", LISTED)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("책은 어디에 있나? (A) 서고 (B) 병원 (C) 학교", "(A) 도서관"),
        ("책은 어디에 있나? (A) library (B) 병원 (C) 학교", "(A) 도서관"),
        ("책은 어디에 있나?\n선택지: 서고, 병원, 학교", "도서관"),
        ("책은 어디에 있나?\n① 병원\n② 도서관\n③ 학교", "도서관"),
    ],
)
def test_option_that_the_question_lists_otherwise(source, target):
    translated = row(target, f"책이 많다. 따라서 답은 {target}이다.", source)
    found = [(f.check, f.field) for f in check_row(MEANT, translated) if f.severity == "error"]
    assert ("answer_mismatch", "target") in found


@pytest.mark.parametrize(
    "source",
    [
        "책은 어디에 있나? (A) 도서관 (B) 병원 (C) 학교",
        "책은 어디에 있나?\nA. 도서관\nB. 병원\nC. 학교",
        "책은 어디에 있나? 선택지: 도서관, 병원, 학교",
    ],
)
def test_option_that_the_question_lists(source):
    translated = row("(A) 도서관", "책이 많다. 따라서 답은 (A) 도서관이다.", source)
    assert "answer_mismatch" not in {f.check for f in check_row(MEANT, translated)}


@pytest.mark.parametrize(
    ("target", "rationale", "agreement"),
    [
        ("아니요", "따라서 답은 '예'이다.", False),
        ("아니요", "정답은 예입니다.", False),
        ("예", "그러므로 사실이 아니다.", False),
        ("예", "그래서 불가능하다.", False),
        ("예", "따라서 답은 '예'이다.", True),
        ("3만 원", "값은 30,000원이다.", True),
        ("5백만 명", "인구는 500만 명이다.", True),
        ("1.5m", "길이는 150cm이다.", True),
        ("2시간 30분", "150분이 걸린다.", True),
        ("2시간 30분", "152분이 걸린다.", False),
        ("3만 원", "값은 3,000원이다.", False),
    ],
)
def test_what_a_rationale_ends_in(target, rationale, agreement):
    assert agrees(target, rationale) is agreement


PLATES = row("cupboard", "Plates go there. So the answer is cupboard.", "Options: cupboard, oven")


@pytest.mark.parametrize(
    ("target", "rationale", "severities"),
    [
        ("찬장", "거기에 둔다. 그러므로 답은 찬장이다.", []),
        ("찬장", "거기에 둔다. 그러므로 답은 벽장이다.", ["error"]),
        ("찬장", "거기에 둔다. 그러므로 정답은 '벽장'입니다.", ["error"]),
        ("찬장", "거기에 둔다. 그러므로 오븐에 둔다.", ["error"]),
        ("찬장", "거기에 둔다. 그러므로 답은 찬장이고 오븐은 아니다.", []),
        ("찬장", "거기에 둔다. 그러므로 접시 두는 곳이다.", ["warning"]),
    ],
)
def test_rationale_that_words_the_target_otherwise(target, rationale, severities):
    translated = row(target, rationale, "선택지: 찬장, 오븐")
    found = [f for f in check_row(PLATES, translated) if f.check == "answer_mismatch"]
    assert [f.severity for f in found] == severities


def test_truth_that_stayed_english():
    findings = check_row(row("true", "So it is true."), row("true", "따라서 참이다."))
    assert ("answer_mismatch", "error") in {(f.check, f.severity) for f in findings}


@table(
    ("Pick one: 1) a hat 2) a coat", "고르시오. 1) 모자 2) 외투"),
    ("Pick one: a) a hat b) a coat", "고르시오. 가) 모자 나) 외투"),
    ("x is in [0, 1).", "x는 [0, 1)에 속한다."),
    ("It is 5' 3\" high.", "높이는 5' 3\"이다."),
)
def test_brackets_that_need_no_partner(source, translation):
    assert not is_error("cut_off", source, translation)


def test_last_sentence_is_not_cut_at_a_decimal_point():
    assert last_sentence("First. Then it is 3.5 m.") == "Then it is 3.5 m."


def test_agreement_may_be_unknown():
    assert agrees("yes", "That depends.") is None


def test_findings_of_a_row_name_their_field():
    findings = check_row(
        row("3", "It is 3.", "What is 1.5 + 1.5?"), row("3", "3이다.", "1.5 + 15는?")
    )
    assert {finding.field for finding in findings} == {"source"}


def test_our_own_korean_rows_pass_as_translations_of_themselves():
    flagged = [(r.source, check_row(r, r)) for r in load_korean_cot() if check_row(r, r)]
    assert flagged == []


@pytest.mark.parametrize(
    "text", ["", " ", "```", "`", "$", "\\", "<x id", "(" * 50, "1" * 500, "가" * 99]
)
def test_no_text_breaks_a_check(text):
    for other in ("", "A cat sat.", text):
        for finding in check_translation(text, other) + check_translation(other, text):
            assert finding.check in CHECK_NAMES


# --- the planted set ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["development", "heldout"])
def test_planted_errors_are_found_and_good_rows_left_alone(part):
    def is_flagged(row):
        findings = check_translation(row.source, row.translation)
        return any(finding.severity == "error" for finding in findings)

    for kind in KINDS:
        rows = plant(part, kind, 40)
        assert sum(map(is_flagged, rows)) >= 39, kind
    assert sum(map(is_flagged, make_clean(part, 200))) <= 10


def test_planted_parts_share_no_sentence():
    sentences = [
        {
            english
            for passage in load(part)[0]
            for english, _, verbatim in passage.pairs
            if not verbatim
        }
        for part in ("development", "heldout")
    ]
    assert sentences[0] & sentences[1] <= {"«w»"}


def test_a_detail_shows_the_text_and_no_blanks_of_ours():
    """What is set apart from prose, as a formula is, is a blank only to the checks."""
    source = "He multiplied both sides by two and so found at last that $x = 4$ is what holds now."
    (found,) = [
        each
        for each in check_translation(
            source, "그는 양변에 이를 곱하여 드디어 다음 $x = 4$ 성립함을"
        )
        if each.detail.startswith("ends in the middle")
    ]
    assert found.detail == "ends in the middle: ... = 4$ 성립함을"


def test_a_sentence_left_in_english_begins_with_its_first_word():
    korean = "그는 우표 22장이 있었다. After finding more he has 32 stamps."
    (found,) = [
        each
        for each in check_translation("He had 22 stamps. After finding more he has 32.", korean)
        if each.check == "untranslated"
    ]
    assert found.detail == "left in English: After finding more he has 32 stamps."
    assert [korean[slice(*span)] for span in found.translation_spans] == [
        "After finding more he has 32 stamps."
    ]


def test_what_a_finding_says_hangs_on_no_hash_seed():
    korean = "이자는 연 4%의 월 복리로 계산된다."
    code = (
        "from kot_platypus.checks import check_translation\n"
        f"found = check_translation('The interest is compounded quarterly at 4%.', {korean!r})\n"
        "print(*(each.detail for each in found))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # with which it was "per year"
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said == "per quarter became per month\n"
