"""``report.html``: one self-contained page that shows what one run or several found, and how."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from kot_platypus.recipe import Recipe, load_shipped
from kot_platypus.report import examples, funnel, sentences, tables
from kot_platypus.report.canvas import MARKS
from kot_platypus.report.families import describe_kinds, list_solvers, tabulate_families
from kot_platypus.report.figures import KOREAN, draw_figures
from kot_platypus.report.runs import (
    Run,
    compare_runs,
    list_ours,
    list_pictured,
    make_run,
    share_problems,
    write_headline,
)
from kot_platypus.results import wording
from kot_platypus.results.published import put_beside
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED
from kot_platypus.results.templates import load_templates

_KOREAN = re.compile(r"(\S*[가-힣]\S*(?:\s+[^\sA-Za-z]+)*)")
"""A word with Hangul, and those after it without Latin letters."""


def render_page(runs: Sequence[Run], published: Sequence[str] = ()) -> str:
    """The page as HTML, with the figures of ``published`` models beside ours.

    Whatever comes from data or a model is escaped by the template.
    """
    ours = list_ours(runs)
    beside = put_beside(ours, published) if published else None
    facts = {
        "runs": [describe_run(run) for run in runs],
        "names": [run.name for run in runs],
        "benchmark": ", ".join(
            dict.fromkeys(sentences.name_benchmark(run.results.recipe) for run in runs)
        ),
        "figures": draw_figures(runs),
        "beside": beside if beside and beside.tables else None,
        **collect_results(runs),
        **_line_up_facts(runs),
        **_collect_examples(runs),
    }
    return load_report_templates().get_template("report.html.jinja").render(**facts) + "\n"


def render_tab(results: RunResults, name_model: Callable[[str], str]) -> str:
    """The results of a run for the app's tab: in Korean, and without a page around it."""
    runs = [make_run(results, name_model)]
    return load_report_templates().get_template("tab.html.jinja").render(
        benchmark=sentences.name_benchmark(results.recipe),
        figures=draw_figures(runs, KOREAN),
        problems=[row for row in tables.list_problems(runs) if row[0] == ALL],
        differences=tables.list_differences(runs),
        scores=tables.tabulate_scores(runs),
    )  # fmt: skip


def render_tab_css() -> str:
    """The style of ``render_tab``'s tables and pictures, and the app's colours."""
    return load_report_templates().get_template("tab.css.jinja").render()


def load_report_templates(**filters: Callable[..., object]) -> Environment:
    """The templates of reports; their ``ko`` filter marks Korean words."""
    return load_templates("kot_platypus.report", ko=mark_korean, **filters)


def mark_korean(text: object) -> Markup:
    """Text whose Korean words say of themselves that they are Korean, for fonts and readers."""
    parts = _KOREAN.split(str(text))  # every second one is Korean
    marked = [Markup('<span lang="ko">{}</span>' if n % 2 else "{}") for n in range(len(parts))]
    return Markup("").join(form.format(part) for form, part in zip(marked, parts, strict=True))


def describe_recipe(recipe: Recipe) -> tuple[str, str]:
    """Its description and notes; empty where they are a shipped recipe's that ran otherwise."""
    for shipped in load_shipped():
        if shipped.description == recipe.description:
            said, done = ((each.model.name, each.data, each.train) for each in (shipped, recipe))
            return (recipe.description, recipe.notes) if said == done else ("", "")
    return recipe.description, recipe.notes


# --- what the page says ------------------------------------------------------------------------


def describe_run(run: Run) -> dict[str, Any]:
    """What the page says of one run by itself."""
    results = run.results
    recipe, verdict = results.recipe, results.contamination
    return {
        "key": run.key,
        "mark": MARKS.get(run.key),
        "name": run.name,
        "models": run.models,
        "base": wording.name_model(recipe.model.name),
        "headline": sentences.write_headline(results),
        "details": [*filter(None, [describe_kinds(results)]), *sentences.write_details(results)],
        "badges": tables.list_badges(results),
        "audit": sentences.describe_audit(results),
        "benchmarks": verdict.benchmarks if verdict else (),
        "limits": sentences.list_limits(results),
        "command": write_command(recipe),
        "eval_command": write_eval_command(recipe),
        "described": describe_recipe(recipe),
    }


