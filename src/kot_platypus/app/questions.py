"""What changed between two models, question by question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kot_platypus.artifacts import read_jsonl
from kot_platypus.records import Answer, Sample
from kot_platypus.results.run import RunResults

PROBLEMS, KOBEST = "problems", "kobest"


class Pair(NamedTuple):
    """One question and what two models made of it: texts that they wrote, or scored choices."""

    task: str
    label: str
    question: str
    truth: str
    choices: Sequence[str]
    before: Answer | Sample
    after: Answer | Sample

    @property
    def change(self) -> str:
        """One of ``CHANGES``."""
        return _CHANGES[self.before.correct, self.after.correct]

    @property
    def text(self) -> str:
        """Everything to search in."""
        outputs = [side.output for side in (self.before, self.after) if isinstance(side, Answer)]
        return "\n".join([self.question, self.truth, *outputs]).casefold()


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
"""The texts of a run's KoBEST questions by task and place; empty where the data is elsewhere."""


def pair_answers(before: Iterable[Answer], after: Iterable[Answer]) -> list[Pair]:
    """Attempts at the same held-out problems, in the order of the test."""
    others = {(row.doc_id, row.source): row for row in after}
    return [
        Pair(a.task, f"{a.doc_id + 1}", a.source, a.target, (), a, b)
        for a in before
        if (b := others.get((a.doc_id, a.source))) is not None
    ]


def pair_samples(
    before: Iterable[Sample],
    after: Iterable[Sample],
    texts: Mapping[tuple[str, int], KobestText],
    same_tasks: Iterable[str],
) -> list[Pair]:
    """Scores of the same KoBEST questions, of the tasks that both have from the same data."""
    others = {(row.task, row.num_fewshot, row.doc_id): row for row in after}
    tasks = set(same_tasks)
    pairs = []
    for a in before:
        b = others.get((a.task, a.num_fewshot, a.doc_id))
        if a.task in tasks and b is not None:
            numbers = tuple(f"({n})" for n in range(1, len(a.logprobs) + 1))
            text = texts.get((a.task, a.doc_id), KobestText("", numbers))
            label = f"{a.doc_id + 1} · {a.num_fewshot}-shot"
            pairs.append(
                Pair(a.task, label, text.context, text.choices[a.gold], text.choices, a, b)
            )
    return pairs


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
        and all(word in pair.text for word in wanted)
    ]


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
