from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl
from kot_platypus.cli import app
from kot_platypus.data.executors import IN_PROCESS
from kot_platypus.data.pairs import (
    NUM_EXAMPLES,
    check_pairs,
    describe_pairs,
    parse_pair_columns,
)
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import write_values
from kot_platypus.records import FoundInPair, PairExample
from tests.data.openai_server import serve_openai

GOOD = ("It weighs 3.75 kg.", "무게는 3.75kg이다.")
BAD = ("It weighs 3.75 kg.", "무게는 37.5kg이다.")


def write_rows(path: Path, *rows: Any) -> Path:
    write_values(path, rows)
    return path


def check(file: Path, columns: dict[str, str] | None = None) -> dict[str, Any]:
    return check_pairs(file, file.parent / "out", IN_PROCESS, columns)


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (lambda en, ko: {"english": en, "korean": ko}, ""),
        (lambda en, ko: {"id": 7, "en": en, "ko": ko}, ""),
        (lambda en, ko: {"source": en, "translation": ko}, ""),
        (lambda en, ko: {"translation": {"en": en, "ko": ko}, "source": "web"}, ""),
        (lambda en, ko: {"English": en, " Korean": ko}, ""),
        (lambda en, ko: {"번호": 1, "원문": en, "번역문": ko}, ""),
        (lambda en, ko: {"원문": en, "번역": ko}, ""),
        (lambda en, ko: {"한국어": ko, "영어": en}, ""),
        (lambda en, ko: {"a": en, "b": ko}, "english=a,korean=b"),
        (lambda en, ko: {"original": {"target": en}, "translated": {"target": ko}}, ""),
        (lambda en, ko: {"x": en, "y": ko}, "english.target=x,korean.target=y"),
    ],
)
def test_the_wrong_number_is_found_under_whatever_names_both_columns_have(
    tmp_path: Path, make: Any, columns: str
):
    file = write_rows(tmp_path / "both.jsonl", make(*GOOD), make(*BAD))
    report = check(file, parse_pair_columns(columns))
    assert (report["rows"], report["rows_with_errors"]) == (2, 1)
    (found,) = read_jsonl(tmp_path / "out" / "findings.jsonl", FoundInPair)
    assert (found.row, found.place, found.finding.check) == (1, "line 2", "numbers")


def test_columns_that_changed_places_are_said(tmp_path: Path):
    korean = {"en": "하늘은 파랗다.", "ko": "The sky is blue."}
    with pytest.raises(DataError, match="2 of 3 pairs have Korean as their English"):
        check(write_rows(tmp_path / "both.jsonl", korean, korean, {"en": GOOD[0], "ko": GOOD[1]}))


def test_fields_of_a_row_are_checked_together(tmp_path: Path):
    """The rationale no longer ends in the target, which no single text shows."""
    original = {"source": "Is it red?", "rationale": "So the answer is yes.", "target": "yes"}
    translated = {"source": "빨간가?", "rationale": "따라서 답은 아니요이다.", "target": "예"}
    file = write_rows(tmp_path / "both.jsonl", {"original": original, "translated": translated})
    assert "answer_mismatch" in check(file)["findings"]


def test_a_row_without_english_is_counted_and_not_called_good(tmp_path: Path):
    rows = [{"en": english, "ko": "글"} for english in ("", None, " ")]
    report = check(write_rows(tmp_path / "both.jsonl", *rows))
    assert (report["rows_without_english"], report["rows_with_errors"]) == (3, 0)


def test_a_line_that_cannot_be_read_is_left_out_and_counted(tmp_path: Path):
    file = tmp_path / "both.jsonl"
    file.write_text('{"en": "a", "ko": \n{"en": "Yes.", "ko": "네."}\n')
    report = check(file)
    assert report["rows"] == 1
    assert "line 1 is not JSON" in report["unreadable"][0]


def test_a_file_of_which_no_line_can_be_read_is_refused(tmp_path: Path):
    file = tmp_path / "both.jsonl"
    file.write_text('{"en": \n')
    with pytest.raises(DataError, match="line 1 is not JSON"):
        check(file)


def test_a_missing_translation_is_an_error_of_its_row(tmp_path: Path):
    report = check(write_rows(tmp_path / "both.jsonl", {"en": GOOD[0], "ko": None}))
    assert report["findings"]["cut_off"]["errors"] == 1


@pytest.mark.parametrize(
    ("row", "columns", "said"),
    [
        ({"question": "a", "answer": "b"}, "", "has the columns question, answer"),
        ({"en": "a", "ko": "b"}, "english=en,korean=kr", "has no column 'kr'"),
        ({"en": "a", "ko": ["b"]}, "", "ko is list"),
        ({"original": "a", "translated": {"target": "b"}}, "", "original is str"),
        ("a", "", "is str"),
    ],
)
def test_a_row_that_is_no_pair_is_named(tmp_path: Path, row: Any, columns: str, said: str):
    file = write_rows(tmp_path / "both.jsonl", row)
    with pytest.raises(DataError, match=f"both.jsonl line 1.*{said}"):
        check(file, parse_pair_columns(columns))


def test_rows_that_are_no_pairs_are_left_out_and_counted(tmp_path: Path):
    file = write_rows(tmp_path / "both.jsonl", {"en": "a"}, {"en": BAD[0], "ko": BAD[1]})
    report = check(file)
    assert (report["rows"], report["rows_with_errors"]) == (1, 1)
    assert "line 1 has the columns en" in report["unreadable"][0]
    (found,) = read_jsonl(tmp_path / "out" / "findings.jsonl", FoundInPair)
    assert (found.row, found.place) == (1, "line 2")
    assert describe_pairs(report).startswith("1 pair: 1 with errors")
    assert describe_pairs(report).endswith("; left out as no pairs: 1")