def collect_results(runs: Sequence[Run]) -> dict[str, Any]:
    """What was measured, and the headline that follows."""
    is_alone = len(runs) == 1
    between = compare_runs(runs)
    parts = [model.kobest for run in runs for model in run.models if model.kobest]
    return {
        "headline": sentences.write_headline(runs[0].results)
        if is_alone
        else write_headline(runs, between),
        "problems": tables.list_problems(runs),
        "pictured": list_pictured(runs),
        "guesses": sentences.describe_guesses(runs[0].results) if is_alone else "",
        "families": tabulate_families(runs[0]) if is_alone else [],
        "solvers": list_solvers(runs[0]) if is_alone else [],
        "own_problems": any(run.results.recipe.data.heldout for run in runs),
        "same_problems": is_alone or share_problems(runs),
        "differences": tables.list_differences(runs, between),
        "rounds": tables.list_rounds(runs[0]) if is_alone else [],
        "seeds": tables.list_seeds(runs[0]) if is_alone else [],
        "reasoning": tables.list_reasoning(runs),
        "num_between": len(between),
        "scores": tables.tabulate_scores(runs),
        "metrics": tables.list_scores(runs),
        "metric_names": wording.METRIC_NAMES,
        "pairs": tables.list_pairs(runs),
        "protocol": parts[0].protocol if is_alone and parts else None,
    }


def _collect_examples(runs: Sequence[Run]) -> dict[str, Any]:
    """What the models of a run wrote; nothing of several runs."""
    results = runs[0].results
    is_alone = len(runs) == 1
    return {
        "rule": examples.describe_rule(results),
        "examples": examples.choose_problems(results) if is_alone else [],
        "changes": examples.choose_changes(results) if is_alone else None,
    }


def _line_up_facts(runs: Sequence[Run]) -> dict[str, Any]:
    """The tables with a column for each run or training."""
    is_alone = len(runs) == 1
    pictured = [model.key for model in list_pictured(runs)]
    trained = [
        (model.name, dict(funnel.tabulate_tokens(model.training, run.results.recipe.train)))
        for run in runs
        for model in run.models
        if model.key in pictured and (model.log or model.training)
    ]
    settings = tables.line_up(runs, lambda found: tables.tabulate_settings(found.recipe))
    evaluation = tables.line_up(runs, lambda found: tables.tabulate_evaluation(found.recipe))
    return {
        "short": tables.line_up(runs, tables.list_badges),
        "data": tables.line_up(runs, tables.tabulate_data if is_alone else _count_rows),
        "trainings": [name for name, _ in trained],
        "is_validated": any(
            model.training.get("validation") for run in runs for model in run.models
        ),
        "tokens": tables.line_up_columns([column for _, column in trained]),
        "lost": tables.line_up_columns([_list_losses(run, is_alone) for run in runs]),
        "checks": tables.line_up(runs, funnel.tabulate_checks),
        "settings": tables.put_differing_first(settings),
        "evaluation": tables.put_differing_first(evaluation),
        "machine": tables.put_differing_first(tables.line_up(runs, tables.tabulate_machine)),
        "seconds": tables.line_up(runs, tables.tabulate_seconds),
    }


def _count_rows(results: RunResults) -> tables.Facts:
    """The funnel as figures: sources, rows left out, rows trained on."""
    return [(step.label, wording.format_count(step.length)) for step in funnel.list_funnel(results)]


def _list_losses(run: Run, is_alone: bool) -> dict[str, str]:
    """What was cut. Runs may learn different texts: what is lined up are their tuned models."""
    names = {model.who: model.name for model in run.models}
    names = names if is_alone else {BASE: "base", TUNED: "tuned"}
    return {loss.what: loss.text for loss in funnel.tabulate_losses(run.results, names)}


def write_command(recipe: Recipe) -> str:
    """The command that makes this run again: of the shipped recipe, or the run folder's own."""
    is_shipped = recipe in load_shipped()
    return f"kot run {recipe.name}" if is_shipped else "kot run recipe.yaml"


def write_eval_command(recipe: Recipe) -> str:
    """The command that scores the merged model alone, as the run did, from the run's folder."""
    evaluate = recipe.evaluate
    folder = evaluate.kobest_dir
    options = {
        "--model": "merged",
        "--protocol": evaluate.protocol,
        "--tasks": ",".join(evaluate.tasks),
        "--num-fewshot": ",".join(map(str, evaluate.num_fewshot)),
        "--limit": evaluate.limit and str(evaluate.limit),
        # A path of this machine says nothing to others: theirs has KoBEST's files too.
        "--kobest-dir": folder if folder in (None, "mini") else "KOBEST_DIR",
        "--out": "scores",
    }
    chosen = [f"{name} {shlex.quote(value)}" for name, value in options.items() if value]
    return " ".join(["kot eval", *chosen])
