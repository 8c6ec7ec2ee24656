"""``report.html``: one self-contained page that shows what a run found, and how."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kot_platypus.recipe import Recipe, list_recipes, load_recipe
from kot_platypus.report import examples, funnel, sentences, tables
from kot_platypus.report.badges import list_badges
from kot_platypus.report.beside import Ours, describe_questions, put_beside
from kot_platypus.report.figures import (
    draw_accuracies,
    draw_differences,
    draw_funnel,
    draw_losses,
    draw_shots,
    draw_tokens,
    render_figure,
)
from kot_platypus.report.limits import list_limits
from kot_platypus.results import wording
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, TUNED


def render_page(results: RunResults, published: Sequence[str] = ()) -> str:
    """The page as HTML, with the figures of ``published`` models beside ours.

    Whatever comes from data or a model is escaped by the template.
    """
    facts = _collect(results, published)
    return new_environment().get_template("report.html.jinja").render(**facts) + "\n"


def new_environment() -> Environment:
    """The templates, with everything escaped and the filters that pages use."""
    environment = Environment(
        loader=PackageLoader("kot_platypus.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = wording.format_score
    environment.filters["interval"] = wording.format_interval
    environment.filters["task"] = wording.name_task
    environment.filters["number"] = wording.format_count
    environment.filters["ko"] = mark_korean
    return environment


def mark_korean(text: object) -> Markup:
    """Text that says of itself that it is Korean where it has Hangul, for fonts and readers."""
    has_hangul = any("\uac00" <= letter <= "\ud7a3" for letter in str(text))
    return Markup('<span lang="ko">{}</span>' if has_hangul else "{}").format(text)


def describe_recipe(recipe: Recipe) -> tuple[str, str]:
    """Its description and notes; empty where they are a shipped recipe's that ran otherwise."""
    for shipped in map(load_recipe, list_recipes()):
        if shipped.description == recipe.description:
            said, done = ((each.model.name, each.data, each.train) for each in (shipped, recipe))
            return (recipe.description, recipe.notes) if said == done else ("", "")
    return recipe.description, recipe.notes


def _collect(results: RunResults, published: Sequence[str]) -> dict[str, Any]:
    recipe = results.recipe
    ours = list_ours(results)
    beside = put_beside(ours, published) if published else None
    everyone = dict.fromkeys([*results.problems, *results.kobest, *results.losses])
    return {
        "recipe": recipe,
        "described": describe_recipe(recipe),
        "base": sentences.name_base(recipe),
        "benchmark": sentences.name_benchmark(recipe),
        "headline": sentences.write_headline(results),
        "details": sentences.write_details(results),
        "names": {who: sentences.name_condition(recipe, who) for who in everyone},
        "tested": list(results.problems),
        "figures": _draw_figures(results),
        "problems": tables.tabulate_problems(results),
        "differences": tables.tabulate_differences(results),
        "rule": examples.describe_rule(results),
        "examples": examples.choose_problems(results),
        "changes": examples.choose_changes(results),
        "scores": tables.tabulate_scores(results),
        "metrics": tables.tabulate_metrics(results),
        "metric_names": tables.METRICS,
        "protocol": next((part.protocol for part in results.kobest.values()), None),
        "pairs": sentences.select_kobest_pairs(results),
        "p_value": wording.format_p,
        "signed": wording.format_score_difference,
        "beside": beside if beside and beside.tables else None,
        "questions": describe_questions(ours, [t.task for t in beside.tables] if beside else []),
        "badges": list_badges(results),
        "losses": list(results.losses),
        "training_names": [sentences.name_condition(recipe, who) for who in results.losses],
        "tokens": funnel.tabulate_tokens(results),
        "cut": funnel.tabulate_losses(results),
        "data": tables.tabulate_data(results),
        "audit": sentences.describe_audit(results),
        "checks": funnel.tabulate_checks(results),
        "benchmarks": results.contamination.benchmarks if results.contamination else (),
        "settings": tables.tabulate_settings(recipe),
        "evaluation": tables.tabulate_evaluation(recipe),
        "machine": tables.tabulate_machine(results),
        "seconds": tables.tabulate_seconds(results),
        "limits": list_limits(results),
        "command": write_command(recipe),
        "eval_command": write_eval_command(recipe),
    }


