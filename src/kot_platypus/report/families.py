"""Families of held-out problems: how near each is to what was trained on, and who solves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kot_platypus.recipe import REWORDED, Recipe
from kot_platypus.report.runs import Model, Run
from kot_platypus.results.guesses import find_chance
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, BASE, SEED, TUNED, Estimate, ProblemResults
from kot_platypus.results.wording import format_percent

NEW, OTHER_WORDS, UNTRAINED = "trained kind, new stories", "trained kind, reworded", "never trained"
KINDS = (NEW, OTHER_WORDS, UNTRAINED)
"""The nearest first."""


class FamilyRow(NamedTuple):
    """A family of problems in the table of who solves how many."""

    name: str
    kind: str
    n: int
    solved: tuple[Estimate | None, ...]
    """By model, in the order of ``list_solvers``."""
    chance: float | None
    """What drawing one of the answers that a question mentions would solve."""


def find_kind(recipe: Recipe, family: str) -> str:
    """How near a generated family is to those trained on; empty for problems of the user's own."""
    data = recipe.data
    if data.heldout or all(source.name != "problems" for source in data.sources):
        return ""
    if not data.trains_on(family.removesuffix(REWORDED)):
        return UNTRAINED
    return OTHER_WORDS if family.endswith(REWORDED) else NEW


def list_solvers(run: Run) -> list[Model]:
    """The models that answered the problems; of a training at several seeds the first."""
    return [each for each in run.models if each.is_tested and not each.who.startswith(SEED)]


def tabulate_families(run: Run) -> list[FamilyRow]:
    """Who solves how many of each family, the nearest first; nothing where there is but one."""
    solvers = list_solvers(run)
    parts = [model.problems.results for model in solvers if model.problems]
    families = [name for name in dict.fromkeys(n for part in parts for n in part) if name != ALL]
    if len(families) < 2:
        return []
    answers = next(iter(run.results.answers.values()), ())
    rows = [
        FamilyRow(
            family,
            find_kind(run.results.recipe, family),
            next(part[family].n for part in parts if family in part),
            tuple(part[family].accuracy if family in part else None for part in parts),
            find_chance([answer for answer in answers if answer.task == family]),
        )
        for family in families
    ]
    return sorted(rows, key=lambda row: KINDS.index(row.kind) if row.kind in KINDS else 0)


def describe_kinds(results: RunResults) -> str:
    """What the trained and the base model solve of each kind, in one sentence; else empty."""
    tuned, base = results.problems.get(TUNED), results.problems.get(BASE)
    if tuned is None or base is None:
        return ""
    kinds: dict[str, list[str]] = {}
    for family in tuned.results.keys() - {ALL}:
        kinds.setdefault(find_kind(results.recipe, family), []).append(family)
    said = [
        f"{kind} {_pool(tuned, kinds[kind])}, the base model {_pool(base, kinds[kind])}"
        for kind in KINDS
        if kind in kinds
    ]
    return f"Solved by kind of problem: {'; '.join(said)}." if len(said) > 1 else ""


def _pool(part: ProblemResults, families: Sequence[str]) -> str:
    scores = [part.results[family] for family in families if family in part.results]
    solved = sum(score.accuracy.value * score.n for score in scores)
    return format_percent(solved / max(sum(score.n for score in scores), 1))
