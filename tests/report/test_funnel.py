"""What went in, what was left out: every count follows from the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kot_platypus.report.funnel import (
    list_funnel,
    tabulate_checks,
    tabulate_losses,
    tabulate_tokens,
)
from kot_platypus.results.run import RunResults, load_results

from .run_builder import manifest, write

NAMES = {"base": "base", "cot": "tuned"}


@pytest.fixture(scope="module")
def results(finished_run: Path) -> RunResults:
    return load_results(finished_run)


def change_training(results: RunResults, **facts: Any) -> RunResults:
    training = {**results.training, **facts}
    return results.model_copy(update={"manifests": {**results.manifests, "train/cot": training}})


def test_funnel_goes_from_sources_to_what_was_trained_on(results: RunResults) -> None:
    assert [tuple(bar) for bar in list_funnel(results)] == [
        ("problems", 0, 900, False),
        ("korean-cot", 900, 139, False),
        ("drawn", 0, 1039, False),
        ("too long", 1036, 3, True),
        ("trained on", 0, 1036, False),
    ]


def test_funnel_of_a_run_without_data_or_training() -> None:
    assert list_funnel(RunResults.model_construct(manifests={})) == []
    untrained = {"data": {"counts": {"train": 5, "by_source": {"problems": 5}}}}
    bars = list_funnel(RunResults.model_construct(manifests=untrained))
    assert [bar.label for bar in bars] == ["problems"]


def test_token_budget_adds_up(results: RunResults) -> None:
    facts = dict(tabulate_tokens(results.training, results.recipe.train))
    assert facts["tokens seen"] == "123,456"
    assert facts["of these learnt"] == "65,432"
    assert facts["share learnt"] == "53.0%"
    # 48 steps of 64 examples; the last, smaller batch of an epoch is dropped.
    assert facts["examples shown"] == "3,072"
    assert facts["tokens an example, mean"] == "40.2"


def test_rows_to_validate_on_are_neither_lost_nor_trained_on(results: RunResults) -> None:
    facts = {"num_rows": 40, "num_examples": 39, "num_known": 2, "step": 32}
    facts |= {"eval_loss": 1.125, "eval_token_accuracy": 0.5}
    changed = change_training(results, num_examples=996, validation=facts)
    assert [tuple(bar) for bar in list_funnel(changed)][-3:] == [
        ("too long", 996, 3, True),
        ("validation", 999, 40, True),
        ("trained on", 0, 996, False),
    ]
    found = dict(tabulate_tokens(changed.training, changed.recipe.train))
    assert found["validation examples"] == "39"
    assert found["validation loss"] == "1.1250 (step 32)"
    assert found["validation tokens right"] == "50.0%"
    assert found["of these asked in training too"] == "2"


def test_a_training_that_ended_early_showed_what_its_steps_took(results: RunResults) -> None:
    """Of 16 examples an epoch is three batches of five and one of one."""
    facts = {"num_examples": 16, "optimizer_steps": 6}
    train = results.recipe.train.model_copy(update={"batch_size": 5, "last_batch": "keep"})
    found = dict(tabulate_tokens({**results.training, **facts}, train))
    assert found["examples shown"] == "26"


def test_everything_cut_is_counted_zeros_included(results: RunResults) -> None:
    found = {loss.what: (loss.num_lost, loss.num_all) for loss in tabulate_losses(results, NAMES)}
    assert found["training rows too long for 2,048 tokens, left out"] == ("3", "1,039")
    assert found["training rows cut to 2,048 tokens"] == ("17", "1,036")
    assert found["examples left out of each epoch's last batch"] == ("12", "1,036")
    assert found["shots that did not fit, BoolQ 5-shot, mean"] == ("0.7", "5")
    assert found["outputs cut at 128 tokens before an answer, base"] == ("none", "12")
    assert not any("COPA" in what for what in found)


def test_outputs_cut_at_the_limit_are_counted_once_per_model(results: RunResults) -> None:
    answers = tuple(
        row.model_copy(update={"answer": None, "num_tokens": 128}) for row in results.answers["cot"]
    )
    changed = results.model_copy(update={"answers": {"cot": answers}})
    (loss,) = (loss for loss in tabulate_losses(changed, NAMES) if loss.what.startswith("outputs"))
    assert loss.text.split() == ["12", "of", "12"]


def test_what_a_manifest_does_not_hold_is_not_claimed(results: RunResults) -> None:
    training = {k: v for k, v in results.training.items() if k != "num_cut"}
    old = results.model_copy(update={"manifests": {**results.manifests, "train/cot": training}})
    assert not any("rows cut" in loss.what for loss in tabulate_losses(old, NAMES))


def test_checks_are_the_audits_counts(run_folder: Path) -> None:
    assert tabulate_checks(load_results(run_folder)) == []
    facts = {
        "rows": 1039,
        "rows_with_errors": 2,
        "findings": {"repetition (error)": 2},
        "duplicates": 4,
        "contamination": None,
    }
    write(run_folder / "audit" / "manifest.json", manifest("audit", 3.0, **facts))
    assert tabulate_checks(load_results(run_folder)) == [
        ("rows checked", "1,039"),
        ("rows with errors", "2"),
        ("repetition (error)", "2"),
        ("duplicates", "4"),
    ]


def test_the_audits_verdict_counts_where_the_training_has_none(run_folder: Path) -> None:
    verdict = {"data_sha256": "0", "rows": 9, "leaked_rows": 0, "benchmarks": []}
    facts = {"rows": 9, "rows_with_errors": 0, "findings": {}, "duplicates": 0}
    audit = manifest("audit", 3.0, **facts, contamination=verdict)
    write(run_folder / "audit" / "manifest.json", audit)
    found = load_results(run_folder).contamination
    assert found is not None
    assert found.is_clean
