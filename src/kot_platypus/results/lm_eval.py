"""Results of other harnesses: lm-eval 0.4, and lm-eval 0.3's forks with KoBEST.

Version 0.4 writes ``results[task]["METRIC,FILTER"]`` and describes each task in ``configs``; its
prompts have a fingerprint here. Version 0.3 (EleutherAI's polyglot branch, the
ko-lm-evaluation-harness) writes ``results[task][METRIC]`` and says nothing of its prompts, which
changed while the tasks' version stayed 0: what it holds is shown, and compared with its like only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from kot_platypus.artifacts import hash_value
from kot_platypus.errors import DataError
from kot_platypus.records import PastScore
from kot_platypus.results.collect import Part, Source, parse_part
from kot_platypus.results.wording import format_date, make_printable, name_model

OLD_PROTOCOL = "lm-eval 0.3 v{version} (prompts not said)"
Z95 = 1.959963984540054
_PROMPT = (
    "dataset_path", "dataset_name", "dataset_kwargs", "test_split", "validation_split",
    "training_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target",
    "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter", "fewshot_config",
    "output_type", "generation_kwargs", "gen_prefix", "filter_list", "repeats",
)  # fmt: skip
"""What of a task's configuration decides a score."""
_NOT_THE_MODEL = (
    "device", "batch_size", "max_batch_size", "use_accelerate", "parallelize", "trust_remote_code",
    "token", "api_key", "base_url", "num_concurrent", "max_retries", "device_map_option",
)  # fmt: skip
_SHOWN = ("peft", "delta", "revision", "dtype", "load_in_8bit", "load_in_4bit", "max_length")
_UNBOUNDED = ("perplexity", "bits_per_byte", "brier", "mse", "ter", "edit_distance")
"""Parts of names of metrics of which less is better, where a file does not say."""

Interval = tuple[tuple[float, float], Literal["wilson", "bootstrap", "stderr"]]


class _Config(Part):
    model: Any = None
    model_args: dict[str, Any] | str | None = None
    num_fewshot: int | None = None
    limit: float | None = None
    gen_kwargs: Any = None
    fewshot_seed: Any = None


class _Count(Part):
    effective: int


class _Ours(Part):
    model: str
    name: str = ""
    dtype: str = ""


class _LmEval(Part):
    """What is read of ``results_*.json``; ``kot`` is what ``kot lm-eval`` adds."""

    results: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    versions: dict[str, Any] = Field(default_factory=dict)
    group_subtasks: dict[str, list[str]] = Field(default_factory=dict)
    higher_is_better: dict[str, dict[str, bool | None] | None] = Field(default_factory=dict)
    num_samples: dict[str, _Count] = Field(default_factory=dict, alias="n-samples")
    num_shots: dict[str, int | None] = Field(default_factory=dict, alias="n-shot")
    config: _Config = _Config()
    date: float | None = Field(default=None, ge=0, lt=2**32)
    lm_eval_version: str | None = None
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None
    fewshot_as_multiturn: bool | None = None
    kot: _Ours | None = None


class _OldHarness(Part):
    results: dict[str, dict[str, Any]]
    versions: dict[str, Any] = Field(default_factory=dict)
    config: _Config


class _Figure(NamedTuple):
    """A metric of a task as a file has it."""

    task: str
    metric: str
    chosen: str
    """The filter; empty in version 0.3."""
    value: float
    stderr: float | None


# --- lm-eval 0.4 -------------------------------------------------------------------------------


def read_lm_eval(facts: Mapping[str, Any], source: Source) -> list[PastScore]:
    """The scores of a ``results_*.json``, with intervals from its samples where they lie there.

    Raises DataError when it is none, or holds no figure.
    """
    part = parse_part(_LmEval, facts)
    model, key = _identify_model(part.config)
    if part.kot is not None:
        named = part.kot.name or f"{model} ({source.name})"  # older files may hide an adapter
        model, key = make_printable(named), f"{part.kot.model} {part.kot.dtype}"
    place = source.place
    if part.date is not None:
        made = format_date(datetime.fromtimestamp(part.date, UTC))
        place |= {"date": made, "is_file_date": False}
    scores = []
    for figure in _list_figures(part.results):
        is_group = bool(part.group_subtasks.get(figure.task))
        n = _count_samples(part, figure.task)
        measured = None if is_group else measure_samples(source.path, figure)
        n = n if n is not None or is_group else infer_count(figure)
        ci95, interval = measured or _from_stderr(figure, n) or (None, None)
        scores.append(
            PastScore(
                **place,
                model=model,
                model_key=key,
                protocol=f"lm-eval {make_printable(part.lm_eval_version or '0.4')}",
                fingerprint=_fingerprint_task(part, figure.task),
                data="",
                task=_name_task(figure.task),
                num_fewshot=part.num_shots.get(figure.task, part.config.num_fewshot),
                metric=_name_metric(figure),
                higher_is_better=_is_higher_better(part, figure),
                value=figure.value,
                ci95=ci95,
                interval=interval,
                n=n,
            )
        )
    return _require_some(scores)


