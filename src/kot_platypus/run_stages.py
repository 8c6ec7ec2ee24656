"""The stages of a run with the settings of its recipe, each imported when its turn comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kot_platypus.artifacts import read_jsonl, read_manifest, write_jsonl
from kot_platypus.benchmarks import KOBEST, load_benchmarks
from kot_platypus.errors import DataError
from kot_platypus.methods import METHODS
from kot_platypus.progress import console
from kot_platypus.prompts import load_template
from kot_platypus.recipe import Recipe, Target
from kot_platypus.records import Example
from kot_platypus.results.schema import AT_ONCE, BASE, ROUND, TUNED

if TYPE_CHECKING:
    from kot_platypus.evaluate.model_under_test import TransformersModel


def find_base(recipe: Recipe) -> Path:
    """The base model's folder."""
    from kot_platypus.models import resolve_model

    return resolve_model(recipe.model.name, recipe.model.revision)


def get_base(recipe: Recipe) -> None:
    """Fetch the base model, and say where it lies."""
    console.print(f"  {find_base(recipe)}", soft_wrap=True)


def open_model(recipe: Recipe, out: Path, who: str) -> TransformersModel:
    """The model of ``base``, ``cot`` (merged) or a baseline."""
    from kot_platypus.evaluate.model_under_test import TransformersModel

    method = METHODS[recipe.train.method]
    folder = adapter = None
    if who in (TUNED, AT_ONCE):
        folder = out / "merged"
    elif who != BASE:
        trained = out / "train" / who / method.result
        folder, adapter = (None, trained) if method.makes_adapter else (trained, None)
    held = (recipe.model.dtype, recipe.model.device, recipe.model.trust_remote_code)
    rows = recipe.reason.batch_size
    return TransformersModel(folder or find_base(recipe), adapter, *held, max_rows=rows)


def build_data(recipe: Recipe, folder: Path) -> None:
    """Training rows, held-out problems and worked examples."""
    from kot_platypus.data import build

    build.build_data(folder, recipe.data, seed=recipe.seed)


def audit(recipe: Recipe, data: Path, folder: Path) -> None:
    """Checks of the training rows, and what of the benchmarks stands in them."""
    from kot_platypus.data.audit import audit_rows, describe_audit
    from kot_platypus.verdicts import read_verdict

    rows = data / "train.jsonl"
    report = audit_rows(rows, folder, load_benchmarks([KOBEST], recipe.evaluate.kobest_dir))
    verdict = read_verdict(rows)
    found = f"; {verdict.describe()}" if verdict else ""
    console.print(f"  {describe_audit(report)}{found}", soft_wrap=True)


def train(recipe: Recipe, rows: Path, folder: Path, target: Target, seed: int) -> None:
    """One training on ``rows``."""
    from kot_platypus.evaluate.answers import answer_rows
    from kot_platypus.train.fit import train_adapter

    train_adapter(
        rows,
        find_base(recipe),
        folder,
        recipe.train.model_copy(update={"target": target}),
        recipe.model,
        seed=seed,
        data_seed=recipe.seed,
        answer=answer_rows,
    )


