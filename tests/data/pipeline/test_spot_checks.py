"""The sample of passed rows that a build draws, and what becomes of people's votes in it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from kot_platypus.artifacts import JsonlLog, read_json
from kot_platypus.data.pipeline.decisions import Decision, SpotCheck
from kot_platypus.data.pipeline.drafts import Draft, iter_drafts
from tests.data.pipeline.apples import make_rows, translate
from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_dataset import (
    list_waiting,
    lose_sentence,
    read_dataset,
    read_dropped,
)

FREE: dict[str, Any] = {"decontaminate": {"against": []}}


def list_sample(builder: Builder) -> list[Draft]:
    return list(iter_drafts(builder.out / "review" / "passed.jsonl"))


def build(builder: Builder, rows: int | None = None, *, sample: int = 5, **fields: Any) -> Any:
    review = {"review": {"sample_passed": sample}}
    recipe = builder.make_recipe(rows and make_rows(rows), **FREE, **review, **fields)
    return builder.build(recipe)


def vote(builder: Builder, draft: Draft, action: Any, who: str = "kim", **fields: str) -> None:
    decision = Decision(
        key=draft.key, action=action, fields=fields, decided_at="2026-11-29", reviewer=who
    )
    JsonlLog(builder.out / "review" / "decisions.jsonl", Decision).append([decision])


def read_facts(builder: Builder) -> Any:
    return read_json(builder.out / "reviewed" / "manifest.json")


def test_a_sample_of_what_passed_is_written_and_only_that(builder: Builder):
    builder.service.translation = lambda xml: (
        lose_sentence(xml) if "Mina" in xml else translate(xml)
    )
    build(builder, 30, sample=5)
    sample = list_sample(builder)
    assert len({draft.key for draft in sample}) == 5
    assert not {draft.key for draft in sample} & {draft.key for draft in list_waiting(builder.out)}


def test_the_sample_is_drawn_by_the_seed(builder: Builder, tmp_path: Any):
    build(builder, 30)
    keys = [draft.key for draft in list_sample(builder)]
    for name, seed in (("same", 42), ("other", 7)):
        builder.out = tmp_path / name
        build(builder, seed=seed)
        assert ([draft.key for draft in list_sample(builder)] == keys) == (seed == 42)


def test_another_size_keeps_the_rows_that_were_drawn(builder: Builder):
    build(builder, 30, sample=5)
    first = list_sample(builder)
    build(builder, sample=9)
    assert list_sample(builder)[:5] == first
    build(builder, sample=0)
    assert list_sample(builder) == []


def test_the_sample_stays_when_rows_are_added(builder: Builder, tmp_path: Any):
    build(builder, 25, sample=10)
    before = {draft.original.source for draft in list_sample(builder)}
    builder.out = tmp_path / "more"
    build(builder, 30, sample=10)
    after = {draft.original.source for draft in list_sample(builder)}
    new = {row["source"] for row in make_rows(30)[25:]}
    assert after - before <= new, "only what is new took a place"
    assert len(before & after) == 10 - len(after & new)


def test_a_row_that_a_spot_check_rejects_is_left_out(builder: Builder):
    build(builder, 30)
    first, second, third, *_ = list_sample(builder)
    vote(builder, first, "drop")
    vote(builder, second, "edit", source="고친 물음 100")
    vote(builder, third, "accept")
    counts = build(builder)
    assert (counts["dropped"], counts["edited"], counts["written"]) == (1, 1, 29)
    ids = {row["origin"]["id"]: row for row in read_dataset(builder.out)}
    assert first.origin.id not in ids
    assert ids[second.origin.id]["source"] == "고친 물음 100"
    assert ids[third.origin.id]["edits"] == []
    assert [row.reason for row in read_dropped(builder.out)] == ["dropped in review"]
    check = read_facts(builder)["spot_check"]
    assert check == {"total": 5, "accept": 1, "edit": 1, "drop": 1, "disputed": 0}
    assert list_sample(builder)[0] == first, "a decision changes no sample"
    card = (builder.out / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "Spot check of 3 of 5 drawn rows that passed: 1 dropped (6.1-79.2%" in card


@pytest.mark.parametrize("kind", ["failed", "passed"])
def test_a_row_on_which_reviewers_disagree_waits_until_it_is_settled(builder: Builder, kind: str):
    if kind == "failed":
        builder.service.translation = lose_sentence
    build(builder, 6)
    draft = (list_waiting(builder.out) if kind == "failed" else list_sample(builder))[0]
    vote(builder, draft, "accept", "kim")
    before = build(builder).get("waiting", 0)
    vote(builder, draft, "drop", "lee")
    assert build(builder)["waiting"] == before + 1
    (dropped,) = (
        row for row in read_dropped(builder.out) if row.row["origin"]["id"] == draft.origin.id
    )
    assert dropped.reason == "waiting for review"
    assert "reviewers disagree" in dropped.detail
    assert read_facts(builder)["agreement"]["disputed"] == 1
    card = (builder.out / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "2 reviewers, 1 rows decided on by two or more: 0.0% of their decisions agree" in card
    spot = SpotCheck.model_validate(read_facts(builder)["spot_check"])
    assert ("; 1 disputed, and not counted." in str(spot)) == (kind == "passed")
    settled = Decision(
        key=draft.key, action="drop", decided_at="2026-11-29", reviewer="kim", settles=True
    )
    JsonlLog(builder.out / "review" / "decisions.jsonl", Decision).append([settled])
    counts = build(builder)
    assert (counts.get("waiting", 0), counts["dropped"]) == (before, 1)


def test_a_rejected_row_keeps_its_text_when_answers_are_asked_for_again(builder: Builder):
    """The decision is filed under it. Here the ledger is lost, too, and the service says other."""
    builder.service.translation = lambda xml: "" if xml.startswith("Mina") else translate(xml)
    build(builder, 12)
    rejected = list_sample(builder)[0]
    vote(builder, rejected, "drop")
    shutil.rmtree(builder.folder / "ledger")
    builder.service.translation = lambda xml: translate(xml).replace("모두", "다 합해")
    counts = build(builder)
    assert (counts["dropped"], counts["written"]) == (1, 11)
    assert "다 합해" in read_dataset(builder.out)[0]["source"]


def test_the_card_does_not_say_that_an_edited_row_failed_a_check(builder: Builder):
    """The steps add up to the rows: one that passed and was edited is counted there alone."""
    build(builder, 10)
    draft = list_sample(builder)[0]
    vote(builder, draft, "edit", source=draft.translated.source + " ")
    build(builder)
    card = (builder.out / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "| passed all checks at once, kept as they were | 9 |" in card
    assert "| edited in review | 1 |" in card
