"""Every question of an evaluation as the model answered it: what can be paired with another's."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from kot_platypus.artifacts import MANIFEST, read_manifest
from kot_platypus.errors import DataError
from kot_platypus.records import Answer, BosReading, Judgement, Outcome, Sample
from kot_platypus.results.files import find_results, read_results, read_rows
from kot_platypus.results.lm_eval import LmEvalResults, list_answers
from kot_platypus.results.metrics import EQUIVALENT, METRICS
from kot_platypus.results.schema import (
    ALL,
    ChoiceResults,
    ProblemResults,
    Rationales,
    ReasoningResults,
)
from kot_platypus.results.wording import WAY_NAMES

CHOICES, PROBLEMS, REASONING, LM_EVAL = "choices", "problems", "reasoning", "lm-eval"


class Place(NamedTuple):
    """A task at a number of shots, answered in a way."""

    task: str
    num_fewshot: int
    way: str = ""


@dataclass(frozen=True)
class Column:
    """Every question of one task, as one model answered it."""

    questions: Sequence[Hashable]
    correct: Sequence[bool]
    said: Sequence[Hashable]
    """What was predicted or stated."""
    metric: str = "acc"
    golds: Sequence[int] = ()
    """Of choices: the right ones, for which ``said`` are labels too."""
    shots: float | None = None
    """How many fitted, on average."""
    protocol: tuple[str, str] | None = None
    """Name and fingerprint, where two must agree; how a problem is asked may differ."""
    data: str | None = None
    rationales: Rationales | None = None


@dataclass(frozen=True)
class Evaluated:
    """One evaluation: what was tested, and the answers."""

    folder: Path
    kind: str
    who: str
    model: str
    columns: dict[Place, Column]
    protocol: str = ""
    bos: BosReading | None = None


def load_tests(folder: Path, metric: str) -> list[Evaluated]:
    """The tests of a run's models, or the one that ``folder`` is.

    In ``EQUIVALENT`` scored choices have no columns: only stated answers are judged so.
    """
    return [load_test(path, who, metric) for who, path in find_results(folder)]


def load_test(path: Path, who: str, metric: str) -> Evaluated:
    """The answers behind a results file. Raises DataError where they are not there."""
    folder = path.parent
    if (folder / MANIFEST).is_file() and read_manifest(folder)["status"] != "done":
        raise DataError(
            f"{folder} is not finished",
            expected="a finished evaluation",
            hint="Run the command that writes it again: it resumes.",
        )
    part = read_results(path)
    stated = metric if metric == EQUIVALENT else "acc"
    if isinstance(part, ChoiceResults):
        columns = {} if metric == EQUIVALENT else _load_choices(folder, part, metric)
        return Evaluated(folder, CHOICES, who, part.model, columns, part.protocol.name, part.bos)
    if isinstance(part, ProblemResults):
        columns = _load_problems(folder, part, stated)
        return Evaluated(folder, PROBLEMS, who, part.model, columns)
    if isinstance(part, ReasoningResults):
        columns = _load_reasoning(folder, part, stated)
        return Evaluated(folder, REASONING, who, part.model, columns)
    if isinstance(part, LmEvalResults) and (columns := _load_lm_eval(path, part, metric)):
        columns = {} if metric == EQUIVALENT else columns
        return Evaluated(folder, LM_EVAL, who, part.model[1], columns)
    raise DataError(
        f"{path} holds figures without the answers to each question",
        expected="results of kot, or of lm-eval 0.4 with --log_samples",
        hint="See it beside others: kot leaderboard DIR",
    )


def _load_choices(folder: Path, part: ChoiceResults, metric: str) -> dict[Place, Column]:
    columns = {}
    rows = read_rows(folder / "samples.jsonl", Sample)
    rows.sort(key=attrgetter("task", "num_fewshot", "doc_id"))
    for (task, num_fewshot), group in groupby(rows, key=attrgetter("task", "num_fewshot")):
        samples = list(group)
        preds = [int(getattr(sample, METRICS[metric])) for sample in samples]
        golds = [sample.gold for sample in samples]
        columns[Place(task, num_fewshot)] = Column(
            [(sample.doc_id, sample.gold) for sample in samples],
            [pred == gold for pred, gold in zip(preds, golds, strict=True)],
            preds,
            metric=metric,
            golds=golds,
            shots=sum(sample.effective_shots for sample in samples) / len(samples),
            protocol=(part.protocol.name, part.protocol.tasks.get(task, "unknown")),
            data=part.data.get(task, "unknown"),
        )
    return columns


def _load_problems(folder: Path, part: ProblemResults, metric: str) -> dict[Place, Column]:
    rows = read_rows(folder / "answers.jsonl", Answer)
    correct = _judge(rows, metric)
    if correct is None:
        return {}
    column = Column(
        [(row.doc_id, row.source, row.target) for row in rows],
        correct,
        [(row.answer, right) for row, right in zip(rows, correct, strict=True)],
        metric=metric,
        rationales=part.results[ALL].rationales if ALL in part.results else None,
    )
    return {Place(ALL, part.num_fewshot): column}


def _load_reasoning(folder: Path, part: ReasoningResults, metric: str) -> dict[Place, Column]:
    tasks: dict[str, list[Outcome]] = {}
    whole = part.suite if part.suite in part.results else ""
    for outcome in read_rows(folder / "samples.jsonl", Outcome):
        # Kinds of open questions are one set of problems, and a suite's tasks one set too.
        is_kind = outcome.gold is None and not part.suite
        tasks.setdefault(whole or (ALL if is_kind else outcome.task), []).append(outcome)
    columns = {}
    for task, group in tasks.items():
        for way in WAY_NAMES:
            stated = [getattr(outcome, way) for outcome in group]
            correct = None if None in stated else _judge(stated, metric)
            if correct is None:
                continue
            columns[Place(task, part.num_fewshot, way)] = Column(
                [(each.task, each.doc_id, each.source, each.target) for each in group],
                correct,
                [(each.answer, right) for each, right in zip(stated, correct, strict=True)],
                metric=metric,
                protocol=(part.suite, part.fingerprint) if part.suite else None,
                rationales=part.results[task].ways[way].rationales
                if task in part.results
                else None,
            )
    return columns


def _judge(stated: Sequence[Answer | Judgement], metric: str) -> list[bool] | None:
    """Which are right; None in what they mean where they were not all stated, or not so judged."""
    if metric != EQUIVALENT:
        return [each.correct for each in stated]
    meant = [each.equivalent for each in stated]
    return None if None in meant else [bool(each) for each in meant]


def _load_lm_eval(path: Path, part: LmEvalResults, metric: str) -> dict[Place, Column]:
    columns = {}
    for figure, answers in list_answers(path, part, metric):
        questions, correct = zip(*answers, strict=True)
        chosen = "" if figure.chosen in ("", "none") else f" ({figure.chosen})"
        columns[Place(figure.task + chosen, part.count_shots(figure.task) or 0)] = Column(
            questions,
            correct,
            correct,
            metric=figure.metric,
            protocol=(part.protocol, part.fingerprint_task(figure.task)),
        )
    return columns
