"""Models outside of a run: what kot merge and kot train left goes up, and the card tells of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import MANIFEST, read_manifest, write_json
from kot_platypus.cli import app
from kot_platypus.errors import RunError
from kot_platypus.publication.cards import check_card, read_metadata
from kot_platypus.publication.plan import plan_folder
from kot_platypus.recipe import ModelSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter
from tests.train.conftest import section, write_problems

CPU = ModelSection(device="cpu", dtype="float32")
TO = "minsu/my-model"
WEIGHTS = {"config.json", "model.safetensors", "tokenizer.json", "kot.json", "README.md"}


@pytest.fixture(scope="session")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged model and one whose weights were all trained, as the commands leave them."""
    folder = tmp_path_factory.mktemp("made")
    base, rows = shared / "models" / "tiny-llama-ko", write_problems(folder, 8)
    train_adapter(rows, base, folder / "lora", section(), CPU)
    merge_adapter(base, folder / "lora" / "adapter", folder / "merged")
    train_adapter(rows, base, folder / "full", section(method="full"), CPU)
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "made"))


def names(plan) -> set[str]:
    return {upload.destination for upload in plan.uploads}


def test_a_merged_model_goes_up_with_a_valid_card(models: Path) -> None:
    plan = plan_folder(models / "merged", TO, "google/gemma-3-270m")
    assert names(plan) >= {*WEIGHTS, "chat_template.jinja"}
    assert check_card(plan.card, plan.kind, names(plan)) == ([], [])
    assert read_metadata(plan.card) == {
        "language": ["ko"],
        "license": "gemma",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": "google/gemma-3-270m",
        "tags": ["korean", "chain-of-thought", "lora", "kot-platypus"],
    }
    assert set(plan.left_out) == {MANIFEST, "Modelfile"}


def test_the_card_tells_what_is_known_and_what_is_not(models: Path) -> None:
    card = plan_folder(models / "merged", TO).card
    training = read_manifest(models / "lora")
    assert "with a LoRA adapter, trained and merged by KoT" in card
    assert "| learning_rate | `0.005` |" in card
    assert f"| optimizer steps | `{training['optimizer_steps']}` |" in card
    assert "질문: {source}\n답변:" in card
    assert training["inputs"]["data"] in card
    assert f"not named here (KoT's fingerprint of it: `{training['inputs']['base']}`)" in card
    assert "base_model" not in read_metadata(card)
    assert "nothing here says that the rows were checked" in card
    assert "# Scores\n\nNone" in card


def test_the_card_of_a_checkpoint_tells_its_steps_and_of_the_best_its_loss(
    made: Path, shared: Path, tmp_path: Path
) -> None:
    base, rows = shared / "models" / "tiny-llama-ko", made / "train.jsonl"
    settings = section(validation=0.25, save_steps=1, save_total_limit=2)
    train_adapter(rows, base, tmp_path / "x", settings, CPU)
    training = read_manifest(tmp_path / "x")
    cards = {}
    for name in ("adapter", "checkpoint-1"):
        merge_adapter(base, tmp_path / "x" / name, tmp_path / f"merged-{name}")
        cards[name] = plan_folder(tmp_path / f"merged-{name}", TO).card
    assert f"| validation loss | `{training['validation']['eval_loss']}` |" in cards["adapter"]
    assert f"| optimizer steps | `{training['optimizer_steps']}` |" in cards["adapter"]
    assert "| optimizer steps | `1` |" in cards["checkpoint-1"]
    assert "validation loss" not in cards["checkpoint-1"]
    assert "tokens seen" not in cards["checkpoint-1"]


def test_a_merged_model_whose_training_is_not_known_says_so(models: Path) -> None:
    manifest = read_manifest(models / "merged")
    write_json(models / "merged" / MANIFEST, {**manifest, "training": None})
    card = plan_folder(models / "merged", TO).card
    assert "The other settings of the training are not known here." in card
    assert "learning_rate" not in card


@pytest.mark.parametrize("named", ["full", "full/model"])
def test_a_model_whose_weights_were_all_trained_goes_up_with_its_log(models: Path, named) -> None:
    plan = plan_folder(models / named, TO)
    assert names(plan) >= {*WEIGHTS, "training/log.jsonl", "training/manifest.json"}
    assert "with all its weights trained by KoT" in plan.card
    assert "lora_r" not in plan.card


def test_your_own_card_is_taken_instead(models: Path) -> None:
    (models / "merged" / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    plan = plan_folder(models / "merged", TO)
    assert plan.card.endswith("# Mine\n")
    assert len(names(plan)) == len(plan.uploads)


def test_a_model_from_the_hubs_cache_names_its_base(made: Path, shared: Path, tmp_path: Path):
    base = tmp_path / "models--kim--tiny" / "snapshots" / "0a1b"
    shutil.copytree(shared / "models" / "tiny-llama-ko", base)
    merge_adapter(base, made / "lora" / "adapter", tmp_path / "merged")
    card = plan_folder(tmp_path / "merged", TO).card
    assert read_metadata(card)["base_model"] == "kim/tiny"
    assert "[kim/tiny](https://huggingface.co/kim/tiny), with a LoRA adapter" in card


@pytest.mark.parametrize("folder", ["lora", "lora/adapter", "."])
def test_what_is_no_model_is_refused(models: Path, folder: str) -> None:
    with pytest.raises(RunError, match="neither a run nor a trained model"):
        plan_folder(models / folder, TO)


def test_an_unfinished_model_is_refused(models: Path) -> None:
    manifest = read_manifest(models / "full")
    write_json(models / "full" / MANIFEST, {**manifest, "status": "running"})
    with pytest.raises(RunError, match="no finished model"):
        plan_folder(models / "full", TO)


def test_the_command_checks_a_folder_without_a_network(models: Path) -> None:
    kim = ["--to", TO, "--base-model", "google/gemma-3-270m", "--dry-run"]
    result = CliRunner().invoke(app, ["publish", str(models / "merged"), *kim])
    assert result.exit_code == 0, result.output
    assert "README.md" in result.output
    assert "Nothing private was found, the card is valid." in result.output
    config = json.loads((models / "merged" / "config.json").read_text())
    write_json(models / "merged" / "config.json", config | {"_mail": "kim@naver.com"})
    result = CliRunner().invoke(app, ["publish", str(models / "merged"), *kim])
    assert result.exit_code != 0
    assert "config.json line" in result.output
