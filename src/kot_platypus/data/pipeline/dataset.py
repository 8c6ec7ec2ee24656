"""A data set from its recipe: every step in a folder of its own, so that each can be resumed.

    draw -> translate -> check -> retry -> judge -> review -> duplicates -> contamination -> dataset

A kill at any moment loses nothing: a step's folder is whole or made again, and translations lie in
the ledger. New decisions of a review, other thresholds, another licence remake the steps that
depend on them; what got no usable answer of the translator or judge is asked for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from kot_platypus.artifacts import (
    drop_folder,
    hash_file,
    holds_nothing,
    read_json,
    read_manifest,
    write_text,
)
from kot_platypus.data.contamination import Benchmarks
from kot_platypus.data.dataset_recipe import DatasetRecipe, JudgeSection, load_dataset_recipe
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.duplicates import Kind
from kot_platypus.data.executors import Executor
from kot_platypus.data.leaks import check_contamination
from kot_platypus.data.pipeline.card import STEPS
from kot_platypus.data.pipeline.decisions import read_votes
from kot_platypus.data.pipeline.drafts import (
    PASSED,
    QUEUE,
    ROWS,
    Draft,
    Origin,
    check_rows,
    iter_drafts,
)
from kot_platypus.data.pipeline.exporting import write_dataset
from kot_platypus.data.pipeline.judging import judge_rows
from kot_platypus.data.pipeline.reviewing import Sample, read_figures, review_rows
from kot_platypus.data.pipeline.sources import draw_rows
from kot_platypus.data.pipeline.translating import (
    Account,
    estimate_rows,
    translate_rows,
)
from kot_platypus.data.translation.judge import JUDGE
from kot_platypus.data.translation.translate import TranslationCost
from kot_platypus.errors import OutdatedError, RunError
from kot_platypus.progress import print_notice
from kot_platypus.recipe_files import dump
from kot_platypus.stages import ACCOUNT

RECIPE = "recipe.yaml"
T = TypeVar("T")


def estimate_dataset(out: Path, recipe: DatasetRecipe, account: Account) -> TranslationCost | None:
    """What the first translation of a recipe's rows would still cost; None where all are Korean.

    Draws the rows, and sends nothing.
    """
    _claim(out, recipe, account)
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
    *,
    recheck: bool = False,
) -> dict[str, int]:
    """Make the data set in ``out/dataset``. Returns how many rows there were at each step.

    ``load_benchmarks`` yields the cells of each item, by benchmark; with ``recheck`` the rows of an
    earlier build are given to the checks again. Raises RunError when ``out`` holds something
    else, BudgetError and ServiceError from the translation.
    """
    _claim(out, recipe, account)
    rows = draw_rows(out / "drawn", recipe)
    total = read_manifest(out / "drawn")["counts"]["rows"]
    held = _ask_again(out)
    section = recipe.translate
    if section is not None:
        rows = translate_rows(rows, out / "translated", "translate", section, account, total, held)
    rows = checked = _check(out / "checked", rows, executor, total)
    if section is not None and section.retry:
        again = partial(translate_rows, rows, out / "retried", "retry", section, account)
        rows = remake(out / "retried", lambda: again(total, held))
    if recheck:
        drop_folder(out / "rechecked")
    if recheck or (out / "rechecked").exists():
        rows = _check(out / "rechecked", rows, executor, total)
    if recipe.judge is not None:
        rows = _judge(out / "judged", rows, recipe.judge, account, total)
    clean = _clean(out, _review(out, rows, recipe), recipe, load_benchmarks, executor)
    facts = _gather_facts(out, checked, rows, recipe)
    remake(out / "dataset", lambda: write_dataset(out, recipe, clean, facts))
    return dict(facts["counts"])


def _claim(out: Path, recipe: DatasetRecipe, account: Account) -> None:
    """Take ``out`` for this recipe and account. Raises RunError when it holds anything else."""
    path = out / RECIPE
    if is_new := not path.is_file():
        if not holds_nothing(out):
            raise RunError(
                f"{out} holds files of something else",
                expected="a new folder, or one of kot data build",
                hint="Choose another folder with --out.",
            )
        write_text(path, dump(recipe))
    if not (out / ACCOUNT).is_file():
        write_text(out / ACCOUNT, f"{account.name}\n")
    if is_new:
        return
    before = load_dataset_recipe(str(path))
    then, now = _list_fixed(before), _list_fixed(recipe)
    if differing := [name for name in now if now[name] != then[name]]:
        if (out / "drawn" / ROWS).is_file():
            raise RunError(
                f"{out} holds a data set of other settings ({', '.join(differing)})",
                expected="a new folder, or the same rows and translations as before",
                hint="Choose another folder with --out. What is translated is not paid for again.",
            )
        drop_folder(out / "drawn")  # no rows were had with the settings that were mended
    if before != recipe:
        write_text(path, dump(recipe))
        print_notice(f"{out}: the recipe has changed; what depends on it is made again.")


def _list_fixed(recipe: DatasetRecipe) -> dict[str, Any]:
    """The settings that decide which rows there are, and their first translations."""
    sources = [each.model_dump(exclude={"licenses"}) for each in recipe.sources]
    fixed = recipe.model_dump(
        include={"seed", "sample", "translate"}, exclude={"translate": {"retry"}}
    )
    return fixed | {"sources": sources, "columns: chat": recipe.columns == "chat"}


def remake(folder: Path, make: Callable[[], T]) -> T:
    """What ``make`` leaves in a step's folder; what is there of other rows or settings goes."""
    try:
        return make()
    except OutdatedError:
        drop_folder(folder)
        return make()


