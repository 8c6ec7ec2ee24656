"""What a run folder says, read once into small typed objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import MANIFEST, read_json, read_jsonl, read_manifest
from kot_platypus.errors import DataError, RunError
from kot_platypus.recipe import Recipe, load_recipe
from kot_platypus.records import Answer, BosReading
from kot_platypus.verdicts import Verdict

BASE, TUNED = "base", "cot"
AT_ONCE = "cot-direct"
"""The tuned model made to answer without a rationale."""
ALL = "all"
"""The row of a reasoning test that covers every family of problems."""

P = TypeVar("P", bound=BaseModel)


class Part(BaseModel):
    """A piece of a results file. Fields that the report does not print may come and go."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Estimate(Part):
    """A figure with its 95 % confidence interval."""

    value: float
    ci95: tuple[float, float]

    @property
    def sign(self) -> int:
        """1 or -1 when the whole interval lies above or below zero, else 0."""
        low, high = self.ci95
        return (low > 0) - (high < 0)


class Protocol(Part):
    """Which prompts and shots made a KoBEST score."""

    name: str
    fingerprint: str
    tasks: dict[str, str] = {}
    """The fingerprint of the protocol for each task."""


class KobestScore(Part):
    """One model's figures on one task at one number of shots."""

    acc: Estimate
    acc_norm: Estimate
    macro_f1: Estimate
    macro_f1_norm: Estimate
    n: int
    effective_shots: float


class Ties(Part):
    """Of ``n`` questions: exact ties of the highest score, and choices that are the same tokens."""

    tied: int = 0
    same_tokens: int = 0
    n: int = 0


class KobestResults(Part):
    """``evaluate/<who>/kobest/results.json``: task -> number of shots -> score."""

    model: str
    protocol: Protocol
    data: dict[str, str]
    versions: dict[str, Any] = {}
    results: dict[str, dict[int, KobestScore]]
    bos: BosReading | None = None
    """Of a protocol without BOS: how the model reads without it."""
    ties: Ties = Ties()


class ProblemScore(Part):
    """One model's figures on the held-out problems, or on one family of them."""

    accuracy: Estimate
    n: int
    num_parsed: int
    mean_tokens: float


class ProblemResults(Part):
    """``evaluate/<who>/problems/results.json``: ``all`` or a family -> score."""

    model: str
    num_fewshot: int
    results: dict[str, ProblemScore]


class Difference(Part):
    """A paired comparison, model ``a`` minus model ``b``, on the same ``n`` questions."""

    a: str
    b: str
    n: int
    difference: Estimate
    p_value: float | None = None


class KobestDifference(Difference):
    """A paired comparison on one task at one number of shots."""

    task: str
    num_fewshot: int
    metric: str
    p_holm: float | None = None


class Comparison(Part):
    """``evaluate/comparison.json``."""

    problems: tuple[Difference, ...] = ()
    kobest: tuple[KobestDifference, ...] = ()


class LogLine(Part):
    """A line of a training's ``log.jsonl``."""

    step: int
    loss: float
    learning_rate: float | None = None
    epoch: float | None = None
    max_steps: int | None = None
    """Of the whole training. Like the speed it stands in the log of a running training alone."""
    tokens_per_second: float | None = None


class RunResults(Part):
    """Everything the report is made from. Absent parts are empty."""

    recipe: Recipe
    manifests: dict[str, dict[str, Any]] = {}
    """Folder, relative to the run -> its manifest, in the order of the stages."""
    losses: dict[str, tuple[LogLine, ...]] = {}
    problems: dict[str, ProblemResults] = {}
    answers: dict[str, tuple[Answer, ...]] = {}
    kobest: dict[str, KobestResults] = {}
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

    def find_difference(self, b: str, a: str = TUNED) -> Difference | None:
        """The paired comparison of ``a`` with ``b`` on the held-out problems."""
        pairs = self.comparison.problems
        return next((pair for pair in pairs if (pair.a, pair.b) == (a, b)), None)


def load_results(run: Path) -> RunResults:
    """Read a run folder. Raises RunError when it is none, DataError when a file is damaged."""
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        raise RunError(
            f"{run} has no recipe.yaml",
            expected="the folder of a run",
            hint="Type: kot run demo --out " + str(run),
        )
    problems = _find(run, "evaluate/*/problems/results.json")
    comparison = run / "evaluate" / "comparison.json"
    return RunResults(
        recipe=load_recipe(str(recipe)),
        manifests=_load_manifests(run),
        losses={
            path.parent.name: tuple(read_jsonl(path, LogLine))
            for path in _find(run, "train/*/log.jsonl")
        },
        problems={path.parts[-3]: read_part(path, ProblemResults) for path in problems},
        answers={
            path.parts[-3]: tuple(read_jsonl(path, Answer))
            for path in _find(run, "evaluate/*/problems/answers.jsonl")
        },
        kobest={
            path.parts[-3]: read_part(path, KobestResults)
            for path in _find(run, "evaluate/*/kobest/results.json")
        },
        comparison=read_part(comparison, Comparison) if comparison.exists() else Comparison(),
    )


def _load_manifests(run: Path) -> dict[str, dict[str, Any]]:
    folders = ("data", "audit", "train/*", "merged", "evaluate/*/kobest", "evaluate/*/problems")
    files = [file for folder in folders for file in _find(run, f"{folder}/{MANIFEST}")]
    return {file.parent.relative_to(run).as_posix(): read_manifest(file.parent) for file in files}


def _find(run: Path, pattern: str) -> list[Path]:
    """Matching files: the untrained model's first, the tuned model's last."""
    return sorted(run.glob(pattern), key=lambda path: (_place(path.relative_to(run)), path))


def _place(path: Path) -> int:
    return (BASE in path.parts) * -1 + (TUNED in path.parts)


def read_part(path: Path, kind: type[P]) -> P:
    """A results file as one kind of part. Raises DataError naming what is wrong in it."""
    value = read_json(path)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path}: {where}: {first['msg']}",
            expected=f"{kind.__name__} as the evaluate stage writes them",
            hint="Delete the file's folder and run the same kot command again.",
        ) from error
