"""All results of a folder as flat rows: ours, lm-eval's, and those of its older forks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import MANIFEST, hash_value, read_json, read_manifest
from kot_platypus.errors import DataError, KotError
from kot_platypus.records import PastScore, SkippedFile
from kot_platypus.results.wording import format_date, make_printable, name_model

RESULTS = "results.json"
PROBLEMS_PROTOCOL = "held-out problems"
_MAX_BYTES = 200 * 2**20
_EVALUATIONS = ("choices", "answer", "lm-eval")
"""The stages whose result is a RESULTS; one without it is listed as not finished."""
_METRICS: dict[str, Literal["wilson", "bootstrap"]] = {
    "macro_f1": "bootstrap",
    "macro_f1_norm": "bootstrap",
    "acc": "wilson",
    "acc_norm": "wilson",
}
_OTHERS_OF_OURS = ({"problems", "kobest"}, {"scores", "skipped"})
"""The keys of a run's comparison.json and of what ``kot leaderboard`` itself writes."""

P = TypeVar("P", bound="Part")


class Part(BaseModel):
    """A piece of a results file; what the table does not show is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Estimate(Part):
    value: float
    ci95: tuple[float, float]


class _Score(Part):
    macro_f1: _Estimate
    macro_f1_norm: _Estimate
    acc: _Estimate
    acc_norm: _Estimate
    n: int
    effective_shots: float


class _Protocol(Part):
    name: str
    fingerprint: str = ""
    tasks: dict[str, str] = {}


class _Choices(Part):
    """``results.json`` of kot eval."""

    model: str
    name: str = ""
    dtype: str = ""
    protocol: _Protocol
    data: dict[str, str]
    results: dict[str, dict[int, _Score]]


class _ProblemScore(Part):
    accuracy: _Estimate
    n: int


class _Problems(Part):
    """``results.json`` of the held-out problems of a run."""

    model: str
    num_fewshot: int
    results: dict[str, _ProblemScore]


@dataclass(frozen=True)
class Source:
    """A file of results, and what is known of it beside its content."""

    folder: Path
    """The folder that was searched."""
    path: Path
    name: str
    """What to call a model that the file does not name."""
    is_named_by_run: bool
    manifest: Mapping[str, Any]

    @property
    def place(self) -> dict[str, Any]:
        """The fields of a score that are the file's own."""
        made = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        return {
            "file": self.path.relative_to(self.folder).as_posix(),
            "date": format_date(made),
            "is_file_date": True,
        }


def gather_scores(folder: Path) -> tuple[list[PastScore], list[SkippedFile]]:
    """Every figure of every results file in ``folder`` and below, and the files without any.

    Raises DataError when there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder", expected="one with results", hint="Check the path."
        )
    scores: list[PastScore] = []
    unnamed: list[PastScore] = []
    skipped: list[SkippedFile] = []
    for path in _find_files(folder):
        try:
            source = _describe_source(folder, path)
            found = _read_file(source)
        except KotError as error:
            reason = make_printable(error.found.replace(f"{path}: ", "").replace(str(path), "it"))
            file = path.relative_to(folder).as_posix()
            skipped.append(SkippedFile(file=make_printable(file), reason=reason))
            continue
        (scores if source.is_named_by_run else unnamed).extend(found)
    # A model that was scored again has the name that it has in its run.
    names = {score.model_key: score.model for score in scores}
    keys: dict[str, set[str]] = {}
    for score in unnamed:
        keys.setdefault(score.model, set()).add(score.model_key)
    for score in unnamed:
        name = names.get(score.model_key, score.model)
        if name == score.model and len(keys[name]) > 1:  # two models of one name
            name = f"{name} ({PurePath(score.file).parent})"
        scores.append(score.model_copy(update={"model": name}))
    return scores, skipped


# --- finding -----------------------------------------------------------------------------------


def _find_files(folder: Path) -> Iterator[Path]:
    """JSON files that may hold results, in order; not those of models or of other stages."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        here = Path(parent)
        if MANIFEST in files:  # a stage's folder holds one known file and nobody else's
            names[:] = []
            if RESULTS in files or _is_evaluation(here):
                yield here / RESULTS
        elif "config.json" in files or "adapter_config.json" in files:
            names[:] = []
        else:
            yield from (here / name for name in sorted(files) if name.endswith(".json"))


