"""The runs that a page shows and their models, each with its names and its series in pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.errors import UsageError
from kot_platypus.report.sentences import (
    format_distance,
    format_relation,
    name_condition,
)
from kot_platypus.results.metrics import compare_paired, correct_holm
from kot_platypus.results.published import Ours
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.schema import (
    ALL,
    ALPHA,
    BASE,
    SEED,
    TUNED,
    ChoiceResults,
    Difference,
    LogLine,
    ProblemResults,
)
from kot_platypus.results.wording import (
    NBSP,
    format_count,
    format_percent,
    join_words,
    name_model,
)

SERIES = tuple(f"run{number}" for number in range(1, 7))
"""The runs of a page that compares several; more could not be told apart."""


class Model(NamedTuple):
    """One model of a run. Absent parts are None or empty."""

    who: str
    key: str
    """Its series in pictures."""
    name: str
    """What tells it from the other models of the page."""
    full_name: str
    """Its name in a table of scores, where other people's models may stand too."""
    problems: ProblemResults | None
    kobest: ChoiceResults | None
    log: tuple[LogLine, ...]
    training: dict[str, Any]
    """The manifest of its training."""

    @property
    def is_ours(self) -> bool:
        """Whether it is what the run was made for."""
        return self.who == TUNED

    @property
    def is_tested(self) -> bool:
        """Whether it has a score on the held-out problems."""
        return self.problems is not None and ALL in self.problems.results


class RunsDifference(Difference):
    """The tuned model of run ``a`` minus that of run ``b``, on the held-out problems of both."""

    p_holm: float
    """Corrected for all pairs of runs on the page."""


