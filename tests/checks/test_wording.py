from __future__ import annotations

import re

import pytest

from kot_platypus.checks import CHECK_NAMES, Finding, check_translation
from kot_platypus.checks.wording import CHECK_WORDINGS, say_in_korean
from kot_platypus.data.pipeline.drafts import PROTECTION
from kot_platypus.data.pipeline.translating import _PROBLEMS
from kot_platypus.data.translation.judge import JUDGE, Verdict
from kot_platypus.data.translation.services import FLAWS

from .planted import KINDS, plant


def say(detail: str) -> str:
    return say_in_korean(Finding(check="numbers", severity="error", detail=detail))


def test_every_check_has_a_korean_name():
    assert set(CHECK_WORDINGS) == {*CHECK_NAMES, PROTECTION, JUDGE}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_in_planted_errors_is_said_in_korean(kind: str):
    findings = [
        finding
        for row in plant("development", kind, 12)
        for finding in check_translation(row.source, row.translation)
    ]
    assert findings
    unsaid = {each.detail for each in findings if say_in_korean(each) == each.detail}
    assert unsaid == set()


def test_what_protection_finds_is_said_in_korean():
    for detail in _PROBLEMS.values():
        assert re.search("[가-힣]", say(detail.format("`x`")))


@pytest.mark.parametrize("reason", [*FLAWS, "too long"])
def test_what_a_judge_did_not_say_is_said_in_korean(reason: str):
    (finding,) = Verdict("none", reason).list_findings("error")
    assert re.fullmatch("[ 가-힣:]+", say_in_korean(finding))


@pytest.mark.parametrize(
    ("detail", "korean"),
    [
        ("judged wrong: 수가 바뀌었다.", "심사 모델이 틀렸다고 보았습니다: 수가 바뀌었다."),
        ("missing: 3; not in the source: 5", "빠진 것: 3 / 원문에 없는 것: 5"),
        ("fig and mango changed places", "자리가 바뀌었습니다: fig, mango"),
        ("1 percent signs became 0", "퍼센트 기호: 1개 → 0개"),
        ("4 sentences became 3; without counterpart: A became B.",
         "문장 4개가 3개로 바뀌었습니다 / 빠짐: A became B."),
        ("code lines differ (1 lost, 0 new); lost: x = 1",
         "코드 줄이 다릅니다 (1줄 빠짐, 0줄 새로 생김) / 빠진 것: x = 1"),
        ("inline code differs: `x` lost, `y` new",
         "문장 속 코드가 다릅니다: `x` 빠짐, `y` 새로 생김"),
        ("too short: 0.11 syllables for a letter of the source",
         "너무 짧습니다: 원문 한 글자에 0.11음절"),
        ("tags differ: <b> lost", "태그: <b> 빠짐"),
        ("nobody has said this yet", "nobody has said this yet"),
    ],
)  # fmt: skip
def test_details_in_korean(detail: str, korean: str):
    assert say(detail) == korean
