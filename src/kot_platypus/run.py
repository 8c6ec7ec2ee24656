"""A whole run: the one module that knows all stages and the order of their folders.

recipe.yaml -> data/ -> train/ -> merged/ -> evaluate/ -> report.html, README.md
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kot_platypus import run_stages
from kot_platypus.artifacts import (
    MANIFEST,
    holds_nothing,
    read_manifest,
    write_text,
)
from kot_platypus.errors import DataError, RecipeError, RunError, UsageError
from kot_platypus.methods import METHODS
from kot_platypus.packages import require_packages
from kot_platypus.processes import count_processes
from kot_platypus.progress import console
from kot_platypus.prompts import load_template
from kot_platypus.recipe import (
    Recipe,
    Target,
    dump_recipe,
    load_recipe,
)
from kot_platypus.results.schema import AT_ONCE, BASE, ROUND, ROUNDS, SEED, TUNED
from kot_platypus.row_sources import check_validation, list_files
from kot_platypus.schedule import describe_length
from kot_platypus.stages import is_untouched, lock_folder

RECIPE_FILE = "recipe.yaml"
DATA = "data/train.jsonl"
TARGET_NAMES: dict[Target, str] = {
    "rationale_answer": "rationale + answer",
    "rationale": "rationale only",
    "answer": "answer only",
    "shuffled_rationale": "shuffled rationale + answer",
}


class Arm(NamedTuple):
    """A model that a run trains: its folder's name, its rows, what it learns to write, the seed."""

    name: str
    rows: str
    target: Target
    seed: int


def list_arms(recipe: Recipe) -> list[Arm]:
    """The run's own model, the same at other seeds, and those trained on other targets."""
    target, (seed, *others) = recipe.train.target, recipe.training_seeds
    rounds = recipe.self_taught.rounds if recipe.self_taught else 0
    names = [*(f"{ROUND}{number}" for number in range(rounds)), TUNED]
    rows = [DATA, *(f"{ROUNDS}{number}.jsonl" for number in range(1, rounds + 1))]
    return [
        *(Arm(*named, target, seed) for named in zip(names, rows, strict=True)),
        *(Arm(f"{SEED}{other}", DATA, target, other) for other in others),
        *(Arm(other, DATA, other, seed) for other in recipe.train.baseline_targets),
    ]


def name_round(arm: Arm) -> str:
    """``round 1`` of an arm that learns from what the one before it wrote."""
    return Path(arm.rows).stem.replace("-", " ")


def name_arm(arm: Arm) -> str:
    """What an arm is trained on, in words."""
    if arm.rows != DATA:
        return f"its own rationales, {name_round(arm)}"
    return TARGET_NAMES[arm.target] + (f", seed {arm.seed}" if arm.name.startswith(SEED) else "")


@dataclass(frozen=True)
class Step:
    """One stage of a run: what it does, where its result lies, and how to do it.

    Without a folder it is a quick, deterministic summary of the others and done every time.
    """

    title: str
    folder: Path | None
    action: Callable[[], None]

    @property
    def state(self) -> str:
        """``done``, ``started`` or ``to do``, read from the folder's manifest."""
        if not self.folder or not (self.folder / MANIFEST).is_file():
            return "to do"
        return "done" if read_manifest(self.folder)["status"] == "done" else "started"

    @property
    def version(self) -> int:
        """Changes whenever the stage's result is made anew; 0 while there is none."""
        path = self.folder and self.folder / MANIFEST
        return path.stat().st_mtime_ns if path and path.is_file() else 0


def run_recipe(recipe: Recipe, out: Path) -> None:
    """Do every step of ``recipe`` that is not done yet, in ``out``.

    Stop it at any moment and call it again: the result is that of an uninterrupted run. Raises
    RunError when ``out`` holds another recipe's run.
    """
    if count_processes() > 1:
        raise UsageError(
            f"kot run in {count_processes()} processes",
            expected="one: a run's stages come one after the other",
            hint="Share training and scoring: torchrun ... -m kot_platypus train, then eval.",
        )
    with lock_folder(out):
        check_recipe(recipe)
        steps = plan_steps(recipe, out)
        claim_folder(recipe, out, is_new=is_new_run(steps))
        for number, step in enumerate(steps, start=1):
            label = f"[{number}/{len(steps)}] {step.title}"
            started, version = time.monotonic(), step.version
            if step.state != "done":
                console.print(f"[bold]• {label}[/bold]")
            # A stage knows best whether its result is whole and of these inputs.
            step.action()
            if version and step.version == version:
                console.print(f"[dim]✓ {label}: done before[/dim]")
            else:
                console.print(f"[green]✓[/green] {label}: {time.monotonic() - started:.0f} s")


