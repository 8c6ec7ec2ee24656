"""All results of a folder as flat rows: ours, lm-eval's, and those of its older forks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal

from kot_platypus.artifacts import MANIFEST, hash_file, hash_value, read_json, read_manifest
from kot_platypus.errors import DataError, KotError
from kot_platypus.recipe import load_recipe
from kot_platypus.results.files import parse_results
from kot_platypus.results.lm_eval import (
    HarnessResults,
    LmEvalResults,
    name_metric,
)
from kot_platypus.results.metrics import EQUIVALENT
from kot_platypus.results.schema import (
    ALL,
    BASE,
    RESULTS,
    TUNED,
    ChoiceResults,
    Part,
    ProblemResults,
    ReasoningResults,
)
from kot_platypus.results.wording import (
    METRIC_NAMES,
    WAY_NAMES,
    format_date,
    make_printable,
    name_model,
)

PROBLEMS_PROTOCOL, REASONING_PROTOCOL = "held-out problems", "kot reason"
_MAX_BYTES = 200 * 2**20
_EVALUATIONS = ("choices", "answer", "reasoning", "lm-eval")
"""The stages whose result is a RESULTS; one without it is listed as not finished."""
_OTHERS_OF_OURS = ({"problems", "kobest"}, {"scores", "skipped"})
"""The keys of a run's comparison.json and of what ``kot leaderboard`` itself writes."""


class ScoreRow(Part):
    """One figure of a file of results: ours, lm-eval's, or an older harness's."""

    file: str
    """Relative to the folder that was searched."""
    model: str
    model_key: str
    """Equal for the same model alone, as far as the file tells."""
    dtype: str = ""
    protocol: str
    fingerprint: str
    """A hash of the prompts; empty where the file does not say what they were."""
    data: str
    """A hash of the questions; empty where the file does not say what they were."""
    task: str
    num_fewshot: int | None
    metric: str
    higher_is_better: bool = True
    value: float
    ci95: tuple[float, float] | None = None
    interval: Literal["wilson", "bootstrap", "stderr"] | None = None
    """How ``ci95`` came about; ``stderr``: value +- 1.96 of the file's standard errors."""
    n: int | None = None
    """Questions; None where the file does not say."""
    effective_shots: float | None = None
    date: str
    """``2026-11-22 23:50``, UTC."""
    is_file_date: bool
    """Whether the results do not say when they were made, so that the file's date stands in."""
    way: str = ""
    """Of ``kot reason``: direct, cot or cot_scored."""
    remarks: tuple[str, ...] = ()
    """What to know before trusting the figure: ties, a model that reads badly without BOS."""
    p_holm: float | None = None
    """Of the paired test against the best of its block with as many shots, where there is one."""

    @property
    def signed_value(self) -> float:
        """A value that is larger where the figure is better."""
        return self.value if self.higher_is_better else -self.value


class SkippedFile(Part):
    """A file that holds no figures that could be read, or only those of another file, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class _Source:
    """A file of results, and what is known of it beside its content."""

    folder: Path
    """The folder that was searched."""
    path: Path
    name: str
    """What to call a model that the file does not name."""
    is_named_by_run: bool
    manifest: Mapping[str, Any]

    @property
    def file(self) -> str:
        """Where it lies."""
        return self.path.relative_to(self.folder).as_posix()

    def make_row(self, seconds: float | None = None, **fields: Any) -> ScoreRow:
        """A row of this file. ``seconds``: when it was made, where its content says so."""
        finished = self.manifest.get("finished")
        if seconds is None and finished:
            seconds = datetime.fromisoformat(finished).timestamp()
        made = self.path.stat().st_mtime if seconds is None else seconds
        date = format_date(datetime.fromtimestamp(made, UTC))
        return ScoreRow(file=self.file, date=date, is_file_date=seconds is None, **fields)


def collect_rows(folder: Path) -> tuple[list[ScoreRow], list[SkippedFile]]:
    """Every figure of every results file in ``folder`` and below, and the files without any.

    A figure that lies there twice is taken once: of a copied folder, of a run found by two paths,
    of a model that was scored again. Raises DataError when there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder", expected="one with results", hint="Check the path."
        )
    sources, skipped = _find_sources(folder)
    named: list[ScoreRow] = []
    unnamed: list[ScoreRow] = []
    seen: dict[str, _Source] = {}
    for source in sorted(sources, key=lambda each: not each.is_named_by_run):
        try:
            found = _read_rows(source)
        except KotError as error:
            skipped.append(_skip(folder, source.path, error))
            continue
        new = [row for row in found if seen.setdefault(_identify(row, source), source) is source]
        if found and not new:
            first = seen[_identify(found[0], source)].file
            same = make_printable(f"the same results as {first}")
            skipped.append(SkippedFile(file=make_printable(source.file), reason=same))
        (named if source.is_named_by_run else unnamed).extend(new)
    return [*named, *_name_rows(named, unnamed)], skipped


