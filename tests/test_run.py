from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.data.build import build_data
from kot_platypus.errors import KotError, RunError
from kot_platypus.recipe import dump_recipe, load_recipe
from kot_platypus.run import (
    RECIPE_FILE,
    claim_folder,
    describe_plan,
    list_arms,
    plan_steps,
    run_recipe,
)
from kot_platypus.stages import lock_folder, open_stage

DEMO = load_recipe("demo")
ONE_SEED = load_recipe("demo", ["seeds=[]"])
NO_PROBLEMS = load_recipe("demo", ["data.heldout_problems=0"])
NO_BASELINE = load_recipe("demo", ["train.baseline_targets=[]"])
ANSWER_ONLY = load_recipe(
    "demo", ["seeds=[]", "train.target=answer", "train.baseline_targets=[rationale]"]
)


def list_folders(recipe, out: Path = Path("runs/x")) -> list[str]:
    steps = plan_steps(recipe, out)
    return [step.folder.relative_to(out).as_posix() for step in steps if step.folder]


SELF_TAUGHT = (
    "self_taught.rounds=2",
    "data.questions=[{name: problems, rows: 8, families: [chain]}]",
)


# --- the plan ----------------------------------------------------------------------------------


def test_other_seeds_train_and_solve_problems_alone():
    seeds = load_recipe("demo", ["seeds=[7, 8, 9]", "reason.at_once=false", "reason.kobest=false"])
    one = seeds.model_copy(update={"seeds": (7,)})
    more = [folder for folder in list_folders(seeds) if folder not in list_folders(one)]
    assert more == [
        "train/cot-seed8",
        "train/cot-seed9",
        "evaluate/cot-seed8/problems",
        "evaluate/cot-seed9/problems",
    ]
    assert [arm.seed for arm in list_arms(seeds)][:3] == [7, 8, 9]


def test_without_seeds_the_training_has_that_of_the_run():
    recipe = load_recipe("demo", ["seed=5", "seeds=[]"])
    assert {arm.seed for arm in list_arms(recipe)} == {5}


def test_without_problems_to_compare_them_on_one_seed_is_trained():
    assert [arm.name for arm in list_arms(NO_PROBLEMS) if arm.target == "rationale_answer"] == [
        "cot"
    ]


def test_each_round_is_taught_by_the_one_before_it():
    recipe = load_recipe("demo", ["seeds=[]", "train.baseline_targets=[]", *SELF_TAUGHT])
    folders = list_folders(recipe)
    assert [each for each in folders if each.startswith(("train", "rounds"))] == [
        "train/round-0",
        "rounds/round-1",
        "train/round-1",
        "rounds/round-2",
        "train/cot",
    ]
    assert [each for each in folders if "round" in each and each.endswith("problems")] == [
        "evaluate/round-0/problems",
        "evaluate/round-1/problems",
    ]


@pytest.mark.parametrize(
    ("override", "found"),
    [
        (["seeds=[1, 1]"], "`seeds` that differ"),
        (
            ["seeds=[1, 2]", "train.baseline_targets=[]", *SELF_TAUGHT],
            "`self_taught` with one seed",
        ),
    ],
)
def test_seeds_that_say_nothing_are_refused(override, found):
    with pytest.raises(KotError, match=found):
        load_recipe("demo", override)


def test_kobest_is_answered_with_a_rationale_before_the_problems():
    recipe = load_recipe("demo", ["reason.kobest=true", "reason.at_once=false"])
    base = [folder for folder in list_folders(recipe) if folder.startswith("evaluate/base")]
    assert base == [f"evaluate/base/{test}" for test in ("kobest", "reasoning", "problems")]


def test_demo_goes_from_data_to_the_models_answers():
    assert list_folders(DEMO) == [
        "data",
        "audit",
        "evaluate/base/kobest",
        "evaluate/base/reasoning",
        "evaluate/base/problems",
        "train/cot",
        "train/cot-seed2",
        "train/cot-seed3",
        "train/answer",
        "train/shuffled_rationale",
        "merged",
        "evaluate/cot/kobest",
        "evaluate/cot/reasoning",
        "evaluate/cot/problems",
        "evaluate/cot-seed2/problems",
        "evaluate/cot-seed3/problems",
        "evaluate/answer/problems",
        "evaluate/shuffled_rationale/problems",
    ]


def test_every_run_ends_with_comparison_and_report():
    titles = [step.title for step in plan_steps(DEMO, Path("runs/x"))]
    assert titles[-2:] == ["Compare the models", "Write report and model card"]


