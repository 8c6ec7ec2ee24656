"""Writes small folders like those of ``kot eval``, with any predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import write_json, write_jsonl
from kot_platypus.evaluate.choices import summarise_runs
from kot_platypus.records import Sample
from kot_platypus.results.schema import dump_part

Predictions = Mapping[tuple[str, int], Sequence[int]]
"""(task, number of shots) -> the labels predicted; the gold labels are 0, 1, 0, 1, ..."""


def make_samples(preds: Predictions, **changes: Any) -> list[Sample]:
    return [
        Sample(
            **{
                "task": task,
                "num_fewshot": num_fewshot,
                "doc_id": doc_id,
                "logprobs": (0, 0),
                "gold": doc_id % 2,
                "pred": pred,
                "pred_norm": pred,
                "effective_shots": num_fewshot,
                **changes,
            }
        )
        for (task, num_fewshot), labels in preds.items()
        for doc_id, pred in enumerate(labels)
    ]


def write_evaluation(
    folder: Path,
    preds: Predictions,
    *,
    protocol: str = "polyglot",
    fingerprints: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    **changes: Any,
) -> Path:
    """Write ``samples.jsonl`` and ``results.json``. ``changes`` are to every sample's fields."""
    samples = make_samples(preds, **changes)
    tasks = {task for task, _ in preds}
    write_jsonl(folder / "samples.jsonl", samples)
    facts = {
        "model": "ab" * 32,
        "protocol": {
            "name": protocol,
            "tasks": {task: f"{protocol} {task}" for task in tasks} | dict(fingerprints or {}),
        },
        "data": {task: f"data {task}" for task in tasks} | dict(data or {}),
        "versions": {},
        "results": {
            task: {str(n): dump_part(score) for n, score in by_shots.items()}
            for task, by_shots in summarise_runs(samples).items()
        },
    }
    write_json(folder / "results.json", facts)
    return folder
