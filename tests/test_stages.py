"""A stage's folder at every moment: new, claimed, interrupted, failed, done, or another's."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import MANIFEST, read_json, write_json, write_text
from kot_platypus.errors import DataError, RunError
from kot_platypus.stages import is_untouched, open_stage

CONFIG = {"seed": 1, "train": {"learning_rate": 0.1, "modules": ["q", "v"]}}
INPUTS = {"data": "a" * 64}


def is_done(folder: Path, *, name: str = "train", **identity: Any) -> bool:
    """Whether the stage says so; its block writes nothing."""
    identity = {"config": CONFIG, "inputs": INPUTS, **identity}
    with open_stage(folder, name, **identity) as stage:
        return stage.is_done


KILLED: list[object] = []
"""Blocks that never end: kept, or Python would end them."""


def kill_midway(folder: Path, *files: str) -> None:
    """Leave ``folder`` as a kill does, after these files."""
    manager = open_stage(folder, "train", config=CONFIG, inputs=INPUTS)
    manager.__enter__()
    for file in files:
        write_text(folder / file, "{}\n")
    KILLED.append(manager)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    with open_stage(folder, "train", config=CONFIG, inputs=INPUTS) as stage:
        write_text(folder / "adapter" / "weights.bin", "12345")
        stage.facts = {"num_examples": 5}
    return folder


def test_new_stage_is_claimed_and_not_done(tmp_path):
    with open_stage(tmp_path / "train", "train", config=CONFIG, inputs=INPUTS) as stage:
        assert not stage.is_done
        assert read_json(tmp_path / "train" / MANIFEST)["status"] == "running"


def test_finished_stage_says_when(finished):
    said = datetime.fromisoformat(read_json(finished / MANIFEST)["finished"])
    assert abs((datetime.now(UTC) - said).total_seconds()) < 60


def test_interrupted_stage_goes_on_with_its_files(tmp_path):
    kill_midway(tmp_path / "train", "partial.jsonl")
    with open_stage(tmp_path / "train", "train", config=CONFIG, inputs=INPUTS) as stage:
        assert not stage.is_done
        assert (stage.folder / "partial.jsonl").is_file()


def test_half_written_files_of_a_killed_try_are_gone_when_it_is_taken_up(tmp_path):
    kill_midway(tmp_path, "rows.jsonl", "more/rows.jsonl", "rows.jsonl.part", "tmpab1.part/texts")
    with open_stage(tmp_path, "train", config=CONFIG, inputs=INPUTS):
        left = {path.name for path in tmp_path.rglob("*")}
    assert left == {MANIFEST, "rows.jsonl", "more"}


@pytest.mark.parametrize("error", [DataError("x", expected="y", hint="z"), KeyboardInterrupt()])
def test_block_that_fails_leaves_its_files_and_is_not_done(tmp_path, error):
    def fail() -> None:
        with open_stage(tmp_path / "train", "train", config=CONFIG, inputs=INPUTS) as stage:
            write_text(stage.folder / "partial.jsonl", "{}\n")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert (tmp_path / "train" / "partial.jsonl").is_file()
    assert read_json(tmp_path / "train" / MANIFEST)["status"] == "running"


@pytest.mark.parametrize("whole", [False, True])
def test_block_with_an_error_to_fix_before_it_wrote_anything_leaves_no_claim(tmp_path, whole):
    def fail() -> None:
        with open_stage(tmp_path / "a", "train", config=CONFIG, inputs=INPUTS, whole=whole):
            raise DataError("x", expected="y", hint="z")

    with pytest.raises(DataError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_whole_stage_appears_at_its_end_without_what_was_there_before(tmp_path):
    kill_midway(tmp_path / "train", "partial.jsonl")
    with open_stage(tmp_path / "train", "train", config=CONFIG, inputs=INPUTS, whole=True) as stage:
        write_text(stage.folder / "weights.bin", "1")
        assert not (tmp_path / "train" / "weights.bin").exists()
    assert {path.name for path in (tmp_path / "train").iterdir()} == {MANIFEST, "weights.bin"}
    assert is_done(tmp_path / "train")


def test_finished_stage_is_done_and_not_written_again(finished):
    before = (finished / MANIFEST).stat().st_mtime_ns
    assert is_done(finished)
    assert (finished / MANIFEST).stat().st_mtime_ns == before


def test_manifest_tells_config_inputs_outputs_facts_and_machine(finished):
    manifest = read_json(finished / MANIFEST)
    assert manifest["config"] == CONFIG
    assert manifest["inputs"] == INPUTS
    assert manifest["outputs"] == {"adapter/weights.bin": 5}
    assert manifest["num_examples"] == 5
    assert {"python", "torch", "kot-platypus", "commit"} <= manifest["machine"].keys()


def test_stage_with_a_missing_output_is_not_done(finished):
    (finished / "adapter" / "weights.bin").unlink()
    assert not is_done(finished)


def test_stage_with_an_output_of_another_size_is_not_done(finished):
    (finished / "adapter" / "weights.bin").write_text("1234")
    assert not is_done(finished)


def test_torn_manifest_is_a_data_error_not_a_new_start(finished):
    os.truncate(finished / MANIFEST, 20)
    with pytest.raises(DataError):
        is_done(finished)


@pytest.mark.parametrize(
    ("config", "inputs", "named"),
    [
        (CONFIG | {"seed": 2}, INPUTS, "config.seed is 1, not 2"),
        (
            CONFIG | {"train": {"learning_rate": 0.2, "modules": ["q", "v"]}},
            INPUTS,
            "config.train.learning_rate is 0.1, not 0.2",
        ),
        (CONFIG | {"new": True}, INPUTS, "config.new is null, not true"),
        ({"seed": 1}, INPUTS, "config.train is {"),
        (CONFIG, {"data": "b" * 64}, "inputs.data is other data"),
    ],
)
@pytest.mark.parametrize("status", ["running", "done"])
def test_folder_of_other_settings_is_refused_naming_the_key(
    finished, config, inputs, named, status
):
    manifest = read_json(finished / MANIFEST)
    write_json(finished / MANIFEST, manifest | {"status": status})
    with pytest.raises(RunError) as raised:
        is_done(finished, config=config, inputs=inputs)
    assert named in str(raised.value)


def test_folder_of_another_stage_is_refused(finished):
    with pytest.raises(RunError, match='stage is "train", not "merge"'):
        is_done(finished, name="merge")


def test_refused_folder_is_left_as_it_was(finished):
    before = (finished / MANIFEST).read_bytes()
    with pytest.raises(RunError):
        is_done(finished, config={})
    assert (finished / MANIFEST).read_bytes() == before


def test_folder_with_files_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="files of something else"):
        is_done(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", [".", "data", "runs/data"])
def test_file_in_the_place_of_a_stages_folder_is_refused_and_kept(tmp_path, below):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.txt is a file"):
        is_done(tmp_path / "thesis.txt" / below)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_tuples_and_lists_are_the_same_settings(finished):
    assert is_done(
        finished, config={"seed": 1, "train": {"learning_rate": 0.1, "modules": ("q", "v")}}
    )


@pytest.mark.parametrize("leftover", ["manifest.json.part", "rows.jsonl.part"])
def test_folder_with_only_the_part_of_a_killed_write_is_free(tmp_path, leftover):
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / leftover).write_text("{")
    assert not is_done(tmp_path / "stage")


def test_claim_under_which_nothing_was_made_is_free_for_any_settings(tmp_path):
    kill_midway(tmp_path / "train")
    assert is_untouched(tmp_path / "train")
    assert not is_done(tmp_path / "train", config={"seed": 2})


def test_folder_is_untouched_until_something_was_made(tmp_path, finished):
    kill_midway(tmp_path / "other", "partial.jsonl")
    assert is_untouched(tmp_path / "new")
    assert not is_untouched(tmp_path / "other")
    assert not is_untouched(finished)