def _identify(row: ScoreRow, source: _Source) -> str:
    """Equal for the same figure of the same model; where the questions are not known, of copies."""
    known = row.model_dump(exclude={"file", "model", "date", "is_file_date", "remarks"})
    return hash_value([known, "" if row.data else hash_file(source.path)])


def _name_rows(named: list[ScoreRow], unnamed: list[ScoreRow]) -> Iterator[ScoreRow]:
    """A model that was scored again has the name that it has in its run."""
    names = {row.model_key: row.model for row in named}
    keys: dict[str, set[str]] = {}
    for row in unnamed:
        keys.setdefault(row.model, set()).add(row.model_key)
    for row in unnamed:
        name = names.get(row.model_key, row.model)
        if name == row.model and len(keys[name]) > 1:  # two models of one name
            name = f"{name} ({PurePath(row.file).parent})"
        yield row.model_copy(update={"model": name})


# --- finding -----------------------------------------------------------------------------------


def _find_sources(folder: Path) -> tuple[list[_Source], list[SkippedFile]]:
    sources: list[_Source] = []
    skipped: list[SkippedFile] = []
    for path in _find_files(folder):
        try:
            sources.append(_describe_source(folder, path))
        except KotError as error:
            skipped.append(_skip(folder, path, error))
    return sources, skipped


def _skip(folder: Path, path: Path, error: KotError) -> SkippedFile:
    reason = make_printable(error.found.replace(f"{path}: ", "").replace(str(path), "it"))
    file = path.relative_to(folder).as_posix()
    return SkippedFile(file=make_printable(file), reason=reason)


