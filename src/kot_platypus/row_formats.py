"""What a row's columns mean: KoCoT's, Alpaca's, chat messages, ShareGPT's, TRL's, OpenOrca's.

Whatever a row came as, it goes on as an Example (one question) or a Dialogue. The format is a
row's, not a file's, so that one file may mix them. No turn of a dialogue is left out unsaid.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from textwrap import shorten
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, ValidationError, field_validator

from kot_platypus.errors import DataError
from kot_platypus.records import Dialogue, Example, Message, Record, Row
from kot_platypus.row_pairs import CHOSEN, REJECTED, join_pair, split_pair
from kot_platypus.tables import is_missing

UNDERSTOOD = (
    "source, target, rationale (KoCoT), instruction, input, output (Alpaca), messages, "
    "conversations (ShareGPT), prompt, completion (TRL) or question, response (OpenOrca); in pairs "
    "chosen, rejected"
)
OWN_COLUMNS = ("origin", "translation", "checks_passed", "edits")
"""What a row of a data set that ``kot data build`` made says of itself, beside its texts."""
ENGLISH = "_en"
"""``source_en`` is in such a row the English that its ``source`` was translated from."""
Notes = Counter[str]
"""What was read otherwise than it may be meant, and in how many rows."""

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "model", "assistant"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response", "function", "ipython"), "tool"),
    "system": "system",
}
"""ShareGPT's speakers, as its data sets and those who train on them name them."""
_CALL = "function_call"
_TURN = {"value": "content"}
_DIALOGUES = re.compile(r"(chat_)?history|conversations?|turns|messages|dialog(ue)?s?|chat")
_SPEAKER = re.compile(r"\s*([\[{]|(user|human|system|assistant|사용자|질문|Q)\s*:)", re.IGNORECASE)