def is_new_run(steps: Sequence[Step]) -> bool:
    """Whether no step has made anything."""
    return all(not step.folder or is_untouched(step.folder) for step in steps)


def describe_plan(recipe: Recipe, out: Path) -> str:
    """What ``run_recipe`` would do, as text: every step, its folder and its state."""
    check_recipe(recipe)
    steps = plan_steps(recipe, out)
    check_folder(recipe, out, is_new=is_new_run(steps))
    width = max(len(step.title) for step in steps)
    rows = (
        f"{each.rows or 'all'} rows of {each.path or each.name}"
        f"{f' ({each.weight:g} times)' if each.weight != 1 else ''}"
        for each in recipe.data.sources
    )
    asked = f"; {recipe.self_taught.rounds} rounds of self-teaching" if recipe.self_taught else ""
    lines = [
        f"{recipe.name}: {recipe.description}",
        f"model   {recipe.model.name}",
        f"data    {', '.join(rows)}{asked}; {recipe.data.heldout or recipe.data.heldout_problems} "
        "held-out problems",
        f"train   {METHODS[recipe.train.method].describe(recipe.train.lora_r)}, "
        f"{describe_length(recipe.train)}, batch_size {recipe.train.batch_size}, "
        f"learning_rate {recipe.train.learning_rate:g}",
        f"KoBEST  {recipe.evaluate.kobest_dir or 'skt/kobest_v1 (Hub)'}, protocol "
        f"{recipe.evaluate.protocol}, {', '.join(map(str, recipe.evaluate.num_fewshot))} shots, "
        f"{recipe.evaluate.limit or 'all'} questions a task",
        "",
        *(
            f"{number:3}. {step.title:{width}}  {step.state:8} {step.folder or out}"
            for number, step in enumerate(steps, start=1)
        ),
        "",
        "Nothing was done (--dry-run).",
    ]
    return "\n".join(lines)


def check_recipe(recipe: Recipe) -> None:
    """Raise what would otherwise stop a run hours later: names that exist nowhere."""
    from kot_platypus.evaluate.protocols import load_data, load_protocol

    protocol, kobest_dir = load_protocol(recipe.evaluate.protocol), recipe.evaluate.kobest_dir
    for task in map(protocol.find_task, recipe.evaluate.tasks):
        if kobest_dir or protocol.tasks[task].data:  # else it is the Hub's
            load_data(protocol, task, kobest_dir)
    if recipe.train.takes_pairs:
        raise RecipeError(
            f"kot run with train.objective {recipe.train.objective}",
            expected="sft: a run trains on rows, which teach a base to reason",
            hint="Prefer afterwards: kot train RECIPE --data pairs.jsonl --set model.name=MERGED",
        )
    template = load_template(recipe.train.template, recipe.train.enable_thinking)
    marked = template.answer_prefix and recipe.train.target != "rationale"
    if recipe.data.has_problems and not marked:
        raise RecipeError(
            f"template {template.name!r} with target {recipe.train.target!r} does not mark the "
            "answer, so none could be read",
            expected="an answer line, or no held-out problems",
            hint="Set train.template=kot and train.target=rationale_answer.",
        )
    for path in (source.path for source in recipe.data.sources if source.name == "file"):
        try:
            list_files(path or "")
        except DataError as error:
            hint = "Check data.sources."
            raise DataError(error.found, expected=error.expected, hint=hint) from error
    if (path := recipe.data.heldout) and not Path(path).is_file():
        raise DataError(
            f"{path} does not exist", expected="a file of rows", hint="Check data.heldout."
        )
    check_validation(recipe.train)
    require_packages(recipe.train)


