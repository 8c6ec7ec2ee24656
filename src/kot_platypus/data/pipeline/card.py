"""The data set's card: how it was made, what was left out at each step, under which terms."""

from __future__ import annotations

import json
from typing import Any

import yaml

from kot_platypus.data.dataset_recipe import DatasetRecipe, list_dataset_recipes
from kot_platypus.data.pipeline.reviewing import COLUMNS, NUM_TEXTS
from kot_platypus.results.templates import load_templates
from kot_platypus.row_formats import ENGLISH
from kot_platypus.verdicts import Verdict

STEPS = {
    "unreadable": "rows of the sources that could not be read",
    "available": "rows of the sources",
    "drawn": "drawn",
    "passed": "passed all checks at once, kept as they were",
    "mended": "passed them in a second translation, kept so",
    "accepted": "accepted in review as they were",
    "edited": "edited in review",
    "waiting": "left out: waiting for review",
    "dropped": "left out: dropped in review",
    "duplicates": "left out: duplicates",
    "contaminated": "left out: text of a benchmark",
    "written": "in this data set",
}
"""A recipe's counts in the order in which they come about."""
_SHOWN = ("model", "model_type", "context", "prompt", "temperature", "languages")
_SIZES = {
    "n<1K": 1_000,
    "1K<n<10K": 10_000,
    "10K<n<100K": 100_000,
    "100K<n<1M": 1_000_000,
    "1M<n<10M": 10_000_000,
}


def render_card(
    recipe: DatasetRecipe, facts: dict[str, Any], verdict: Verdict | None, found: Verdict | None
) -> str:
    """README.md for the Hub. ``verdict`` is on the rows, ``found`` on those before leaks went."""
    environment = load_templates("kot_platypus.data.pipeline", options=_show_options)
    return environment.get_template("card.md.jinja").render(
        metadata=_write_metadata(recipe, facts["counts"]["written"]),
        recipe=recipe,
        is_shipped=recipe.name in list_dataset_recipes(),
        columns=COLUMNS[recipe.columns],
        originals=[name + ENGLISH for name in COLUMNS[recipe.columns][:NUM_TEXTS]],
        steps=STEPS,
        counts=facts["counts"],
        errors=facts["errors"],
        judged=facts["judged"],
        remarks=facts["remarks"],
        waiting=facts["counts"].get("waiting", 0),
        conflicts=[
            source.name
            for source in recipe.sources
            if {True, False} <= {each.commercial for each in source.licenses}
        ],
        verdict=verdict,
        found=found,
    )


def _write_metadata(recipe: DatasetRecipe, num_rows: int) -> str:
    size = next((name for name, limit in _SIZES.items() if num_rows < limit), "n>10M")
    metadata = {
        "language": ["ko"],
        "license": recipe.license,
        "pretty_name": recipe.name,
        "task_categories": ["text-generation"],
        "size_categories": [size],
        "source_datasets": [f"extended|{each.hub}" for each in recipe.sources if each.hub],
        "tags": ["chain-of-thought" if recipe.columns == "kocot" else "instruction", "korean"],
        "configs": [{"config_name": "default", "data_files": "train.parquet"}],
    }
    kept = {key: value for key, value in metadata.items() if value}
    return yaml.safe_dump(kept, allow_unicode=True, sort_keys=False).rstrip("\n")


def _show_options(options: dict[str, Any]) -> str:
    """The options that decide a translation. A server's address is private."""
    shown = [
        f"`{name}` {json.dumps(value, ensure_ascii=False)}"
        for name, value in options.items()
        if name in _SHOWN
    ]
    return ", ".join(shown) or "its defaults"