def list_ours(results: RunResults) -> list[Ours]:
    """The base model's row and the tuned model's, for a table of published figures."""
    return [
        Ours(tables.name_model(results.recipe, who), who == TUNED, part)
        for who, part in results.kobest.items()
    ]


def write_command(recipe: Recipe) -> str:
    """What to type to make this run again: the shipped recipe, or the file in the run folder."""
    is_shipped = recipe.name in list_recipes() and load_recipe(recipe.name) == recipe
    return f"kot run {recipe.name}" if is_shipped else "kot run recipe.yaml"


def write_eval_command(recipe: Recipe) -> str:
    """What to type in the run's folder to score the merged model alone, as the run did."""
    evaluate = recipe.evaluate
    folder = evaluate.kobest_dir
    options = {
        "--model": "merged",
        "--protocol": evaluate.protocol,
        "--tasks": ",".join(evaluate.tasks),
        "--num-fewshot": ",".join(map(str, evaluate.num_fewshot)),
        "--limit": evaluate.limit and str(evaluate.limit),
        # Somebody's path says nothing to others: theirs has KoBEST's files too.
        "--kobest-dir": folder if folder in (None, "mini") else "KOBEST_DIR",
        "--out": "scores",
    }
    chosen = [f"{name} {shlex.quote(value)}" for name, value in options.items() if value]
    return " ".join(["kot eval", *chosen])


def _draw_figures(results: RunResults) -> dict[str, Markup]:
    """Every picture the run has figures for, by name."""
    figures = {}
    names = {
        who: sentences.name_condition(results.recipe, who)
        for who in [*results.problems, *results.losses]
    }
    tested = {who: part for who, part in results.problems.items() if ALL in part.results}
    if tested:
        values = ", ".join(
            f"{names[who]} {wording.format_percent(part.results[ALL].accuracy.value)}"
            for who, part in tested.items()
        )
        draw = draw_accuracies(tested, names, tables.list_families(results))
        figures["problems"] = render_figure(
            "problems", f"Dot plot of the share of held-out problems solved: {values}.", draw
        )
    pairs = sentences.select_kobest_pairs(results)
    if pairs:
        label = "Forest plot of KoBEST macro F1, tuned minus base. " + (
            sentences.write_kobest_sentence(results)
        )
        figures["differences"] = render_figure(
            "differences", label, draw_differences({TUNED: pairs})
        )
    several = [table.task for table in tables.tabulate_scores(results) if len(table.shots) > 1]
    if several:
        label = "Macro F1 over the number of shots, one panel a task; figures in the tables above."
        shown = {who: results.kobest[who] for who in results.kobest if who in (BASE, TUNED)}
        figures["shots"] = render_figure("shots", label, draw_shots(shown, several))
    if any(results.losses.values()):
        ends = ", ".join(
            f"{names[w]} {log[-1].loss:.3f}" for w, log in results.losses.items() if log
        )
        figures["losses"] = render_figure(
            "losses", f"Training loss over optimizer steps; at the end: {ends}.",
            draw_losses(results.losses, names),
        )  # fmt: skip
    return figures | _draw_budget(results, names)


def _draw_budget(results: RunResults, names: dict[str, str]) -> dict[str, Markup]:
    """The pictures of rows and tokens."""
    figures = {}
    bars = funnel.list_funnel(results)
    if bars:
        steps = ", ".join(f"{bar.label} {wording.format_count(bar.length)}" for bar in bars)
        label = f"Bars from the sources to the rows trained on: {steps}."
        figures["funnel"] = render_figure("funnel", label, draw_funnel(bars))
    tokens = {
        who: (manifest["tokens_seen"], manifest["trained_tokens_seen"])
        for who in results.losses
        if (manifest := results.manifests.get(f"train/{who}", {})).get("trained_tokens_seen")
    }
    if tokens:
        parts = ", ".join(
            f"{names[who]} {wording.format_count(learnt)} of {wording.format_count(seen)}"
            for who, (seen, learnt) in tokens.items()
        )
        label = f"Bars of the tokens each training learnt, of those it saw: {parts}."
        figures["tokens"] = render_figure("tokens", label, draw_tokens(tokens, names))
    return figures
