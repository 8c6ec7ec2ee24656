"""What a run folder says, read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from kot_platypus.artifacts import MANIFEST, read_jsonl, read_manifest
from kot_platypus.errors import RunError
from kot_platypus.recipe import Recipe, load_recipe
from kot_platypus.records import Answer
from kot_platypus.results.schema import (
    BASE,
    RESULTS,
    ROUNDS,
    TUNED,
    ChoiceResults,
    Comparison,
    LogLine,
    P,
    Part,
    ProblemResults,
    ReasoningResults,
    read_part,
)
from kot_platypus.verdicts import Verdict


class RunResults(Part):
    """Everything the report is made from. Absent parts are empty."""

    recipe: Recipe
    manifests: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Folder, relative to the run -> its manifest, in the order of the stages."""
    losses: dict[str, tuple[LogLine, ...]] = Field(default_factory=dict)
    problems: dict[str, ProblemResults] = Field(default_factory=dict)
    answers: dict[str, tuple[Answer, ...]] = Field(default_factory=dict)
    kobest: dict[str, ChoiceResults] = Field(default_factory=dict)
    reasoning: dict[str, ReasoningResults] = Field(default_factory=dict)
    """KoBEST with a rationale and without."""
    comparison: Comparison = Comparison()

    @property
    def data_counts(self) -> dict[str, Any]:
        """How many examples the data stage made, by split, source and task."""
        return dict(self.manifests.get("data", {}).get("counts", {}))

    @property
    def training(self) -> dict[str, Any]:
        """The manifest of the main training."""
        return self.manifests.get(f"train/{TUNED}", {})

    @property
    def contamination(self) -> Verdict | None:
        """What a check of the main training's rows against benchmarks found, if there was one."""
        found = self.training.get("contamination") or (self.audit or {}).get("contamination")
        return Verdict.model_validate(found) if found else None

    @property
    def audit(self) -> dict[str, Any] | None:
        """What the audit of the training rows counted; None in runs that had none."""
        return self.manifests.get("audit")


def require_run(run: Path) -> Path:
    """The recipe of a run folder. Raises RunError when it is none."""
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        scores = (run / RESULTS).is_file()
        raise RunError(
            f"{run} has no recipe.yaml" + (": it holds scores, of no run" if scores else ""),
            expected="a folder of kot run",
            hint=f"Show scores with: kot leaderboard {run}"
            if scores
            else f"Check the path, or run: kot run demo --out {run}",
        )
    return recipe


def load_results(run: Path) -> RunResults:
    """Read a run folder. Raises RunError when it is none, DataError when a file is damaged."""
    recipe = require_run(run)
    answers = _find(run, "evaluate/*/problems/answers.jsonl")
    comparison = run / "evaluate" / "comparison.json"
    return RunResults(
        recipe=load_recipe(str(recipe)),
        manifests=_load_manifests(run),
        losses={
            path.parent.name: tuple(read_jsonl(path, LogLine))
            for path in _find(run, "train/*/log.jsonl")
        },
        problems=_read_scores(run, "problems", ProblemResults),
        answers={path.parts[-3]: tuple(read_jsonl(path, Answer)) for path in answers},
        kobest=_read_scores(run, "kobest", ChoiceResults),
        reasoning=_read_scores(run, "reasoning", ReasoningResults),
        comparison=read_part(comparison, Comparison) if comparison.exists() else Comparison(),
    )


def _read_scores(run: Path, test: str, kind: type[P]) -> dict[str, P]:
    """The results of a test, by model."""
    paths = _find(run, f"evaluate/*/{test}/{RESULTS}")
    return {path.parts[-3]: read_part(path, kind) for path in paths}


def _load_manifests(run: Path) -> dict[str, dict[str, Any]]:
    tests = (f"evaluate/*/{test}" for test in ("kobest", "reasoning", "problems"))
    folders = ("data", "audit", f"{ROUNDS}*", "train/*", "merged", *tests)
    files = [file for folder in folders for file in _find(run, f"{folder}/{MANIFEST}")]
    return {file.parent.relative_to(run).as_posix(): read_manifest(file.parent) for file in files}


def _find(run: Path, pattern: str) -> list[Path]:
    """Matching files: the untrained model's first, the tuned model's last."""
    return sorted(run.glob(pattern), key=lambda path: (_place(path.relative_to(run)), path))


def _place(path: Path) -> int:
    return (BASE in path.parts) * -1 + (TUNED in path.parts)
