"""The tables that page, card, terminal and the app's tab share, as rows of records and of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.methods import METHODS
from kot_platypus.recipe import Recipe
from kot_platypus.recipe_files import Section
from kot_platypus.report.runs import Model, Run, RunsDifference, list_scored
from kot_platypus.report.sentences import select_kobest_pairs
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import (
    ALL,
    ROUND,
    ROUNDS,
    TUNED,
    ChoiceDifference,
    ChoiceResults,
    ChoiceScore,
    Difference,
    Estimate,
    ProblemScore,
    ReasoningScore,
    SeedsDifference,
)
from kot_platypus.results.wording import MINUS, format_count, format_seconds, name_model

_COMMIT_CHARS = 12

Facts = list[tuple[str, str]]
"""A label and what a run says of it."""
Rows = list[tuple[str, list[str]]]
"""A label and a value for each run or model."""


class ScoreTable(NamedTuple):
    """One task's scores in the layout of KoT-platypus's README: of one protocol and data."""

    task: str
    protocol: str
    rows: tuple[tuple[Model, dict[int, ChoiceScore]], ...]
    """A model and its scores by number of shots."""
    signs: dict[tuple[str, int], int]
    """By series and number of shots: 1 or -1 where a difference from the base is shown."""

    @property
    def shots(self) -> list[int]:
        """The columns."""
        return sorted({number for _, scores in self.rows for number in scores})

    @property
    def questions(self) -> str:
        """How many there were."""
        counts = {score.n for _, scores in self.rows for score in scores.values()}
        return " or ".join(map(format_count, sorted(counts)))

    @property
    def heads(self) -> list[str]:
        """The columns' heads, after the one of the names."""
        return [f"{number}-shot" for number in self.shots]


# --- KoBEST ------------------------------------------------------------------------------------


def find_kind(part: ChoiceResults, task: str) -> tuple[str, str]:
    """The fingerprints of a task's protocol and data, which comparable scores share."""
    return part.protocol.tasks.get(task, part.protocol.fingerprint), part.data.get(task, "")


def list_tasks(runs: Sequence[Run]) -> list[str]:
    """The tasks that were scored, in the order of the recipes."""
    found = dict.fromkeys(t for m in list_scored(runs) if m.kobest for t in m.kobest.results)
    order = list(dict.fromkeys(t for run in runs for t in run.results.recipe.evaluate.tasks))
    return sorted(found, key=lambda task: order.index(task) if task in order else len(order))


def tabulate_scores(runs: Sequence[Run]) -> list[ScoreTable]:
    """Macro F1: a table a task, or several where protocol or data differ; a row a model."""
    signs = [
        (pair.task, (run.key, pair.num_fewshot), pair.verdict)
        for run in runs
        for pair in select_kobest_pairs(run.results)
    ]
    tables: dict[tuple[str, ...], list[tuple[Model, ChoiceResults]]] = {}
    for task in list_tasks(runs):
        for model in list_scored(runs):
            if model.kobest and model.kobest.results.get(task):
                key = (task, *find_kind(model.kobest, task))
                tables.setdefault(key, []).append((model, model.kobest))
    return [
        ScoreTable(
            task,
            scored[0][1].protocol.name,
            tuple((model, part.results[task]) for model, part in scored),
            {key: sign for of_task, key, sign in signs if of_task == task},
        )
        for (task, *_), scored in tables.items()
    ]


def list_scores(runs: Sequence[Run]) -> list[tuple[str, int, Model, ChoiceScore]]:
    """Every KoBEST score with its task, number of shots and model, ordered so."""
    scored = [(model, model.kobest.results) for model in list_scored(runs) if model.kobest]
    return [
        (task, shots, model, results[task][shots])
        for task in list_tasks(runs)
        for shots in sorted({s for _, results in scored for s in results.get(task, {})})
        for model, results in scored
        if shots in results.get(task, {})
    ]


def list_pairs(runs: Sequence[Run]) -> list[tuple[str, ChoiceDifference]]:
    """Each run's tuned model minus its base, in macro F1."""
    return [(run.name, pair) for run in runs for pair in select_kobest_pairs(run.results)]


# --- held-out problems -------------------------------------------------------------------------


