"""Where a teacher's questions come from."""

from __future__ import annotations

import pytest

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.build import load_korean_cot
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError, UsageError
from kot_platypus.evaluate.tasks import load_task
from kot_platypus.rationale_sources import load_questions
from kot_platypus.records import Example


def test_generated_problems_are_those_of_kot_data():
    questions = load_questions("problems", 12, seed=7)
    made = make_problems(12, 7, "train")
    assert [(each.source, each.target, each.task) for each in questions] == [
        (each.source, each.target, each.task) for each in made
    ]
    with pytest.raises(UsageError, match="problems without --limit"):
        load_questions("problems")


def test_own_rows_and_shipped_rows(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [Example(source="1 더하기 1은?", target="2")])
    assert [each.target for each in load_questions(str(tmp_path / "a.jsonl"))] == ["2"]
    assert len(load_questions("korean-cot")) == len(load_korean_cot())
    assert len(load_questions("korean-cot", 5)) == 5


def test_kobest_is_its_train_split():
    questions = load_questions("kobest/copa", kobest_dir="mini")
    documents = load_task("copa", "mini").train
    assert len(questions) == len(documents)
    for question, document in zip(questions, documents, strict=True):
        assert document["premise"] in question.source
        assert question.target == document[f"alternative_{document['label'] + 1}"].strip()
    everything = load_questions("kobest", 2, kobest_dir="mini")
    assert [each.doc_id for each in everything] == list(range(10))
    assert len({each.task for each in everything}) == 5


@pytest.mark.parametrize("source", ["nowhere", "nowhere.jsonl", "kobest/nowhere"])
def test_no_such_source(source):
    with pytest.raises(DataError):
        load_questions(source, kobest_dir="mini")


def test_columns_and_splits_of_ones_own(tmp_path):
    for split, answer in (("train", "2"), ("test", "3")):
        rows = f"question,answer\n1 더하기 무엇은?,{answer}\n"
        (tmp_path / f"{split}.csv").write_text(rows, "utf-8")
    columns = {"source": "question", "target": "answer"}
    for source in (str(tmp_path / "test.csv"), f"hub:{tmp_path}@test"):
        assert [each.target for each in load_questions(source, columns=columns)] == ["3"]
    with pytest.raises(UsageError, match="--columns for kobest/copa"):
        load_questions("kobest/copa", kobest_dir="mini", columns=columns)
