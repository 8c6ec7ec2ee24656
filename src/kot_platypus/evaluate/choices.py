"""The multiple-choice stage: score the choices of every question, write samples and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kot_platypus.artifacts import (
    describe_machine,
    hash_value,
    write_jsonl,
)
from kot_platypus.evaluate.beginnings import BOS_KEY, measure_bos, read_bos
from kot_platypus.evaluate.encoding import Encoding
from kot_platypus.evaluate.keys import FORMAT, ONE_BY_ONE_KEY
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.protocols import Protocol, build_questions, load_data, load_protocol
from kot_platypus.evaluate.store import QuestionScores, ScoreStore
from kot_platypus.evaluate.tasks import TaskData
from kot_platypus.evaluate.workload import size_texts
from kot_platypus.processes import (
    is_main_process,
    share_all,
)
from kot_platypus.progress import print_notice
from kot_platypus.recipe import EvaluateSection
from kot_platypus.records import Request, Sample, ScoringQuestion
from kot_platypus.results.metrics import count_ties, summarise_samples
from kot_platypus.results.schema import ChoiceResults, ChoiceScore, Ties, write_part
from kot_platypus.stages import Stage, open_stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from kot_platypus.evaluate.scoring import Scorer

Runs = dict[tuple[str, int], list[ScoringQuestion]]
"""The questions of each (task, number of shots)."""


def evaluate_choices(
    out: Path, model: TransformersModel, section: EvaluateSection, *, seed: int = 42
) -> None:
    """Evaluate a model on multiple-choice tasks; write ``out/samples.jsonl``, ``out/results.json``.

    Scores are kept as they come (``ScoreStore``): a finished ``out`` is left alone, an interrupted
    one goes on. Under torchrun every process calls this and does its share; the main one writes.

    Args:
        out: The stage's folder.
        model: The model under test. Its dtype and device, once resolved, decide identity.
        section: Which protocol, tasks, shots and data.
        seed: Of the bootstrap intervals. What decides the questions is the protocol's own seed.

    Raises:
        KotError: anything wrong with the protocol, data, model or folder.
    """
    share_all(None)  # several processes meet before each takes its GPU
    protocol = load_protocol(section.protocol)
    names = dict.fromkeys(map(protocol.find_task, section.tasks))
    tasks = [load_data(protocol, name, section.kobest_dir) for name in names]
    about = _describe(protocol, tasks, model)
    computed = {"dtype": model.resolved_dtype, "device": model.resolved_device}
    with _open_stage(out, section, about, **computed, seed=seed) as stage:
        if stage.is_done:
            return
        runs = build_runs(protocol, tasks, section.num_fewshot, section.limit)
        store, budget = ScoreStore(model.key), section.max_batch_tokens
        # Of a protocol without BOS it is known what the model makes of that.
        bos = protocol.special_tokens is False
        score_runs(runs, protocol, model, store, max_batch_tokens=budget, measures_bos=bos)
        if is_main_process():
            samples = make_samples(runs, store.known)
            write_jsonl(out / "samples.jsonl", samples)
            noticed = _notice(protocol, runs, store)
            facts = {
                **about,
                **computed,
                "limit": section.limit,
                **noticed,
                "versions": describe_machine(),
            }
            results = ChoiceResults(**facts, results=summarise_runs(samples, seed=seed))
            write_part(out / "results.json", results)


def _describe(
    protocol: Protocol, tasks: Sequence[TaskData], model: TransformersModel
) -> dict[str, Any]:
    """What is scored, for the stage's identity and ``results.json``."""
    prompts = {data.task: protocol.fingerprint_task(data.task) for data in tasks}
    return {
        "model": model.identity,
        "name": model.name,
        "protocol": {
            "name": protocol.name,
            "fingerprint": hash_value(prompts),
            "tasks": prompts,
        },
        "data": {data.task: data.content_hash for data in tasks},
    }


def _notice(protocol: Protocol, runs: Runs, store: ScoreStore) -> dict[str, Any]:
    """What a reader of the scores should know, for ``results.json``; said in a line each, too."""
    noticed = notice_scores(runs, store)
    if protocol.special_tokens is not False:
        return noticed
    bos = read_bos(store.known.get(BOS_KEY))
    if bos is not None and bos.reads_badly:
        print_notice(bos.describe(protocol.name))
    return {**noticed, "bos": bos}


def notice_scores(runs: Runs, store: ScoreStore) -> dict[str, Any]:
    """What results say of all scores: ties, and whether texts were read one by one.

    Exact ties and choices of the same tokens are said in a line: of a tie the first choice counts.
    """
    scores = [store.known[each.key] for questions in runs.values() for each in questions]
    tied, same = count_ties(s.logprobs for s in scores), sum(s.has_equal_requests for s in scores)
    if tied or same:
        print_notice(
            f"{tied} of {len(scores)} questions end in an exact tie, where the first of the "
            f"equals counts; in {same} several choices are the same tokens"
        )
    ties = {"ties": Ties(tied=tied, same_tokens=same, n=len(scores)).model_dump()}
    return {**ties, "one_by_one": True} if ONE_BY_ONE_KEY in store.known else ties


