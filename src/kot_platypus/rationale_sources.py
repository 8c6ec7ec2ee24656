"""Where a teacher's questions come from: the sources of `kot data`, and KoBEST's train split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from kot_platypus.benchmarks import KOBEST
from kot_platypus.columns import Columns
from kot_platypus.data.build import load_korean_cot
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError, UsageError
from kot_platypus.evaluate.prompting import Question, load_choices, load_problems, pose_row
from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.formats import parse_rows, require_problem
from kot_platypus.recipe import SourceSection
from kot_platypus.records import Example
from kot_platypus.row_sources import HUB, open_parts, parse_hub

PROBLEMS, KOREAN_COT = "problems", "korean-cot"


def load_questions(
    source: str,
    limit: int | None = None,
    *,
    kobest_dir: str | None = None,
    seed: int = 42,
    columns: Columns | None = None,
) -> list[Question]:
    """The first ``limit`` questions of a source, each with its answer.

    Args:
        source: A file of rows; ``problems`` (generated: as many as ``limit`` says),
            ``korean-cot``, ``hub:ID[:CONFIG][@SPLIT]``; ``kobest`` or
            ``kobest/copa``: the train split.
        limit: All when None; of KoBEST, of each task.
        kobest_dir: As in ``load_task``.
        seed: Of generated problems.
        columns: The names of a file's or data set's columns where they are others.

    Raises:
        UsageError: ``problems`` without a limit, or columns of what has its own.
        DataError: a missing source, or a row without source and target.
    """
    is_own = source in (PROBLEMS, KOREAN_COT) or source.partition("/")[0] == KOBEST
    if columns and is_own:
        raise UsageError(
            f"--columns for {source}", expected="a file or hub:ID", hint="Leave them out."
        )
    if source == PROBLEMS:
        if limit is None:
            raise UsageError(
                "problems without --limit", expected="how many to make", hint="E.g. --limit 500"
            )
        return _pose(make_problems(limit, seed, "train"))
    if source == KOREAN_COT:
        return _pose(load_korean_cot()[:limit])
    if source.startswith(HUB):
        return _pose(_iter_hub_rows(source, limit, columns))
    if source == KOBEST or source.startswith(f"{KOBEST}/"):
        return _load_kobest(source.partition("/")[2], limit, kobest_dir)
    if not Path(source).exists() and not Path(source).suffix:
        raise DataError(
            f"SOURCE: there is no {source}",
            expected=f"a file of rows, {PROBLEMS}, {KOREAN_COT}, {HUB}ID or {KOBEST}",
            hint="Check the path.",
        )
    return load_problems(Path(source), limit, columns)


def _pose(rows: Iterable[Example]) -> list[Question]:
    return [pose_row(row, doc_id) for doc_id, row in enumerate(rows)]


def _iter_hub_rows(source: str, limit: int | None, columns: Columns | None) -> Iterable[Example]:
    ((name, found),) = open_parts(SourceSection(name="hub", **parse_hub(source)))
    for number, row in enumerate(islice(parse_rows(found, name, columns), limit), start=1):
        yield require_problem(row, f"{name} row {number}")


def _load_kobest(task: str, limit: int | None, kobest_dir: str | None) -> list[Question]:
    protocol = load_protocol("polyglot")
    tasks = [protocol.find_task(task)] if task else list(protocol.tasks)
    questions = [
        question
        for each in tasks
        for question in load_choices(protocol, each, kobest_dir, limit, split="train")[0]
    ]
    return [replace(question, doc_id=i) for i, question in enumerate(questions)]
