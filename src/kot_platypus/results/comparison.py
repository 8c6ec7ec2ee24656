"""Which results may be compared, and the comparison of two evaluations or of a run's models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import read_json, read_jsonl
from kot_platypus.errors import DataError, UsageError
from kot_platypus.records import Answer, BosReading, Sample
from kot_platypus.results.paired import METRICS, compare_paired, compare_samples, group_samples
from kot_platypus.results.schema import (
    ChoiceDifference,
    Comparison,
    Difference,
    dump_part,
    write_part,
)


def compare_models(folder: Path, *, tuned: str = "cot") -> None:
    """Compare ``folder/<tuned>`` with every other model there; write ``folder/comparison.json``.

    Problems with all others, in accuracy; KoBEST with those scored on it, in macro F1.
    """
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != tuned)
    problems: list[Difference] = []
    kobest: list[ChoiceDifference] = []
    for other in others:
        pair = {"a": tuned, "b": other}
        answers = [folder / name / "problems" / "answers.jsonl" for name in (tuned, other)]
        if all(path.is_file() for path in answers):
            a, b = (read_jsonl(path, Answer) for path in answers)
            found = compare_paired([row.correct for row in a], [row.correct for row in b])
            problems.append(Difference(**pair, **dict(found)))
        samples = [folder / name / "kobest" / "samples.jsonl" for name in (tuned, other)]
        if all(path.is_file() for path in samples):
            a_rows, b_rows = (read_jsonl(path, Sample) for path in samples)
            rows = compare_samples(a_rows, b_rows)
            kobest += [ChoiceDifference(**pair, **dict(row)) for row in rows]
    comparison = Comparison(problems=tuple(problems), kobest=tuple(kobest))
    write_part(folder / "comparison.json", comparison)


class _Protocol(BaseModel):
    name: str
    tasks: dict[str, str]
    """Task -> fingerprint of all that the protocol does to it."""


class Evaluation(BaseModel):
    """The head of an evaluation's ``results.json`` (what made it), and its ``samples.jsonl``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    folder: Path
    model: str
    protocol: _Protocol
    data: dict[str, str]
    """Task -> hash of its documents."""
    samples: tuple[Sample, ...]
    bos: BosReading | None = None
    """Of a protocol without BOS: how the model reads without it."""

    @property
    def about(self) -> dict[str, Any]:
        """Which side of a comparison it is."""
        about: dict[str, Any] = {"folder": str(self.folder), "model": self.model}
        return {**about, **({"bos": self.bos.model_dump()} if self.bos else {})}


def load_evaluation(folder: Path) -> Evaluation:
    """Read what ``kot eval`` wrote. Raises DataError when a file is missing or damaged."""
    path = folder / "results.json"
    facts = read_json(path)
    if not (folder / "samples.jsonl").is_file():
        raise DataError(
            f"{folder} holds no samples.jsonl",
            expected="a folder that kot eval wrote",
            hint="Results of kot lm-eval cannot be compared here yet.",
        )
    samples = read_jsonl(folder / "samples.jsonl", Sample)
    try:
        return Evaluation(**{**facts, "folder": folder, "samples": samples})
    except (TypeError, ValidationError) as error:
        reason = "it is no object"
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(
            f"{path}: {reason}",
            expected="model, protocol and data as kot eval writes them",
            hint="Score the model again, into a new folder.",
        ) from error


def compare_evaluations(a: Path, b: Path, metric: str = "macro_f1") -> dict[str, Any]:
    """Compare two evaluation folders on every task and number of shots that both have.

    Args:
        a: A folder with ``results.json`` and ``samples.jsonl``.
        b: Another one; differences are a minus b.
        metric: One of ``METRICS``.

    Returns:
        ``{"a", "b", "protocol", "metric", "rows", "only_a", "only_b"}``: ``a`` and ``b`` say
        ``folder``, ``model`` and, where it was measured, ``bos``; ``rows`` are those of
        ``compare_samples``, and the last two list the ``task`` and ``num_fewshot`` that only one
        has.

    Raises:
        UsageError: no such metric.
        DataError: another protocol, other data or other questions, or nothing in common.
    """
    if metric not in METRICS:
        raise UsageError(
            f"no metric {metric!r}", expected=f"one of {', '.join(METRICS)}", hint="Mend --metric."
        )
    left, right = load_evaluation(a), load_evaluation(b)
    keys_a, keys_b = (group_samples(side.samples).keys() for side in (left, right))
    common = keys_a & keys_b
    if not common:
        raise DataError(
            f"{a} and {b} have no task at the same number of shots",
            expected="one that both have",
            hint="Score both with the same --tasks and --num-fewshot.",
        )
    for task in sorted({task for task, _ in common}):
        _check_protocol(task, left, right)
        _check_data(task, left, right)
    return {
        "a": left.about,
        "b": right.about,
        "protocol": left.protocol.name,
        "metric": metric,
        "rows": [dump_part(row) for row in compare_samples(left.samples, right.samples, metric)],
        "only_a": [{"task": task, "num_fewshot": n} for task, n in sorted(keys_a - keys_b)],
        "only_b": [{"task": task, "num_fewshot": n} for task, n in sorted(keys_b - keys_a)],
    }


def _check_protocol(task: str, a: Evaluation, b: Evaluation) -> None:
    """Compare what the protocols do to this task; a protocol may have gained others since."""
    prints = [side.protocol.tasks.get(task, "unknown") for side in (a, b)]
    if prints[0] == prints[1] != "unknown":
        return
    names = [side.protocol.name for side in (a, b)]
    if names[0] == names[1]:  # its file changed in between: only the fingerprints tell them apart
        names = [f"{names[0]} ({each[:8]})" for each in prints]
    raise DataError(
        f"{task} was scored with the protocol {names[0]} in A and {names[1]} in B",
        expected="one protocol: scores of two are not comparable",
        hint="Score one of them again with the other's --protocol.",
    )


def _check_data(task: str, a: Evaluation, b: Evaluation) -> None:
    hashes = [side.data.get(task, "unknown") for side in (a, b)]
    if hashes[0] == hashes[1] != "unknown":
        return
    raise DataError(
        f"{task} was scored on different data ({hashes[0][:8]} in A, {hashes[1][:8]} in B)",
        expected="the same documents",
        hint="Score one of them again with the other's --kobest-dir.",
    )
