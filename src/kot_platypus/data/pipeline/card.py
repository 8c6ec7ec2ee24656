"""The data set's card: how it was made, what was left out at each step, under which terms."""

from __future__ import annotations

import json
from typing import Any

import yaml

from kot_platypus.data.dataset_recipe import DatasetRecipe, DatasetSource
from kot_platypus.verdicts import Verdict

STEPS = {
    "unreadable": "rows of the sources that could not be read",
    "available": "rows of the sources",
    "drawn": "drawn",
    "passed": "passed all checks at once",
    "mended": "passed them in a second translation",
    "accepted": "accepted in review as they were",
    "edited": "edited in review",
    "waiting": "left out: waiting for review",
    "dropped": "left out: dropped in review",
    "duplicates": "left out: duplicates",
    "contaminated": "left out: text of a benchmark",
    "written": "in this data set",
}
"""A recipe's counts in the order in which they come about."""
_SHOWN = ("model", "model_type", "formality", "context", "prompt", "temperature", "languages")
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def render_card(
    recipe: DatasetRecipe, facts: dict[str, Any], verdict: Verdict | None, found: Verdict | None
) -> str:
    """README.md for the Hub. ``verdict`` is on the rows, ``found`` on those before leaks went."""
    parts = [
        f"# {recipe.name}",
        recipe.description.rstrip(".") + ".",
        recipe.notes,
        _describe_loading(recipe),
        "## How it was made\n\n" + _describe_steps(recipe),
        _describe_counts(facts),
        "## Terms\n\n" + _describe_terms(recipe),
        "## Contamination\n\n" + _describe_contamination(verdict, found),
        "## Limits\n\n" + _describe_limits(recipe, facts),
    ]
    return _render_metadata(recipe, facts) + "\n\n".join(part for part in parts if part) + "\n"


def _render_metadata(recipe: DatasetRecipe, facts: dict[str, Any]) -> str:
    written = facts["counts"]["written"]
    size = next((i for i, limit in enumerate(_SIZES) if written < limit), len(_SIZES))
    names = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>10M"]
    metadata = {
        "language": ["ko"],
        "license": recipe.license,
        "pretty_name": recipe.name,
        "task_categories": ["text-generation"],
        "size_categories": [names[size]],
        "source_datasets": [f"extended|{each.hub}" for each in recipe.sources if each.hub],
        "tags": ["chain-of-thought" if recipe.columns == "kocot" else "instruction", "korean"],
        "configs": [{"config_name": "default", "data_files": "train.parquet"}],
    }
    kept = {key: value for key, value in metadata.items() if value}
    return f"---\n{yaml.safe_dump(kept, allow_unicode=True, sort_keys=False)}---\n\n"


def _describe_loading(recipe: DatasetRecipe) -> str:
    names = (
        "`source`, `rationale`, `target`, `task`, `type`"
        if recipe.columns == "kocot"
        else "`instruction`, `input`, `output`, `data_source`"
    )
    return (
        '```python\nfrom datasets import load_dataset\n\nload_dataset("THIS_FOLDER_OR_ID")\n```\n\n'
        f"Columns: {names}; `origin` (source, row and SHA-256 there), `translation` (service and "
        "parameters as JSON), `checks_passed`, `edits`. `train.jsonl` holds the same rows; "
        "`dropped.jsonl` those left out after they were drawn, each with its reason."
    )


def _describe_steps(recipe: DatasetRecipe) -> str:
    drawn = (
        f"{recipe.sample.rows:,} rows, as many of each task as possible (seed {recipe.seed})"
        if recipe.sample.rows
        else "all rows"
    )
    sources = ", ".join(f"`{each.name}`" + _at(each) for each in recipe.sources)
    lines = [f"**Source.** {sources}; {drawn}."]
    if recipe.translate is not None:
        lines.append(
            f"**Translation.** {recipe.translate.service}, {_show(recipe.translate.options)}; "
            "code, formulas, numbers, links and answer markers were placeholders meanwhile. "
            f"Fields that failed a check were translated once more, with "
            f"{_show(recipe.translate.retry)}."
        )
    lines += [
        "**Checks.** Every row: placeholders, code, numbers, math symbols, missing or untranslated "
        "sentences, repetition, mixed language, and whether the rationale ends in the target. Rows "
        "with an error were decided by a person, or left out.",
        f"**Duplicates.** {', '.join(recipe.dedupe.kinds)} (near: Jaccard {recipe.dedupe.near} of "
        "character 4-grams); texts with other numbers are never duplicates.",
        f"**Command.** `kot data build {recipe.name}`.",
    ]
    return "\n\n".join(lines)


def _at(source: DatasetSource) -> str:
    return f" at revision `{source.revision}`" if source.revision else ""


def _show(options: dict[str, Any]) -> str:
    """The options that decide a translation. A server's address is private."""
    shown = [
        f"`{name}` {json.dumps(value, ensure_ascii=False)}"
        for name, value in options.items()
        if name in _SHOWN
    ]
    return ", ".join(shown) or "its defaults"


def _describe_counts(facts: dict[str, Any]) -> str:
    counts = facts["counts"]
    rows = [f"| {text} | {counts[key]:,} |" for key, text in STEPS.items() if key in counts]
    table = "| step | rows |\n|---|---|\n" + "\n".join(rows)
    if not facts["errors"]:
        return table
    errors = [
        f"| `{name}` | {first:,} | {then:,} |" for name, (first, then) in facts["errors"].items()
    ]
    return (
        f"{table}\n\n| rows with an error of | first translation | after the second |\n"
        "|---|---|---|\n" + "\n".join(errors)
    )


def _describe_terms(recipe: DatasetRecipe) -> str:
    lines = [f"Published under `{recipe.license}`. What the sources say of themselves:"]
    lines.append("| source | licence | said by | commercial use |\n|---|---|---|---|")
    words = {True: "allowed", False: "not allowed", None: "not said"}
    for source in recipe.sources:
        for each in source.licenses:
            lines[-1] += (
                f"\n| {source.name} | {each.name} | {each.where} | {words[each.commercial]} |"
            )
        if not source.licenses:
            lines[-1] += f"\n| {source.name} | not known | | not said |"
    conflicts = [source.name for source in recipe.sources if is_contradictory(source)]
    if conflicts:
        lines.append(
            f"**These contradict each other** ({', '.join(conflicts)}): some allow commercial use "
            "and some do not, for the same rows or for parts of them. Read them before you use "
            "this data set for more than research."
        )
    return "\n\n".join(lines)


def is_contradictory(source: DatasetSource) -> bool:
    """Whether one licence of a source allows what another forbids."""
    return {True, False} <= {each.commercial for each in source.licenses}


def _describe_contamination(verdict: Verdict | None, found: Verdict | None) -> str:
    if verdict is None or found is None:
        return "The rows were not compared with any benchmark."
    names = ", ".join(f"{each.name} ({each.items:,} items)" for each in verdict.benchmarks)
    return (
        f"Compared with {names}: {found.leaked_rows:,} of {found.rows:,} rows held text of them "
        "and were left out. Paraphrases and text in other languages are not found this way."
    )


def _describe_limits(recipe: DatasetRecipe, facts: dict[str, Any]) -> str:
    lines = []
    if recipe.translate is not None:
        lines.append(
            "Machine translation: a wrong word, a changed name or a lost *not* passes the checks. "
            "Answers and rationales are the sources', with their errors."
        )
    if facts["counts"].get("waiting"):
        lines.append(
            f"{facts['counts']['waiting']:,} rows wait for a person's review and are not in here."
        )
    return "\n\n".join(lines) or "Answers and rationales are the sources', with their errors."
