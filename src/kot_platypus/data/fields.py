"""The texts of a training row, and where in them a place of their sum lies."""

from __future__ import annotations

from collections.abc import Mapping

from kot_platypus.records import Dialogue, Record, Row, find_rejected


class FieldSpan(Record):
    """A stretch of one of a row's fields, in characters from 0."""

    field: str
    start: int
    end: int


def list_fields(row: Row) -> dict[str, str]:
    """A row's texts by name: ``source``, ``rationale``, ... or ``messages.0``; none is empty.

    Of a pair also those that are rejected, ``rejected.rationale``, but what both have.
    """
    if isinstance(row, Dialogue):
        texts = {f"messages.{i}": turn.content for i, turn in enumerate(row.messages)}
    else:
        names = ("source", "input", "rationale", "target")
        texts = {name: getattr(row, name) for name in names}
    if (rejected := find_rejected(row)) is not None:
        others = list_fields(rejected).items()
        texts |= {f"rejected.{name}": text for name, text in others if text != texts.get(name)}
    return {name: text for name, text in texts.items() if text}


def find_question(row: Row) -> str:
    """What a row asks: its source and input, or all that is said by others than the assistant."""
    if isinstance(row, Dialogue):
        return "\n".join(turn.content for turn in row.messages if turn.role != "assistant")
    return f"{row.source}\n{row.input}" if row.input else row.source


def join_fields(fields: Mapping[str, str]) -> str:
    """All fields, a line each: a text that goes on from one to the next is found too."""
    return "\n".join(fields.values())


def locate(fields: Mapping[str, str], start: int, end: int) -> tuple[FieldSpan, ...]:
    """The stretches of single fields that ``[start, end)`` of ``join_fields(fields)`` is."""
    spans, offset = [], 0
    for name, text in fields.items():
        first, last = max(start - offset, 0), min(end - offset, len(text))
        if first < last:
            spans.append(FieldSpan(field=name, start=first, end=last))
        offset += len(text) + 1
    return tuple(spans)