def list_problems(runs: Sequence[Run]) -> list[tuple[str, Model, ProblemScore]]:
    """The scores on the held-out problems: of all of them first, then family by family."""
    return [
        (family, model, score)
        for family in list_families([run.results for run in runs])
        for run in runs
        for model in run.models
        if model.problems and (score := model.problems.results.get(family)) is not None
    ]


def list_families(found: Sequence[RunResults]) -> list[str]:
    """``all``, then the families of problems in file order; one alone would say the same twice."""
    parts = [part for results in found for part in results.problems.values()]
    families = [n for n in dict.fromkeys(n for part in parts for n in part.results) if n != ALL]
    return [ALL, *families] if len(families) > 1 else [ALL]


def list_differences(
    runs: Sequence[Run], between: Sequence[RunsDifference] = ()
) -> list[tuple[str, Difference]]:
    """The paired comparisons on the held-out problems, named: within runs, then between them."""
    named = [
        ({model.who: model.name for model in run.models}, pair)
        for run in runs
        for pair in run.results.comparison.problems
    ]
    every: list[tuple[dict[str, str], Difference]] = [*named, *(({}, pair) for pair in between)]
    return [
        (f"{names.get(pair.a, pair.a)} {MINUS} {names.get(pair.b, pair.b)}", pair)
        for names, pair in every
    ]


def list_seeds(run: Run) -> list[tuple[str, SeedsDifference]]:
    """The mean of a run's main trainings minus each of its other models, on the problems."""
    seeds = run.results.comparison.seeds
    if seeds is None:
        return []
    names = {model.who: model.name for model in run.models}
    mean = f"mean of {len(seeds.accuracy)} seeds"
    return [(f"{mean} {MINUS} {names.get(pair.b, pair.b)}", pair) for pair in seeds.differences]


class Round(NamedTuple):
    """A round of self-teaching: what the model before it wrote, and what came of learning it."""

    name: str
    teacher: str
    sampled: dict[str, Any]
    """Questions, pass rate, rows kept; for generated problems, rows whose steps hold."""
    solved: Estimate | None
    """Held-out problems, after it."""


def list_rounds(run: Run) -> list[Round]:
    """The rounds of a run that taught itself, in their order."""
    sampled = {
        int(folder.removeprefix(ROUNDS)): manifest
        for folder, manifest in run.results.manifests.items()
        if folder.startswith(ROUNDS) and manifest.get("status") == "done"
    }
    models = {model.who: model for model in run.models}
    rounds, teacher = [], models.get(f"{ROUND}0")
    for number in sorted(sampled):
        who = TUNED if number == max(sampled) else f"{ROUND}{number}"
        model = models.get(who)
        score = model.problems.results.get(ALL) if model and model.problems else None
        name = model.name if model else str(number)
        before = teacher.name if teacher else ""
        rounds.append(Round(name, before, sampled[number], score.accuracy if score else None))
        teacher = model
    return rounds


# --- KoBEST with a rationale -------------------------------------------------------------------


def list_reasoning(runs: Sequence[Run]) -> list[tuple[str, Model, ReasoningScore]]:
    """What reasoning changed on each task of KoBEST, task by task."""
    tasks = dict.fromkeys(
        task for run in runs for part in run.results.reasoning.values() for task in part.results
    )
    return [
        (task, model, score)
        for task in tasks
        for run in runs
        for model in run.models
        if (part := run.results.reasoning.get(model.who)) and (score := part.results.get(task))
    ]


# --- facts -------------------------------------------------------------------------------------


def list_badges(results: RunResults) -> Facts:
    """A run in a few words: base, training, examples, protocol, contamination."""
    recipe = results.recipe
    badges = [
        ("base", name_model(recipe.model.name)),
        ("training", METHODS[recipe.train.method].title),
    ]
    if "num_examples" in results.training:
        badges.append(("examples", format_count(results.training["num_examples"])))
    if TUNED in results.kobest:
        badges.append(("protocol", results.kobest[TUNED].protocol.name))
    verdict = results.contamination
    if verdict is None:
        found = "not checked"
    elif verdict.is_clean:
        found = "none found"
    else:
        found = f"{format_count(verdict.leaked_rows)} of {format_count(verdict.rows)} rows"
    return [*badges, ("contamination", found)]


def line_up(runs: Sequence[Run], tabulate: Callable[[RunResults], Facts]) -> Rows:
    """One row a label of any run, one value a run: empty where a run has none."""
    return line_up_columns([dict(tabulate(run.results)) for run in runs])


