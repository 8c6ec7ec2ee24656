"""The KoBEST stage: score the choices of every question, and write samples and results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import JsonlLog, Stage, write_json, write_jsonl
from kot_platypus.evaluate.metrics import summarise_samples
from kot_platypus.evaluate.protocols import Protocol, build_questions, load_protocol
from kot_platypus.evaluate.tasks import TaskData, load_task, resolve_task
from kot_platypus.models import (
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.progress import show_progress
from kot_platypus.recipe import EvaluateSection
from kot_platypus.records import Question, Request, Sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Runs = dict[tuple[str, int], list[Question]]
"""The questions of each (task, number of shots)."""
LoadModel = Callable[[], "tuple[PreTrainedModel, PreTrainedTokenizerBase]"]
_PARTIAL = "partial.jsonl"


def evaluate_choices(
    out: Path,
    model_path: Path,
    section: EvaluateSection,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    seed: int = 42,
) -> None:
    """Evaluate a model on KoBEST; write ``out/samples.jsonl`` and ``out/results.json``.

    A finished ``out`` is left alone; an interrupted one goes on after its last complete batch and
    ends with the same bytes as an uninterrupted one.

    Args:
        out: The stage's folder.
        model_path: A model folder.
        section: Which protocol, tasks, shots and data.
        adapter: A PEFT folder to put on top of the model.
        dtype: As in ModelSection; it is part of the stage's identity once resolved.
        device: As in ModelSection.
        trust_remote_code: Whether to run code that comes with the model.
        seed: Of the bootstrap intervals. What decides the questions is the protocol's own seed.

    Raises:
        KotError: anything wrong with the protocol, data, model or folder.
    """
    protocol = load_protocol(section.protocol)
    tasks = [load_task(task, section.kobest_dir) for task in _unique_tasks(section.tasks)]
    if dtype == "auto":  # only the device can tell, and asking it loads torch
        dtype = resolve_dtype(dtype, resolve_device(device))
    fingerprint = fingerprint_model(model_path, adapter)
    hashes = {data.task: data.content_hash for data in tasks}
    # Where the data lay is not part of what it is; its hash is.
    settings = section.model_dump(mode="json", exclude={"kobest_dir"})
    stage = Stage(
        out,
        "choices",
        config={**settings, "dtype": dtype, "seed": seed},
        inputs={"model": fingerprint, "protocol": protocol.fingerprint, **hashes},
    )
    if stage.begin():
        return

    def load() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        tokenizer = load_tokenizer(model_path, trust_remote_code=trust_remote_code)
        model = load_model(
            model_path,
            dtype=dtype,
            device=device,
            adapter=adapter,
            trust_remote_code=trust_remote_code,
        )
        return model, tokenizer

    runs = build_runs(protocol, tasks, section.num_fewshot, section.limit)
    samples = _score_runs(out / _PARTIAL, runs, protocol, load, section.max_batch_tokens)
    write_jsonl(out / "samples.jsonl", samples)
    about = {"name": protocol.name, "fingerprint": protocol.fingerprint}
    facts = {"model": fingerprint, "protocol": about, "data": hashes}
    write_json(out / "results.json", {**facts, "results": summarise_runs(samples, seed=seed)})
    (out / _PARTIAL).unlink()
    stage.finish()


def iter_requests(
    protocol: str,
    task: str,
    num_fewshot: int = 0,
    kobest_dir: str | None = None,
    limit: int | None = None,
) -> Iterator[Request]:
    """Every request of one task, in the order in which the original programs made them."""
    data = load_task(task, kobest_dir)
    for question in build_questions(load_protocol(protocol), data, num_fewshot, limit):
        yield from question.requests


def build_runs(
    protocol: Protocol,
    tasks: Iterable[TaskData],
    num_fewshot: Iterable[int],
    limit: int | None = None,
) -> Runs:
    """The questions of every task at every number of shots."""
    shots = tuple(dict.fromkeys(num_fewshot))
    return {
        (data.task, n): build_questions(protocol, data, n, limit) for data in tasks for n in shots
    }


def score_runs(
    runs: Runs,
    protocol: Protocol,
    load: LoadModel,
    *,
    max_batch_tokens: int,
    done: Mapping[tuple[str, int], Collection[int]] | None = None,
) -> Iterator[list[Sample]]:
    """Score all questions of all runs, batch by batch, but for batches wholly in ``done``.

    ``load`` is called when the first question needs scores, and only then.
    """
    done = done or {}
    load = cache(load)
    for key, questions in runs.items():
        finished = frozenset(done.get(key, ()))
        if finished.issuperset(range(len(questions))):
            continue
        from kot_platypus.evaluate.scoring import score_questions  # loads torch

        model, tokenizer = load()
        yield from score_questions(
            model,
            tokenizer,
            questions,
            protocol,
            max_batch_tokens=max_batch_tokens,
            done=finished,
        )


def summarise_runs(samples: Iterable[Sample], *, seed: int = 42) -> dict[str, dict[str, Any]]:
    """The metrics by task and number of shots (as text: the keys of a JSON object)."""
    groups: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.task, sample.num_fewshot), []).append(sample)
    results: dict[str, dict[str, Any]] = {}
    for (task, num_fewshot), group in groups.items():
        summary = summarise_samples(group, seed=seed)
        results.setdefault(task, {})[str(num_fewshot)] = summary
    return results


def _score_runs(
    partial: Path, runs: Runs, protocol: Protocol, load: LoadModel, max_batch_tokens: int
) -> list[Sample]:
    """All samples, sorted by task, shots and ``doc_id``; those in ``partial`` are not redone."""
    num_questions = sum(map(len, runs.values()))
    with (
        JsonlLog(partial, Sample) as log,
        show_progress("KoBEST", num_questions, "questions") as advance,
    ):
        scored = {(s.task, s.num_fewshot, s.doc_id): s for s in log.rows}
        advance(len(scored))
        done = {key: {doc for *run, doc in scored if tuple(run) == key} for key in runs}
        for batch in score_runs(runs, protocol, load, max_batch_tokens=max_batch_tokens, done=done):
            log.append(batch)
            new = {(s.task, s.num_fewshot, s.doc_id): s for s in batch}
            advance(
                len(new.keys() - scored.keys()),
                note=f"{batch[0].task}, {batch[0].num_fewshot} shots",
            )
            scored.update(new)
    return [scored[key] for key in sorted(scored)]


def _unique_tasks(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(resolve_task, names)))
