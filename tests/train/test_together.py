"""Validation together with the other settings of how long, how, and from where on."""

from __future__ import annotations

import json

import pytest

from kot_platypus.errors import RunError
from kot_platypus.train.fit import train_adapter

from .conftest import StopAfter, section
from .test_fit import write_second_source
from .test_validation import (
    MODEL,
    hash_adapter,
    overfit,
    read_log,
    read_manifest,
    score_reference,
)

KINDS = {
    "NEFTune": {"neftune_noise_alpha": 5},
    "PiSSA": {"init_lora_weights": "pissa"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_resumes_to_the_same_with_means_in_the_log_and_ends_at_the_best(few, base, tmp_path, kind):
    one = overfit(tmp_path, logging_steps=5, **KINDS[kind])
    train_adapter(few, base, tmp_path / "whole", one, MODEL)
    for steps in (3, 5, 8):
        out = tmp_path / f"x{steps}"
        with pytest.raises(KeyboardInterrupt):
            train_adapter(few, base, out, one, MODEL, callbacks=[StopAfter(steps)])
        train_adapter(few, base, out, one, MODEL)
        assert (out / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()
        assert hash_adapter(out) == hash_adapter(tmp_path / "whole")
    log = read_log(tmp_path / "whole")
    # Each end of an epoch is looked at, each third step saved, each fifth logged.
    assert {2, 3, 4, 5, 6, 8, 9, 10, 12} == {line["step"] for line in log}
    assert [line["step"] for line in log if "eval_loss" in line] == [2, 4, 6, 8, 10, 12]
    kept = read_manifest(tmp_path / "whole")["validation"]
    found = score_reference(base, tmp_path / "whole", tmp_path / "validation.jsonl", "example")
    assert (kept["eval_loss"], kept["eval_token_accuracy"]) == pytest.approx(found, abs=1e-4)


def test_a_share_of_several_sources_is_one_of_all_their_rows(few, base, tmp_path):
    other = tmp_path / "b.csv"
    sources = write_second_source(few, other)
    train_adapter(sources, base, tmp_path / "x", section(validation=0.25), MODEL)
    manifest = read_manifest(tmp_path / "x")
    assert manifest["num_rows_of"] == {str(few): 8, str(other): 4}
    assert manifest["validation"]["num_rows"] == 3
    assert manifest["num_examples"] == 12 - 3
    assert {"data 1", "data 2"} < manifest["inputs"].keys()


@pytest.mark.slow
def test_goes_back_before_the_best_unless_the_best_before_it_is_gone(few, base, tmp_path):
    one = overfit(tmp_path, save_total_limit=2)
    train_adapter(few, base, tmp_path / "whole", one, MODEL)
    best = read_manifest(tmp_path / "whole")["validation"]["step"]
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, tmp_path / "x", one, MODEL, callbacks=[StopAfter(best + 1)])
    checkpoints = tmp_path / "x" / "checkpoints"
    states = {
        int(path.parent.name.split("-")[1]): json.loads(path.read_text())["best_global_step"]
        for path in checkpoints.glob("checkpoint-*/trainer_state.json")
    }
    gone = [step for step, its_best in states.items() if its_best not in {*states, None}]
    before = [step for step, its_best in states.items() if its_best in {*states, None}]
    assert max(before) == best
    for step in gone:
        with pytest.raises(RunError, match=f"no intact checkpoint checkpoint-{step}"):
            train_adapter(
                few, base, tmp_path / "x", one, MODEL, resume_from_checkpoint=f"checkpoint-{step}"
            )
    name = f"checkpoint-{min(before)}"
    train_adapter(few, base, tmp_path / "x", one, MODEL, resume_from_checkpoint=name)
    assert hash_adapter(tmp_path / "x") == hash_adapter(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "x").glob("checkpoint-*")) == [
        "checkpoint-12",
        "checkpoint-9",
    ]
