"""Results of other harnesses: lm-eval 0.4, and lm-eval 0.3's forks with KoBEST.

Version 0.4 writes ``results[task]["METRIC,FILTER"]`` and describes each task in ``configs``; its
prompts have a fingerprint here. Version 0.3 (EleutherAI's polyglot branch, the
ko-lm-evaluation-harness) writes ``results[task][METRIC]`` and says neither how many questions there
were nor what its prompts were, which changed while the tasks' version stayed 0: what it holds is
shown, and compared with its like only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from kot_platypus.artifacts import hash_value
from kot_platypus.results.intervals import Z95, wilson_interval
from kot_platypus.results.metrics import measure_accuracy, measure_f1
from kot_platypus.results.schema import Part
from kot_platypus.results.wording import make_printable, name_model

OLD_PROTOCOL = "lm-eval 0.3 v{version} (prompts not said)"
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

Interval = dict[str, Any]
"""``ci95`` and ``interval`` of a ``ScoreRow``, or nothing."""


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


class Figure(NamedTuple):
    """A metric of a task as a file has it."""

    task: str
    metric: str
    chosen: str
    """The filter; empty in version 0.3."""
    value: float
    stderr: float | None


class HarnessResults(Part):
    """A file with ``results``, ``versions`` and ``config`` of lm-eval 0.3."""

    results: dict[str, dict[str, Any]]
    versions: dict[str, Any] = Field(default_factory=dict)
    config: _Config

    @property
    def model(self) -> tuple[str, str]:
        """A name, and a key that only the same model with the same arguments has."""
        return _identify_model(self.config)

    @property
    def dtype(self) -> str:
        """Where the file says it."""
        return make_printable(_parse_args(self.config).get("dtype", ""))

    @property
    def figures(self) -> list[Figure]:
        """Every figure, in the file's order."""
        return list(_iter_figures(self.results))

    def describe(self, figure: Figure, path: Path) -> dict[str, Any]:
        """What is known of a figure of the file ``path``, as the fields of a ``ScoreRow``."""
        limit = self.config.limit
        n = int(limit) if limit and limit >= 1 else None  # a share of an unknown number is unknown
        return {
            "protocol": OLD_PROTOCOL.format(version=self.versions.get(figure.task, "?")),
            "fingerprint": "",
            "num_fewshot": self.config.num_fewshot,
            "higher_is_better": not _is_unbounded(figure),
            "n": n,
            **_from_stderr(figure, n),
        }


class LmEvalResults(HarnessResults):
    """What is read of ``results_*.json``; ``kot`` is what ``kot lm-eval`` adds."""

    config: _Config = _Config()
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    group_subtasks: dict[str, list[str]] = Field(default_factory=dict)
    higher_is_better: dict[str, dict[str, bool | None] | None] = Field(default_factory=dict)
    num_samples: dict[str, _Count] = Field(default_factory=dict, alias="n-samples")
    num_shots: dict[str, int | None] = Field(default_factory=dict, alias="n-shot")
    date: float | None = Field(default=None, ge=0, lt=2**32)
    lm_eval_version: str | None = None
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None
    fewshot_as_multiturn: bool | None = None
    kot: _Ours | None = None

    @property
    def model(self) -> tuple[str, str]:
        """A name, and a key that only the same model with the same arguments has."""
        if self.kot is None:
            return super().model
        name = make_printable(self.kot.name) or super().model[0]
        return name, f"{self.kot.model} {self.kot.dtype}"

    @property
    def dtype(self) -> str:
        """Where the file says it."""
        return self.kot.dtype if self.kot else super().dtype

    @property
    def protocol(self) -> str:
        """The version, which is half of what was asked."""
        return f"lm-eval {make_printable(self.lm_eval_version or '0.4')}"

    def count_shots(self, task: str) -> int | None:
        """The shots before each question of a task."""
        return self.num_shots.get(task, self.config.num_fewshot)

    def describe(self, figure: Figure, path: Path) -> dict[str, Any]:
        """What is known of a figure, with an interval from its samples where they lie there."""
        n = self._count_samples(figure.task)
        is_group = bool(self.group_subtasks.get(figure.task))
        measured = None if is_group else measure_samples(path, figure)
        said = (self.higher_is_better.get(figure.task) or {}).get(figure.metric)
        return {
            "protocol": self.protocol,
            "fingerprint": self.fingerprint_task(figure.task),
            "num_fewshot": self.count_shots(figure.task),
            "higher_is_better": not _is_unbounded(figure) if said is None else said,
            "n": n,
            **(measured or _from_stderr(figure, n)),
        }

    def _count_samples(self, task: str) -> int | None:
        """The questions of a task, or of all tasks of a group; None when one is not counted."""
        if task in self.num_samples:
            return self.num_samples[task].effective
        below = [self._count_samples(each) for each in self.group_subtasks.get(task, ())]
        return sum(n for n in below if n is not None) if below and None not in below else None

    def fingerprint_task(self, task: str) -> str:
        """A hash of all that decides what is asked; of a group: of all its tasks."""
        tasks = self.group_subtasks.get(task) or [task]
        if not all(each in self.configs or self.group_subtasks.get(each) for each in tasks):
            return ""
        prompts = {
            each: {key: _strip(self.configs[each].get(key)) for key in _PROMPT}
            if each in self.configs
            else self.fingerprint_task(each)
            for each in tasks
        }
        asked: dict[str, Any] = {
            "prompts": prompts,
            "versions": {each: self.versions.get(each) for each in tasks},
            "generation": self.config.gen_kwargs or None,  # lm-eval's command writes {} for none
            "seed": self.config.fewshot_seed,
            "chat_template": self.chat_template_sha,
            "system_instruction": self.system_instruction_sha,
            "multiturn": self.fewshot_as_multiturn if self.chat_template_sha else None,
        }
        return hash_value(asked)