def _is_evaluation(folder: Path) -> bool:
    try:
        return read_manifest(folder).get("stage") in _EVALUATIONS
    except DataError:
        return True  # so that it is listed, with the reason


def _describe_source(folder: Path, path: Path) -> Source:
    here = path.parent
    manifest: Mapping[str, Any] = {}
    if (here / MANIFEST).is_file():
        manifest = read_manifest(here)
        if manifest["status"] != "done" or not path.is_file():
            raise _refuse("not finished yet: the command that writes it was interrupted")
    run = here.parents[2] if here.parent.parent.name == "evaluate" else None
    if run is not None and (run / "recipe.yaml").is_file():
        name = _name_in_run(run, here.parent.name)
        return Source(folder, path, make_printable(name), True, manifest)
    name = here.relative_to(folder).as_posix() if here != folder else folder.absolute().name
    return Source(folder, path, make_printable(name), False, manifest)


def _name_in_run(run: Path, who: str) -> str:
    from kot_platypus.recipe import load_recipe

    recipe = load_recipe(str(run / "recipe.yaml"))
    if who == "base":
        return name_model(recipe.model.name)
    name = recipe.name if run.name == recipe.name else f"{recipe.name} ({run.name})"
    return name if who == "cot" else f"{name}, {who}"


# --- reading -----------------------------------------------------------------------------------


def _read_file(source: Source) -> list[PastScore]:
    """The scores of a file of any known kind. Raises DataError saying why there are none."""
    from kot_platypus.results.lm_eval import read_lm_eval, read_old_harness

    if source.path.stat().st_size > _MAX_BYTES:
        raise _refuse(f"larger than {_MAX_BYTES >> 20} MiB")
    try:
        facts = read_json(source.path)
    except RecursionError as error:
        raise _refuse("nested too deeply") from error
    if isinstance(facts, dict) and set(facts) in _OTHERS_OF_OURS:
        return []
    results = facts.get("results") if isinstance(facts, dict) else None
    if not isinstance(results, dict) or not results:
        raise _refuse("no results of kot, lm-eval or ko-lm-evaluation-harness")
    if "protocol" in facts:
        return _read_choices(parse_part(_Choices, facts), source)
    values = [value for value in results.values() if isinstance(value, dict)]
    if all("accuracy" in value for value in values) and "num_fewshot" in facts:
        return _read_problems(parse_part(_Problems, facts), source)
    if "configs" in facts or any("," in key for value in values for key in value):
        return read_lm_eval(facts, source)
    return read_old_harness(facts, source)


def parse_part(kind: type[P], value: object) -> P:
    """A results file as one kind of part. Raises DataError naming what is wrong in it."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refuse(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _refuse(reason: str) -> DataError:
    return DataError(reason, expected="a file of results", hint="It is left out.")


def _read_choices(part: _Choices, source: Source) -> list[PastScore]:
    return [
        PastScore(
            **source.place,
            model=source.name
            if source.is_named_by_run
            else make_printable(part.name) or source.name,
            model_key=f"{part.model} {part.dtype}",
            protocol=make_printable(part.protocol.name),
            fingerprint=part.protocol.tasks.get(task, part.protocol.fingerprint),
            data=part.data.get(task, ""),
            task=make_printable(task),
            num_fewshot=num_fewshot,
            metric=metric,
            value=getattr(score, metric).value,
            ci95=getattr(score, metric).ci95,
            interval=interval,
            n=score.n,
            effective_shots=score.effective_shots,
        )
        for task, by_shots in part.results.items()
        for num_fewshot, score in by_shots.items()
        for metric, interval in _METRICS.items()
    ]


def _read_problems(part: _Problems, source: Source) -> list[PastScore]:
    config, inputs = source.manifest.get("config"), source.manifest.get("inputs", {})
    return [
        PastScore(
            **source.place,
            model=source.name,
            model_key=f"{part.model} {(config or {}).get('dtype', '')}",
            protocol=PROBLEMS_PROTOCOL,
            fingerprint=hash_value(_drop(config, "dtype", "batch_size")) if config else "",
            data=inputs.get("problems", ""),
            task=make_printable(f"problems: {family}"),
            num_fewshot=part.num_fewshot,
            metric="acc",
            value=score.accuracy.value,
            ci95=score.accuracy.ci95,
            interval="wilson",
            n=score.n,
        )
        for family, score in part.results.items()
    ]


def _drop(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in (*names, "num_fewshot")}