class _Columns(Record):
    """A row in others' columns. Its system prompt and earlier turns make it a conversation."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    system: str = Field("", validation_alias=AliasChoices("system", "system_prompt"))
    task: str = ""
    type: str = ""
    tools: Any = ()

    def to_row(self) -> Row:
        """The row as it goes on."""
        raise NotImplementedError

    def _converse(self, turns: Sequence[Message]) -> Dialogue:
        own = turns[0].content if turns and turns[0].role == "system" else None
        if self.system.strip() and own is None:
            turns = [Message(role="system", content=self.system), *turns]
        elif self.system.strip() and own != self.system:
            raise ValueError("two system prompts")
        return Dialogue(messages=tuple(turns), task=self.task, type=self.type, tools=self.tools)

    def _answer(
        self, question: str, answer: str, context: str = "", history: Sequence[Message] = ()
    ) -> Row:
        """One question and its answer, which is one piece: no target stands apart."""
        if not self.system.strip() and not history:
            kind = {"task": self.task, "type": self.type}
            return Example(source=question, input=context, rationale=answer, target="", **kind)
        asked = Message(role="user", content=f"{question}\n\n{context}" if context else question)
        return self._converse([*history, asked, Message(role="assistant", content=answer)])


class _Instruction(_Columns):
    """Alpaca's columns, and the two that LLaMA-Factory adds; earlier answers are learnt too."""

    instruction: str
    output: str
    input: str = ""
    history: tuple[tuple[str, str], ...] = ()

    @field_validator("history", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return parse_cell(value)

    def to_row(self) -> Row:
        history = [
            Message(role=role, content=text)
            for pair in self.history
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        return self._answer(self.instruction, self.output, self.input, history)


class _Question(_Columns):
    """OpenOrca's columns."""

    question: str
    response: str

    def to_row(self) -> Row:
        return self._answer(self.question, self.response)


class _Completion(_Columns):
    """TRL's columns, each a text or messages. As there, nothing of the prompt is learnt."""

    prompt: str | tuple[Message, ...]
    completion: str | tuple[Message, ...]

    def to_row(self) -> Row:
        if isinstance(self.prompt, str) and isinstance(self.completion, str):
            return self._answer(self.prompt, self.completion)
        shown = [
            turn.model_copy(update={"weight": 0}) if turn.role == "assistant" else turn
            for turn in _as_messages(self.prompt, "user")
        ]
        return self._converse([*shown, *_as_messages(self.completion, "assistant")])


class _Conversation(_Columns):
    """ShareGPT's column: turns with ``from`` and ``value``, or with ``role`` and ``content``."""

    conversations: tuple[Message, ...]

    @field_validator("conversations", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        turns = parse_cell(value)
        return [read_turn(turn) for turn in turns] if isinstance(turns, list | tuple) else turns

    def to_row(self) -> Row:
        return self._converse(self.conversations)


_FORMATS: tuple[type[Record], ...] = (
    Example,
    _Instruction,
    Dialogue,
    _Conversation,
    _Completion,
    _Question,
)
_NAMED_IN_PART = (Example, _Instruction, Dialogue)
"""Formats of which a single column is enough to know that the others are missing."""


def parse_row(values: object, where: str, notes: Notes | None = None) -> Row:
    """One row from its columns. ``where`` names it in the DataError of a bad one.

    What it holds beside a conversation that is read, another or a system prompt, is counted in
    ``notes``.
    """
    if not isinstance(values, Mapping):
        raise DataError(
            f"{where} is {type(values).__name__}", expected="an object", hint="Fix that line."
        )
    try:
        if pair := split_pair(values):
            chosen, rejected = (parse_row(each, where, notes) for each in pair)
            return join_pair(chosen, rejected)
    except ValueError as error:
        raise _refuse(f"{where} has {error}") from error
    given = {name: value for name, value in values.items() if not is_missing(value)}
    record = _find_format(given)
    if record is None:
        columns = ", ".join(map(str, given)) or "(none)"
        raise DataError(
            f"{where} has the columns {shorten(columns, 200, placeholder=' ...')}",
            expected=f"the columns {UNDERSTOOD}",
            hint="Say which is which, e.g. --columns source=question,target=answer",
        )
    try:
        parsed = record.model_validate(given)
        row = parsed.to_row() if isinstance(parsed, _Columns) else parsed
    except ValidationError as error:
        first = error.errors()[0]
        null = " (it is null)" if values.get(first["loc"][0], "") is None else ""
        found = f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}{null}"
        raise _refuse(found) from error
    except ValueError as error:
        raise _refuse(f"{where} has {error}") from error
    assert isinstance(row, Row)
    _check_unread(given, record, row, where, notes)
    return row


def list_columns() -> set[str]:
    """The names of all columns that are read."""
    return {CHOSEN, REJECTED, *(name for record in _FORMATS for name in _list_read(record))}


def list_unread(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row, which is one question, that are not read into it.

    Without dialogues: what they say the question says, too, or it would have been refused.
    """
    record = _find_format({n: value for n, value in values.items() if not is_missing(value)})
    assert record is not None
    read = _list_read(record) - {"tools"}  # which a question has no use for
    return {n: v for n, v in values.items() if n not in read and not _is_dialogue(str(n), v)}


def list_spoken(values: Mapping[str, Any] | None = None) -> set[str]:
    """The columns that may hold what is said in a row: those of its format, else of all."""
    given = {n: value for n, value in (values or {}).items() if not is_missing(value)}
    record = _find_format(given) if values is not None else None
    return (_list_read(record) if record else list_columns()) - {"task", "type", "tools"}


def _refuse(found: str) -> DataError:
    return DataError(found, expected=f"the columns {UNDERSTOOD}", hint="Fix that row.")


def _find_format(given: Mapping[str, Any]) -> type[Record] | None:
    filled = frozenset(name for name, value in given.items() if value != "")
    return _choose_format(filled, frozenset(given))


@lru_cache(maxsize=1024)
def _choose_format(filled: frozenset[str], given: frozenset[str]) -> type[Record] | None:
    """The format that most of the columns with text are of, then most of all; None if none is."""
    record = max(_FORMATS, key=lambda each: (_share_found(each, filled), _share_found(each, given)))
    return record if _share_found(record, given) else None


def _share_found(record: type[Record], given: Container[str]) -> float:
    """The share of a format's necessary columns that a row has."""
    needed = _list_required(record)
    share = sum(name in given for name in needed) / len(needed)
    return share if record in _NAMED_IN_PART or share == 1 else 0


@cache
def _list_required(record: type[Record]) -> list[str]:
    return [name for name, field in record.model_fields.items() if field.is_required()]


@cache
def _list_read(record: type[Record]) -> set[str]:
    read = set(record.model_fields)
    return read | {"system_prompt"} if issubclass(record, _Columns) else read


# --- turns -------------------------------------------------------------------------------------


def parse_cell(value: Any) -> Any:
    """A list as files of tables hold it, which is as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else ()
    except ValueError as error:
        raise ValueError("text that is no list in JSON") from error


def read_turn(turn: Any) -> Any:
    """A turn of ShareGPT's as a message; anything else as it is."""
    if not isinstance(turn, Mapping) or turn.get("from") is None:  # of tables, which hold both
        return turn
    speaker = turn["from"]
    rest = {
        _TURN.get(name, name): value
        for name, value in sorted(turn.items(), key=lambda item: item[1] is not None)
        if name != "from"  # what is missing comes first, and gives way
    }
    if speaker == _CALL:
        calls = parse_cell(rest.pop("content", None))
        listed = calls if isinstance(calls, list) else [calls]
        tool_calls = [{"type": "function", "function": call} for call in listed]
        return {**rest, "role": "assistant", "tool_calls": tool_calls}
    if speaker not in _ROLES:
        raise ValueError(f"a turn from {speaker!r}; known are {', '.join(_ROLES)}, {_CALL}")
    return {**rest, "role": _ROLES[speaker]}


def _as_messages(said: str | tuple[Message, ...], role: str) -> tuple[Message, ...]:
    return (Message(role=role, content=said),) if isinstance(said, str) else said


# --- what is not read --------------------------------------------------------------------------


def _check_unread(
    given: Mapping[str, Any], record: type[Record], row: Row, where: str, notes: Notes | None
) -> None:
    """Raise DataError for a dialogue beside a question that is read without it.

    Beside a conversation it is counted, since data sets hold one in several columns. The English
    original in a data set of ``kot data build`` is there to be compared with, not to be learnt.
    """
    is_own = given.keys() >= set(OWN_COLUMNS)
    for name in given.keys() - _list_read(record):
        if is_own and str(name).endswith(ENGLISH) and name.removesuffix(ENGLISH) in given:
            continue
        value = given[name]
        if name in ("system", "system_prompt"):
            if notes is not None and str(value).strip():
                notes[f"with a `{name}` that is not read"] += 1
        elif _is_dialogue(str(name), value) and not _is_told(value, row):
            if isinstance(row, Example):
                raise DataError(
                    f"{where} has a dialogue in {name!r}, which is not read beside "
                    f"{', '.join(_list_required(record))}",
                    expected="all of it in `messages` or `conversations`, or as `history` beside "
                    "instruction and output",
                    hint=f"Rename the columns with --columns, or leave it out: --columns {name}=",
                )
            if notes is not None:
                notes[f"with another dialogue in `{name}` that is not read"] += 1


def _is_dialogue(name: str, value: Any) -> bool:
    """Whether a column holds turns, by their shape; by its name too where they are bare texts."""
    is_named = _DIALOGUES.fullmatch(name.lower()) is not None
    if isinstance(value, str):
        return is_named and _SPEAKER.match(value) is not None
    if not isinstance(value, list | tuple) or not value:
        return False
    spoken = ({"role", "content"}, {"from", "value"})
    return is_named or all(
        isinstance(turn, Mapping) and any(keys <= turn.keys() for keys in spoken) for turn in value
    )


def _is_told(value: Any, row: Row) -> bool:
    """Whether the row says all that is said in a dialogue."""
    own = row.messages if isinstance(row, Dialogue) else ()
    texts = [turn.content for turn in own] or [str(text) for _, text in row]
    return all(any(said.strip() in text for text in texts) for said in _iter_said(value))


def _iter_said(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in ("content", "value", "text"):
            yield from _iter_said(value.get(name))
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for each in value:
            yield from _iter_said(each)