def _iter_figures(results: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    for task, values in results.items():
        for key, value in values.items():
            metric, _, chosen = key.partition(",")
            if metric.endswith("_stderr") or metric in ("sample_len", "alias", "name"):
                continue
            suffix = f",{chosen}" if chosen else ""
            number, stderr = _to_float(value), _to_float(values.get(f"{metric}_stderr{suffix}"))
            if number is not None:
                yield Figure(task, metric, chosen, number, stderr)


def _to_float(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _strip(value: Any) -> Any:
    """A configuration without what differs from machine to machine: folders and addresses."""
    if isinstance(value, dict):
        return {key: _strip(each) for key, each in value.items() if key != "cache_dir"}
    if isinstance(value, list):
        return [_strip(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\b0x[0-9a-f]+", "", Path(value).name if value[:1] == "/" else value)
    return value


def _is_unbounded(figure: Figure) -> bool:
    return any(name in figure.metric for name in _UNBOUNDED)


def name_metric(figure: Figure) -> str:
    """``acc``, or ``exact_match (strict-match)``."""
    name = make_printable(figure.metric)
    return name if figure.chosen in ("", "none") else f"{name} ({make_printable(figure.chosen)})"


def _parse_args(config: _Config) -> dict[str, str]:
    args = config.model_args or {}
    if isinstance(args, str):
        pairs = (part.partition("=") for part in args.split(",") if part.strip())
        args = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: str(value) for name, value in args.items() if name not in _NOT_THE_MODEL}


def _identify_model(config: _Config) -> tuple[str, str]:
    identity = _parse_args(config)
    name = next((identity[n] for n in ("pretrained", "model", "path") if n in identity), "")
    name = name_model(name or str(config.model or "a model without a name"))
    notes = [f"{n} {name_model(identity[n])}" for n in _SHOWN if n in identity]
    shown = f"{name} ({', '.join(notes)})" if notes else name
    return make_printable(shown), hash_value([str(config.model), identity])


def _from_stderr(figure: Figure, n: int | None) -> Interval:
    if figure.stderr is None:
        return {}
    if figure.stderr == 0:  # all answers alike: no spread, which is not to say no doubt
        if n is None or figure.value not in (0, 1) or _is_unbounded(figure):
            return {}
        return {"ci95": wilson_interval(round(figure.value * n), n), "interval": "wilson"}
    reach = Z95 * figure.stderr
    return {"ci95": (figure.value - reach, figure.value + reach), "interval": "stderr"}


# --- samples -----------------------------------------------------------------------------------


def measure_samples(results: Path, figure: Figure) -> Interval | None:
    """An interval from the samples beside a results file; None where they do not give its figure.

    Right or wrong by question: Wilson's interval. Pairs of (gold, predicted), as KoBEST's F1 has
    them: a bootstrap of macro F1, for which lm-eval has no standard error.
    """
    values = [value for _, value in _read_samples(results, figure)]
    is_pair = [
        isinstance(v, list) and len(v) == 2 and all(isinstance(i, int) and i >= 0 for i in v)
        for v in values
    ]
    if not values:
        return None
    if all(is_pair):
        golds, preds = zip(*values, strict=True)
        found, interval = measure_f1(golds, preds), "bootstrap"
    elif all(value in (0, 1) for value in values):
        found, interval = measure_accuracy([1] * len(values), values), "wilson"
    else:
        return None
    is_figure = abs(found.value - figure.value) <= 1e-9
    return {"ci95": found.ci95, "interval": interval} if is_figure else None


def list_answers(
    results: Path, part: LmEvalResults, metric: str
) -> Iterator[tuple[Figure, list[tuple[str, bool]]]]:
    """Each question of a task and whether it is answered right, where its samples lie beside.

    One metric that says right or wrong for each filter of a task: ``metric`` where it has it.
    """
    tasks: dict[tuple[str, str], list[Figure]] = {}
    for figure in part.figures:
        tasks.setdefault((figure.task, figure.chosen), []).append(figure)
    for figures in tasks.values():
        figures.sort(key=lambda figure: figure.metric != metric)  # stable: else the first
        for figure in figures:
            samples = _read_samples(results, figure)
            if samples and all(value in (0, 1) for _, value in samples):
                yield figure, [(question, value == 1) for question, value in samples]
                break


def _read_samples(results: Path, figure: Figure) -> list[tuple[str, Any]]:
    """Each question and its metric; nothing when a line is damaged or lacks it."""
    stem = results.stem.removeprefix("results")  # _DATE, or nothing in kot lm-eval's
    path = results.with_name(f"samples_{figure.task}{stem}.jsonl")
    values: list[tuple[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                sample = json.loads(line)
                if sample.get("filter", figure.chosen) == figure.chosen:
                    question = f"{sample.get('doc_id')} {sample.get('doc_hash')}"
                    values.append((question, sample[figure.metric]))
    except (OSError, ValueError, KeyError, AttributeError):
        return []
    return values
