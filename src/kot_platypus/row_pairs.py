"""Rows that are pairs: two replies to one question, of which one is chosen and one rejected.

TRL's columns are ``chosen`` and ``rejected``, texts or messages, beside a ``prompt`` or another
format's question. In kot's own files the row itself is chosen, and ``rejected`` holds
what differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from kot_platypus.records import (
    Dialogue,
    Example,
    Message,
    PairedDialogue,
    PairedExample,
    Row,
)

CHOSEN, REJECTED = "chosen", "rejected"
_ANSWERS = {
    "prompt": "completion",
    "instruction": "output",
    "question": "response",
    "conversations": "conversations",
    "messages": "messages",
}
"""A format's question -> where its answer stands."""
_Values = Mapping[str, Any]


def split_pair(values: _Values) -> tuple[_Values, _Values] | None:
    """The columns of the row that is chosen and of the one that is rejected; None for no pair.

    Raises ValueError where both stand without a question.
    """
    if not isinstance(values.get(REJECTED), str | Mapping | Sequence) or not values[REJECTED]:
        return None
    rest = {name: value for name, value in values.items() if name not in (CHOSEN, REJECTED)}
    rejected = _parse(values[REJECTED])
    if not values.get(CHOSEN):
        if isinstance(rejected, Mapping) and not {"role", "from"} & rejected.keys():
            return rest, {**rest, **rejected}
        answer = next((_ANSWERS[name] for name in _ANSWERS if name in rest), None)
        if answer not in rest or answer in ("conversations", "messages"):
            return None
        return rest, {**rest, answer: rejected}
    replies = _parse(values[CHOSEN]), rejected
    if all(map(_is_whole, replies)):  # the question is in them
        kept = {name: value for name, value in rest.items() if name not in {*_ANSWERS, "source"}}
        return _both({**kept, "conversations": turns} for turns in replies)
    question = next((name for name in _ANSWERS if name in rest), None)
    if question is None:
        raise ValueError("`chosen` and `rejected` without a `prompt`")
    return _both(_answer(rest, question, reply) for reply in replies)


def join_pair(chosen: Row, rejected: Row) -> Row:
    """The chosen row with the rejected one; of both only what differs is to be learnt.

    Raises ValueError where they share no question.
    """
    if isinstance(chosen, Example) and isinstance(rejected, Example):
        return PairedExample(**dict(chosen), rejected=rejected)
    if not isinstance(chosen, Dialogue) or not isinstance(rejected, Dialogue):
        raise ValueError("a `chosen` and a `rejected` reply of two kinds")
    turns = zip(chosen.messages, rejected.messages, strict=False)
    num_shared = sum(1 for _ in takewhile(lambda each: each[0] == each[1], turns))
    # Equal replies share all turns; the last of them is not the question.
    num_shared = min(num_shared, len(chosen.messages) - 1, len(rejected.messages) - 1)
    if num_shared < 1:
        raise ValueError("`chosen` and `rejected` that begin with other turns")
    shown = [_mute(turn) for turn in chosen.messages[:num_shared]]
    one, other = (
        row.model_copy(update={"messages": (*shown, *row.messages[num_shared:])})
        for row in (chosen, rejected)
    )
    return PairedDialogue(**dict(one), rejected=other)


def _both(values: Iterable[_Values]) -> tuple[_Values, _Values]:
    chosen, rejected = values
    return chosen, rejected


def _answer(rest: _Values, question: str, reply: Any) -> _Values:
    if question in ("conversations", "messages"):
        turns = [reply] if isinstance(reply, Mapping) else reply
        if isinstance(turns, str):
            turns = [{"role": "assistant", "content": turns}]
        return {**rest, question: [*_parse(rest[question]), *turns]}
    return {**rest, _ANSWERS[question]: [reply] if isinstance(reply, Mapping) else reply}


def _is_whole(reply: Any) -> bool:
    """Whether a reply is a conversation that begins with its question."""
    if not isinstance(reply, list | tuple) or not reply or not isinstance(reply[0], Mapping):
        return False
    return reply[0].get("role", reply[0].get("from")) in ("system", "user", "human")


def _parse(value: Any) -> Any:
    """Turns as files of tables hold them, which is as JSON; any other text as it is."""
    if not isinstance(value, str) or value.lstrip()[:2] not in ("[{", '{"'):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _mute(turn: Message) -> Message:
    return turn.model_copy(update={"weight": 0}) if turn.role == "assistant" else turn
