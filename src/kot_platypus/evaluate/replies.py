"""A reply read: what it states, whether that is right, and what most of several replies state."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeVar

from kot_platypus.answers import (
    AnswerPattern,
    Reading,
    agree,
    means,
    name_choices,
    normalise_answer,
    read_answer,
    says,
)
from kot_platypus.checks.rationales import examine_rationale
from kot_platypus.evaluate.prompting import Question, find_rationale
from kot_platypus.evaluate.texts import Generated
from kot_platypus.prompts import Template
from kot_platypus.records import Outcome, Reply

T = TypeVar("T")
_NEITHER = (None, None)


def read_reply(
    question: Question,
    sample: int,
    text: Generated,
    template: Template,
    pattern: AnswerPattern | None = None,
    or_line: bool = False,
) -> Reply:
    """What a reply states, and what its rationale is worth; the last two as in ``read_answer``."""
    reading = read_answer(text.text, template.answer_prefix, pattern=pattern, or_line=or_line)
    choices, stated = question.choices, reading.stated
    choice, stated_choice = _name_choices(reading, question)
    place = stated_choice if choice is None else choice
    return Reply(
        task=question.task,
        doc_id=question.doc_id,
        sample=sample,
        output=text.text,
        answer=reading.strict,
        choice=choice,
        num_tokens=text.num_tokens,
        stated=stated,
        stated_choice=stated_choice,
        truncated=text.truncated,
        rationale=examine_rationale(
            find_rationale(text.text, template, pattern),
            (None if place is None else choices[place]) if choices else reading.strict or stated,
            [other for i, other in enumerate(choices) if i != place],
        ),
    )


def _name_choices(reading: Reading, question: Question) -> tuple[int | None, int | None]:
    """The choice that is named word for word, and the one that is meant.

    Where labels were asked for, a label comes before a text that looks like one.
    """
    if not question.choices:
        return _NEITHER
    named = name_choices(reading, question.choices, question.marks)
    if not question.labels_asked:
        return named
    labels = name_choices(reading, question.marks, question.marks)
    literal, meant = (
        text if label is None else label for label, text in zip(labels, named, strict=True)
    )
    return literal, meant


def is_right(asked: Question | Outcome, reply: Reply) -> bool:
    """Whether a reply states the right answer word for word."""
    if asked.gold is not None:
        return reply.choice == asked.gold
    return says(reply.answer, asked.target)


def means_right(asked: Question | Outcome, reply: Reply) -> bool:
    """Whether what a reply states means the right answer."""
    if asked.gold is not None:
        return reply.stated_choice == asked.gold
    return means(reply.stated, asked.target)


def elect_answer(question: Question, replies: Sequence[Reply]) -> Reply | None:
    """The first reply with the answer that most state. None when none states one.

    What states nothing, or none of the choices, has no vote; of equals the earliest wins.
    """
    if question.choices:
        return _elect(replies, lambda reply: reply.choice)
    return _elect(replies, lambda reply: reply.answer and normalise_answer(reply.answer))


def elect_meaning(question: Question, replies: Sequence[Reply]) -> Reply | None:
    """The same, where answers that mean the same are the same."""
    if question.choices:
        return _elect(replies, lambda reply: reply.stated_choice)
    return _elect(replies, lambda reply: reply.stated, agree)


def _elect(
    replies: Sequence[Reply],
    read: Callable[[Reply], T | None],
    is_same: Callable[[T, T], bool] = operator.eq,
) -> Reply | None:
    votes: list[tuple[T, list[Reply]]] = []
    for reply in replies:
        said = read(reply)
        if said is None:
            continue
        for first, supporters in votes:
            if is_same(first, said):
                supporters.append(reply)
                break
        else:
            votes.append((said, [reply]))
    return max((supporters for _, supporters in votes), key=len)[0] if votes else None
