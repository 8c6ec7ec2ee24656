"""Conversations written back as they came: the same columns and speakers, with other texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kot_platypus.records import Dialogue, Message
from kot_platypus.row_formats import list_spoken, parse_cell, read_turn

TURNS = ("messages", "conversations")
"""The columns of turns in which a row may come and go out."""


def write_back(values: Mapping[str, Any], was: Dialogue, now: Dialogue) -> dict[str, Any]:
    """The columns of a source's row, in which ``was`` stands, with the texts of ``now``.

    Speakers, calls and answers of tools, ids and what else is there stay. A column of texts that
    repeats a turn, such as ``system`` or ``prompt``, or all turns, changes with it. A row whose
    turns stand in other columns (``history``, TRL's) goes out as ``messages`` in their place.
    """
    said = {
        before.content: after.content
        for before, after in zip(was.messages, now.messages, strict=True)
        if before.content.strip()
    }
    spoken = list_spoken()  # an id, or a label, that is what somebody says is no repetition
    texts = {
        name: said.get(value, value) if isinstance(value, str) and name in spoken else value
        for name, value in values.items()
    }
    put = {}
    for name in TURNS:
        turns, read = _read(values.get(name))
        num_beside = len(was.messages) - len(turns)  # 1: a system prompt in a column of its own
        if read and num_beside in (0, 1) and read == was.messages[num_beside:]:
            put[name] = list(map(_put, turns, now.messages[num_beside:]))
    if put:
        return {**texts, **put}
    kept = {name: value for name, value in texts.items() if name not in list_spoken(values)}
    return {**kept, "messages": [turn.model_dump() for turn in now.messages]}


def _read(cell: Any) -> tuple[Sequence[Any], tuple[Message, ...]]:
    """The turns in a cell, and what is read of them; nothing where it holds something else."""
    try:
        turns = parse_cell(cell) or ()
        return turns, tuple(Message.model_validate(read_turn(turn)) for turn in turns)
    except (TypeError, ValueError):
        return (), ()


def _put(turn: Mapping[str, Any], said: Message) -> dict[str, Any]:
    """A turn as it came, with other texts where it has any."""
    put = dict(turn)
    for name in ("value", "content"):
        if isinstance(turn.get(name), str) and said.content:
            put[name] = said.content
        elif turn.get(name) and isinstance(turn[name], list):  # in parts, all of them text
            put[name] = [{"type": "text", "text": said.content}]
    for name in ("reasoning", "reasoning_content"):
        if turn.get(name):
            put[name] = said.reasoning_content
    return put
