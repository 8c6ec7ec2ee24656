"""The shipped protocol ``lm-eval`` against lm-eval's own KoBEST tasks."""

from __future__ import annotations

import json
from pathlib import Path

import lm_eval.tasks
import pytest
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from kot_platypus.evaluate.protocols import build_questions, load_protocol
from kot_platypus.evaluate.tasks import TASKS

FOLDER = Path(lm_eval.tasks.__file__).parent / "kobest"
SEED = 1234
"""What simple_evaluate gives every task for its shots."""


@pytest.fixture(scope="module")
def load_theirs(load_real, tmp_path_factory):
    """``load_theirs(task)``: lm-eval's task with the real KoBEST, from files."""
    folder = tmp_path_factory.mktemp("kobest")
    loaded: dict[str, ConfigurableTask] = {}

    def load(task):
        if task not in loaded:
            data = load_real(task)
            files = {}
            for split, documents in (("train", data.train), ("test", data.test)):
                files[split] = str(folder / f"{task}_{split}.jsonl")
                Path(files[split]).write_text("".join(json.dumps(d) + "\n" for d in documents))
            config = load_yaml(FOLDER / f"kobest_{task}.yaml")
            config |= {
                "dataset_path": "json",
                "dataset_name": None,
                "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
                "validation_split": None,
                "metric_list": [{"metric": "acc"}],  # theirs fetches f1 from the Hub
            }
            loaded[task] = ConfigurableTask(config=config)
        return loaded[task]

    return load


def list_theirs(task, num_fewshot, limit):
    task.set_config(key="num_fewshot", value=num_fewshot)
    task.set_fewshot_seed(seed=SEED)
    task.build_all_requests(limit=limit, rank=0, world_size=1)
    return [instance.args for instance in task.instances]


def list_ours(data, num_fewshot, limit):
    questions = build_questions(load_protocol("lm-eval"), data, num_fewshot, limit)
    return [(r.context, r.continuation) for question in questions for r in question.requests]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_fewshot", [0, 1, 5])
def test_the_first_requests_are_lm_evals(task, num_fewshot, load_real, load_theirs):
    theirs = list_theirs(load_theirs(task), num_fewshot, 40)
    assert list_ours(load_real(task), num_fewshot, 40) == theirs


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_fewshot", [0, 1, 5])
def test_all_requests_are(task, num_fewshot, load_real, load_theirs):
    theirs = list_theirs(load_theirs(task), num_fewshot, None)
    assert list_ours(load_real(task), num_fewshot, None) == theirs


@pytest.mark.parametrize("task", TASKS)
def test_the_labels_are_lm_evals(task, load_real, load_theirs):
    theirs = load_theirs(task)
    documents = list(theirs.test_docs())[:40]
    golds = [theirs.doc_to_target(document) for document in documents]
    choices = [theirs.doc_to_choice(document) for document in documents]
    # A task may name the right choice or its text.
    labels = [
        int(gold) if str(gold).isdecimal() else texts.index(gold)
        for gold, texts in zip(golds, choices, strict=True)
    ]
    assert [document["label"] for document in load_real(task).test[:40]] == labels