def test_a_file_most_of_which_cannot_be_read_is_no_success(tmp_path: Path):
    """Two lines of ASCII are read; nothing is checked, nothing written."""
    file = tmp_path / "cp949.jsonl"
    lines = [
        json.dumps({"en": "Yes.", "ko": ko}, ensure_ascii=False) for ko in ["a", "b", *"가나다"]
    ]
    file.write_bytes("\n".join(lines).encode("cp949"))
    said = "3 of 5 rows of .*cp949.jsonl cannot be read, e.g. .* line 3 is not UTF-8"
    with pytest.raises(DataError, match=said):
        check(file)
    assert not (tmp_path / "out").exists()


OWN = {"origin": "{}", "translation": "{}", "checks_passed": [], "edits": "[]"}


@pytest.mark.parametrize("name", ["messages", "conversations"])
def test_a_built_set_of_conversations_is_checked_turn_by_turn(tmp_path: Path, name: str):
    def say(question: str, answer: str) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]

    row = {
        name: say("무게는?", BAD[1]),
        f"{name}_en": say("What does it weigh?", BAD[0]),
        "source": "web",
        **OWN,
    }
    korean = {name: say("무게는?", "3kg이다."), **OWN}
    report = check(write_rows(tmp_path / "train.jsonl", row, korean))
    assert (report["rows"], report["rows_without_english"]) == (2, 1)
    (found,) = read_jsonl(tmp_path / "out" / "findings.jsonl", FoundInPair)
    assert (found.finding.check, found.finding.field) == ("numbers", "messages.1")


def test_a_file_without_rows_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no rows"):
        check(write_rows(tmp_path / "both.jsonl"))


@pytest.mark.parametrize(
    "columns",
    [
        "english=a",
        "source=a,target=b",
        "english=a,korean=",
        "english.target=a,korean=b",
        "english.title=a,korean.title=b",
        "english=a,korean=b,english.target=c,korean.target=d",
        "english=a,korean=a",
    ],
)
def test_columns_that_are_not_two_sides_are_refused(columns: str):
    with pytest.raises(UsageError, match="--columns"):
        parse_pair_columns(columns)


def test_examples_are_a_sample_of_all_that_has_a_finding(tmp_path: Path):
    rows = [{"en": f"It has {n} legs.", "ko": f"다리가 {n + 1}개다."} for n in range(20, 60)]
    file = write_rows(tmp_path / "both.jsonl", *rows)
    assert check(file)["findings"]["numbers"]["errors"] == 40
    examples = read_jsonl(tmp_path / "out" / "examples.jsonl", PairExample)
    assert len(examples) == NUM_EXAMPLES
    assert max(each.row for each in examples) >= NUM_EXAMPLES


def test_the_command_prints_a_table_and_writes_page_and_findings(tmp_path: Path):
    file = tmp_path / "both.csv"
    file.write_text('en,ko\nIt weighs 3.75 kg.,"무게는 37.5kg이다."\nYes.,네.\n')
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["data", "check", "--pairs", str(file), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "numbers" in result.output
    assert "2 pairs: 1 with errors, 0 with warnings alone" in result.output
    assert {path.name for path in out.iterdir()} >= {"report.html", "report.json", "findings.jsonl"}
    assert json.loads((out / "report.json").read_text())["findings"]["numbers"]["errors"] == 1


def test_pairs_and_benchmarks_are_two_commands(tmp_path: Path):
    file = write_rows(tmp_path / "both.jsonl", {"en": "a", "ko": "b"})
    arguments = ["--pairs", str(file), "--out", str(tmp_path / "out"), "--against", "kobest"]
    result = CliRunner().invoke(app, ["data", "check", *arguments])
    assert result.exit_code == UsageError.exit_code
    assert "--pairs alone" in result.output


def type_judged(file: Path, url: str, out: str = "out") -> str:
    judge = f'{{service: openai, options: {{model: m, base_url: "{url}"}}}}'
    places = ["--out", str(file.parent / out), "--ledger", str(file.parent / "ledger")]
    command = ["data", "check", str(file), "--pairs", "--judge", judge, *places]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_judge_reads_pairs_that_have_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file = write_rows(
        tmp_path / "both.jsonl",
        *({"en": en, "ko": ko} for en, ko in (GOOD, BAD, ("A dog.", "개."))),
    )
    with serve_openai(translation=lambda text: "WRONG: 개" if "dog" in text else "RIGHT") as server:
        output = type_judged(file, server[0])
    paid = sum(map(len, server[1].asked))
    assert f"1 right, 1 wrong, 0 without a verdict. Paid for in all: {paid} characters." in output
    assert len(server[1].asked) == 2
    found = read_jsonl(tmp_path / "out" / "findings.jsonl", FoundInPair)
    assert [(each.row, each.finding.check) for each in found] == [(1, "numbers"), (2, "judge")]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "심사 모델이 틀렸다고 보았습니다: 개" in page
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = type_judged(file, server[0], "moved")
    assert f"Paid for in all: {paid} characters." in moved  # the same account, by account.txt


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pairs", "--judge", "qwen3"], "a mapping with the keys service, options, severity"),
        (["--pairs", "--judge", "{service: openai, model: m}"], "unknown key 'model'"),
        (["--pairs", "--judge", "{service: deepl}"], "service is 'deepl'"),
        (["--judge", "{service: openai}"], "without --pairs"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_one_line(tmp_path: Path, options: list[str], said: str):
    file = write_rows(tmp_path / "both.jsonl", {"en": GOOD[0], "ko": GOOD[1]})
    command = ["data", "check", str(file), "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == UsageError.exit_code
    assert said in " ".join(result.output.split())
