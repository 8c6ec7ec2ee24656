"""Pairs of what a teacher's replies were kept and dropped as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_manifest
from kot_platypus.cli import app
from kot_platypus.data.leaks import find_leaked_rows
from kot_platypus.errors import DataError, RunError
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.reasoning import Reasoning
from kot_platypus.evaluate.texts import Sampling
from kot_platypus.formats import read_rows
from kot_platypus.rationale_pairs import write_pairs
from kot_platypus.rationales import Selection, write_rationales
from kot_platypus.records import PairedExample

from .test_rationales import DUNNO, KOT, LONG, QUESTIONS, SHORT, Teacher, own_cache

__all__ = ["own_cache"]
LONGER_WRONG = "사과가 3개이고 배가 4개이다. 둘을 곱하면 3 × 4 = 12이므로 모두 12개이다."
SHORT_WRONG = "3개에 4개를 곱하면 12개이다."


def reason(out: Path, said: dict[str, list[str]], questions: list[Question] = QUESTIONS) -> Path:
    samples = len(next(iter(said.values())))
    how = Reasoning(KOT, 64, samples, Sampling(temperature=0.7))
    write_rationales(out, Teacher(said), questions, how, Selection())
    return out


def read_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    wrong = [f"{LONGER_WRONG}\n정답: 12개", f"{SHORT_WRONG}\n정답: 12개"]
    apples = [f"{LONG}\n정답: 7개", f"{SHORT}\n정답: 7개", *wrong, DUNNO]
    return reason(tmp_path / "taught", {"사과": apples, "귤": [DUNNO] * 5})


def test_a_kept_rationale_stands_beside_the_wrong_one_of_its_question_that_is_as_long(
    taught, tmp_path
):
    said = write_pairs(taught, tmp_path / "pairs")
    assert said == (
        "1 pairs of 1 of 2 questions (1 with no reply kept, 0 with none wrong); a rationale has "
        f"{len(SHORT)} characters where chosen, {len(SHORT_WRONG)} where rejected"
    )
    assert read_lines(tmp_path / "pairs") == [
        {
            "source": QUESTIONS[0].source, "target": "7개", "rationale": SHORT, "task": "sum",
            "input": "", "pass_rate": 0.4, "origin": "teacher",
            "rejected": {"rationale": SHORT_WRONG, "target": "12개"},
        }
    ]  # fmt: skip
    (row,) = read_rows(tmp_path / "pairs" / "train.jsonl")
    assert isinstance(row, PairedExample)
    assert (row.rejected.source, row.rejected.target) == (QUESTIONS[0].source, "12개")
    before = (tmp_path / "pairs" / "train.jsonl").stat().st_mtime_ns
    assert write_pairs(taught, tmp_path / "pairs") == said  # done before
    assert (tmp_path / "pairs" / "train.jsonl").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="max_per_question"):
        write_pairs(taught, tmp_path / "pairs", max_per_question=2)


def test_unreadable_replies_and_more_pairs_are_taken_when_asked_for(taught, tmp_path):
    write_pairs(taught, tmp_path / "two", max_per_question=9)
    rejected = [each["rejected"]["rationale"] for each in read_lines(tmp_path / "two")]
    assert rejected == [SHORT_WRONG, LONGER_WRONG]
    write_pairs(taught, tmp_path / "three", max_per_question=9, unreadable=True)
    rejected = [each["rejected"] for each in read_lines(tmp_path / "three")]
    assert {"rationale": DUNNO, "target": ""} in rejected
    assert len(rejected) == 3
    assert read_manifest(tmp_path / "three")["pairs"] == 3


def test_what_is_right_or_was_told_its_answer_is_never_rejected(tmp_path):
    """Not chosen, cut off, or faulty are no wrong answers."""
    said = [f"{SHORT}\n정답: 7개", f"{LONG}\n정답: 7개", "7.\n정답: 7개", "하나 더, " * 40 + "…"]
    taught = reason(tmp_path / "taught", {"사과": said}, QUESTIONS[:1])
    with pytest.raises(DataError, match=r"no question in .* has both a kept and a wrong reply"):
        write_pairs(taught, tmp_path / "pairs")
    assert not (tmp_path / "pairs" / "train.jsonl").exists()


def test_replies_from_before_are_said_to_have_no_question(taught, tmp_path):
    rows = read_lines(taught)
    text = "".join(json.dumps({k: v for k, v in r.items() if k != "doc_id"}) + "\n" for r in rows)
    (taught / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="written before rows had a `doc_id`"):
        write_pairs(taught, tmp_path / "pairs")


def test_text_of_a_benchmark_is_found_in_what_is_rejected(taught, tmp_path):
    write_pairs(taught, tmp_path / "pairs", max_per_question=2)
    rows = read_rows(tmp_path / "pairs" / "train.jsonl")
    assert find_leaked_rows(rows, {"test": [(LONGER_WRONG,)]}) == {1}


def test_command_says_what_came_of_it_and_what_it_wants(taught, tmp_path):
    def pairs(folder: Path) -> Any:
        return CliRunner().invoke(app, ["data", "pairs", str(folder), "--out", str(tmp_path / "b")])

    refused = pairs(tmp_path)
    assert "holds no finished rationales" in refused.stderr
    done = pairs(taught)
    assert done.stdout == f"{tmp_path / 'b' / 'train.jsonl'}\n"
    assert "1 pairs of 1 of 2 questions" in done.stderr