def line_up_columns(columns: Sequence[dict[str, str]]) -> Rows:
    """Columns of facts as rows: every label once, in the order of the first column that has it."""
    labels = dict.fromkeys(label for column in columns for label in column)
    return [(label, [column.get(label, "") for column in columns]) for label in labels]


def put_differing_first(rows: Rows) -> Rows:
    """The rows in which runs differ, then the others, each in the order they had."""
    return sorted(rows, key=lambda row: len(set(row[1])) == 1)


def tabulate_settings(recipe: Recipe) -> Facts:
    """Hyperparameters under Platypus's names, the base model last as upstream prints them."""
    hidden = {"report_to", "save_steps", "gradient_checkpointing", "torch_compile"}
    hidden |= {"allow_contaminated"}  # the card says it in words
    values = _flatten(recipe.train)
    if recipe.train.validation is None:
        hidden.add("load_best_model_at_end")
    elif isinstance(recipe.train.validation, str):  # a path of this machine says nothing to others
        values["validation"] = Path(recipe.train.validation).name
    if not METHODS[recipe.train.method].makes_adapter:
        hidden |= {key for key in values if key.startswith("lora_")}
    if recipe.train.baseline_targets:
        values["baseline_targets"] = ", ".join(recipe.train.baseline_targets)
    rows = [(key, value) for key, value in values.items() if key not in hidden and value]
    seeds = [("seed", ", ".join(map(str, recipe.training_seeds)))]
    seeds += [("data_seed", str(recipe.seed))] if recipe.seeds else []
    return [*rows, *seeds, ("base_model", name_hub_model(recipe))]


def tabulate_evaluation(recipe: Recipe) -> Facts:
    """How the run was evaluated."""
    values = {**_flatten(recipe.evaluate), **_flatten(recipe.reason, prefix="reason.")}
    return [(key, value) for key, value in values.items() if value]


def _flatten(section: Section, prefix: str = "") -> dict[str, str]:
    return {prefix + key: _format_setting(value) for key, value in section.model_dump().items()}


def _format_setting(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float) and 0 < value < 1e-3:
        mantissa, exponent = f"{value:.6e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return "" if value is None else str(value)


def name_hub_model(recipe: Recipe) -> str:
    """The base model's Hub id where it has one: the embedded Gemma is Google's."""
    name = recipe.model.name
    return "google/gemma-3-270m" if name == "gemma-3-270m" else name_model(name)


def tabulate_data(results: RunResults) -> Facts:
    """How many examples there are, by split, source and task."""
    counts = results.data_counts
    names = {"train": "training rows", "heldout": "held-out problems"}
    rows = [(name, format_count(counts[key])) for key, name in names.items() if key in counts]
    for group, label in (("by_source", "source"), ("by_task", "task")):
        rows += [
            (f"{label}: {name}", format_count(count))
            for name, count in counts.get(group, {}).items()
        ]
    return rows


def tabulate_machine(results: RunResults) -> Facts:
    """What the figures were made with; every value found where stages differ."""
    found: dict[str, dict[str, None]] = {}
    for manifest in results.manifests.values():
        computed_in = {"dtype": manifest.get("config", {}).get("dtype")}
        for key, value in {**computed_in, **manifest.get("machine", {})}.items():
            if value is None:  # e.g. the commit of an installed package, the dtype of data
                continue
            text = _shorten_commit(str(value)) if key == "commit" else str(value)
            found.setdefault(key, {})[text] = None
    return [(key, " / ".join(values)) for key, values in found.items()]


def _shorten_commit(commit: str) -> str:
    """``0123456789abcdef-dirty`` -> ``0123456789ab-dirty``: the mark says that it was not that."""
    name, dash, mark = commit.partition("-")
    return name[:_COMMIT_CHARS] + dash + mark


def tabulate_seconds(results: RunResults) -> Facts:
    """Wall-clock time of each stage."""
    timed = {
        stage: float(manifest["seconds"])
        for stage, manifest in results.manifests.items()
        if "seconds" in manifest
    }
    rows = [(stage, format_seconds(seconds)) for stage, seconds in timed.items()]
    return [*rows, ("together", format_seconds(sum(timed.values())))] if rows else []