def claim_folder(recipe: Recipe, out: Path, *, is_new: bool) -> None:
    """Write the resolved recipe into ``out``, or check that it is the one already there.

    While nothing has been done (``is_new``) a corrected recipe simply takes the place of the old.
    """
    check_folder(recipe, out, is_new=is_new)
    if is_new:
        write_text(out / RECIPE_FILE, dump_recipe(recipe))


def check_folder(recipe: Recipe, out: Path, *, is_new: bool) -> None:
    """Raise RunError when ``out`` holds something else, or results of other settings."""
    path = out / RECIPE_FILE
    if not path.is_file() and not holds_nothing(out):
        raise RunError(
            f"{out} holds files of something else",
            expected="a new folder, or one of a run",
            hint="Choose another folder with --out.",
        )
    if not is_new and load_recipe(str(path)) != recipe:
        wanted = dump_recipe(recipe).splitlines()
        found = path.read_text(encoding="utf-8").splitlines()
        differing = [line.strip() for line in found if line not in wanted]
        raise RunError(
            f"{out} holds a run of other settings ({'; '.join(differing[:3]) or 'fewer of them'})",
            expected="a new folder, or the same recipe and --set as before",
            hint="Choose another folder with --out, or delete this one.",
        )


def plan_steps(recipe: Recipe, out: Path) -> list[Step]:
    """Every step of a run in order. Building the plan loads no model and no torch."""
    data, audit, trained, merged = out / "data", out / "audit", out / "train", out / "merged"
    steps = [
        Step("Get the base model", None, partial(run_stages.get_base, recipe)),
        Step("Build the data", data, partial(run_stages.build_data, recipe, data)),
        Step("Check the data", audit, partial(run_stages.audit, recipe, data, audit)),
        *_evaluation_steps(recipe, out, BASE, "base model"),
    ]
    arms = list_arms(recipe)
    for before, arm in zip([arms[0], *arms], arms, strict=False):
        rows, folder = out / arm.rows, trained / arm.name
        if arm.rows != DATA:
            teach = partial(run_stages.teach, recipe, out, before.name, rows)
            title = f"Reason over the questions, {name_round(arm)}"
            steps.append(Step(title, rows.with_suffix(""), teach))
        train = partial(run_stages.train, recipe, rows, folder, arm.target, arm.seed)
        steps.append(Step(f"Train on {name_arm(arm)}", folder, train))
    title = (
        "Merge adapter and base"
        if METHODS[recipe.train.method].makes_adapter
        else "Link the trained model"
    )
    merge = partial(run_stages.merge, recipe, trained / TUNED, merged)
    steps += [Step(title, merged, merge), *_evaluation_steps(recipe, out, TUNED, "trained model")]
    if recipe.data.has_problems:
        if recipe.reason.at_once and recipe.train.target != "answer":
            steps.append(_answer_step(recipe, out, AT_ONCE, "trained model, no rationale"))
        for arm in arms:
            if arm.name != TUNED:
                label = f"model trained on {name_arm(arm)}"
                steps.append(_answer_step(recipe, out, arm.name, label))
    compare = partial(run_stages.compare, recipe, out / "evaluate")
    steps.append(Step("Compare the models", None, compare))
    steps.append(Step("Write report and model card", None, partial(run_stages.report, out)))
    return steps


def _evaluation_steps(recipe: Recipe, out: Path, who: str, label: str) -> list[Step]:
    folder = out / "evaluate" / who
    kobest, reasoning = folder / "kobest", folder / "reasoning"
    score = partial(run_stages.score_kobest, recipe, out, who, kobest)
    reason = partial(run_stages.reason_on_kobest, recipe, out, who, reasoning)
    steps = [Step(f"Score KoBEST, {label}", kobest, score)]
    steps += [Step(f"Reason on KoBEST, {label}", reasoning, reason)] if recipe.reason.kobest else []
    steps += [_answer_step(recipe, out, who, label)] if recipe.data.has_problems else []
    return steps


def _answer_step(recipe: Recipe, out: Path, who: str, label: str) -> Step:
    folder = out / "evaluate" / who / "problems"
    answer = partial(run_stages.answer, recipe, out, who, folder)
    return Step(f"Solve held-out problems, {label}", folder, answer)
