"""What goes up and what stays; local paths become names; cards are checked offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from kot_platypus.errors import DataError, RunError
from kot_platypus.publication.cards import check_card
from kot_platypus.publication.cleaning import clean_text
from kot_platypus.publication.plan import Plan, plan_dataset, plan_model, read_upload
from kot_platypus.recipe import load_recipe
from tests.publication.conftest import BASE
from tests.report.run_builder import write


def read(plan: Plan, name: str) -> str:
    (upload,) = [each for each in plan.uploads if each.destination == name]
    return read_upload(upload).decode()


def test_model_adapter_card_recipe_and_results_go_up(run: Path) -> None:
    plan = plan_model(run)
    names = {upload.destination for upload in plan.uploads}
    assert names >= {
        "config.json", "model.safetensors", "tokenizer.json", "kot.json", "README.md",
        "recipe.yaml", "report.html", "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors", "training/log.jsonl", "training/manifest.json",
        "results/comparison.json", "results/cot/kobest/results.json",
        "results/base/problems/answers.jsonl",
    }  # fmt: skip
    assert len(names) == len(plan.uploads)
    assert set(plan.left_out) >= {
        "data/", "merged/training_args.bin", "merged/manifest.json", "train/answer/",
        "train/cot/adapter/README.md",
    }  # fmt: skip


def test_local_paths_become_names_wherever_they_stand(run: Path, tmp_path: Path) -> None:
    assert "/data/someone/kobest" in (run / "report.html").read_text()
    plan = plan_model(run)
    assert json.loads(read(plan, "adapter/adapter_config.json")) == {
        "base_model_name_or_path": "google/gemma-3-270m",  # as the card calls it
        "r": 4,
    }
    assert json.loads(read(plan, "config.json"))["_name_or_path"] == "google/gemma-3-270m"
    assert yaml.safe_load(read(plan, "recipe.yaml"))["evaluate"]["kobest_dir"] == "kobest"
    for upload in plan.uploads:
        text = read_upload(upload)
        assert b"someone" not in text
        assert BASE.encode() not in text
    copy = tmp_path / "recipe.yaml"
    copy.write_text(read(plan, "recipe.yaml"))
    load_recipe(str(copy))
    assert BASE in (run / "merged" / "config.json").read_text()  # the run stays as it was


def test_a_base_without_a_name_on_the_hub_keeps_its_folders_name(run: Path) -> None:
    card = (run / "README.md").read_text()
    (run / "README.md").write_text(card.replace("base_model: google/gemma-3-270m\n", ""))
    name = json.loads(read(plan_model(run), "adapter/adapter_config.json"))
    assert name["base_model_name_or_path"] == "llama-2-ko-7b"


def test_paths_are_replaced_as_each_format_spells_them() -> None:
    paths = {"/a/b": "b", "/a/b/c&d": "c&d", 'C:\\x\\"y': '"y'}
    text = b'/a/b/c&d /a/b/c&amp;d "C:\\\\x\\\\\\"y" /a/b \xff'
    assert clean_text(text, paths) == b'c&d c&amp;d "\\"y" b \xff'
    assert clean_text(b"nothing", paths) is None


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    facts = json.loads((run / "merged" / "manifest.json").read_text())
    write(run / "merged" / "manifest.json", facts | {"status": "running"})
    with pytest.raises(RunError, match="no finished model"):
        plan_model(run)
    with pytest.raises(RunError, match="has no"):
        plan_model(tmp_path)


def test_a_run_without_adapter_has_none(run: Path) -> None:
    shutil.rmtree(run / "train")
    assert not [u for u in plan_model(run).uploads if u.destination.startswith("adapter")]


def test_a_data_set_goes_up_without_its_manifest(dataset: Path) -> None:
    plan = plan_dataset(dataset.parent)
    assert {upload.destination for upload in plan.uploads} == {
        "README.md", "train.parquet", "train.jsonl", "dropped.jsonl",
    }  # fmt: skip
    assert plan.left_out == ("manifest.json",)
    (dataset / "train.parquet").unlink()
    with pytest.raises(DataError, match="no finished data set"):
        plan_dataset(dataset)


# --- cards -------------------------------------------------------------------------------------


def test_the_cards_of_runs_and_data_sets_are_valid(run: Path, dataset: Path) -> None:
    for plan in (plan_model(run), plan_dataset(dataset)):
        names = [upload.destination for upload in plan.uploads]
        assert check_card(plan.card, plan.kind, names) == ([], [])


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("license: Apache 2.0", "license 'Apache 2.0'"),
        ("license: other", "without a license_name"),
        ("language: Korean", "language"),
        ("tags: [1, 2]", "tags"),
        ("base_model: /home/kim/llama", "base_model"),
        ("datasets: ['a/b/c']", "datasets"),
        ("model-index: 3", "cannot be read"),
        ("- a list", "no metadata"),
        ("a: [", "no metadata"),
    ],
)
def test_what_the_hub_would_refuse_is_named(metadata: str, problem: str) -> None:
    problems, _ = check_card(f"---\n{metadata}\n---\n\n# Card\n", "model", [])
    assert len(problems) == 1
    assert problem in problems[0]


def test_results_that_are_no_numbers_are_named(run: Path) -> None:
    card = plan_model(run).card
    value = next(line for line in card.splitlines() if line.strip().startswith("value: "))
    for wrong in ("value: .nan", "value: high"):
        problems, _ = check_card(card.replace(value.strip(), wrong, 1), "model", [])
        assert problems == ["a result in model-index is no finite number"]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [("size_categories: huge", "size_categories"), ("configs: [{data_files: x}]", "configs")],
)
def test_a_data_sets_card_names_only_what_there_is(metadata: str, problem: str) -> None:
    (found,) = check_card(f"---\n{metadata}\n---\n", "dataset", ["train.parquet"])[0]
    assert problem in found


def test_a_missing_licence_is_a_note() -> None:
    assert check_card("---\nlanguage: ko\n---\n", "model", []) == (
        [],
        ["the card names no licence"],
    )