def _check(folder: Path, rows: Path, executor: Executor, total: int) -> Path:
    """Check the rows, unless these same rows were checked: by whatever checks there were then."""
    make = partial(check_rows, rows, folder, executor, total)
    try:
        return make()
    except OutdatedError:
        found = read_manifest(folder)
        if found["status"] == "done" and found["inputs"] == {"rows": hash_file(rows)}:
            print_notice(f"{folder} was checked by other checks; --recheck runs those of today.")
            return folder / ROWS
        drop_folder(folder)
        return make()


def _judge(folder: Path, rows: Path, section: JudgeSection, account: Account, total: int) -> Path:
    """Have a judge read what passed; once more where it gave no verdict on some row."""
    if (folder / ROWS).is_file() and read_manifest(folder).get("counts", {}).get("none"):
        drop_folder(folder)
    return remake(folder, partial(judge_rows, rows, folder, section, account, total))


def _ask_again(out: Path) -> dict[Origin, Draft]:
    """Have what was not answered translated anew. Returns the rows that people decided on.

    Those stay as they were decided on. All else that is translated is in the ledger.
    """
    files = [path for name in (QUEUE, PASSED) if (path := out / "review" / name).is_file()]
    decisions, held = read_votes(out / "review"), {}
    is_missing = False
    for draft in chain.from_iterable(map(iter_drafts, files)):
        if draft.key in decisions:
            held[draft.origin] = draft
        else:
            is_missing = is_missing or draft.is_unanswered
    if is_missing:
        drop_folder(out / "translated")
    return held


def _review(out: Path, rows: Path, recipe: DatasetRecipe) -> Path:
    """Let people's decisions decide; put what waits for one into the queue."""
    last = out / "rechecked"
    checks = read_manifest(last if last.exists() else out / "checked")["config"]["checks"]
    checks = [*checks, *([JUDGE] if recipe.judge else [])]
    sample = Sample(recipe.review.sample_passed, recipe.seed)
    make = partial(review_rows, rows, out / "review", out / "reviewed", recipe.columns)
    return remake(out / "reviewed", lambda: make(sample, checks))


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
    find = partial(find_duplicates, rows, out / "duplicates", dedupe.kinds, thresholds)
    remake(out / "duplicates", lambda: find(encoder=dedupe.encoder, executor=executor))
    kept = out / "duplicates" / "kept.jsonl"
    if not recipe.decontaminate.against:
        return kept
    check = partial(check_contamination, kept, out / "contamination", load_benchmarks())
    remake(out / "contamination", lambda: check(executor=executor))
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
    check, agreement = read_figures(out / "reviewed")
    said = (check if check.decided else None, agreement)
    return {
        "counts": {key: counts[key] for key in STEPS if key in counts},
        "errors": errors,
        "judged": read_manifest(out / "judged")["counts"] if recipe.judge else None,
        "remarks": [str(each) for each in said if each],
    }


def _count_failing(rows: Path) -> Counter[str]:
    """In how many drafts each check found an error."""
    return Counter(
        check for draft in iter_drafts(rows) for check in {each.check for each in draft.errors}
    )
