from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from kot_platypus.errors import KotError, RecipeError, UsageError
from kot_platypus.recipe import (
    SourceSection,
    TrainSection,
    dump_recipe,
    list_recipes,
    load_recipe,
    replace_data,
)
from kot_platypus.synonyms import NAMES, explain_synonym

SMALL = """
name: small
description: a recipe of a test
data: {sources: [{name: korean-cot}]}
train: {}
"""


@pytest.fixture
def recipe_file(tmp_path):
    def write(text: str, encoding: str = "utf-8") -> str:
        (tmp_path / "mine.yaml").write_text(text, encoding=encoding)
        return str(tmp_path / "mine.yaml")

    return write


def assert_one_line(error: KotError) -> None:
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipe_loads_under_its_own_name(name):
    assert load_recipe(name).name == name


def test_demo_is_listed_first():
    assert list_recipes()[0] == "demo"


@pytest.mark.parametrize("name", list_recipes())
def test_dumped_recipe_loads_back_equal(name, recipe_file):
    recipe = load_recipe(name, ["seed=7", "train.learning_rate=1e-7"])
    assert load_recipe(recipe_file(dump_recipe(recipe))) == recipe


def test_dump_writes_every_default_out(recipe_file):
    assert "learning_rate: 1.0e-05" in dump_recipe(load_recipe(recipe_file(SMALL)))


def test_recipe_does_not_change_after_loading():
    with pytest.raises(ValidationError):
        load_recipe("demo").seed = 1


# --- overrides ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("seed=7", lambda r: r.seed, 7),
        ("train.learning_rate=2e-5", lambda r: r.train.learning_rate, 2e-5),
        ("train.last_batch=keep", lambda r: r.train.last_batch, "keep"),
        ("train.lora_target_modules=[q, v]", lambda r: r.train.lora_target_modules, ("q", "v")),
        ("evaluate.limit=null", lambda r: r.evaluate.limit, None),
        ("evaluate.num_fewshot=[0, 5]", lambda r: r.evaluate.num_fewshot, (0, 5)),
        ("model.trust_remote_code=true", lambda r: r.model.trust_remote_code, True),
        ("description=a=b", lambda r: r.description, "a=b"),
        ("model.name=./모델", lambda r: r.model.name, "./모델"),
    ],
)
def test_override_is_parsed_as_yaml(recipe_file, override, read, expected):
    assert read(load_recipe(recipe_file(SMALL), [override])) == expected


def test_override_adds_a_section_the_file_does_not_have(recipe_file):
    assert load_recipe(recipe_file(SMALL), ["reason.batch_size=3"]).reason.batch_size == 3


def test_later_override_wins():
    assert load_recipe("demo", ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize("override", ["seed", "=3", "seed.x=1", "data.sources.0=1", "seed=[", ""])
def test_override_that_is_no_assignment_is_wrong_usage(override):
    with pytest.raises(UsageError) as raised:
        load_recipe("demo", [override])
    assert_one_line(raised.value)


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("train.learning_rat=1", "learning_rate"),
        ("sede=1", "seed"),
        ("modle.name=x", "model"),
        ("data.sources=[{nam: korean-cot}]", "name"),
        ("data.sources=[{name: korean-cot, row: 3}]", "rows"),
        ("evaluate.num_fewshots=[0]", "num_fewshot"),
        ("reason.max_tokens=8", "max_new_tokens"),
        ("learning_rate=1", "train.learning_rate"),  # of another section
        ("train.seed=1", "seed"),
        ("evaluate.max_new_tokens=8", "reason.max_new_tokens"),
    ],
)
def test_unknown_key_is_answered_with_the_nearest(recipe_file, override, nearest):
    with pytest.raises(RecipeError, match=f"Did you mean '{nearest}'") as raised:
        load_recipe(recipe_file(SMALL), [override])
    assert_one_line(raised.value)


@pytest.mark.parametrize(
    ("override", "ours"),
    [
        ("train.gradient_accumulation_steps=4", "train.batch_size, the examples of a whole"),
        ("train.per_device_train_batch_size=4", "train.batch_size, the examples of a whole"),
        ("train.micro_batch_size=4", "train.batch_size, the examples of a whole"),
        ("train.lr=1e-4", "train.learning_rate."),
        ("lr=1e-4", "train.learning_rate."),
        ("train.cutoff=512", "train.cutoff_len."),
        ("train.max_seq_length=512", "train.cutoff_len."),
        ("train.max-seq-length=512", "train.cutoff_len."),
        ("train.epochs=3", "train.num_epochs."),
        ("train.num_train_epochs=3", "train.num_epochs."),
        ("train.lora_rank=8", "train.lora_r."),
        ("train.warmup=10", "train.warmup_steps, or train.warmup_ratio"),
        ("train.lr_scheduler_type=cosine", "train.lr_scheduler."),
        ("train.bf16=true", "model.dtype."),
        ("model_name_or_path=x", "model.name."),
        ("train.output_dir=x", "--out, an option of the command."),
        ("train.resume_from_checkpoint=x", "--resume-from-checkpoint, an option of kot train."),
    ],
)
def test_name_that_other_trainers_have_for_a_setting_is_answered_with_ours(override, ours):
    with pytest.raises(RecipeError, match=re.escape(f"Here it is {ours}")) as raised:
        load_recipe("demo", [override])
    assert_one_line(raised.value)


