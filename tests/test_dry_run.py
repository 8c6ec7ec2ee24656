"""``kot train RECIPE --dry-run``: every recipe, without the Hub and without weights."""

from __future__ import annotations

import re
import socket

import pytest
from typer.testing import CliRunner, Result

from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli import app
from kot_platypus.data.problems import make_problems
from kot_platypus.recipe import RECIPES, list_recipes, load_recipe


@pytest.fixture(autouse=True)
def _offline_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KOT_DTYPE", "float32")


def dry_run(recipe: str, *arguments: object) -> Result:
    command = ["train", recipe, "--dry-run", "--no-measure", *map(str, arguments)]
    return CliRunner().invoke(app, command)


def read_figures(result: Result) -> dict[str, str]:
    """Label -> figure of every line of the tables."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("recipe", "parameters", "trainable", "steps"),
    [
        ("demo", 268_098_176, 3_796_992, 27),
        ("self-taught", 268_098_176, 3_796_992, 6),
        ("cot-llama2-7b", 6_855_856_128, 23_199_744, 495),
        ("ko-platypus2-7b", 6_855_856_128, 23_199_744, 1557),
        ("kot-platypus2-7b", 6_855_856_128, 23_199_744, 495),
        ("kot-platypus2-13b", 13_162_664_960, 36_372_480, 495),
        ("poly-platypus-ko-12.8b", 12_893_603_840, 52_428_800, 1557),
        ("coty-platypus-ko-12.8b", 12_893_603_840, 52_428_800, 495),
    ],
)
def test_every_shipped_recipe_is_counted_offline(
    recipe, parameters, trainable, steps, tmp_path, monkeypatch
):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path))
    result = dry_run(recipe)
    assert result.exit_code == 0
    figures = read_figures(result)
    assert figures["parameters"] == f"{parameters:,}"
    assert figures["trainable parameters"] == f"{trainable:,}"
    assert figures["optimizer steps"] == f"{steps:,}"
    assert {"activations", "optimizer states", "memory", "packs (passes)"} <= figures.keys()
    assert not (tmp_path / "models").exists()  # nothing was prepared


def test_the_recipes_above_are_all_there_are():
    marks = {mark.name: mark for mark in test_every_shipped_recipe_is_counted_offline.pytestmark}
    assert {case[0] for case in marks["parametrize"].args[1]} == set(list_recipes())


def test_lengths_are_said_to_be_assumed_and_counted_once_rows_and_tokenizer_are_there(
    shared, tmp_path
):
    write_jsonl(tmp_path / "mine.jsonl", make_problems(40, 1, "train"))
    assert "assumed" in dry_run("demo").stdout
    model = f"model.name={shared / 'models' / 'tiny-llama-ko'}"
    result = dry_run("demo", "--data", tmp_path / "mine.jsonl", "--set", model)
    assert "counted" in result.stdout
    assert read_figures(result)["examples"] == "40"


def test_rows_with_nothing_to_learn_are_one_line(shared, tmp_path):
    model = f"model.name={shared / 'models' / 'tiny-llama-ko'}"
    for name, content, found in (
        ("empty", "", "empty.jsonl holds no rows"),
        ("mute", '{"source": "가", "target": ""}\n', "none of the 1 rows has anything to learn"),
    ):
        (tmp_path / f"{name}.jsonl").write_text(content)
        result = dry_run("demo", "--data", tmp_path / f"{name}.jsonl", "--set", model)
        assert result.exit_code == 1
        assert found in result.stderr
        assert result.stderr.count("\n") == 1


def test_no_more_steps_are_warm_up_than_there_are():
    text = " ".join(dry_run("demo", "--set", "train.warmup_steps=1000").stdout.split())
    assert "optimizer steps 27 num_epochs 1, batch_size 4, 27 of them warm-up" in text


@pytest.mark.parametrize(
    ("sets", "shown"),
    [
        (
            ["max_steps=20", "warmup_steps=0", "warmup_ratio=0.1"],
            "20 max_steps 20, batch_size 4, 2",
        ),
        (["num_epochs=0.5"], "14 num_epochs 0.5, batch_size 4, 3"),
        (["num_epochs=1.5"], "41 num_epochs 1.5, batch_size 4, 3"),
    ],
)
def test_steps_are_those_of_every_schedule(sets, shown):
    arguments = [part for each in sets for part in ("--set", f"train.{each}")]
    text = " ".join(dry_run("demo", *arguments).stdout.split())
    assert f"optimizer steps {shown} of them warm-up" in text


def test_time_comes_with_what_was_measured(shared, monkeypatch):
    model = f"model.name={shared / 'models' / 'tiny-llama-ko'}"
    result = CliRunner().invoke(app, ["train", "demo", "--dry-run", "--set", model])
    text = " ".join(result.stdout.split())
    assert "Measured: one layer, forward and backward" in text
    assert "Extrapolated: 3 layers" in text


def test_what_few_rows_do_in_silence_is_said(tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", make_problems(6, 1, "train"))
    arguments = ("--data", tmp_path / "mine.jsonl", "--set", "train.batch_size=4")
    text = " ".join(dry_run("demo", *arguments).stdout.split())
    assert "batch_size 4, 1 of them warm-up" in text
    assert "warm-up takes 3 steps, so the learning rate never reaches 0.001" in text
    assert "each epoch leaves out 2 of the 6 examples" in text
    mended = ("--set", "train.warmup_steps=1", "--set", "train.last_batch=keep")
    assert "Note" not in dry_run("demo", *arguments, *mended).stdout


LLAMA_LAYERS = ("--set", "train.lora_target_modules=[gate_proj]")


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["demo", "--dry-run", "--set", "model.name=someone/model"], 1, "someone/model"),
        (["demo", "--dry-run", "--set", "model.name=nowhere"], 1, "nowhere"),
        (
            ["demo", "--dry-run", "--set", "data.sources=[{name: hub, path: a/b}]"],
            1,
            "how many rows a/b has",
        ),
        (
            ["coty-platypus-ko-12.8b", "--dry-run", *LLAMA_LAYERS],
            1,
            "no LoRA for",
        ),
        (["demo", "--dry-run", "--data", "missing.jsonl"], 1, "missing.jsonl"),
        (["demo", "--out", "x"], 2, "--data is missing"),
        (["demo", "--data", __file__], 2, "--out is missing"),
    ],
)
def test_what_is_not_known_here_is_one_line(arguments, code, named):
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.stderr.startswith("kot: ")
    assert result.stderr.count("\n") == 1
    assert named in result.stderr
    assert result.exit_code == code


# --- what a recipe says of itself --------------------------------------------------------------

LINEAGE = [name for name in list_recipes() if name not in ("demo", "self-taught")]
MARKED = re.compile(r"# (published|assumed|ours)\b")


@pytest.mark.parametrize("name", LINEAGE)
def test_every_value_of_a_published_model_is_marked(name):
    """Published, assumed, or ours (what changes no result): nothing is left to guess."""
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    block = text.partition("\ntrain:\n")[2].partition("\nevaluate:")[0]
    lines = [line for line in block.splitlines() if not line.strip().startswith("#")]
    written = {line.split(":")[0].strip() for line in lines}
    assert [line for line in lines if not MARKED.search(line)] == []
    assert all(
        MARKED.search(line) for line in text.splitlines() if "name: " in line and "/" in line
    )
    assert written >= {
        *("template", "target", "batch_size", "num_epochs", "learning_rate", "lr_scheduler"),
        *("warmup_steps", "cutoff_len", "loss_weighting", "last_batch", "lora_r", "lora_alpha"),
        *("lora_dropout", "lora_target_modules"),
    }


@pytest.mark.parametrize("name", LINEAGE)
def test_notes_tell_published_from_assumed(name):
    notes = load_recipe(name).notes
    assert notes.startswith("Published: ")
    assert "Assumed, because not published: " in notes


@pytest.mark.parametrize(
    ("name", "cutoff_len"), [("cot-llama2-7b", 2048), ("kot-platypus2-7b", 4096)]
)
def test_published_values_are_the_tables(name, cutoff_len):
    train = load_recipe(name).train
    assert (train.batch_size, train.num_epochs, train.learning_rate) == (64, 15, 1e-5)
    assert (train.lr_scheduler, train.cutoff_len) == ("linear", cutoff_len)


@pytest.mark.parametrize("share", ["0.25", "file"])
def test_the_steps_are_those_of_the_rows_that_are_left_to_learn(shared, tmp_path, share):
    write_jsonl(tmp_path / "rows.jsonl", make_problems(40, 1, "train", ("change",)))
    write_jsonl(tmp_path / "v.jsonl", make_problems(7, 2, "train", ("change",)))
    validation = tmp_path / "v.jsonl" if share == "file" else share
    settings = (f"validation={validation}", "num_epochs=15", "batch_size=4", "last_batch=keep")
    sets = [part for each in settings for part in ("--set", f"train.{each}")]
    sets += ["--set", f"model.name={shared / 'models' / 'tiny-llama-ko'}"]
    figures = read_figures(dry_run("demo", "--data", tmp_path / "rows.jsonl", *sets))
    examples, validated = (40, 7) if share == "file" else (30, 10)
    assert figures["examples"] == str(examples)
    assert figures["validation examples"] == str(validated)
    assert figures["optimizer steps"] == str(15 * -(-examples // 4))
    assert figures["evaluations"] == "15"


def test_max_steps_count_the_evaluations_and_the_last_step_has_one(shared, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", make_problems(40, 1, "train", ("change",)))
    settings = ("validation=0.25", "max_steps=20", "batch_size=4", "last_batch=keep")
    sets = [part for each in settings for part in ("--set", f"train.{each}")]
    sets += ["--set", f"model.name={shared / 'models' / 'tiny-llama-ko'}"]
    figures = read_figures(dry_run("demo", "--data", tmp_path / "rows.jsonl", *sets))
    assert figures["optimizer steps"] == "20"
    assert figures["evaluations"] == "3"  # after 8 and 16 steps, epochs of 30 rows, and after 20


def test_a_share_of_rows_that_are_not_here_is_taken_off_their_published_number():
    figures = read_figures(dry_run("kot-platypus2-7b", "--set", "train.validation=0.1"))
    whole = int(read_figures(dry_run("kot-platypus2-7b"))["examples"].replace(",", ""))
    assert figures["validation examples"] == f"{round(whole * 0.1):,}"
    assert figures["examples"] == f"{whole - round(whole * 0.1):,}"
