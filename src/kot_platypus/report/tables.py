"""The tables that page and card share, as plain rows of text."""

from __future__ import annotations

from typing import Any, NamedTuple

from kot_platypus.recipe import Recipe
from kot_platypus.recipe_files import Section
from kot_platypus.report.sentences import name_base, name_condition, select_kobest_pairs
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED, ChoiceScore, Difference, Estimate
from kot_platypus.results.wording import (
    format_count,
    format_interval,
    format_p,
    format_percent,
    format_points,
    format_score,
    format_seconds,
    name_task,
)

_COMMIT_CHARS = 12
METRICS = ("macro_f1", "macro_f1_norm", "acc", "acc_norm")


class ScoreRow(NamedTuple):
    """One model's scores over the numbers of shots; None where there is no score."""

    name: str
    is_ours: bool
    scores: tuple[Estimate | None, ...]
    signs: tuple[int, ...]
    """1 or -1 where a difference from the base model is shown, else 0."""


class ScoreTable(NamedTuple):
    """One task's table in the layout of KoT-platypus's README."""

    task: str
    shots: tuple[int, ...]
    questions: str
    rows: tuple[ScoreRow, ...]


class ProblemRow(NamedTuple):
    """One model on all held-out problems, or on one family of them."""

    family: str
    model: str
    is_ours: bool
    accuracy: str
    interval: str
    n: str
    num_parsed: str
    mean_tokens: str


class DifferenceRow(NamedTuple):
    """One paired comparison on the held-out problems."""

    pair: str
    points: str
    interval: str
    p_value: str
    n: str


class MetricRow(NamedTuple):
    """Every metric of one model on one task at one number of shots."""

    task: str
    num_fewshot: str
    model: str
    is_ours: bool
    metrics: tuple[tuple[str, str], ...]
    n: str
    effective_shots: str


def name_model(recipe: Recipe, who: str) -> str:
    """A model's name in a table of scores."""
    if who == BASE:
        return name_base(recipe)
    return recipe.name if who == TUNED else f"{recipe.name}, {name_condition(recipe, who)}"


def tabulate_scores(results: RunResults) -> list[ScoreTable]:
    """Macro F1 on KoBEST: one table a task, one row a model, one column a number of shots."""
    tables = []
    signs = {
        (pair.task, pair.num_fewshot): pair.difference.sign for pair in select_kobest_pairs(results)
    }
    for task in _list_tasks(results):
        scores = {who: part.results.get(task, {}) for who, part in results.kobest.items()}
        shots = tuple(sorted({shot for by_shot in scores.values() for shot in by_shot}))
        counts = sorted({score.n for by_shot in scores.values() for score in by_shot.values()})
        rows = tuple(
            ScoreRow(
                name_model(results.recipe, who),
                who == TUNED,
                tuple(by_shot[s].macro_f1 if s in by_shot else None for s in shots),
                tuple(signs.get((task, s), 0) if who == TUNED else 0 for s in shots),
            )
            for who, by_shot in scores.items()
            if by_shot
        )
        questions = " or ".join(map(format_count, counts))
        tables.append(ScoreTable(task, shots, questions, rows))
    return tables


def _list_tasks(results: RunResults) -> list[str]:
    tasks = dict.fromkeys(task for part in results.kobest.values() for task in part.results)
    order = results.recipe.evaluate.tasks
    return sorted(tasks, key=lambda task: order.index(task) if task in order else len(order))


def tabulate_metrics(results: RunResults) -> list[MetricRow]:
    """Every KoBEST figure of the run, one line a score."""
    return [
        _metric_row(results.recipe, task, shots, who, part.results[task][shots])
        for task in _list_tasks(results)
        for shots in sorted({s for p in results.kobest.values() for s in p.results.get(task, {})})
        for who, part in results.kobest.items()
        if shots in part.results.get(task, {})
    ]


def _metric_row(recipe: Recipe, task: str, shots: int, who: str, score: ChoiceScore) -> MetricRow:
    estimates: list[Estimate] = [getattr(score, metric) for metric in METRICS]
    return MetricRow(
        name_task(task),
        str(shots),
        name_condition(recipe, who),
        who == TUNED,
        tuple((format_score(e.value), format_interval(e, "score")) for e in estimates),
        format_count(score.n),
        f"{score.effective_shots:.1f}",
    )


def tabulate_problems(results: RunResults) -> list[ProblemRow]:
    """Accuracy on the held-out problems: all of them first, then family by family."""
    return [
        ProblemRow(
            "All" if family == ALL else family,
            name_condition(results.recipe, who),
            who == TUNED,
            format_percent(score.accuracy.value),
            format_interval(score.accuracy, "percent"),
            format_count(score.n),
            format_count(score.num_parsed),
            f"{score.mean_tokens:.1f}",
        )
        for family in list_families(results)
        for who, part in results.problems.items()
        if (score := part.results.get(family)) is not None
    ]


def list_families(results: RunResults) -> list[str]:
    """``all``, then the families of problems in file order; one alone would say the same twice."""
    found = dict.fromkeys(name for part in results.problems.values() for name in part.results)
    families = [name for name in found if name != ALL]
    return [ALL, *families] if len(families) > 1 else [ALL]


def tabulate_differences(results: RunResults) -> list[DifferenceRow]:
    """The paired comparisons on the held-out problems, in percentage points."""
    return [_difference_row(results.recipe, pair) for pair in results.comparison.problems]


def _difference_row(recipe: Recipe, pair: Difference) -> DifferenceRow:
    a, b = name_condition(recipe, pair.a), name_condition(recipe, pair.b)
    return DifferenceRow(
        f"{a} \N{MINUS SIGN} {b}",
        format_points(pair.difference.value),
        format_interval(pair.difference, "points"),
        format_p(pair.p_value),
        format_count(pair.n),
    )


def tabulate_settings(recipe: Recipe) -> list[tuple[str, str]]:
    """Hyperparameters under Platypus's names, the base model last as upstream prints them."""
    hidden = {"report_to", "save_steps", "gradient_checkpointing", "torch_compile"}
    hidden |= {"allow_contaminated"}  # the card says it in words
    values = _flatten(recipe.train)
    if recipe.train.method == "full":
        hidden |= {key for key in values if key.startswith("lora_")}
    if recipe.train.baseline_targets:
        values["baseline_targets"] = ", ".join(recipe.train.baseline_targets)
    rows = [(key, value) for key, value in values.items() if key not in hidden and value]
    return [*rows, ("seed", str(recipe.seed)), ("base_model", name_hub_model(recipe))]


def tabulate_evaluation(recipe: Recipe) -> list[tuple[str, str]]:
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
    return "google/gemma-3-270m" if name == "gemma-3-270m" else name_base(recipe)


def tabulate_data(results: RunResults) -> list[tuple[str, str]]:
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


def tabulate_machine(results: RunResults) -> list[tuple[str, str]]:
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


def tabulate_seconds(results: RunResults) -> list[tuple[str, str]]:
    """Wall-clock time of each stage."""
    timed = {
        stage: float(manifest["seconds"])
        for stage, manifest in results.manifests.items()
        if "seconds" in manifest
    }
    rows = [(stage, format_seconds(seconds)) for stage, seconds in timed.items()]
    return [*rows, ("together", format_seconds(sum(timed.values())))] if rows else []