def _open_stage(
    out: Path, section: EvaluateSection, about: Mapping[str, Any], **settings: Any
) -> AbstractContextManager[Stage]:
    # Where the data lay, and how much went into a pass, is not part of what the scores are.
    asked = {
        "protocol": about["protocol"]["name"],
        "tasks": sorted(about["data"]),
        "num_fewshot": sorted(set(section.num_fewshot)),
        "limit": section.limit,
        "format": FORMAT,
    }
    inputs = {"model": about["model"]}
    for task, data_hash in about["data"].items():
        inputs |= {f"{task} data": data_hash, f"{task} prompt": about["protocol"]["tasks"][task]}
    return open_stage(out, "choices", config={**asked, **settings}, inputs=inputs)


def iter_requests(
    protocol: str,
    task: str,
    num_fewshot: int = 0,
    kobest_dir: str | None = None,
    limit: int | None = None,
) -> Iterator[Request]:
    """Every request of one task, in the order in which the original programs made them."""
    loaded = load_protocol(protocol)
    data = load_data(loaded, loaded.find_task(task), kobest_dir)
    for question in build_questions(loaded, data, num_fewshot, limit):
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
    encoding: Encoding,
    model: TransformersModel,
    store: ScoreStore,
    *,
    max_batch_tokens: int | None = None,
    measures_bos: bool = False,
) -> None:
    """Bring the scores of all questions into ``store``, computing those that it lacks.

    Under torchrun each process scores every n-th batch, and afterwards all know all scores. The
    model is loaded when a question needs scores, and only then.
    """

    @cache
    def load() -> Scorer:
        from kot_platypus.evaluate.scoring import Scorer  # loads torch

        scorer = Scorer(model.model, model.tokenizer, max_batch_tokens=max_batch_tokens)
        if scorer.obstacle and is_main_process():
            store.add({ONE_BY_ONE_KEY: QuestionScores(logprobs=(), effective_shots=0)})
        return scorer

    def measure(_: set[str]) -> Iterator[dict[str, QuestionScores]]:
        if is_main_process():
            yield {BOS_KEY: measure_bos(model.model, model.tokenizer, load().max_length)}

    if measures_bos:
        store.complete({BOS_KEY}, measure, title="Reading without BOS", unit="measurements")
    texts = (
        (question.key, request.context + request.continuation)
        for questions in runs.values()
        for question in questions
        for request in question.requests
    )
    sizes = size_texts(texts, 2 * (max_batch_tokens or 512))  # a token is some two characters
    store.complete(
        sizes.keys(),
        lambda missing: _score_my_batches(runs, encoding, model.tokenizer, load(), missing),
        max_batch_tokens,
        title="Scoring",
        unit="questions",
        sizes=sizes,
    )


def _score_my_batches(
    runs: Runs,
    encoding: Encoding,
    tokenizer: PreTrainedTokenizerBase,
    scorer: Scorer,
    missing: set[str],
) -> Iterator[dict[str, QuestionScores]]:
    from kot_platypus.evaluate.encoding import EncodedQuestion, encode_question, warn_of_eos

    if encoding.special_tokens is True and encoding.tokenisation == "joint":
        warn_of_eos(tokenizer)

    def iter_batches() -> Iterator[list[EncodedQuestion]]:
        for questions in runs.values():
            if not missing.isdisjoint(question.key for question in questions):
                yield from scorer.plan(
                    encode_question(tokenizer, encoding, question, scorer.max_length)
                    for question in questions
                )

    def select(item: EncodedQuestion) -> EncodedQuestion | None:
        if item.question.key not in missing:
            return None
        missing.remove(item.question.key)  # equal questions are scored once
        return item

    for batch, scores in scorer.score_my_share(iter_batches(), select):
        yield {
            item.question.key: QuestionScores(
                logprobs=tuple(score.logprob for score in choice_scores),
                effective_shots=item.effective_shots,
                has_equal_requests=item.has_equal_requests,
            )
            for item, choice_scores in zip(batch, scores, strict=True)
        }


def make_samples(runs: Runs, scores: Mapping[str, QuestionScores]) -> list[Sample]:
    """The samples of all questions, sorted by task, shots and ``doc_id``."""
    samples = [make_sample(q, scores[q.key]) for questions in runs.values() for q in questions]
    return sorted(samples, key=lambda sample: (sample.task, sample.num_fewshot, sample.doc_id))


def make_sample(question: ScoringQuestion, scores: QuestionScores) -> Sample:
    """A question's sample: what the model prefers, by sum and by sum per character."""
    per_char = np.array(scores.logprobs) / np.maximum(question.choice_chars, 1)
    return Sample(
        task=question.task,
        num_fewshot=question.num_fewshot,
        doc_id=question.doc_id,
        logprobs=scores.logprobs,
        gold=question.gold,
        pred=int(np.argmax(scores.logprobs)),  # the first of equals
        pred_norm=int(np.argmax(per_char)),
        effective_shots=scores.effective_shots,
    )


def summarise_runs(
    samples: Sequence[Sample], *, seed: int = 42
) -> dict[str, dict[int, ChoiceScore]]:
    """The metrics by task and number of shots."""
    groups: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.task, sample.num_fewshot), []).append(sample)
    results: dict[str, dict[int, ChoiceScore]] = {}
    for (task, num_fewshot), group in groups.items():
        results.setdefault(task, {})[num_fewshot] = summarise_samples(group, seed=seed)
    return results
