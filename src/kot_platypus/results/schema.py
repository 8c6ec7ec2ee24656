"""What result files say, as typed records: stages write them and every screen reads them.

A field that no screen shows may come and go; what a screen needs is required. The order of the
fields is that of the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.errors import DataError
from kot_platypus.records import BosReading

BASE, TUNED = "base", "cot"
AT_ONCE = "cot-direct"
"""The tuned model made to answer without a rationale."""
SEED = f"{TUNED}-seed"
"""Before a seed: the same training at another one."""
ROUND, ROUNDS = "round-", "rounds/round-"
"""Before a number: what an earlier round of self-teaching trained, 0 being the data alone; what a
round sampled."""
ALL = "all"
"""The row of a reasoning test that covers every family of problems."""
ALPHA = 0.05
"""Differences whose corrected p-value is below it are called shown."""
RESULTS = "results.json"

P = TypeVar("P", bound=BaseModel)


class Part(BaseModel):
    """A piece of a results file. Fields that no screen prints may come and go."""

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


# --- multiple choice ---------------------------------------------------------------------------


class Protocol(Part):
    """Which prompts and shots made a score."""

    name: str
    fingerprint: str = ""
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
    """Of the shots, how many fit into the prompt in full, on average."""


class Ties(Part):
    """Of ``n`` questions: exact ties of the highest score, and choices that are the same tokens."""

    tied: int = 0
    same_tokens: int = 0
    n: int = 0


class ChoiceResults(Part):
    """``results.json`` of ``kot eval`` and of ``evaluate/<who>/kobest``."""

    model: str
    """A hash of the weights, tokenizer and adapter."""
    name: str = ""
    protocol: Protocol
    data: dict[str, str]
    """Task -> hash of its documents."""
    dtype: str = ""
    device: str = ""
    limit: int | None = None
    ties: Ties = Ties()
    bos: BosReading | None = None
    """Of a protocol without BOS: how the model reads without it."""
    one_by_one: bool = False
    """Whether the model reads one text at a time, as few do."""
    versions: dict[str, Any] = {}
    results: dict[str, dict[int, ChoiceScore]]
    """Task -> number of shots -> score."""


# --- reasoning ---------------------------------------------------------------------------------


class Rationales(Part):
    """What the checks say of ``n`` rationales: the mean share of Hangul, and how many go wrong."""

    n: int
    korean: float
    loops: int
    contradictions: int


class ProblemScore(Part):
    """One model's figures on the held-out problems, or on one family; truncated: not done."""

    accuracy: Estimate
    """Of answers that are right word for word."""
    equivalent: Estimate | None = None
    """Of answers that mean the right one. Results of before lack it."""
    n: int
    num_parsed: int
    num_truncated: int = 0
    mean_tokens: float
    rationales: Rationales | None = None


class ProblemResults(Part):
    """``evaluate/<who>/problems/results.json``: ``all`` or a family -> score."""

    model: str
    num_fewshot: int
    results: dict[str, ProblemScore]


class WayScore(Part):
    """One way of answering a task's questions; macro F1 of choices only."""

    accuracy: Estimate
    """Of answers that are right word for word."""
    equivalent: Estimate | None = None
    """Of answers that mean the right one; where choices are scored there is none."""
    macro_f1: Estimate | None = None
    num_parsed: int
    num_truncated: int = 0
    num_tokens: int = 0
    mean_tokens: float
    rationales: Rationales | None = None


class Counts(Part):
    """A number of questions on each side of a comparison."""

    a: int
    b: int


class PairedEstimate(Estimate):
    """A difference in accuracy on the same ``n`` questions, tested."""

    n: int = 0
    right_alone: Counts = Counts(a=0, b=0)
    """How many questions only one side gets right."""
    p_value: float = 1.0
    """McNemar's, exact."""


class Gain(Part):
    """A way of reasoning minus the direct answer."""

    accuracy: PairedEstimate
    macro_f1: Estimate | None = None


class SampleScore(Part):
    """What single replies are worth, of several to each question; word for word and in meaning.

    ``pass_at`` is the chance that at least one of k replies is right.
    """

    num_samples: int
    accuracy: Estimate
    """The mean over replies; its interval counts questions, not replies."""
    equivalent: Estimate
    pass_at: dict[int, float]
    pass_at_equivalent: dict[int, float]


class ReasoningScore(Part):
    """One task's questions: every way of answering them, and what reasoning changed."""

    n: int
    cot: WayScore
    cot_scored: WayScore | None = None
    direct: WayScore
    difference: dict[str, Gain]
    """Way -> that way minus direct."""
    repaired: int
    broken: int
    distinct: float
    """Different replies a question got, on average."""
    samples: SampleScore | None = None
    """Of several replies to each question."""

    @property
    def ways(self) -> dict[str, WayScore]:
        """The ways that there are, direct first."""
        ways = {"direct": self.direct, "cot": self.cot, "cot_scored": self.cot_scored}
        return {name: way for name, way in ways.items() if way is not None}


