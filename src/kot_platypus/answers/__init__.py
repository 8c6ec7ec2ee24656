"""Which final answer a reply states, and whether it is the right one.

In two senses. **Strict**: the template's answer line, word for word. **Equivalent**: the last
statement of an answer, in any of the forms that people and models use, that means the same.
Neither guesses: what is hedged, denied, doubled or still within the thoughts is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kot_platypus.answers.candidates import agree, states
from kot_platypus.answers.choices import match_stated_choice
from kot_platypus.answers.equality import are_equal
from kot_platypus.answers.sentences import strip_topic
from kot_platypus.answers.statements import find_statement, list_answers
from kot_platypus.answers.strict import (
    AnswerPattern,
    find_answer_line,
    match_choice,
    normalise_answer,
)
from kot_platypus.thoughts import split_thoughts

__all__ = [
    "AnswerPattern",
    "Reading",
    "agree",
    "are_equal",
    "find_answer_line",
    "list_answers",
    "match_choice",
    "match_stated_choice",
    "means",
    "name_choices",
    "normalise_answer",
    "read_answer",
    "says",
]


@dataclass(frozen=True)
class Reading:
    """What a reply states, in the strict sense and in the equivalent one; None: nothing."""

    thoughts: str
    strict: str | None
    stated: str | None


def read_answer(
    reply: str,
    answer_prefix: str,
    pattern: AnswerPattern | None = None,
    or_line: bool = False,
) -> Reading:
    """The answer that a reply states after its thoughts.

    Where there is a ``pattern``, what it finds is the strict one, and what is stated too unless it
    is several letters; with ``or_line`` the answer line is read where it finds nothing.
    """
    thoughts, rest = split_thoughts(reply)
    if rest is None:
        return Reading(thoughts, None, None)
    strict = pattern.find(rest) if pattern else None
    if pattern and strict and not (pattern.letters and ", " in strict):
        return Reading(thoughts, strict, strict)
    if pattern is None or (strict is None and or_line):
        strict = find_answer_line(rest, answer_prefix)
    return Reading(thoughts, strict, find_statement(rest, answer_prefix))


def name_choices(
    reading: Reading, choices: Sequence[str], marks: Sequence[str] = ()
) -> tuple[int | None, int | None]:
    """The places of the choices that a reading names word for word, and in what it means.

    ``marks`` are those that stood before the choices where the model read them.
    """
    stated = reading.stated
    literal = match_choice(reading.strict, choices, marks)
    return literal, None if stated is None else match_stated_choice(stated, choices, marks)


def says(said: str | None, target: str) -> bool:
    """Whether an answer line is ``target`` word for word."""
    return said is not None and normalise_answer(said) == normalise_answer(target)


def means(stated: str | None, target: str) -> bool:
    """Whether a statement means ``target``."""
    if stated is None:
        return False
    if are_equal(stated, target):
        return True
    bare = strip_topic(stated)
    if states(stated, target):
        return True
    return bare is not None and (are_equal(bare, target) or states(bare, target))
