"""``report.html``: one self-contained page that shows what a run found, and how."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kot_platypus.recipe import Recipe, list_recipes, load_recipe
from kot_platypus.report import examples, tables, wording
from kot_platypus.report.figures import (
    draw_accuracies,
    draw_differences,
    draw_losses,
    draw_shots,
    render_figure,
)
from kot_platypus.report.limits import list_limits
from kot_platypus.results import ALL, BASE, TUNED, RunResults


def render_page(results: RunResults) -> str:
    """The page as HTML. Whatever comes from data or a model is escaped by the template."""
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
    return environment.get_template("report.html.jinja").render(**_collect(results)) + "\n"


def _collect(results: RunResults) -> dict[str, Any]:
    recipe = results.recipe
    everyone = dict.fromkeys([*results.problems, *results.kobest, *results.losses])
    return {
        "recipe": recipe,
        "base": wording.name_base(recipe),
        "benchmark": wording.name_benchmark(recipe),
        "headline": wording.write_headline(results),
        "details": wording.write_details(results),
        "names": {who: wording.name_condition(recipe, who) for who in everyone},
        "tested": list(results.problems),
        "figures": _draw_figures(results),
        "problems": tables.tabulate_problems(results),
        "differences": tables.tabulate_differences(results),
        "rule": examples.describe_rule(results),
        "examples": examples.choose_problems(results),
        "scores": tables.tabulate_scores(results),
        "metrics": tables.tabulate_metrics(results),
        "metric_names": tables.METRICS,
        "protocol": next((part.protocol for part in results.kobest.values()), None),
        "pairs": wording.select_kobest_pairs(results),
        "p_value": wording.format_p,
        "signed": wording.format_score_difference,
        "losses": list(results.losses),
        "trainings": tables.tabulate_trainings(results),
        "data": tables.tabulate_data(results),
        "settings": tables.tabulate_settings(recipe),
        "evaluation": tables.tabulate_evaluation(recipe),
        "machine": tables.tabulate_machine(results),
        "seconds": tables.tabulate_seconds(results),
        "limits": list_limits(results),
        "command": write_command(recipe),
    }


def write_command(recipe: Recipe) -> str:
    """What to type to make this run again: the shipped recipe, or the file in the run folder."""
    is_shipped = recipe.name in list_recipes() and load_recipe(recipe.name) == recipe
    return f"kot run {recipe.name}" if is_shipped else "kot run recipe.yaml"


def _draw_figures(results: RunResults) -> dict[str, Markup]:
    """Every picture the run has figures for, by name."""
    figures = {}
    names = {
        who: wording.name_condition(results.recipe, who)
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
    pairs = wording.select_kobest_pairs(results)
    if pairs:
        label = "Forest plot of KoBEST macro F1, tuned minus base. " + (
            wording.write_kobest_sentence(results)
        )
        figures["differences"] = render_figure("differences", label, draw_differences(pairs))
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
    return figures
