"""Figures as text, and the sentences that follow from them. Nothing here looks at a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from kot_platypus.recipe import Recipe
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import (
    ALL,
    AT_ONCE,
    BASE,
    TUNED,
    Difference,
    Estimate,
    KobestDifference,
)

MINUS, NBSP = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
TASK_NAMES = {
    "copa": "COPA",
    "hellaswag": "HellaSwag",
    "boolq": "BoolQ",
    "sentineg": "SentiNeg",
    "wic": "WiC",
}
_TARGETS = {
    "rationale_answer": "chain of thought",
    "rationale": "rationale only",
    "answer": "answers only",
}

# --- figures -----------------------------------------------------------------------------------


def format_count(value: float) -> str:
    """12345 -> ``12,345``."""
    return f"{value:,.0f}"


def format_percent(value: float) -> str:
    """0.545 -> ``54.5%``."""
    return f"{100 * value:.1f}%"


def format_points(value: float) -> str:
    """A difference of two shares in percentage points: 0.095 -> ``+9.5``."""
    return _signed(100 * value, 1)


def format_score(value: float) -> str:
    """An F1 or accuracy as benchmark tables print it: 0.54321 -> ``0.5432``."""
    return f"{value:.4f}"


def format_score_difference(value: float) -> str:
    """A difference of two scores: 0.0123 -> ``+0.0123``."""
    return _signed(value, 4)


def format_p(value: float | None) -> str:
    """A p-value to three decimals, never ``0.000``."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_seconds(value: float) -> str:
    """Seconds as a person would say them: ``48 s``, ``12 min 5 s``, ``3 h 20 min``."""
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _signed(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


# --- names -------------------------------------------------------------------------------------


def name_base(recipe: Recipe) -> str:
    """The base model's short name: a Hub id, or the last part of a local path."""
    name = recipe.model.name
    return PurePath(name).name if name.startswith(("/", ".", "~")) else name


def name_condition(recipe: Recipe, who: str) -> str:
    """What distinguishes a model within the run: ``base``, or what it was trained to write."""
    if who == BASE:
        return "base"
    if who == AT_ONCE:
        return "no rationale"  # short: it labels a row of a picture
    return _TARGETS.get(recipe.train.target if who == TUNED else who, who)


def name_task(task: str) -> str:
    """``copa`` -> ``COPA``."""
    return TASK_NAMES.get(task, task)


def name_benchmark(recipe: Recipe) -> str:
    """KoBEST, or what stands in for it."""
    where = recipe.evaluate.kobest_dir
    if where is None:
        return "KoBEST"
    return "KoBEST mini" if where == "mini" else "KoBEST (local files)"


# --- sentences ---------------------------------------------------------------------------------


def write_headline(results: RunResults) -> str:
    """The run's result in one sentence, whatever its sign."""
    tuned, base = results.problems.get(TUNED), results.problems.get(BASE)
    pair = results.find_difference(BASE)
    if tuned is None or ALL not in tuned.results:
        return _headline_without_problems(results)
    score = tuned.results[ALL]
    solved = f"{format_percent(score.accuracy.value)} of {format_count(score.n)} held-out problems"
    if base is None or ALL not in base.results or pair is None:
        return f"The tuned model solves {solved}; there is nothing to compare it with."
    before = format_percent(base.results[ALL].accuracy.value)
    rest = _add_baseline(results)
    if pair.difference.sign == 0:
        return (
            f"No difference shown: the tuned model solves {solved}, the base model {before}{rest}."
        )
    verb = "raised" if pair.difference.sign > 0 else "lowered"
    return (
        f"Training {verb} the share of held-out problems solved from {before} to "
        f"{format_percent(score.accuracy.value)}{rest}."
    )


def _add_baseline(results: RunResults) -> str:
    """A clause on the fairer comparison: the same training on other targets."""
    pairs = results.comparison.problems
    others = (BASE, AT_ONCE)
    pair = next((pair for pair in pairs if pair.a == TUNED and pair.b not in others), None)
    if pair is None:
        return ""
    other = _name_in_sentence(results.recipe, pair.b)
    if pair.difference.sign == 0:
        return f"; no difference from {other} is shown"
    relation = "above" if pair.difference.sign > 0 else "below"
    return f", {_format_distance(pair.difference)} points {relation} {other}"


def _headline_without_problems(results: RunResults) -> str:
    if results.comparison.kobest:
        return write_kobest_sentence(results)
    if results.training:
        return "A model was trained; nothing was compared."
    return "Nothing was trained or compared yet."


def write_details(results: RunResults) -> list[str]:
    """The sentences under the headline: the paired differences, then KoBEST."""
    pairs = results.comparison.problems
    lines = []
    if pairs:
        parts = "; ".join(_describe_difference(results.recipe, pair) for pair in pairs)
        same = f"the same {format_count(pairs[0].n)} problems"
        lines.append(f"Compared pair by pair on {same}: {parts}.")
    if results.comparison.kobest and TUNED in results.problems:
        lines.append(write_kobest_sentence(results))
    return lines


def _describe_difference(recipe: Recipe, pair: Difference) -> str:
    """One paired difference with its interval; both models named when it is not about ours."""
    first = "" if pair.a == TUNED else f"{_name_in_sentence(recipe, pair.a)} "
    interval = format_interval(pair.difference, "points")
    shown = ", no difference shown" if pair.difference.sign == 0 else ""
    return (
        f"{first}{format_points(pair.difference.value)} points against "
        f"{_name_in_sentence(recipe, pair.b)} (95% interval {interval}, "
        f"p{NBSP}{_with_relation(pair.p_value)}{shown})"
    )


def _format_distance(difference: Estimate) -> str:
    return format_points(abs(difference.value)).lstrip("+")


def _with_relation(p_value: float | None) -> str:
    text = format_p(p_value)
    return (text if text.startswith("<") else f"= {text}").replace(" ", NBSP)


def _name_in_sentence(recipe: Recipe, who: str) -> str:
    if who == BASE:
        return "the base model"
    if who == AT_ONCE:
        return "the same model made to answer at once"
    target = recipe.train.target if who == TUNED else who
    known = {
        "rationale_answer": "training on chains of thought",
        "rationale": "training on rationales alone",
        "answer": "training on answers alone",
    }
    return known.get(target, f"training on {target}")


def write_kobest_sentence(results: RunResults) -> str:
    """How many of the KoBEST comparisons with the base model went up, down or nowhere."""
    pairs = select_kobest_pairs(results)
    up = sum(pair.difference.sign > 0 for pair in pairs)
    down = sum(pair.difference.sign < 0 for pair in pairs)
    same = len(pairs) - up - down
    where = f"{name_benchmark(results.recipe)} (macro F1, {_plural(len(pairs), 'comparison')})"
    if same == len(pairs):
        return f"On {where} no difference from the base model is shown."
    counts = [f"{count or 'none'} {verb}" for count, verb in ((up, "rose"), (down, "fell"))]
    rest = f"{same or 'none'} {'shows' if same == 1 else 'show'} no difference"
    return f"Against the base model on {where}, {counts[0]}, {counts[1]}, {rest}."


def select_kobest_pairs(
    results: RunResults, metric: str = "macro_f1"
) -> tuple[KobestDifference, ...]:
    """The comparisons of the tuned model with the base model on one metric, in file order."""
    return tuple(
        pair
        for pair in results.comparison.kobest
        if (pair.a, pair.b, pair.metric) == (TUNED, BASE, metric)
    )


def join_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_interval(estimate: Estimate, kind: str) -> str:
    """An interval's ends, by kind: ``percent``, ``points``, ``score`` or ``score_difference``."""
    form = {
        "percent": format_percent,
        "points": format_points,
        "score": format_score,
        "score_difference": format_score_difference,
    }[kind]
    low, high = (form(end) for end in estimate.ci95)
    # A dash between signed numbers would read as a minus.
    is_signed = kind in ("points", "score_difference") or MINUS in low
    return f"{low} to {high}" if is_signed else f"{low.rstrip('%')}\N{EN DASH}{high}"


def describe_audit(results: RunResults) -> str:
    """What is known of the training rows: errors, duplicates, text of benchmarks."""
    audit, verdict = results.audit, results.contamination
    sentences = []
    if audit is not None:
        sentences.append(
            f"Checks of the rows: {audit['rows_with_errors']:,} of {audit['rows']:,} have errors, "
            f"{_plural(audit['duplicates'], 'duplicate')}."
        )
    if verdict is None:
        sentences.append("The training rows were not checked for contamination.")
    else:
        sentences.append(f"Contamination: {verdict.describe()}.")
    return " ".join(sentences)
