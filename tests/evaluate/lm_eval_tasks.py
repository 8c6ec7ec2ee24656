"""Tasks of lm-eval that need no Hub: YAML files beside the data they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from lm_eval.tasks import TaskManager

from kot_platypus.evaluate.tasks import load_task

SHOTS = {"training_split": "train", "num_fewshot": 2}
CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{premise}}",
    "doc_to_choice": "{{[alternative_1, alternative_2]}}",
    "doc_to_target": "label",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}
TASKS: dict[str, dict[str, Any]] = {
    "choice": CHOICE,
    "choice_drawn": {**CHOICE, **SHOTS},
    "choice_shared": {**CHOICE, **SHOTS, "fewshot_config": {"sampler": "first_n"}},
    "choice_blank": {**CHOICE, "doc_to_text": ""},
    "continuation": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{premise}}",
        "doc_to_target": "{{alternative_1}}",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "whole": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{alternative_2}} {{premise}} {{premise}} {{premise}} {{premise}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "answer": {
        "output_type": "generate_until",
        "doc_to_text": "{{premise}}",
        "doc_to_target": "{{alternative_1}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
        "metric_list": [{"metric": "exact_match"}],
    },
}
NUM_DOCUMENTS = 12


def write_tasks(folder: Path) -> Path:
    """A folder for ``include_path`` with every task of TASKS and the group ``own`` of two."""
    data = load_task("copa", "mini")
    files = {}
    for split, documents in (("train", data.train), ("test", data.test[:NUM_DOCUMENTS])):
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))
        files[split] = str(path)
    source = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "test_split": "test",
    }
    for name, task in TASKS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **source, **task}))
    group = {
        "group": "own",
        "task": ["choice", "choice_drawn"],
        "aggregate_metric_list": [{"metric": "acc"}],
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(group))
    return folder


def open_manager(include_path: Path) -> TaskManager:
    """These tasks alone: lm-eval's own fourteen thousand take ten seconds to index."""
    return TaskManager(include_path=include_path, include_defaults=False)
