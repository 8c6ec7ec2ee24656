"""A build with a judge: what it calls wrong is reviewed, and its silence is no good word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kot_platypus.data.dataset_recipe import DatasetRecipe, JudgeSection
from kot_platypus.data.pipeline.drafts import QUEUE, iter_drafts
from kot_platypus.data.translation.judge import JUDGE
from kot_platypus.data.translation.ledger_contents import list_accounts, read_ledger
from tests.data.openai_server import OpenAIService, Reply, serve_openai
from tests.data.pipeline.apples import make_rows
from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_dataset import decide, read_dataset, read_dropped

ROWS = make_rows(6)
WRONG, SILENT, FAILING = (f"has {100 + number} " for number in (1, 2, 3))
"""Of the rows' questions: one that the judge calls wrong, one of which it says nothing that can be
read, one whose translation fails a check and so is not shown to it."""


@pytest.fixture
def judge(builder: Builder) -> Iterator[tuple[str, OpenAIService]]:
    translate = builder.service.translation
    builder.service.translation = lambda xml: (
        translate(xml).replace("지금", "只今") if "FAIL" in xml else translate(xml)
    )
    with serve_openai(choose=choose) as server:
        yield server


def choose(question: str) -> Reply:
    english = json.loads(question)["english"]["source"]
    said = "WRONG: 이름이 바뀌었다." if WRONG in english else "RIGHT"
    return Reply(text="글쎄요" if SILENT in english else said)


def make_recipe(builder: Builder, url: str, severity: str = "warning") -> DatasetRecipe:
    rows = [dict(row) for row in ROWS]
    rows[3]["source"] += " FAIL"
    options = {"model": "m", "base_url": url, "pause_s": 0.01}
    judge = {"service": "openai", "options": options, "severity": severity}
    return builder.make_recipe(rows, judge=judge, decontaminate={"against": []})


def test_rows_that_passed_are_judged_and_doubted_ones_are_in_the_review(builder, judge):
    url, service = judge
    counts = builder.build(make_recipe(builder, url))
    assert (counts["passed"], counts["waiting"], counts["written"]) == (5, 1, 5)
    assert len(service.asked) == 5
    assert not any(FAILING in question for question in service.asked)

    queue = list(iter_drafts(builder.out / "review" / QUEUE))
    said = {d.original.source: [f.detail for f in d.findings if f.check == JUDGE] for d in queue}
    (wrong,) = (details for text, details in said.items() if WRONG in text)
    (silent,) = (details for text, details in said.items() if SILENT in text)
    assert (wrong, silent) == (["judged wrong: 이름이 바뀌었다."], ["no verdict: unreadable"])
    assert len(queue) == 3

    passed = {row["source_en"]: JUDGE in row["checks_passed"] for row in read_dataset(builder.out)}
    doubted = {text for text, is_right in passed.items() if not is_right}
    assert len(doubted) == 2, "silence is no good word either"
    assert all(WRONG in text or SILENT in text for text in doubted)
    assert (
        "3 right, 1 wrong, 1 without a verdict" in (builder.out / "dataset/README.md").read_text()
    )


def test_a_person_drops_what_the_judge_doubts_and_the_verdicts_are_paid_for_once(builder, judge):
    url, service = judge
    recipe = make_recipe(builder, url)
    builder.build(recipe)
    bill, asked = builder.account().bill(), len(service.asked)
    (wrong,) = (
        d for d in iter_drafts(builder.out / "review" / QUEUE) if WRONG in d.original.source
    )
    decide(builder.out, "drop", wrong)
    assert builder.build(recipe)["written"] == 4
    assert len(service.asked) == asked + 1, "the one without a verdict is asked for again"
    assert builder.account().bill().answered - bill.answered == len(service.asked[-1])
    with read_ledger(builder.account().folder) as database:
        judged, translated = sorted(list_accounts(database), key=lambda each: each.model == "")
    assert (judged.service, judged.model, judged.translations) == ("openai judge", "m", 4)
    assert judged.flaws == {"unreadable": 2}
    assert judged.characters == sum(map(len, service.asked))
    assert translated.service == "deepl"


def test_as_an_error_a_wrong_row_waits_and_one_without_a_verdict_does_not(builder, judge):
    counts = builder.build(make_recipe(builder, judge[0]))
    counts = builder.build(make_recipe(builder, judge[0], "error"))
    assert (counts["waiting"], counts["written"]) == (2, 4)
    assert any("judge: judged wrong" in row.detail for row in read_dropped(builder.out))
    counts = builder.build(builder.make_recipe(decontaminate={"against": []}))
    assert (counts["waiting"], counts["written"]) == (1, 5), "without a judge as before"


@pytest.mark.parametrize(
    "section", [{"service": "deepl"}, {"service": "openai", "severity": "fatal"}, {"model": "m"}]
)
def test_a_section_that_is_no_judge_is_refused(section: dict[str, Any]):
    with pytest.raises(ValidationError):
        JudgeSection.model_validate(section)


def test_a_judge_without_translations_is_refused(tmp_path: Path):
    source = {"file": str(tmp_path / "rows.jsonl"), "language": "ko"}
    values = {"kind": "dataset", "name": "a", "description": "a", "license": "mit"}
    judge = {"service": "openai", "options": {"model": "m"}}
    with pytest.raises(ValidationError, match="`judge` only with `translate`"):
        DatasetRecipe.model_validate({**values, "sources": [source], "judge": judge})
