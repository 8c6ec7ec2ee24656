"""One page on several runs: a column, a line or a row for each, and what of it may be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from kot_platypus.report import funnel, sentences, tables
from kot_platypus.report.badges import list_badges
from kot_platypus.report.beside import describe_questions, put_beside
from kot_platypus.report.figures import (
    MARKS,
    draw_accuracies,
    draw_differences,
    draw_losses,
    draw_shots,
    draw_tokens,
    render_figure,
)
from kot_platypus.report.limits import list_limits
from kot_platypus.report.page import new_environment, write_command
from kot_platypus.report.runs import (
    Rows,
    Run,
    find_kind,
    line_up,
    list_scored,
    put_differing_first,
    share_problems,
    tabulate_problems,
    tabulate_scores,
    write_headline,
)
from kot_platypus.results import wording
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED, ChoiceResults


def render_runs(runs: Sequence[Run], published: Sequence[str] = ()) -> str:
    """The page as HTML. Whatever comes from data or a model is escaped by the template."""
    ours = list_scored(runs)
    beside = put_beside(ours, published) if published else None
    facts = {
        "headline": write_headline(runs),
        "runs": [_tell(run) for run in runs],
        "names": [run.name for run in runs],
        "problems": tabulate_problems(runs),
        "same_problems": share_problems(runs),
        "scores": tabulate_scores(runs),
        "benchmarks": list(dict.fromkeys(sentences.name_benchmark(r.results.recipe) for r in runs)),
        "beside": beside if beside and beside.tables else None,
        "questions": describe_questions(ours, [t.task for t in beside.tables] if beside else []),
        "figures": _draw_figures(runs),
        **_line_up_facts(runs),
    }
    return new_environment().get_template("runs.html.jinja").render(**facts) + "\n"


def _tell(run: Run) -> dict[str, Any]:
    """What the page says of one run by itself."""
    results = run.results
    return {
        "key": run.key,
        "mark": MARKS[run.key],
        "name": run.name,
        "base": sentences.name_base(results.recipe),
        "headline": sentences.write_headline(results),
        "audit": sentences.describe_audit(results),
        "limits": list_limits(results),
        "command": write_command(results.recipe),
    }


def _line_up_facts(runs: Sequence[Run]) -> dict[str, Rows]:
    """The tables with a column for each run."""
    found = [run.results for run in runs]
    settings = line_up(
        [
            [*tables.tabulate_settings(r.recipe), *tables.tabulate_evaluation(r.recipe)]
            for r in found
        ]
    )
    return {
        "short": line_up([list_badges(r) for r in found]),
        "data": line_up([_count_rows(r) for r in found]),
        "tokens": line_up([_take_main(r) for r in found]),
        "cut": line_up([_cut(r) for r in found]),
        "checks": line_up([funnel.tabulate_checks(r) for r in found]),
        "settings": put_differing_first(settings),
        "machine": put_differing_first(line_up([tables.tabulate_machine(r) for r in found])),
        "seconds": line_up([tables.tabulate_seconds(r) for r in found]),
    }


def _count_rows(results: RunResults) -> list[tuple[str, str]]:
    """The funnel as figures: sources, rows left out, rows trained on."""
    return [(bar.label, wording.format_count(bar.length)) for bar in funnel.list_funnel(results)]


def _take_main(results: RunResults) -> list[tuple[str, str]]:
    """The token budget of the main training alone."""
    main = results.model_copy(update={"losses": {TUNED: ()}})
    return [(label, values[0]) for label, values in funnel.tabulate_tokens(main)]


def _cut(results: RunResults) -> list[tuple[str, str]]:
    """What was cut, without the trainings for comparison."""
    answers = {who: rows for who, rows in results.answers.items() if who in (BASE, TUNED)}
    main = results.model_copy(update={"answers": answers})
    own = sentences.name_condition(results.recipe, TUNED)
    found = []
    for loss in funnel.tabulate_losses(main):
        # Runs may learn different texts: what is lined up is each run's tuned model.
        what = loss.what.replace(f"before an answer, {own}", "before an answer, tuned")
        found.append((what, f"{loss.num_lost} of {loss.num_all}" if loss.is_some else "none"))
    return found


# --- pictures ----------------------------------------------------------------------------------


def _draw_figures(runs: Sequence[Run]) -> dict[str, Markup]:
    names = {run.key: run.name for run in runs} | {BASE: "base"}
    figures = {}
    tested = {run.key: run.results.problems[TUNED] for run in runs if _is_tested(run)}
    if tested and share_problems(runs):
        values = ", ".join(
            f"{names[key]} {wording.format_percent(part.results[ALL].accuracy.value)}"
            for key, part in tested.items()
        )
        label = f"Dot plot of the share of the same held-out problems solved: {values}."
        figures["problems"] = render_figure(
            "problems", label, draw_accuracies(tested, names, [ALL])
        )
    pairs = {run.key: p for run in runs if (p := sentences.select_kobest_pairs(run.results))}
    if pairs:
        label = (
            "Forest plot of KoBEST macro F1, each run's tuned model minus its base. "
            + " ".join(
                f"{run.name}: {sentences.write_kobest_sentence(run.results)}"
                for run in runs
                if run.key in pairs
            )
        )
        figures["differences"] = render_figure("differences", label, draw_differences(pairs))
    return figures | _draw_curves(runs, names)


def _draw_curves(runs: Sequence[Run], names: dict[str, str]) -> dict[str, Markup]:
    figures = {}
    shown = _select_comparable(runs)
    tasks = dict.fromkeys(task for part in shown.values() for task in part.results)
    several = [
        task
        for task in tasks
        if len({s for part in shown.values() for s in part.results.get(task, {})}) > 1
    ]
    if several:
        label = "Macro F1 over the number of shots, one panel a task; figures in the tables above."
        figures["shots"] = render_figure("shots", label, draw_shots(shown, several))
    losses = {run.key: log for run in runs if (log := run.results.losses.get(TUNED))}
    if losses:
        ends = ", ".join(f"{names[key]} {log[-1].loss:.3f}" for key, log in losses.items())
        label = f"Training loss over optimizer steps; at the end: {ends}."
        figures["losses"] = render_figure("losses", label, draw_losses(losses, names))
    tokens = {
        run.key: (run.results.training["tokens_seen"], run.results.training["trained_tokens_seen"])
        for run in runs
        if run.results.training.get("trained_tokens_seen")
    }
    if tokens:
        parts = ", ".join(
            f"{names[key]} {wording.format_count(learnt)} of {wording.format_count(seen)}"
            for key, (seen, learnt) in tokens.items()
        )
        label = f"Bars of the tokens each training learnt, of those it saw: {parts}."
        figures["tokens"] = render_figure("tokens", label, draw_tokens(tokens, names))
    return figures


def _is_tested(run: Run) -> bool:
    part = run.results.problems.get(TUNED)
    return part is not None and ALL in part.results


def _select_comparable(runs: Sequence[Run]) -> dict[str, ChoiceResults]:
    """By series, the scores of the kind that each task has first; the base if there is but one."""
    kinds: dict[str, tuple[str, str]] = {}
    parts = {run.key: run.results.kobest[TUNED] for run in runs if TUNED in run.results.kobest}
    bases = {p.model: p for run in runs if (p := run.results.kobest.get(BASE))}
    if len(bases) == 1:
        parts = {BASE: next(iter(bases.values())), **parts}
    for part in parts.values():
        for task in part.results:
            kinds.setdefault(task, find_kind(part, task))
    return {
        who: part.model_copy(
            update={
                "results": {
                    task: by_shots
                    for task, by_shots in part.results.items()
                    if find_kind(part, task) == kinds[task]
                }
            }
        )
        for who, part in parts.items()
    }
