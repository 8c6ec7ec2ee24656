"""What changed between two models, question by question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kot_platypus.artifacts import read_jsonl
from kot_platypus.records import Answer, Sample
from kot_platypus.results.run import RunResults

PROBLEMS, KOBEST = "problems", "kobest"


class Choice(NamedTuple):
    """One choice of a KoBEST question, and what a model gave it."""

    text: str
    logprob: float
    is_chosen: bool
    is_right: bool


class Attempt(NamedTuple):
    """What one model made of a question: an output and the answer read in it, or choices."""

    is_right: bool
    output: str
    stated: str | None
    choices: tuple[Choice, ...] = ()


class Pair(NamedTuple):
    """One question and two models' attempts at it."""

    task: str
    label: str
    question: str
    truth: str
    before: Attempt
    after: Attempt

    @property
    def change(self) -> str:
        """One of ``CHANGES``."""
        return _CHANGES[self.before.is_right, self.after.is_right]


_CHANGES = {
    (False, True): "repaired",
    (True, False): "broken",
    (False, False): "both wrong",
    (True, True): "both right",
}
CHANGES = tuple(_CHANGES.values())


class KobestText(NamedTuple):
    """What a KoBEST question asks, without examples, and its choices in label order."""

    context: str
    choices: tuple[str, ...]


FindTexts = Callable[[RunResults], Mapping[tuple[str, int], KobestText]]
"""The texts of a run's KoBEST questions by task and place; empty where the data is not at hand."""


def pair_answers(before: Iterable[Answer], after: Iterable[Answer]) -> list[Pair]:
    """Attempts at the same held-out problems, in the order of the test."""
    others = {(row.doc_id, row.source): row for row in after}
    return [
        Pair(a.task, f"{a.doc_id + 1}", a.source, a.target, _read_answer(a), _read_answer(b))
        for a in before
        if (b := others.get((a.doc_id, a.source))) is not None
    ]


def _read_answer(answer: Answer) -> Attempt:
    return Attempt(answer.correct, answer.output.strip(), answer.answer)


def pair_samples(
    before: Iterable[Sample],
    after: Iterable[Sample],
    texts: Mapping[tuple[str, int], KobestText],
    same_tasks: Iterable[str],
) -> list[Pair]:
    """Scores of the same KoBEST questions, of the tasks that both have from the same data."""
    others = {(row.task, row.num_fewshot, row.doc_id): row for row in after}
    tasks = set(same_tasks)
    return [
        _pair_scores(a, b, texts.get((a.task, a.doc_id)))
        for a in before
        if a.task in tasks and (b := others.get((a.task, a.num_fewshot, a.doc_id))) is not None
    ]


def _pair_scores(a: Sample, b: Sample, text: KobestText | None) -> Pair:
    names = text.choices if text else [f"({n})" for n in range(1, len(a.logprobs) + 1)]
    return Pair(
        a.task,
        f"{a.doc_id + 1} · {a.num_fewshot}-shot",
        text.context if text else "",
        names[a.gold],
        _read_scores(a, names),
        _read_scores(b, names),
    )


def _read_scores(sample: Sample, names: Sequence[str]) -> Attempt:
    choices = tuple(
        Choice(name, logprob, place == sample.pred, place == sample.gold)
        for place, (name, logprob) in enumerate(zip(names, sample.logprobs, strict=True))
    )
    return Attempt(sample.pred == sample.gold, "", None, choices)


def select_pairs(
    pairs: Iterable[Pair], *, change: str = "", task: str = "", words: str = ""
) -> list[Pair]:
    """The pairs of a kind, of a task, and with every one of ``words`` in question or outputs."""
    wanted = words.casefold().split()
    return [
        pair
        for pair in pairs
        if change in ("", pair.change)
        and task in ("", pair.task)
        and all(word in _list_texts(pair) for word in wanted)
    ]


def _list_texts(pair: Pair) -> str:
    texts = (pair.question, pair.truth, pair.before.output, pair.after.output)
    return "\n".join(texts).casefold()


class RunModel(NamedTuple):
    """A model of a run, as it was tested."""

    folder: Path
    results: RunResults
    who: str


def load_pairs(test: str, before: RunModel, after: RunModel, find_texts: FindTexts) -> list[Pair]:
    """The pairs of a test, ``PROBLEMS`` or ``KOBEST``, that two models have in common."""
    if test == PROBLEMS:
        return pair_answers(*(side.results.answers.get(side.who, ()) for side in (before, after)))
    sides = [side.results.kobest.get(side.who) for side in (before, after)]
    files = [
        side.folder / "evaluate" / side.who / "kobest" / "samples.jsonl" for side in (before, after)
    ]
    if None in sides or not all(file.is_file() for file in files):
        return []
    data = [side.data for side in sides if side is not None]
    same = [task for task in data[0] if data[0][task] == data[1].get(task)]
    rows = [read_jsonl(file, Sample) for file in files]
    return pair_samples(rows[0], rows[1], find_texts(before.results), same)
