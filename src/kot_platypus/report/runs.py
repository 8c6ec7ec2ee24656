"""Several runs side by side, as rows: figures stand in one table only if they may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kot_platypus.errors import UsageError
from kot_platypus.report import tables
from kot_platypus.report.beside import Ours
from kot_platypus.report.figures import SERIES
from kot_platypus.report.sentences import select_kobest_pairs
from kot_platypus.report.tables import ScoreRow
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.schema import ALL, BASE, TUNED, ChoiceResults
from kot_platypus.results.wording import (
    format_count,
    format_interval,
    format_percent,
    format_points,
    join_words,
)

Kind = tuple[str, str]
"""The fingerprints of a task's protocol and data: scores of one kind may stand together."""
Rows = list[tuple[str, list[str]]]
"""A label and a value for each run."""


class Run(NamedTuple):
    """One run of several; ``key`` is its series in pictures."""

    key: str
    name: str
    results: RunResults


class RunsTable(NamedTuple):
    """The scores of one task and kind; None in a row where there is no score."""

    task: str
    protocol: str
    questions: str
    shots: tuple[int, ...]
    rows: tuple[ScoreRow, ...]


class ProblemsRow(NamedTuple):
    """One model on its run's held-out problems; ``sign`` as of ``Estimate.sign``."""

    model: str
    is_ours: bool
    accuracy: str
    interval: str
    n: str
    difference: str
    sign: int


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs, each with a name of its own. Raises UsageError for more than can be told apart."""
    if len(folders) > len(SERIES):
        raise UsageError(
            f"{len(folders)} runs on one page",
            expected=f"at most {len(SERIES)}, which colours and marks can tell apart",
            hint="Make a page for a few at a time.",
        )
    found = [load_results(folder) for folder in folders]
    names = [results.recipe.name for results in found]
    for label in (lambda i: folders[i].resolve().name, lambda i: str(i + 1)):
        names = _part_names(names, label)
    return [Run(*each) for each in zip(SERIES, names, found, strict=False)]


def _part_names(names: Sequence[str], label: Callable[[int], str]) -> list[str]:
    """The names, with a label after those that occur more than once."""
    counts = Counter(names)
    return [f"{name} ({label(i)})" if counts[name] > 1 else name for i, name in enumerate(names)]


# --- held-out problems -------------------------------------------------------------------------


def find_problems(run: Run) -> str | None:
    """The hash of the held-out problems that the tuned model was tested on."""
    manifest = run.results.manifests.get(f"evaluate/{TUNED}/problems", {})
    found: str | None = manifest.get("inputs", {}).get("problems")
    return found


def share_problems(runs: Sequence[Run]) -> bool:
    """Whether all runs that were tested were tested on the same problems, as far as is known."""
    found = {find_problems(run) for run in runs if TUNED in run.results.problems}
    return len(found) == 1 and None not in found


def write_headline(runs: Sequence[Run]) -> str:
    """The runs' result in one sentence."""
    several = f"{len(runs)} runs" if len(runs) > 1 else "One run"
    tested = {
        run.name: run.results.problems[TUNED].results[ALL]
        for run in runs
        if ALL in getattr(run.results.problems.get(TUNED), "results", {})
    }
    if len(tested) < 2 or not share_problems(runs):
        return f"{several} side by side: {join_words([run.name for run in runs])}."
    most = max(score.accuracy.value for score in tested.values())
    best = [name for name, score in tested.items() if score.accuracy.value == most]
    verb = "solves" if len(best) == 1 else "solve"
    return (
        f"Of {several}, {join_words(best)} {verb} the most of the same "
        f"{format_count(next(iter(tested.values())).n)} held-out problems: {format_percent(most)}."
    )


def tabulate_problems(runs: Sequence[Run]) -> list[ProblemsRow]:
    """Every run's base and tuned model on its held-out problems, with the paired difference."""
    rows = []
    for run in runs:
        for who in (BASE, TUNED):
            part = run.results.problems.get(who)
            if part is None or ALL not in part.results:
                continue
            score = part.results[ALL]
            pair = run.results.find_difference(BASE) if who == TUNED else None
            rows.append(
                ProblemsRow(
                    _name(run, who),
                    who == TUNED,
                    format_percent(score.accuracy.value),
                    format_interval(score.accuracy, "percent"),
                    format_count(score.n),
                    format_points(pair.difference.value) if pair else "",
                    pair.difference.sign if pair else 0,
                )
            )
    return rows


def _name(run: Run, who: str) -> str:
    base = tables.name_model(run.results.recipe, BASE)
    return run.name if who == TUNED else f"{base}, base of {run.name}"


# --- KoBEST ------------------------------------------------------------------------------------


def find_kind(part: ChoiceResults, task: str) -> Kind:
    """What two scores of a task must share to be compared."""
    return part.protocol.tasks.get(task, part.protocol.fingerprint), part.data.get(task, "")


def list_scored(runs: Sequence[Run]) -> list[Ours]:
    """The models that were scored: each base model once, then every run's own."""
    bases = {
        part.model: Ours(tables.name_model(run.results.recipe, BASE), False, part)
        for run in reversed(runs)
        if (part := run.results.kobest.get(BASE))
    }
    tuned = [
        Ours(run.name, True, run.results.kobest[TUNED])
        for run in runs
        if TUNED in run.results.kobest
    ]
    return [*reversed(bases.values()), *tuned]


def tabulate_scores(runs: Sequence[Run]) -> list[RunsTable]:
    """Macro F1: one table a task and kind, one row a model, one column a number of shots."""
    scored = list_scored(runs)
    signs = {
        (run.name, pair.task, pair.num_fewshot): pair.difference.sign
        for run in runs
        for pair in select_kobest_pairs(run.results)
    }
    kinds = dict.fromkeys(
        (task, find_kind(each.part, task)) for each in scored for task in each.part.results
    )
    order = list(dict.fromkeys(t for run in runs for t in run.results.recipe.evaluate.tasks))
    found = []
    for task, kind in sorted(kinds, key=lambda k: order.index(k[0]) if k[0] in order else 99):
        same = [each for each in scored if task in each.part.results]
        same = [each for each in same if find_kind(each.part, task) == kind]
        scores = [each.part.results[task] for each in same]
        shots = tuple(sorted({s for by_shots in scores for s in by_shots}))
        counts = sorted({score.n for by_shots in scores for score in by_shots.values()})
        rows = tuple(
            ScoreRow(
                each.name,
                each.is_ours,
                tuple(by[s].macro_f1 if s in by else None for s in shots),
                tuple(signs.get((each.name, task, s), 0) if each.is_ours else 0 for s in shots),
            )
            for each, by in zip(same, scores, strict=True)
        )
        questions = " or ".join(map(format_count, counts))
        found.append(RunsTable(task, same[0].part.protocol.name, questions, shots, rows))
    return found


# --- a column a run ----------------------------------------------------------------------------


def line_up(columns: Sequence[Sequence[tuple[str, str]]]) -> Rows:
    """One row a label of any run, one value a run: empty where a run has none."""
    values = [dict(column) for column in columns]
    labels = dict.fromkeys(label for column in values for label in column)
    return [(label, [column.get(label, "") for column in values]) for label in labels]


def put_differing_first(rows: Rows) -> Rows:
    """The rows in which runs differ, then the others, each in the order they had."""
    return sorted(rows, key=lambda row: len(set(row[1])) == 1)