def test_every_name_of_other_trainers_stands_for_a_setting_there_is():
    keys = {key for key in NAMES if not key.startswith("--")}
    values = load_recipe("demo").model_dump()
    for key in keys:
        section, _, name = key.rpartition(".")
        assert name in (values[section] if section else values), key


def test_no_setting_of_ours_is_taken_for_another_trainers():
    assert [key for key in TrainSection.model_fields if explain_synonym(key)] == []


@pytest.mark.parametrize(
    "override",
    [
        "train.batch_size=0",
        "train.learning_rate=0",
        "train.learning_rate=-1",
        "train.learning_rate=fast",
        "train.lora_dropout=1",
        "train.target=rationales",
        "model.dtype=int8",
        "evaluate.limit=0",
        "evaluate.num_fewshot=[-1]",
        "data.sources=[{name: korean-cot, rows: 0}]",
        "data.sources=[{name: file}]",
        "data.sources=[{name: korean-cot, path: x}]",
        "data.sources=[{name: problems}]",
        "data.sources=[{name: kocot}]",
        "train.num_epochs=0",
        "train.max_steps=0",
        "train.warmup_ratio=1.5",
        "train.warmup_ratio=0.1",  # the demo has warmup_steps
        "seed=null",
        "train=3",
    ],
)
def test_value_out_of_range_is_named_in_one_line(override):
    with pytest.raises(RecipeError) as raised:
        load_recipe("demo", [override])
    assert override.partition("=")[0].removesuffix(".warmup_ratio") in str(raised.value)
    assert_one_line(raised.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.beta=0.2", ("settings of train do not go together", "beside `beta`")),
        ("train.new_tokens=<think>", ("train.new_tokens is '<think>'", "a list")),
    ],
)
def test_wrong_settings_are_told_without_all_the_others(override, words):
    with pytest.raises(RecipeError) as raised:
        load_recipe("demo", [override])
    message = str(raised.value)
    assert all(word in message for word in words)
    assert "learning_rate" not in message


@pytest.mark.parametrize(
    "text", ["name: [a\nb: }", "\tname: x", "- a list\n- of things", "", "just words", "a: b: c"]
)
def test_yaml_that_is_no_recipe_is_one_line(recipe_file, text):
    with pytest.raises(RecipeError) as raised:
        load_recipe(recipe_file(text))
    assert_one_line(raised.value)


def test_a_key_that_stands_twice_is_named_with_its_line(recipe_file):
    with pytest.raises(RecipeError, match=r" line 3: 'seed' stands there twice") as raised:
        load_recipe(recipe_file("name: a\nseed: 1\nseed: 2\n"))
    assert_one_line(raised.value)


def test_recipe_in_another_encoding_is_one_line(recipe_file):
    with pytest.raises(RecipeError, match="not UTF-8") as raised:
        load_recipe(recipe_file(SMALL.replace("a recipe", "요리법"), "cp949"))
    assert_one_line(raised.value)


def test_byte_order_mark_of_windows_is_no_key(recipe_file):
    assert load_recipe(recipe_file(SMALL.strip(), "utf-8-sig")).name == "small"


def test_missing_section_is_named(recipe_file):
    with pytest.raises(RecipeError, match="train is missing"):
        load_recipe(recipe_file("name: a\ndescription: b\ndata: {sources: [{name: korean-cot}]}"))


def test_unknown_recipe_is_wrong_usage_with_a_suggestion():
    with pytest.raises(UsageError, match=r"Did you mean demo\?") as raised:
        load_recipe("dmo")
    assert raised.value.exit_code == 2


def test_missing_recipe_file_is_a_recipe_error():
    with pytest.raises(RecipeError, match=r"missing\.yaml does not exist"):
        load_recipe("missing.yaml")


@pytest.mark.parametrize("name", ["", "."])
def test_recipe_that_is_no_file_is_wrong_usage(name):
    with pytest.raises(UsageError, match="no recipe"):
        load_recipe(name)


def test_own_rows_take_the_place_of_the_recipes():
    demo = load_recipe("demo")
    mine = replace_data(demo, [SourceSection(name="file", path="mine.jsonl")], None)
    assert [source.path for source in mine.data.sources] == ["mine.jsonl"]
    assert not mine.data.has_problems
    tested = replace_data(demo, (), Path("test.jsonl"))
    assert tested.data.sources == demo.data.sources
    assert (tested.data.heldout, tested.data.heldout_problems) == ("test.jsonl", 0)
    assert replace_data(demo, (), None) == demo


def test_template_of_ones_own_is_found_beside_the_recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(dump_recipe(load_recipe("demo", ["train.template=own.yaml"])), "utf-8")
    assert load_recipe(str(path)).train.template == "own.yaml"
    (tmp_path / "own.yaml").write_text('prompt: "{source}\\n"\nanswer: "{target}"\n', "utf-8")
    assert load_recipe(str(path)).train.template == str(tmp_path / "own.yaml")
