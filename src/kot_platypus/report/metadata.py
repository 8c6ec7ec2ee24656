"""The card's metadata block: what the Hub reads, with every result and how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from kot_platypus.methods import METHODS
from kot_platypus.recipe import Recipe
from kot_platypus.report import sentences, tables
from kot_platypus.results import wording
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import ALL, TUNED, ChoiceResults, ChoiceScore

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LICENCES = {"gemma": "gemma", "llama-2": "llama2", "polyglot-ko": "apache-2.0"}
_METRICS = {
    "macro_f1": ("f1", "macro F1"),
    "macro_f1_norm": ("f1", "macro F1, length-normalised"),
    "acc": ("accuracy", "accuracy"),
    "acc_norm": ("accuracy", "accuracy, length-normalised"),
}


def describe_model(results: RunResults) -> Any:
    """The card's metadata block (a ``huggingface_hub.ModelCardData``)."""
    recipe = results.recipe
    datasets = dict.fromkeys(s.path for s in recipe.data.sources if s.name == "hub" and s.path)
    found = [*_list_kobest(results), *_list_problems(results)]
    return ModelCardData(
        model_name=recipe.name,
        language=["ko"],
        license=find_licence(recipe),
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=find_hub_model(recipe),
        datasets=list(datasets) or None,
        metrics=sorted({result.metric_type for result in found}) or None,
        tags=["korean", "chain-of-thought", METHODS[recipe.train.method].tag, "kot-platypus"],
        eval_results=found or None,
    )


def find_hub_model(recipe: Recipe) -> str | None:
    """The base model's Hub id, or None for a local folder."""
    name = tables.name_hub_model(recipe)
    return name if _HUB_ID.fullmatch(name) else None


def find_licence(recipe: Recipe) -> str | None:
    """The base model's licence where the name tells it; a merged model inherits it."""
    name = tables.name_hub_model(recipe).lower()
    return next((licence for part, licence in _LICENCES.items() if part in name), None)


def _list_kobest(results: RunResults) -> Iterator[Any]:
    part = results.kobest.get(TUNED)
    if part is None:
        return
    for task, by_shot in part.results.items():
        for shots, score in sorted(by_shot.items()):
            for metric in _METRICS:
                yield _kobest_result(results.recipe, part, task, shots, score, metric)


def _kobest_result(
    recipe: Recipe, part: ChoiceResults, task: str, shots: int, score: ChoiceScore, metric: str
) -> Any:
    benchmark = sentences.name_benchmark(recipe)
    metric_type, name = _METRICS[metric]
    estimate = getattr(score, metric)
    return EvalResult(
        task_type="multiple-choice",
        task_name="Korean language understanding",
        dataset_type="skt/kobest_v1" if benchmark == "KoBEST" else "local",
        dataset_name=f"{benchmark} {wording.name_task(task)} (protocol {part.protocol.name})",
        dataset_config=task,
        dataset_split="test",
        dataset_args={
            "protocol": part.protocol.name,
            "protocol_fingerprint": part.protocol.fingerprint,
            "data_sha256": part.data.get(task),
        },
        metric_type=metric_type,
        metric_name=f"{name}, {shots}-shot",
        metric_value=estimate.value,
        metric_args={
            "num_fewshot": shots,
            "n": score.n,
            "ci95": list(estimate.ci95),
            "effective_shots": score.effective_shots,
        },
    )


def _list_problems(results: RunResults) -> Iterator[Any]:
    part = results.problems.get(TUNED)
    if part is None:
        return
    families = tables.list_families([results])
    for family, score in part.results.items():
        if family not in families:
            continue  # one family alone is all of them
        yield EvalResult(
            task_type="text-generation",
            task_name="Korean reasoning",
            dataset_type="local",
            dataset_name="KoT's generated problems, held out"
            + ("" if family == ALL else f": {family}"),
            dataset_config=family,
            dataset_split="heldout",
            metric_type="exact_match",
            metric_name=f"answers right, {part.num_fewshot}-shot",
            metric_value=score.accuracy.value,
            metric_args={
                "num_fewshot": part.num_fewshot,
                "n": score.n,
                "ci95": list(score.accuracy.ci95),
                "max_new_tokens": results.recipe.reason.max_new_tokens,
                "answers_stated": score.num_parsed,
            },
        )
