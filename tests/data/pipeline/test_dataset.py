from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from kot_platypus.artifacts import JsonlLog, read_jsonl
from kot_platypus.data.pipeline.dataset import estimate_dataset
from kot_platypus.data.pipeline.decisions import Decision
from kot_platypus.data.pipeline.drafts import Draft, iter_drafts
from kot_platypus.data.pipeline.reviewing import Dropped
from kot_platypus.errors import BudgetError, RecipeError, RunError
from kot_platypus.formats import read_rows
from kot_platypus.verdicts import read_verdict
from tests.data.deepl_server import DeepLService, Fault
from tests.data.pipeline.apples import make_rows, translate
from tests.data.pipeline.conftest import BENCHMARK, Builder


def read_dataset(out: Path) -> list[dict[str, Any]]:
    lines = (out / "dataset" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_dropped(out: Path) -> list[Dropped]:
    return read_jsonl(out / "dataset" / "dropped.jsonl", Dropped)


def list_files(out: Path) -> dict[str, bytes]:
    """The data set but for its manifest, which has times."""
    files = (out / "dataset").iterdir()
    return {file.name: file.read_bytes() for file in files if file.name != "manifest.json"}


def decide(out: Path, action: str, draft: Draft, **fields: str) -> None:
    log = JsonlLog(out / "review" / "decisions.jsonl", Decision)
    log.append(
        [Decision(key=draft.key, action=action, fields=fields, decided_at="2026-11-22T00:00Z")]  # type: ignore[arg-type]
    )


def list_waiting(out: Path) -> list[Draft]:
    return list(iter_drafts(out / "review" / "queue.jsonl"))


def lose_sentence(xml: str) -> str:
    """A translation whose last sentence is missing."""
    korean = translate(xml)
    return korean.rpartition("\n")[0] or korean


# --- what comes out ----------------------------------------------------------------------------


def test_rows_come_out_in_korean_with_their_origin(builder: Builder):
    counts = builder.build(builder.make_recipe())
    rows = read_dataset(builder.out)
    assert counts == {
        "available": 30,
        "drawn": 30,
        "passed": 30,
        "duplicates": 0,
        "contaminated": 0,
        "written": 30,
    }
    first, original = rows[0], make_rows(1)[0]
    assert first["target"] == original["target"]
    assert "에게" in first["source"]
    assert "\n그래서" in first["rationale"], "a literal \\n is a line break"
    assert first["origin"]["source"] == "cot.json"
    assert first["origin"]["id"] == "row 0"
    assert len(first["origin"]["sha256"]) == 64
    assert first["translation"]["service"] == "deepl"
    assert json.loads(first["translation"]["parameters"])["formality"] == "prefer_more"
    assert {"numbers", "cut_off", "answer_mismatch", "protection"} <= set(first["checks_passed"])
    assert first["edits"] == []


def test_datasets_loads_the_folder_as_its_card_says(builder: Builder, tmp_path: Path):
    builder.build(builder.make_recipe())
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(str(builder.out / "dataset"), split="train", cache_dir=cache)
    assert loaded.to_list() == read_dataset(builder.out)


def test_training_reads_the_rows_and_knows_that_they_were_checked(builder: Builder):
    builder.build(builder.make_recipe())
    rows = builder.out / "dataset" / "train.jsonl"
    assert len(read_rows(rows)) == 30
    verdict = read_verdict(rows)
    assert verdict is not None
    assert verdict.is_clean


def test_alpaca_columns_are_those_of_open_platypus(builder: Builder):
    builder.build(builder.make_recipe(columns="alpaca"))
    row = read_dataset(builder.out)[0]
    assert list(row)[:4] == ["instruction", "input", "output", "data_source"]
    assert row["output"].endswith(make_rows(1)[0]["target"])


def test_korean_rows_pass_untouched_and_nothing_is_sent(builder: Builder, tmp_path: Path):
    rows = [
        {"source": f"{n} 더하기 1은?", "rationale": f"{n + 1}이다.", "target": f"{n + 1}"}
        for n in range(50, 60)
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = builder.make_recipe(sources=[{"file": str(file), "language": "ko"}], translate=None)
    assert builder.build(recipe)["written"] == 10
    assert {row["translation"] for row in read_dataset(builder.out)} == {None}
    assert not builder.service.bodies


def test_a_korean_row_that_contradicts_itself_waits(builder: Builder, tmp_path: Path):
    file = tmp_path / "mine.jsonl"
    row = {"source": "3 더하기 4는?", "rationale": "더하면 8이다.", "target": "7"}
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    recipe = builder.make_recipe(sources=[{"file": str(file), "language": "ko"}], translate=None)
    assert builder.build(recipe)["waiting"] == 1


def test_a_second_run_sends_nothing_and_changes_nothing(builder: Builder):
    recipe = builder.make_recipe()
    builder.build(recipe)
    before, sent = list_files(builder.out), len(builder.service.bodies)
    builder.build(recipe)
    assert list_files(builder.out) == before
    assert len(builder.service.bodies) == sent


def test_another_folder_pays_for_nothing_twice(builder: Builder, tmp_path: Path):
    recipe = builder.make_recipe()
    builder.build(recipe)
    before, bill = list_files(builder.out), builder.service.bill
    builder.out = tmp_path / "other"
    builder.build(recipe)
    assert list_files(builder.out) == before
    assert builder.service.bill == bill


def test_a_folder_of_other_settings_is_refused(builder: Builder):
    builder.build(builder.make_recipe())
    with pytest.raises(RunError, match="other settings"):
        builder.build(builder.make_recipe(seed=7))


# --- what is left out --------------------------------------------------------------------------


def test_duplicates_and_leaks_go_with_their_reasons(builder: Builder):
    rows = make_rows(20)
    twice = {**rows[3], "task": "other"}
    leak = {**rows[4], "source": f"{rows[4]['source']} {BENCHMARK}."}
    counts = builder.build(builder.make_recipe([*rows, twice, leak]))
    assert (counts["duplicates"], counts["contaminated"], counts["written"]) == (1, 1, 20)
    duplicate, contaminated = read_dropped(builder.out)
    assert duplicate.reason == "duplicate"
    assert duplicate.detail == "of cot.json row 3"
    assert duplicate.row["origin"]["id"] == "row 20"
    assert contaminated.reason == "contaminated"
    assert "picnics item 0" in contaminated.detail
    assert contaminated.row["origin"]["id"] == "row 21"


# --- second tries and review -------------------------------------------------------------------


def spoil_first_try(service: DeepLService) -> None:
    """Every translation in the first tone loses its last line."""

    def answer(xml: str) -> str:
        is_first = service.bodies[-1]["formality"] == "prefer_more"
        return lose_sentence(xml) if is_first else translate(xml)

    service.translation = answer


def test_rows_that_fail_a_check_are_mended_by_a_second_try(builder: Builder):
    spoil_first_try(builder.service)
    counts = builder.build(builder.make_recipe())
    assert counts["mended"] == 30
    row = read_dataset(builder.out)[0]
    retried = json.loads(row["translation"]["retried"])
    assert retried == {"rationale": {"formality": "prefer_less"}}, "only the field that failed"
    card = (builder.out / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "`kot data build`, with a recipe file of its own." in card, "apples is no shipped name"
    assert "| `cut_off` | 30 | 0 |" in card


def test_rows_that_fail_twice_wait_for_a_person(builder: Builder):
    builder.service.translation = lose_sentence
    counts = builder.build(builder.make_recipe())
    assert counts["waiting"] == 30
    assert counts["written"] == 0
    assert len(list_waiting(builder.out)) == 30
    assert {row.reason for row in read_dropped(builder.out)} == {"waiting for review"}
    assert "rationale cut_off" in read_dropped(builder.out)[0].detail


def test_decisions_are_taken_in_and_can_be_taken_back(builder: Builder):
    builder.service.translation = lose_sentence
    recipe = builder.make_recipe(make_rows(6))
    builder.build(recipe)
    accepted, edited, dropped, undone, *_ = list_waiting(builder.out)
    mended = (
        edited.translated.rationale + f"\n그래서 마지막에는 {edited.original.target}개가 됩니다."
    )
    decide(builder.out, "accept", accepted)
    decide(builder.out, "edit", edited, rationale=mended)
    decide(builder.out, "drop", dropped)
    decide(builder.out, "drop", undone)
    decide(builder.out, "undo", undone)
    counts = builder.build(recipe)
    assert counts["written"] == 2
    assert (counts["accepted"], counts["edited"]) == (1, 1)
    assert (counts["dropped"], counts["waiting"]) == (1, 3)
    first, second = read_dataset(builder.out)
    assert first["edits"] == ["accepted: answer_mismatch, cut_off, numbers, protection"]
    assert second["edits"] == ["edited: rationale"]
    assert second["rationale"] == mended
    assert "cut_off" in second["checks_passed"]
    decide(builder.out, "undo", accepted)
    assert builder.build(recipe)["written"] == 1


def test_an_edit_of_before_that_emptied_a_text_lets_the_row_wait(builder: Builder, capsys: Any):
    builder.service.translation = lose_sentence
    recipe = builder.make_recipe(make_rows(3))
    builder.build(recipe)
    emptied, accepted, _ = list_waiting(builder.out)
    decide(builder.out, "edit", emptied, target=" ")
    decide(builder.out, "accept", accepted)
    counts = builder.build(recipe)
    assert (counts["accepted"], counts["waiting"], counts.get("edited")) == (1, 2, None)
    assert "left a text of 1 rows empty" in "".join(capsys.readouterr())


# --- money -------------------------------------------------------------------------------------


def test_an_estimate_sends_nothing_and_is_what_the_first_try_costs(builder: Builder):
    recipe = builder.make_recipe()
    estimate = estimate_dataset(builder.out, recipe, builder.account())
    assert estimate is not None
    assert not builder.service.bodies
    builder.build(recipe)
    assert estimate.characters == builder.service.bill
    again = estimate_dataset(builder.out, recipe, builder.account())
    assert again is not None
    assert (again.characters, again.stored) == (0, estimate.texts)


def test_a_budget_stops_before_it_is_exceeded_and_more_goes_on(builder: Builder):
    rows = make_rows(120)
    for number, row in enumerate(rows):  # texts that are all different: many requests
        row["source"] += f" {'x' * (number + 1)}"
    recipe = builder.make_recipe(rows)
    with pytest.raises(BudgetError):
        builder.build(recipe, budget_chars=6000)
    assert 0 < builder.service.bill <= 6000
    builder.build(recipe)
    assert builder.service.twice == 0


def test_every_way_of_failing_is_survived_and_paid_once(builder: Builder):
    rows = make_rows(60)
    for number, row in enumerate(rows):
        row["source"] += f" {'x' * (number + 1)}"
    whole = builder.make_recipe(rows)
    builder.service.faults.extend(
        [
            Fault(status=429, bills=False, answers=False, retry_after="0"),
            Fault(answers=False),  # the work is done and billed, the answer never comes
            Fault(drop_texts=1),
            Fault(spoil=lambda xml: translate(xml).replace('<x id="1"/>', "")),
            Fault(bills=False, answers=False),
        ]
    )
    builder.build(whole)
    bill = builder.account().bill()
    assert bill.total == builder.service.bill
    assert bill.in_doubt == 0
    assert bill.lost, "the faults cost nothing: they prove nothing"
    assert len(read_dataset(builder.out)) + len(read_dropped(builder.out)) == 60


@pytest.mark.parametrize(
    ("translate", "message"),
    [
        ({"service": "deepl", "options": {"formalty": "x"}}, "unknown option 'formalty'"),
        ({"service": "openai"}, "has no 'model'"),
    ],
)
def test_options_that_a_service_does_not_know_are_named(
    builder: Builder, translate: dict[str, Any], message: str
):
    with pytest.raises(RecipeError, match=message):
        builder.build(builder.make_recipe(translate=translate))
