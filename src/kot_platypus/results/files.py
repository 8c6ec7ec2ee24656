"""Which results a folder holds, and each file as the record that it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kot_platypus.artifacts import read_json, read_jsonl
from kot_platypus.errors import DataError
from kot_platypus.results.lm_eval import HarnessResults, LmEvalResults
from kot_platypus.results.schema import (
    RESULTS,
    TUNED,
    ChoiceResults,
    ProblemResults,
    ReasoningResults,
    describe_mismatch,
    parse_part,
)

R = TypeVar("R", bound=BaseModel)
Results = ChoiceResults | ProblemResults | ReasoningResults | LmEvalResults | HarnessResults


def find_results(folder: Path) -> list[tuple[str, Path]]:
    """The results files of a folder, each with the model of a run that it is of, or nothing.

    A folder of one evaluation has one. Of lm-eval's own, which holds one a time, the latest with
    samples counts. Of a run the trained model's come first, its held-out problems before KoBEST.

    Raises DataError when there are none.
    """
    files = [folder / RESULTS, *sorted(folder.glob("results_*.json"), reverse=True)]
    if files := [path for path in files if path.is_file()]:
        return [("", next(filter(_has_samples, files), files[0]))]
    if files := sorted(folder.glob(f"evaluate/*/*/{RESULTS}")):
        of_run = [(path.parts[-3], path) for path in files]
        return sorted(of_run, key=lambda each: (each[1].parent.name != "problems", _place(each[0])))
    if files := sorted(folder.glob(f"*/{RESULTS}")) if folder.parent.name == "evaluate" else []:
        return [("", path) for path in files]
    found = f"has no {RESULTS}" if folder.is_dir() else "is no folder"
    raise DataError(
        f"{folder} {found}",
        expected="what kot eval, kot lm-eval or kot run wrote, finished",
        hint="Check the path, or run the command that writes it again.",
    )


def _has_samples(path: Path) -> bool:
    return any(path.parent.glob(f"samples_*{path.stem.removeprefix('results')}.jsonl"))


def _place(who: str) -> tuple[bool, bool, str]:
    return who != TUNED, not who.startswith(TUNED), who


def read_results(path: Path) -> Results:
    """A results file of any known kind. Raises DataError saying why it is none."""
    return parse_results(read_json(path), path)


def parse_results(facts: Any, path: Path) -> Results:
    """The content of the file ``path`` as the record that it is, or DataError as above."""
    results = facts.get("results") if isinstance(facts, dict) else None
    if not isinstance(results, dict) or not results:
        raise _refuse(path, "holds no results of kot, lm-eval or ko-lm-evaluation-harness")
    if "protocol" in facts:
        return parse_part(facts, ChoiceResults, path)
    values = [value for value in results.values() if isinstance(value, dict)]
    if values and all("difference" in value for value in values):
        return parse_part(facts, ReasoningResults, path)
    if values and all("accuracy" in value for value in values) and "num_fewshot" in facts:
        return parse_part(facts, ProblemResults, path)
    if "configs" in facts or any("," in key for value in values for key in value):
        return parse_part(facts, LmEvalResults, path)
    return parse_part(facts, HarnessResults, path)


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """The rows beside a results file. Raises DataError where they are none of that kind."""
    if not path.is_file():
        raise _refuse(path.parent, f"holds no {path.name}")
    try:
        return read_jsonl(path, kind)
    except DataError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        reason = describe_mismatch(error.__cause__)
        raise _refuse(path, f"is not understood: {reason}") from error


def _refuse(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} {reason}",
        expected="results as kot wrote them",
        hint="Delete its folder and run the command that wrote it again.",
    )
