"""The same folder with a mended recipe or other checks: what was paid and decided stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kot_platypus.artifacts import JsonlLog, read_json
from kot_platypus.checks import CHECK_NAMES
from kot_platypus.data.executors import InProcess
from kot_platypus.data.overview import describe_build
from kot_platypus.data.pipeline import drafts
from kot_platypus.data.pipeline.dataset import build_dataset
from kot_platypus.data.pipeline.decisions import Decision
from kot_platypus.errors import DataError, RunError
from kot_platypus.records import Finding
from tests.data.pipeline.apples import make_rows, translate
from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_dataset import (
    decide,
    list_waiting,
    lose_sentence,
    read_dataset,
    read_dropped,
)

AGAINST_NOTHING = {"decontaminate": {"against": []}}
CHANGES: dict[str, dict[str, Any]] = {
    "description": {"description": "Many apples"},
    "notes": {"notes": "What is assumed."},
    "licence": {"license": "cc-by-4.0"},
    "threshold": {"dedupe": {"near": 0.9}},
    "kinds": {"dedupe": {"kinds": ["exact"]}},
    "benchmarks": {"decontaminate": {"against": ["kobest"]}},
    "second try": {"retry": {}},
}


@pytest.fixture
def reviewed(builder: Builder) -> Builder:
    """A data set of which people accepted one row and dropped another."""
    builder.service.translation = lose_sentence
    builder.build(builder.make_recipe(make_rows(6), **AGAINST_NOTHING))
    accepted, dropped, *_ = list_waiting(builder.out)
    decide(builder.out, "accept", accepted)
    decide(builder.out, "drop", dropped)
    builder.build(builder.make_recipe(**AGAINST_NOTHING))
    return builder


def mend(builder: Builder, change: dict[str, Any]) -> dict[str, int]:
    values = builder.make_recipe(**AGAINST_NOTHING).model_dump(mode="json")
    if "retry" in change:
        values["translate"]["retry"] = change["retry"]
    else:
        values |= change
    return builder.build(type(builder.make_recipe()).model_validate(values))


@pytest.mark.parametrize("change", CHANGES)
def test_a_mended_recipe_keeps_decisions_and_translations(reviewed: Builder, change: str):
    sent = len(reviewed.service.bodies)
    counts = mend(reviewed, CHANGES[change])
    assert (counts["accepted"], counts["dropped"], counts["written"]) == (1, 1, 1)
    assert len(reviewed.service.bodies) == sent, "nothing was translated again"


def test_a_dropped_row_says_why_it_was_dropped(builder: Builder):
    builder.service.translation = lose_sentence
    builder.build(builder.make_recipe(make_rows(3), **AGAINST_NOTHING))
    (key, *_) = (each.key for each in list_waiting(builder.out))
    why = Decision(key=key, action="drop", decided_at="", reason="meaning", note="뜻이 반대")
    JsonlLog(builder.out / "review" / "decisions.jsonl", Decision).append([why])
    builder.build(builder.make_recipe(**AGAINST_NOTHING))
    (dropped,) = (r for r in read_dropped(builder.out) if r.reason == "dropped in review")
    assert dropped.detail.endswith("; meaning; 뜻이 반대")


def test_the_card_and_the_folder_s_recipe_say_what_was_mended(reviewed: Builder):
    mend(reviewed, CHANGES["licence"])
    for file in ("dataset/README.md", "recipe.yaml"):
        assert "license: cc-by-4.0" in (reviewed.out / file).read_text(encoding="utf-8")


def test_licences_of_a_source_may_be_added(reviewed: Builder):
    source = reviewed.make_recipe().sources[0].model_dump(mode="json")
    source["licenses"] = [{"name": "mit", "where": "its card"}]
    assert mend(reviewed, {"sources": [source]})["written"] == 1
    assert "| mit |" in (reviewed.out / "dataset" / "README.md").read_text(encoding="utf-8")


def test_other_rows_and_other_translations_are_another_data_set(reviewed: Builder):
    with pytest.raises(RunError, match=r"other settings \(sample\)"):
        mend(reviewed, {"sample": {"rows": 3}})


def test_a_folder_that_never_had_rows_takes_the_mended_recipe(builder: Builder):
    recipe = builder.make_recipe(make_rows(3), **AGAINST_NOTHING)
    with pytest.raises(DataError, match=r"row 0 is a question .*columns: chat"):
        builder.build(recipe.model_copy(update={"columns": "chat"}))
    assert builder.build(recipe)["written"] == 3


def recheck(builder: Builder, *, again: bool = True) -> dict[str, int]:
    recipe = builder.make_recipe(**AGAINST_NOTHING)
    return build_dataset(builder.out, recipe, builder.account(), InProcess(), dict, recheck=again)


@pytest.fixture
def stricter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with one check more, which finds the number 103 unlucky."""
    check_row = drafts.check_row

    def check(original: Any, translated: Any, *args: Any, **options: Any) -> Any:
        found = check_row(original, translated, *args, **options)
        unlucky = Finding(check="luck", severity="error", detail="103", field="source")
        return [*found, unlucky] if "103" in original.source else found

    names = (*CHECK_NAMES, "luck")
    monkeypatch.setattr(drafts, "check_row", check)
    monkeypatch.setattr(drafts, "CHECK_NAMES", names)


def test_new_checks_run_on_what_is_translated_when_they_are_asked_for(
    builder: Builder, stricter: None, monkeypatch: pytest.MonkeyPatch, capsys
):
    with monkeypatch.context() as before:
        before.setattr(drafts, "CHECK_NAMES", CHECK_NAMES)
        before.setattr(drafts, "check_row", lambda *args, **options: [])
        builder.build(builder.make_recipe(make_rows(6), **AGAINST_NOTHING))
    sent = len(builder.service.bodies)
    assert recheck(builder, again=False)["written"] == 6
    assert "was checked by other checks" in capsys.readouterr().err
    assert "luck" not in read_dataset(builder.out)[0]["checks_passed"]
    assert recheck(builder)["waiting"] == 1
    assert len(builder.service.bodies) == sent, "nothing is translated, not even a second time"
    assert "source luck: 103" in read_dropped(builder.out)[0].detail
    assert "luck" in read_dataset(builder.out)[0]["checks_passed"]
    (waiting,) = list_waiting(builder.out)
    decide(builder.out, "accept", waiting)
    assert recheck(builder, again=False)["accepted"] == 1, "what was checked again stays so"


def test_decisions_outlive_new_checks(reviewed: Builder, stricter: None):
    counts = recheck(reviewed)
    assert (counts["accepted"], counts["dropped"]) == (1, 1)
    manifest = read_json(reviewed.out / "rechecked" / "manifest.json")
    assert "luck" in manifest["config"]["checks"]
    assert json.loads((reviewed.out / "dataset" / "train.jsonl").read_text())["edits"]


def test_overview_tells_of_a_check_whose_every_finding_the_second_try_mended(builder: Builder):
    def answer(xml: str) -> str:
        is_first = builder.service.bodies[-1]["formality"] == "prefer_more"
        return "" if is_first else translate(xml)

    builder.service.translation = answer
    builder.build(builder.make_recipe(make_rows(2), **AGAINST_NOTHING))
    checks = describe_build(builder.out, InProcess())["checks"]
    assert checks["found"]["unanswered"] == {"errors": 2, "warnings": 0, "after": 0}
    assert (checks["rows_with_errors"], checks["rows_after"]) == (2, 0)