def teach(recipe: Recipe, out: Path, teacher: str, rows: Path) -> None:
    """What ``teacher`` writes about the questions, as far as it holds, and the data: ``rows``.

    Raises DataError where nothing does.
    """
    from kot_platypus.evaluate.prompting import load_problems
    from kot_platypus.evaluate.reasoning import Reasoning
    from kot_platypus.evaluate.texts import Sampling
    from kot_platypus.formats import read_rows
    from kot_platypus.rationale_card import describe_result
    from kot_platypus.rationales import Selection, write_rationales

    section = recipe.self_taught
    assert section is not None
    folder = rows.with_suffix("")
    how = Reasoning(
        load_template(recipe.train.template, recipe.train.enable_thinking),
        recipe.reason.max_new_tokens,
        section.num_samples,
        Sampling(temperature=section.temperature),
        seed=recipe.seed + int(folder.name.removeprefix(ROUND)),
    )
    chosen = section.model_dump(exclude={"rounds", "num_samples", "temperature"})
    questions = load_problems(out / "data" / "questions.jsonl")
    write_rationales(folder, open_model(recipe, out, teacher), questions, how, Selection(**chosen))
    facts = read_manifest(folder)
    console.print(f"  {describe_result(facts)}", soft_wrap=True)
    if not facts["rows"]:
        raise DataError(
            f"{folder.name} of self-teaching kept nothing to learn from",
            expected="at least one rationale that holds",
            hint="Ask for more num_samples, easier questions, or self_taught.rationalize=true.",
        )
    given = read_rows(out / "data" / "train.jsonl")
    write_jsonl(rows, [*given, *read_rows(folder / "train.jsonl")])


def merge(recipe: Recipe, trained: Path, folder: Path) -> None:
    """The trained model as a folder of its own."""
    from kot_platypus.train.merge import merge_adapter
    from kot_platypus.train.methods import link_model

    trained /= METHODS[recipe.train.method].result
    if METHODS[recipe.train.method].makes_adapter:
        trust = recipe.model.trust_remote_code
        merge_adapter(find_base(recipe), trained, folder, trust_remote_code=trust)
    else:
        link_model(trained, folder)


def score_kobest(recipe: Recipe, out: Path, who: str, folder: Path) -> None:
    """KoBEST's choices, scored."""
    from kot_platypus.evaluate.choices import evaluate_choices

    evaluate_choices(folder, open_model(recipe, out, who), recipe.evaluate, seed=recipe.seed)


def answer(recipe: Recipe, out: Path, who: str, folder: Path) -> None:
    """The held-out problems, answered."""
    from kot_platypus.evaluate.answers import answer_problems

    answer_problems(
        out / "data" / "heldout.jsonl",
        open_model(recipe, out, who),
        folder,
        load_template(recipe.train.template, recipe.train.enable_thinking),
        recipe.reason,
        shots=_read_shots(recipe, out, who),
        title=who,
        at_once=who == AT_ONCE,
    )


def reason_on_kobest(recipe: Recipe, out: Path, who: str, folder: Path) -> None:
    """KoBEST's questions, answered with a rationale and without."""
    from kot_platypus.evaluate.prompting import load_choices
    from kot_platypus.evaluate.protocols import load_protocol
    from kot_platypus.evaluate.reasoning import Reasoning, evaluate_reasoning

    section, protocol = recipe.evaluate, load_protocol(recipe.evaluate.protocol)
    loaded = {
        task: load_choices(protocol, task, section.kobest_dir, section.limit)
        for task in map(protocol.find_task, section.tasks)
    }
    evaluate_reasoning(
        folder,
        open_model(recipe, out, who),
        [question for questions, _ in loaded.values() for question in questions],
        Reasoning(
            load_template(recipe.train.template, recipe.train.enable_thinking),
            recipe.reason.max_new_tokens,
            seed=recipe.seed,
            shots=_read_shots(recipe, out, who),
        ),
        about_data={
            "data": {task: data for task, (_, data) in loaded.items()},
            "limit": section.limit,
        },
    )


def _read_shots(recipe: Recipe, out: Path, who: str) -> tuple[Example, ...]:
    """The worked examples that the untrained model is shown."""
    shots = read_jsonl(out / "data" / "shots.jsonl", Example) if who == BASE else []
    return tuple(shots[: recipe.reason.base_num_fewshot])


def compare(recipe: Recipe, folder: Path) -> None:
    """The run's models, compared on what they answered."""
    from kot_platypus.results.comparison import compare_models

    compare_models(folder, recipe.training_seeds[0])


def report(out: Path) -> None:
    """The run's page, card and README."""
    from kot_platypus.report import write_report

    write_report(out)