def test_no_heldout_problems_means_none_are_solved():
    assert list_folders(NO_PROBLEMS) == [
        folder for folder in list_folders(ONE_SEED) if not folder.endswith("/problems")
    ]


def test_no_baseline_means_one_adapter():
    others = ("answer", "shuffled_rationale")
    assert list_folders(NO_BASELINE) == [
        folder for folder in list_folders(DEMO) if not set(folder.split("/")) & set(others)
    ]


def test_recipes_own_target_is_cot_and_baselines_go_by_their_target():
    folders = list_folders(ANSWER_ONLY)
    assert [f for f in folders if f.startswith("train")] == ["train/cot", "train/rationale"]


def test_no_two_steps_share_a_folder():
    folders = list_folders(DEMO)
    assert len(set(folders)) == len(folders)


def test_plan_shows_every_step_and_writes_nothing(tmp_path):
    plan = describe_plan(DEMO, tmp_path / "run")
    assert all(step.title in plan for step in plan_steps(DEMO, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_state_of_a_step_is_read_from_its_folder(tmp_path):
    step = next(step for step in plan_steps(DEMO, tmp_path) if step.folder)
    states = [step.state]
    with open_stage(step.folder, "data", config={}, inputs={}):
        states.append(step.state)
    states.append(step.state)
    assert states == ["to do", "started", "done"]


# --- the folder --------------------------------------------------------------------------------


def test_claimed_folder_holds_the_whole_recipe(tmp_path):
    claim_folder(DEMO, tmp_path, is_new=True)
    assert (tmp_path / RECIPE_FILE).read_text(encoding="utf-8") == dump_recipe(DEMO)


def test_folder_of_the_same_settings_is_left_as_it_is(tmp_path):
    claim_folder(DEMO, tmp_path, is_new=True)
    before = (tmp_path / RECIPE_FILE).stat().st_mtime_ns
    claim_folder(DEMO, tmp_path, is_new=False)
    assert (tmp_path / RECIPE_FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("seed=7", "seed: 42"),
        ("train.learning_rate=0.5", "learning_rate: 0.001"),
        ("evaluate.limit=null", "limit: "),
    ],
)
def test_folder_of_other_settings_is_refused_naming_them(tmp_path, override, named):
    claim_folder(DEMO, tmp_path, is_new=True)
    with pytest.raises(RunError) as raised:
        claim_folder(load_recipe("demo", [override]), tmp_path, is_new=False)
    assert named in str(raised.value)


def test_refused_folder_keeps_its_recipe(tmp_path):
    claim_folder(DEMO, tmp_path, is_new=True)
    build_data(tmp_path / "data", DEMO.data, seed=DEMO.seed)
    with pytest.raises(RunError):
        run_recipe(load_recipe("demo", ["seed=7"]), tmp_path)
    assert load_recipe(str(tmp_path / RECIPE_FILE)) == DEMO


def test_recipe_is_corrected_in_place_while_nothing_is_done(tmp_path):
    claim_folder(load_recipe("demo", ["model.name=typo"]), tmp_path, is_new=True)
    claim_folder(DEMO, tmp_path, is_new=True)
    assert load_recipe(str(tmp_path / RECIPE_FILE)) == DEMO


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="something else"):
        run_recipe(DEMO, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("train.template=nope", "no template 'nope'"),
        ("train.template=alpaca", "does not mark the answer"),
        ("evaluate.protocol=nope", "nope"),
        ("evaluate.tasks=[cpoa]", "cpoa"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(tmp_path, override, found):
    with pytest.raises(KotError, match=found):
        run_recipe(load_recipe("demo", [override]), tmp_path / "run")
    assert not (tmp_path / "run" / RECIPE_FILE).exists()


def test_run_in_a_folder_in_use_is_refused(tmp_path):
    with lock_folder(tmp_path), pytest.raises(RunError, match="another kot process"):
        run_recipe(DEMO, tmp_path)


def test_run_repairs_a_stage_whose_file_is_gone(tmp_path):
    """What a manifest says is not enough: each stage looks at its own folder."""
    recipe = load_recipe("demo")
    step = next(s for s in plan_steps(recipe, tmp_path / "run") if s.title == "Build the data")
    step.action()
    version = step.version
    step.action()
    assert step.version == version
    (tmp_path / "run" / "data" / "heldout.jsonl").unlink()
    step.action()
    assert step.version != version
    assert (tmp_path / "run" / "data" / "heldout.jsonl").is_file()