def _find_files(folder: Path) -> Iterator[Path]:
    """JSON files that may hold results, in order; not those of models or of other stages."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        here = Path(parent)
        if MANIFEST in files:  # a stage's folder holds one known file and no other's
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


def _describe_source(folder: Path, path: Path) -> _Source:
    here = path.parent
    manifest: Mapping[str, Any] = {}
    if (here / MANIFEST).is_file():
        manifest = read_manifest(here)
        if manifest["status"] != "done" or not path.is_file():
            raise _refuse("not finished yet: the command that writes it was interrupted")
    run = here.parents[2] if here.parent.parent.name == "evaluate" else None
    is_named_by_run = run is not None and (run / "recipe.yaml").is_file()
    if run is not None and is_named_by_run:
        name = _name_in_run(run, here.parent.name)
    else:
        name = here.relative_to(folder).as_posix() if here != folder else folder.absolute().name
    return _Source(folder, path, make_printable(name), is_named_by_run, manifest)


def _name_in_run(run: Path, who: str) -> str:
    recipe = load_recipe(str(run / "recipe.yaml"))
    if who == BASE:
        return name_model(recipe.model.name)
    name = recipe.name if run.name == recipe.name else f"{recipe.name} ({run.name})"
    return name if who == TUNED else f"{name}, {who}"


# --- reading -----------------------------------------------------------------------------------


def _read_rows(source: _Source) -> list[ScoreRow]:
    """The rows of a file of any known kind. Raises DataError saying why there are none."""
    if source.path.stat().st_size > _MAX_BYTES:
        raise _refuse(f"larger than {_MAX_BYTES >> 20} MiB")
    facts = read_json(source.path)
    if isinstance(facts, dict) and set(facts) in _OTHERS_OF_OURS:
        return []
    part = parse_results(facts, source.path)
    if isinstance(part, ChoiceResults):
        return list(_list_choices(part, source))
    if isinstance(part, ProblemResults):
        return list(_list_problems(part, source))
    if isinstance(part, ReasoningResults):
        return list(_list_reasoning(part, source))
    if not (rows := list(_list_harness(part, source))):
        raise _refuse("no figure in it")
    return rows


def _refuse(reason: str) -> DataError:
    return DataError(reason, expected="a file of results", hint="It is left out.")


def _list_choices(part: ChoiceResults, source: _Source) -> Iterator[ScoreRow]:
    named = "" if source.is_named_by_run else make_printable(part.name)
    for task, by_shots in part.results.items():
        for num_fewshot, score in by_shots.items():
            for metric in METRIC_NAMES:
                yield source.make_row(
                    model=named or source.name,
                    model_key=f"{part.model} {part.dtype}",
                    dtype=part.dtype,
                    protocol=make_printable(part.protocol.name),
                    fingerprint=part.protocol.tasks.get(task, part.protocol.fingerprint),
                    data=part.data.get(task, ""),
                    task=make_printable(task),
                    num_fewshot=num_fewshot,
                    metric=metric,
                    **dict(getattr(score, metric)),
                    interval=_name_interval(metric),
                    n=score.n,
                    effective_shots=score.effective_shots,
                    remarks=tuple(_remark(part)),
                )


def _name_interval(metric: str) -> Literal["bootstrap", "wilson"]:
    return "bootstrap" if "f1" in metric else "wilson"


def _remark(part: ChoiceResults) -> Iterator[str]:
    if part.bos is not None and part.bos.reads_badly:
        yield "reads badly without BOS"
    if part.ties.tied:
        yield f"{part.ties.tied} of {part.ties.n} questions tied"


def _list_problems(part: ProblemResults, source: _Source) -> Iterator[ScoreRow]:
    """How a model is asked may differ between models: the questions are what is common."""
    config = source.manifest.get("config") or {}
    how = hash_value([config.get(key) for key in ("template", "max_new_tokens", "at_once")])
    dtype = config.get("dtype", "")
    families = [ALL] if ALL in part.results and len(part.results) == 2 else part.results
    for family in families:
        score = part.results[family]
        yield source.make_row(
            model=source.name,
            model_key=f"{part.model} {dtype} {how}",
            dtype=dtype,
            protocol=PROBLEMS_PROTOCOL,
            fingerprint="",
            data=source.manifest.get("inputs", {}).get("problems", ""),
            task=make_printable(f"problems: {family}"),
            num_fewshot=part.num_fewshot,
            metric="acc",
            **dict(score.accuracy),
            interval="wilson",
            n=score.n,
        )


def _list_reasoning(part: ReasoningResults, source: _Source) -> Iterator[ScoreRow]:
    """How a model is made to reason may differ between models, as above."""
    asked = [part.questions, part.template, *([part.fingerprint] if part.suite else [])]
    for task, score in part.results.items():
        for way, figures in score.ways.items():
            name = f"{make_printable(part.name) or source.name}, {WAY_NAMES[way]}"
            samples = 1 if way == "direct" else part.samples
            name += f" ({samples} samples)" if samples > 1 else ""
            how = hash_value([way, samples, part.template])
            is_open = figures.macro_f1 is None and not part.suite
            for metric, estimate in (
                ("acc", figures.accuracy),
                ("macro_f1", figures.macro_f1),
                (EQUIVALENT, figures.equivalent),
            ):
                if estimate is not None:
                    yield source.make_row(
                        model=name,
                        model_key=f"{part.model} {part.dtype} {how}",
                        dtype=part.dtype,
                        protocol=REASONING_PROTOCOL,
                        fingerprint=hash_value(asked),
                        data=part.questions,
                        task=make_printable(f"problems: {task}" if is_open else task),
                        num_fewshot=part.num_fewshot,
                        metric=metric,
                        **dict(estimate),
                        interval=_name_interval(metric),
                        n=score.n,
                        way=way,
                    )


def _list_harness(part: HarnessResults, source: _Source) -> Iterator[ScoreRow]:
    model, key = part.model
    if isinstance(part, LmEvalResults) and part.kot and not part.kot.name:
        model += f" ({source.name})"  # older files may hide an adapter
    for figure in part.figures:
        yield source.make_row(
            part.date if isinstance(part, LmEvalResults) else None,
            model=model or source.name,
            model_key=key,
            dtype=part.dtype,
            data="",
            task=make_printable(figure.task.removeprefix("kobest_")),
            metric=name_metric(figure),
            value=figure.value,
            **part.describe(figure, source.path),
        )
