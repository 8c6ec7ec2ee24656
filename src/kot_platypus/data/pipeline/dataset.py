"""A data set from its recipe: every step in a folder of its own, so that each can be resumed.

    draw -> translate -> check -> retry -> review -> duplicates -> contamination -> dataset

A kill at any moment loses nothing: a step's folder is whole or made again, and translations lie in
the ledger. New decisions of a review remake the steps after it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import holds_nothing, read_json, read_manifest, write_text
from kot_platypus.data.contamination import Benchmarks
from kot_platypus.data.dataset_recipe import DatasetRecipe, load_dataset_recipe
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.duplicates import Kind
from kot_platypus.data.executors import Executor
from kot_platypus.data.leaks import check_contamination
from kot_platypus.data.pipeline.card import STEPS
from kot_platypus.data.pipeline.drafts import check_rows, iter_drafts
from kot_platypus.data.pipeline.exporting import write_dataset
from kot_platypus.data.pipeline.reviewing import review_rows
from kot_platypus.data.pipeline.sources import draw_rows
from kot_platypus.data.pipeline.translating import (
    Account,
    estimate_rows,
    translate_rows,
)
from kot_platypus.data.translation.translate import TranslationCost
from kot_platypus.errors import RunError
from kot_platypus.recipe_files import dump

RECIPE = "recipe.yaml"
_AFTER_REVIEW = ("dataset", "contamination", "duplicates", "reviewed")


def estimate_dataset(out: Path, recipe: DatasetRecipe, account: Account) -> TranslationCost | None:
    """What the first translation of a recipe's rows would still cost; None where all are Korean.

    Draws the rows, and sends nothing.
    """
    _claim(out, recipe)
    rows = draw_rows(out / "drawn", recipe)
    if recipe.translate is None:
        return None
    return estimate_rows(rows, recipe.translate, account)


def build_dataset(
    out: Path,
    recipe: DatasetRecipe,
    account: Account,
    executor: Executor,
    load_benchmarks: Callable[[], Benchmarks],
) -> dict[str, int]:
    """Make the data set in ``out/dataset``. Returns how many rows there were at each step.

    ``load_benchmarks`` yields the cells of each item, by benchmark. Raises RunError when ``out``
    holds something else, BudgetError and ServiceError from the translation.
    """
    _claim(out, recipe)
    rows = draw_rows(out / "drawn", recipe)
    total = read_manifest(out / "drawn")["counts"]["rows"]
    if recipe.translate is not None:
        rows = translate_rows(
            rows, out / "translated", "translate", recipe.translate, account, total
        )
    rows = checked = check_rows(rows, out / "checked", executor, total)
    if recipe.translate is not None and recipe.translate.retry:
        rows = translate_rows(rows, out / "retried", "retry", recipe.translate, account, total)
    clean = _clean(out, _review(out, rows, recipe), recipe, load_benchmarks, executor)
    facts = _gather_facts(out, checked, rows, recipe)
    write_dataset(out, recipe, clean, facts)
    return dict(facts["counts"])


def _claim(out: Path, recipe: DatasetRecipe) -> None:
    """Take ``out`` for this recipe. Raises RunError when it holds anything else."""
    path = out / RECIPE
    if not path.is_file():
        if not holds_nothing(out):
            raise RunError(
                f"{out} holds files of something else",
                expected="a new folder, or one of kot data build",
                hint="Choose another folder with --out.",
            )
        write_text(path, dump(recipe))
    elif load_dataset_recipe(str(path)) != recipe:
        raise RunError(
            f"{out} holds a data set of other settings",
            expected="a new folder, or the same recipe and --set as before",
            hint="Choose another folder with --out. What is translated is not paid for again.",
        )


def _review(out: Path, rows: Path, recipe: DatasetRecipe) -> Path:
    """Let people's decisions decide; put what waits for one into the queue."""
    places = out / "review", out / "reviewed"
    try:
        return review_rows(rows, *places, recipe.columns)
    except RunError:  # other decisions: what was made of the old ones is made again
        for name in _AFTER_REVIEW:  # this step last: until then a kill leaves it outdated
            shutil.rmtree(out / name, ignore_errors=True)
        return review_rows(rows, *places, recipe.columns)


def _clean(
    out: Path,
    rows: Path,
    recipe: DatasetRecipe,
    load_benchmarks: Callable[[], Benchmarks],
    executor: Executor,
) -> Path:
    """Leave out duplicates and text of benchmarks. Returns the file of the rows that stay."""
    dedupe = recipe.dedupe
    thresholds: dict[Kind, float] = {
        "exact": 1.0,
        "near": dedupe.near,
        "semantic": dedupe.semantic,
    }
    find_duplicates(
        rows,
        out / "duplicates",
        dedupe.kinds,
        thresholds,
        encoder=dedupe.encoder,
        executor=executor,
    )
    kept = out / "duplicates" / "kept.jsonl"
    if not recipe.decontaminate.against:
        return kept
    check_contamination(kept, out / "contamination", load_benchmarks(), executor=executor)
    return out / "contamination" / "clean.jsonl"


def _gather_facts(out: Path, first: Path, last: Path, recipe: DatasetRecipe) -> dict[str, Any]:
    """The counts of all steps, and in how many rows each check found an error at first and last."""
    drawn = read_manifest(out / "drawn")["counts"]
    duplicates = read_json(out / "duplicates" / "report.json")
    counts = {"available": drawn["available"], "drawn": drawn["rows"]}
    if drawn["unreadable"]:
        counts["unreadable"] = drawn["unreadable"]
    counts |= read_manifest(out / "reviewed")["counts"]
    counts["duplicates"] = duplicates["dropped"]
    counts["written"] = duplicates["kept"]
    if recipe.decontaminate.against:
        verdict = read_json(out / "contamination" / "report.json")["verdict"]
        counts["contaminated"] = verdict["leaked_rows"]
        counts["written"] -= verdict["leaked_rows"]
    before = _count_failing(first)
    after = _count_failing(last) if last != first else before
    errors = {name: (before[name], after[name]) for name in sorted(before | after)}
    return {"counts": {key: counts[key] for key in STEPS if key in counts}, "errors": errors}


def _count_failing(rows: Path) -> Counter[str]:
    """In how many drafts each check found an error."""
    return Counter(
        check for draft in iter_drafts(rows) for check in {each.check for each in draft.errors}
    )
