"""What result files say, as typed records: one definition of each, written and read.

A field that no screen shows may come and go; what a screen needs is required.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import read_json
from kot_platypus.errors import DataError
from kot_platypus.records import BosReading

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


class ChoiceScore(Part):
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


class ChoiceResults(Part):
    """``evaluate/<who>/kobest/results.json``: task -> number of shots -> score."""

    model: str
    protocol: Protocol
    data: dict[str, str]
    versions: dict[str, Any] = {}
    results: dict[str, dict[int, ChoiceScore]]
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


class ChoiceDifference(Difference):
    """A paired comparison on one task at one number of shots."""

    task: str
    num_fewshot: int
    metric: str
    p_holm: float | None = None


class Comparison(Part):
    """``evaluate/comparison.json``."""

    problems: tuple[Difference, ...] = ()
    kobest: tuple[ChoiceDifference, ...] = ()


class LogLine(Part):
    """A line of a training's ``log.jsonl``."""

    step: int
    loss: float
    learning_rate: float | None = None
    epoch: float | None = None
    max_steps: int | None = None
    """Of the whole training. Like the speed it stands in the log of a running training alone."""
    tokens_per_second: float | None = None


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