class Run(NamedTuple):
    """One run of a page, and its models: the base model first, the tuned one last."""

    key: str
    """The series of its tuned model."""
    name: str
    results: RunResults
    models: tuple[Model, ...]


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs, each with a name of its own. Raises UsageError for more than can be told apart."""
    if len(folders) > len(SERIES):
        raise UsageError(
            f"{len(folders)} runs on one page",
            expected=f"at most {len(SERIES)}, which colours and marks can tell apart",
            hint="Make a page for a few at a time.",
        )
    found = [load_results(folder) for folder in folders]
    if len(found) == 1:
        return [make_run(found[0])]
    names = [results.recipe.name for results in found]
    for label in (lambda i: folders[i].resolve().name, lambda i: str(i + 1)):
        names = _part_names(names, label)
    return [_name_run(*each) for each in zip(SERIES, names, found, strict=False)]


def _part_names(names: Sequence[str], label: Callable[[int], str]) -> list[str]:
    """The names, with a label after those that occur more than once."""
    counts = Counter(names)
    return [f"{name} ({label(i)})" if counts[name] > 1 else name for i, name in enumerate(names)]


def make_run(results: RunResults, rename: Callable[[str], str] | None = None) -> Run:
    """A run that is shown alone: its models go by what each was trained to write.

    ``rename`` gives them other names, such as Korean ones.
    """
    recipe = results.recipe

    def name(who: str) -> tuple[str, str, str]:
        key = TUNED if who.startswith(SEED) else who
        if rename:
            return key, rename(who), rename(who)
        condition = name_condition(recipe, who)
        full_names = {BASE: name_model(recipe.model.name), TUNED: recipe.name}
        return key, condition, full_names.get(who, f"{recipe.name}, {condition}")

    return Run(TUNED, recipe.name, results, _list_models(results, name))


def _name_run(key: str, own_name: str, results: RunResults) -> Run:
    """A run among others: its tuned model bears its name."""
    base = name_model(results.recipe.model.name)

    def name(who: str) -> tuple[str, str, str]:
        if who == BASE:
            return BASE, f"{base}, base of {own_name}", base
        other = f"{own_name}, {name_condition(results.recipe, who)}"
        return (key, own_name, own_name) if who == TUNED else (who, other, other)

    return Run(key, own_name, results, _list_models(results, name))


def _list_models(
    results: RunResults, name: Callable[[str], tuple[str, str, str]]
) -> tuple[Model, ...]:
    found = {*results.problems, *results.kobest, *results.losses}
    return tuple(
        Model(
            who,
            *name(who),
            results.problems.get(who),
            results.kobest.get(who),
            results.losses.get(who, ()),
            results.manifests.get(f"train/{who}", {}),
        )
        for who in sorted(found, key=lambda who: ((who == TUNED) - (who == BASE), who))
    )


def list_pictured(runs: Sequence[Run]) -> list[Model]:
    """The models that have a series of their own: all of a run alone, else the tuned ones.

    Of a training at several seeds it is the first.
    """
    models = [model for run in runs for model in run.models if not model.who.startswith(SEED)]
    return [model for model in models if len(runs) == 1 or model.is_ours]


def list_scored(runs: Sequence[Run]) -> list[Model]:
    """The models with KoBEST scores, each base model once; of several runs the bases first."""
    scored = [(model, model.kobest) for run in runs for model in run.models if model.kobest]
    bases = {part.model: model for model, part in reversed(scored) if model.who == BASE}
    return [*reversed(bases.values()), *(model for model, _ in scored if model.who != BASE)]


def list_ours(runs: Sequence[Run]) -> list[Ours]:
    """The scored models, for a table of published figures."""
    return [Ours(m.full_name, m.is_ours, m.kobest) for m in list_scored(runs) if m.kobest]


# --- between runs ------------------------------------------------------------------------------


def share_problems(runs: Sequence[Run]) -> bool:
    """Whether all runs that were tested on held-out problems were tested on the same ones."""
    found = {
        run.results.manifests.get(f"evaluate/{TUNED}/problems", {})
        .get("inputs", {})
        .get("problems")
        for run in runs
        if TUNED in run.results.problems
    }
    return len(found) == 1 and None not in found


def compare_runs(runs: Sequence[Run]) -> list[RunsDifference]:
    """Every pair of runs, on the held-out problems that the tuned models of both answered."""
    if not share_problems(runs):
        return []
    answers = {run.name: run.results.answers.get(TUNED, ()) for run in runs}
    right = {
        name: {(row.doc_id, row.source): row.correct for row in rows}
        for name, rows in answers.items()
    }
    pairs: list[Difference] = []
    for b, a in combinations(right, 2):
        if same := [key for key in right[a] if key in right[b]]:
            sides = ([right[run][key] for key in same] for run in (a, b))
            pairs.append(Difference(a=a, b=b, **dict(compare_paired(*sides))))
    corrected = correct_holm([pair.p_value for pair in pairs])
    return [
        RunsDifference(**dict(pair), p_holm=p_holm)
        for pair, p_holm in zip(pairs, corrected, strict=True)
    ]


def write_headline(runs: Sequence[Run], between: Sequence[RunsDifference] = ()) -> str:
    """Several runs' result in one sentence. A best one is named where a test shows it."""
    several = f"{len(runs)} runs"
    tested = {
        run.name: model.problems.results[ALL]
        for run in runs
        for model in run.models
        if model.is_ours and model.is_tested and model.problems
    }
    if len(tested) < 2 or not share_problems(runs):
        return f"{several} side by side: {join_words([run.name for run in runs])}."
    same = f"the same {format_count(next(iter(tested.values())).n)} held-out problems"
    best = max(tested, key=lambda name: tested[name].accuracy.value)
    shares = {name: format_percent(score.accuracy.value) for name, score in tested.items()}
    pairs = [pair for pair in between if best in (pair.a, pair.b)]
    wins = [pair for pair in pairs if pair.p_holm < ALPHA]
    if len(wins) < len(tested) - 1:
        solved = join_words([f"{name} {share}" for name, share in shares.items()])
        shown = "no difference between them is shown"
        if len(tested) > 2:
            shown = "no one is shown to be the best"
        return f"{several} on {same}: {solved}; {shown}."
    return (
        f"Of {several}, {best} solves the most of {same}: {shares[best]}"
        f" ({'; '.join(_describe_win(pair, best) for pair in wins)})."
    )


def _describe_win(pair: RunsDifference, best: str) -> str:
    other = pair.b if pair.a == best else pair.a
    points = format_distance(pair.difference)
    return f"{points} points above {other}, p{NBSP}{format_relation(pair.p_holm)}"
