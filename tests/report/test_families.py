"""Families of problems by how near they are to those trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.artifacts import read_json
from kot_platypus.recipe import Recipe, dump_recipe
from kot_platypus.report.families import (
    NEW,
    OTHER_WORDS,
    UNTRAINED,
    describe_kinds,
    find_kind,
    tabulate_families,
)
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import make_run
from kot_platypus.results.run import load_results
from tests.report.run_builder import RECIPE


def make_recipe(**data: object) -> Recipe:
    return Recipe.model_validate({**RECIPE, "data": {**RECIPE["data"], **data}})


TRAINED = make_recipe(sources=[{"name": "problems", "rows": 9, "families": ["change", "chain"]}])


@pytest.mark.parametrize(
    ("recipe", "family", "kind"),
    [
        (TRAINED, "chain", NEW),
        (TRAINED, "chain-reworded", OTHER_WORDS),
        (TRAINED, "swap", UNTRAINED),
        (TRAINED, "swap-reworded", UNTRAINED),
        (make_recipe(), "swap", NEW),  # no families named: all
        (make_recipe(sources=[{"name": "korean-cot"}]), "swap", ""),
        (make_recipe(heldout="mine.jsonl", heldout_problems=0), "swap", ""),
    ],
)
def test_a_family_is_as_near_as_the_recipe_says(recipe, family, kind):
    assert find_kind(recipe, family) == kind


@pytest.fixture
def run_of_two_kinds(run_folder: Path) -> Path:
    """Trained on two of the three families that the run was tested on."""
    (run_folder / "recipe.yaml").write_text(
        dump_recipe(
            make_recipe(sources=[{"name": "problems", "rows": 9, "families": ["groups", "swap"]}])
        ),
        encoding="utf-8",
    )
    return run_folder


def test_the_nearest_families_come_first(run_of_two_kinds: Path) -> None:
    rows = tabulate_families(make_run(load_results(run_of_two_kinds)))
    assert [(row.name, row.kind) for row in rows] == [
        ("groups", NEW), ("swap", NEW), ("change", UNTRAINED),
    ]  # fmt: skip
    assert [[solved is not None for solved in row.solved] for row in rows] == [[True] * 3] * 3


def test_kinds_are_pooled_by_their_problems(run_of_two_kinds: Path) -> None:
    scores = read_json(run_of_two_kinds / "evaluate" / "cot" / "problems" / "results.json")
    groups, swap, change = (
        scores["results"][name]["accuracy"]["value"] for name in ("groups", "swap", "change")
    )
    said = describe_kinds(load_results(run_of_two_kinds))
    assert f"{NEW} {50 * (groups + swap):.1f}%, the base model" in said
    assert f"{UNTRAINED} {100 * change:.1f}%, the base model" in said
    assert said in render_page([make_run(load_results(run_of_two_kinds))])


def test_of_one_kind_nothing_is_said(run_folder: Path) -> None:
    results = load_results(run_folder)
    assert describe_kinds(results) == ""
    assert {row.kind for row in tabulate_families(make_run(results))} == {NEW}