class ReasoningResults(Part):
    """``results.json`` of ``kot reason``."""

    name: str = ""
    model: str
    dtype: str = ""
    questions: str
    """A hash of what was asked."""
    data: dict[str, str] = {}
    suite: str = ""
    fingerprint: str = ""
    """Of the suite: of all that decides what is asked and how it is read."""
    samples: int = 1
    template: dict[str, Any] = {}
    pattern: dict[str, Any] = {}
    """What found the strict answers, where the template's answer line did not."""
    num_fewshot: int = 0
    versions: dict[str, Any] = {}
    ties: Ties = Ties()
    one_by_one: bool = False
    """Whether the model reads one text at a time, as few do."""
    results: dict[str, ReasoningScore]


# --- comparisons -------------------------------------------------------------------------------


class Sides(Part):
    """One figure of each side."""

    a: float
    b: float


class Paired(Part):
    """A minus B in accuracy, on the same ``n`` questions."""

    n: int
    difference: Estimate
    right_alone: Counts
    """How many questions only one side gets right."""
    p_value: float
    """McNemar's, exact."""


class _Between(Part):  # the fields of a second base come first
    a: str
    b: str


class Difference(Paired, _Between):
    """Two of a run's models on the held-out problems."""


class PairedTask(Part):
    """A minus B in one metric, on the same ``n`` questions of a task at one number of shots."""

    task: str
    num_fewshot: int
    metric: str
    n: int
    values: Sides
    difference: Estimate
    identical: bool
    """Whether both answered every question alike."""
    right_alone: Counts
    p_value: float
    """McNemar's, exact: of which answers are right, whatever the metric."""
    effective_shots: Sides | None = None
    p_holm: float
    """Corrected for all rows that it stands among."""

    @property
    def verdict(self) -> int:
        """1 or -1 when A or B is shown to be right more often, else 0."""
        if self.p_holm >= ALPHA:
            return 0
        return 1 if self.right_alone.a > self.right_alone.b else -1


class ChoiceDifference(PairedTask, _Between):
    """Two of a run's models on one task at one number of shots."""


class SeedsDifference(Part):
    """The mean over seeds minus another of a run's models, on the same questions."""

    b: str
    n: int
    difference: Estimate
    """Its interval is a bootstrap's over seeds and questions."""
    p_value: float
    """Of Fisher's randomisation test over questions, exact; of one seed it is McNemar's."""


class Seeds(Part):
    """The main training at several seeds, on the held-out problems."""

    accuracy: dict[int, float]
    """Seed -> accuracy."""
    mean: Estimate
    differences: tuple[SeedsDifference, ...] = ()


class Comparison(Part):
    """``evaluate/comparison.json``."""

    problems: tuple[Difference, ...] = ()
    seeds: Seeds | None = None
    kobest: tuple[ChoiceDifference, ...] = ()


# --- training ----------------------------------------------------------------------------------


class LogLine(Part):
    """A line of a training's ``log.jsonl``."""

    step: int
    loss: float
    learning_rate: float | None = None
    epoch: float | None = None
    eval_loss: float | None = None
    """Of the validation rows after this step, where it was looked at; weighted as ``loss`` is."""
    eval_token_accuracy: float | None = None
    """The share of their labels that the model finds likeliest, weighted alike."""
    eval_accuracy: float | None = None
    """Of its answers in words to them, where they were asked: the share that is right."""
    eval_equivalent: float | None = None
    """The same by what an answer means."""
    max_steps: int | None = None
    """Of the whole training. Like the speed it stands in the log of a running training alone."""
    tokens_per_second: float | None = None


# --- files -------------------------------------------------------------------------------------


def write_part(path: Path, part: BaseModel) -> None:
    """Write what was set of a record, atomically."""
    write_json(path, dump_part(part))


def dump_part(part: BaseModel) -> dict[str, Any]:
    """What was set of a record, as JSON values."""
    return part.model_dump(mode="json", exclude_unset=True)


def read_part(path: Path, kind: type[P]) -> P:
    """A results file as one kind of part. Raises DataError naming what is wrong in it."""
    return parse_part(read_json(path), kind, path)


def parse_part(value: object, kind: type[P], path: Path) -> P:
    """A value of the file ``path`` as one kind of part. Raises DataError where it is none."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise DataError(
            f"{path} is not understood: {describe_mismatch(error)}",
            expected="a results file as kot writes it",
            hint="Delete its folder and run the command that wrote it again.",
        ) from error


def describe_mismatch(error: ValidationError) -> str:
    """Where a value is not what a record needs, in a few words of ours."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return f"it lacks {where}" if first["type"] == "missing" else f"{where} has another form"