def _list_figures(results: Mapping[str, Mapping[str, Any]]) -> list[_Figure]:
    figures = []
    for task, values in results.items():
        for key, value in values.items():
            metric, _, chosen = key.partition(",")
            if metric.endswith("_stderr") or metric in ("sample_len", "alias", "name"):
                continue
            suffix = f",{chosen}" if chosen else ""
            number, stderr = _to_float(value), _to_float(values.get(f"{metric}_stderr{suffix}"))
            if number is not None:
                figures.append(_Figure(task, metric, chosen, number, stderr))
    return figures


def _to_float(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _count_samples(part: _LmEval, task: str) -> int | None:
    """The questions of a task, or of all tasks of a group; None when one is not counted."""
    if task in part.num_samples:
        return part.num_samples[task].effective
    below = [_count_samples(part, each) for each in part.group_subtasks.get(task, ())]
    return sum(n for n in below if n is not None) if below and None not in below else None


def _fingerprint_task(part: _LmEval, task: str) -> str:
    """A hash of all that decides what is asked; of a group: of all its tasks."""
    tasks = part.group_subtasks.get(task) or [task]
    if not all(each in part.configs or part.group_subtasks.get(each) for each in tasks):
        return ""
    prompts = {
        each: {key: _strip(part.configs[each].get(key)) for key in _PROMPT}
        if each in part.configs
        else _fingerprint_task(part, each)
        for each in tasks
    }
    asked: dict[str, Any] = {
        "prompts": prompts,
        "versions": {each: part.versions.get(each) for each in tasks},
        "generation": part.config.gen_kwargs or None,  # lm-eval's command writes {} for none
        "seed": part.config.fewshot_seed,
        "chat_template": part.chat_template_sha,
        "system_instruction": part.system_instruction_sha,
        "multiturn": part.fewshot_as_multiturn if part.chat_template_sha else None,
    }
    return hash_value(asked)


def _strip(value: Any) -> Any:
    """A configuration without what differs from machine to machine: folders and addresses."""
    if isinstance(value, dict):
        return {key: _strip(each) for key, each in value.items() if key != "cache_dir"}
    if isinstance(value, list):
        return [_strip(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\b0x[0-9a-f]+", "", Path(value).name if value[:1] == "/" else value)
    return value


def _is_higher_better(part: _LmEval, figure: _Figure) -> bool:
    said = (part.higher_is_better.get(figure.task) or {}).get(figure.metric)
    return not any(name in figure.metric for name in _UNBOUNDED) if said is None else said


def _name_metric(figure: _Figure) -> str:
    name = make_printable(figure.metric)
    return name if figure.chosen in ("", "none") else f"{name} ({make_printable(figure.chosen)})"


def _name_task(task: str) -> str:
    return make_printable(task.removeprefix("kobest_"))


# --- lm-eval 0.3 and its forks -----------------------------------------------------------------


def read_old_harness(facts: Mapping[str, Any], source: Source) -> list[PastScore]:
    """The scores of a file with ``results``, ``versions`` and ``config`` of lm-eval 0.3.

    It does not say how many questions there were: where accuracy has a standard error, the two
    give their number exactly. Raises DataError when it is no such file, or holds no figure.
    """
    part = parse_part(_OldHarness, facts)
    model, key = _identify_model(part.config)
    figures = _list_figures(part.results)
    counts = {each.task: n for each in figures if (n := infer_count(each)) is not None}
    scores = []
    for figure in figures:
        version = part.versions.get(figure.task, "?")
        n = counts.get(figure.task, _count_limit(part.config.limit))
        ci95, interval = _from_stderr(figure, n) or (None, None)
        scores.append(
            PastScore(
                **source.place,
                model=model,
                model_key=key,
                protocol=make_printable(OLD_PROTOCOL.format(version=version)),
                fingerprint="",
                data="",
                task=_name_task(figure.task),
                num_fewshot=part.config.num_fewshot,
                metric=make_printable(figure.metric),
                higher_is_better=not any(name in figure.metric for name in _UNBOUNDED),
                value=figure.value,
                ci95=ci95,
                interval=interval,
                n=n,
            )
        )
    return _require_some(scores)


def infer_count(figure: _Figure) -> int | None:
    """The number of questions behind an accuracy and its standard error.

    Both harnesses print sqrt(p (1 - p) / (n - 1)). None unless that gives a whole number of
    questions, and of right answers.
    """
    p, stderr = figure.value, figure.stderr
    if not figure.metric.startswith("acc") or not stderr or not 0 < p < 1:
        return None
    n = p * (1 - p) / stderr**2 + 1
    whole = round(n)
    is_exact = abs(n - whole) < 1e-4 and abs(p * whole - round(p * whole)) < 1e-4
    return whole if is_exact else None


def _count_limit(limit: float | None) -> int | None:
    """How many questions a limit leaves; a share of an unknown number is unknown."""
    return int(limit) if limit is not None and limit >= 1 else None


# --- both --------------------------------------------------------------------------------------


def _identify_model(config: _Config) -> tuple[str, str]:
    """A model's name, and a key that only the same model with the same arguments has."""
    args = config.model_args or {}
    if isinstance(args, str):
        pairs = (part.partition("=") for part in args.split(",") if part.strip())
        args = {name.strip(): value.strip() for name, _, value in pairs}
    identity = {name: str(v) for name, v in args.items() if name not in _NOT_THE_MODEL}
    name = next((identity[n] for n in ("pretrained", "model", "path") if n in identity), "")
    name = name_model(name or str(config.model or "a model without a name"))
    notes = [f"{n} {name_model(identity[n])}" for n in _SHOWN if n in identity]
    shown = f"{name} ({', '.join(notes)})" if notes else name
    return make_printable(shown), hash_value([str(config.model), identity])


def _from_stderr(figure: _Figure, n: int | None) -> Interval | None:
    if figure.stderr is None:
        return None
    if figure.stderr == 0:  # all answers alike: no spread, which is not to say no doubt
        if n is None or figure.value not in (0, 1) or any(m in figure.metric for m in _UNBOUNDED):
            return None
        from kot_platypus.results.metrics import wilson_interval

        return wilson_interval(round(figure.value * n), n), "wilson"
    reach = Z95 * figure.stderr
    return (figure.value - reach, figure.value + reach), "stderr"


def _require_some(scores: list[PastScore]) -> list[PastScore]:
    if not scores:
        raise DataError("no figure in it", expected="some", hint="It is left out.")
    return scores


# --- samples -----------------------------------------------------------------------------------


def measure_samples(results: Path, figure: _Figure) -> Interval | None:
    """An interval from the samples beside a results file; None where they do not give its figure.

    Right or wrong by question: Wilson's interval. Pairs of (gold, predicted), as KoBEST's F1 has
    them: a bootstrap of macro F1, for which lm-eval has no standard error.
    """
    stem = results.stem.removeprefix("results")  # _DATE, or nothing in kot lm-eval's
    path = results.with_name(f"samples_{figure.task}{stem}.jsonl")
    values = _read_samples(path, figure) if path.is_file() else []
    if not values:
        return None

    from kot_platypus.results.metrics import measure_accuracy, measure_f1

    is_pair = [
        isinstance(v, list) and len(v) == 2 and all(isinstance(i, int) and i >= 0 for i in v)
        for v in values
    ]
    interval: Literal["wilson", "bootstrap"]
    if all(is_pair):
        golds, preds = zip(*values, strict=True)
        found, interval = measure_f1(golds, preds), "bootstrap"
    elif all(value in (0, 1) for value in values):
        found, interval = measure_accuracy([1] * len(values), values), "wilson"
    else:
        return None
    return None if abs(found.value - figure.value) > 1e-9 else (found.ci95, interval)


def _read_samples(path: Path, figure: _Figure) -> list[Any]:
    """The metric of each question; nothing when a line is damaged or lacks it."""
    values = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                sample = json.loads(line)
                if sample.get("filter", figure.chosen) == figure.chosen:
                    values.append(sample[figure.metric])
    except (ValueError, KeyError, AttributeError):
        return []
    return values
