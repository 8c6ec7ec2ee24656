from __future__ import annotations

import json
from pathlib import Path

import pytest

from kot_platypus.artifacts import read_jsonl
from kot_platypus.checks import check_korean
from kot_platypus.data.audit import audit_rows, describe_audit
from kot_platypus.data.build import load_korean_cot
from kot_platypus.records import Example, FoundInRow
from kot_platypus.verdicts import read_verdict

GOOD = {
    "source": "사과 3개와 배 4개는 모두 몇 개인가?",
    "rationale": "3 + 4 = 7이므로 7개이다.",
    "target": "7개",
}
WRONG = {
    "source": "연필 5자루와 펜 2자루는 모두 몇 자루인가?",
    "rationale": "더하면 8자루이다.",
    "target": "7자루",
}
MIXED = {"source": "바다는 왜 짠가?", "rationale": "바닷물에는 소금이 溶解되어 있다.", "target": ""}
TALK = {"messages": [{"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "네."}]}
ITEM = "그는 어젯밤 늦게까지 도서관에서 시험 공부를 했다"


def write_rows(path: Path, *rows: dict[str, object]) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_errors_and_duplicates_are_counted_and_placed(tmp_path: Path):
    data = write_rows(tmp_path / "rows.jsonl", GOOD, WRONG, GOOD, MIXED, TALK)
    report = audit_rows(data, tmp_path / "audit")
    found = read_jsonl(tmp_path / "audit" / "findings.jsonl", FoundInRow)
    assert [(each.row, each.finding.check) for each in found] == [
        (1, "answer_mismatch"),
        (3, "mixed_language"),
        (3, "no_target"),
    ]
    assert describe_audit(report) == "5 rows: 2 with errors, 1 duplicate"
    assert report["contamination"] is None
    assert read_verdict(data) is None


def test_an_empty_question_or_answer_is_an_error(tmp_path: Path):
    rows = [{**GOOD, "source": " "}, {**GOOD, "rationale": "", "target": ""}]
    report = audit_rows(write_rows(tmp_path / "rows.jsonl", *rows), tmp_path / "audit")
    found = read_jsonl(tmp_path / "audit" / "findings.jsonl", FoundInRow)
    errors = [each.finding.detail for each in found if each.finding.severity == "error"]
    assert errors == ["the question is empty", "the answer is empty"]
    assert report["rows_with_errors"] == 2


def test_text_of_a_benchmark_is_found_and_said_beside_the_data(tmp_path: Path):
    leak = {**GOOD, "source": f"{ITEM}. 그는 왜 졸린가?"}
    data = write_rows(tmp_path / "rows.jsonl", GOOD, leak)
    report = audit_rows(data, tmp_path / "audit", {"nights": [ITEM]})
    verdict = read_verdict(data)
    assert verdict is not None
    assert verdict.leaked_rows == 1
    assert report["contamination"]["leaked_rows"] == 1


def test_the_shipped_rows_have_no_errors(tmp_path: Path):
    rows = [row.model_dump() for row in load_korean_cot()]
    report = audit_rows(write_rows(tmp_path / "rows.jsonl", *rows), tmp_path / "audit")
    assert report["rows_with_errors"] == 0
    assert report["duplicates"] == 0


def test_an_audit_is_not_done_twice(tmp_path: Path):
    data = write_rows(tmp_path / "rows.jsonl", GOOD, WRONG)
    first = audit_rows(data, tmp_path / "audit")
    before = (tmp_path / "audit" / "manifest.json").read_bytes()
    assert audit_rows(data, tmp_path / "audit") == first
    assert (tmp_path / "audit" / "manifest.json").read_bytes() == before


def test_columns_are_those_of_the_rows_and_their_verdict_holds_for_them_alone(tmp_path: Path):
    rows = [{"question": f"{ITEM}. 왜?", "answer": "8"}, {"question": "3+4는?", "answer": "7"}]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    columns = {"source": "question", "target": "answer"}
    report = audit_rows(data, tmp_path / "audit", {"nights": [ITEM]}, columns)
    assert (report["rows"], report["contamination"]["leaked_rows"]) == (2, 1)
    assert read_verdict(data, columns).leaked_rows == 1
    assert read_verdict(data) is None
    clean = tmp_path / "audit" / "contamination" / "clean.jsonl"
    assert read_verdict(clean, columns).is_clean


def test_what_is_learnt_as_it_stands_is_found_in_talk_too(tmp_path: Path):
    spaced = {**GOOD, "target": " 7개", "source": "하나, 둘, 셋?"}
    talk = {"messages": [{"role": "user", "content": "안녕\u200b?"}, *TALK["messages"][1:]]}
    talk["rejected"] = [{"role": "assistant", "content": "아니요."}]
    report = audit_rows(write_rows(tmp_path / "rows.jsonl", GOOD, spaced, talk), tmp_path / "audit")
    found = read_jsonl(tmp_path / "audit" / "findings.jsonl", FoundInRow)
    assert [(each.row, each.finding.check) for each in found] == [
        (2, "zero_width"),
        (1, "outer_spaces"),
    ]
    assert report["findings"] == {"outer_spaces (warning)": 1, "zero_width (warning)": 1}
    said = "1 with another dialogue in `rejected` that is not read"
    assert describe_audit(report) == f"3 rows: 0 with errors, 0 duplicates, {said}"


@pytest.mark.parametrize(
    ("rationale", "found"),
    [
        ("5에서 2를 빼면 3이므로 남은 사과의 개", ["cut_off"]),
        ("The answer is 3, since three apples remain.", ["untranslated"]),
        ("5에서 2를 빼면 3이 남는다", []),
        ("남은 사과의 수를 차례로 세면 다음과 같다: 세 개", []),
        ("x = 5 - 2 = 3", []),
    ],
)
def test_a_rationale_without_its_end_or_in_english_is_a_warning(rationale: str, found: list[str]):
    row = Example(source="사과 5개 중 2개를 먹으면?", rationale=rationale, target="3")
    assert [(each.check, each.severity) for each in check_korean(row)] == [
        (check, "warning") for check in found
    ]
