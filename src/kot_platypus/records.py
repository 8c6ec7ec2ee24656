"""The rows that stages exchange. Every one is a line of a JSONL file in the run folder."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class Record(BaseModel):
    """A row with exactly the fields of its class; unknown fields are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sparse(BaseModel):
    """A record that is written without those of its ``later`` fields that are at their default.

    A field that came later then leaves the hashes and files of records without it as they were.
    """

    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _write(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        # pydantic 2.10.0 reads what it returns in the module of each subclass, which may lack Any.
        return drop_defaults(self, write(self), self.later)


def drop_defaults(
    record: BaseModel, values: dict[str, Any], later: Container[str]
) -> dict[str, Any]:
    """The dumped ``values`` of a record without ``later`` fields that are at their default."""
    defaults = _list_defaults(type(record))
    return {
        key: value
        for key, value in values.items()
        if key not in later or getattr(record, key) != defaults[key]
    }


@cache
def _list_defaults(record: type[BaseModel]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True, validated_data={})  # pydantic 2.10's way
        for name, field in record.model_fields.items()
    }


class Example(Record):
    """One chain-of-thought example in KoCoT's columns (kyujinpy/KoCoT_2000).

    An Alpaca row is one too: its response is one piece, the ``rationale``, and ``target`` is empty;
    ``input`` is what its instruction, the ``source``, is about. Columns beside these are left
    alone: people's files have ids and notes.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    source: str
    target: str
    rationale: str = ""
    task: str = ""
    type: str = ""
    input: str = ""


class Message(Sparse, Record):
    """One turn of a dialogue, in the columns of OpenAI's and Hugging Face's chat data.

    ``role`` is what the tokenizer's chat template knows it by. An assistant's ``reasoning_content``
    (or ``reasoning``) are its thoughts; a turn of ``weight`` 0 (or ``train: false``) is not learnt.
    Content in parts is joined if all are text; images and sound are refused.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    later = ("reasoning_content", "tool_calls", "tool_call_id", "name", "weight")
    """Templates ask what is there, so what was not said is left out."""

    role: str
    content: str = ""
    reasoning_content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_call_id: str = ""
    name: str = ""
    weight: Literal[0, 1] = 1

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = {key: value for key, value in values.items() if value is not None}
        if "reasoning" in given:
            given.setdefault("reasoning_content", given["reasoning"])
        if isinstance(trained := given.get("train"), bool):
            given.setdefault("weight", int(trained))
        if isinstance(given.get("content"), list):
            given["content"] = _join_parts(given["content"])
        if isinstance(given.get("tool_calls"), str):  # as files of tables hold them
            given["tool_calls"] = json.loads(given["tool_calls"] or "[]")
        if isinstance(given.get("tool_calls"), list | tuple):
            given["tool_calls"] = [_read_call(call) for call in given["tool_calls"]]
        spoken = given.keys() & {"content", "reasoning_content", "tool_calls"}
        if not spoken and "content" not in values:
            raise ValueError("a turn without content")
        return given


def _join_parts(parts: list[Any]) -> str:
    kinds = [part.get("type") if isinstance(part, Mapping) else "text" for part in parts]
    if other := next((kind for kind in kinds if kind != "text"), None):
        raise ValueError(f"content with a part of type {other!r}; only text can be learnt")
    return "".join(part["text"] if isinstance(part, Mapping) else str(part) for part in parts)


def _read_call(call: Any) -> Any:
    """A tool call whose arguments are an object, as templates want them; OpenAI's are its JSON."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
    except ValueError as error:
        raise ValueError("tool_calls whose arguments are not JSON") from error


class Dialogue(Sparse, Record):
    """A conversation whose every assistant turn is to be learnt, but for those of weight 0."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    later = ("tools",)

    messages: tuple[Message, ...]
    task: str = ""
    type: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    """What the assistant may call, as ``apply_chat_template`` takes it."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        """Files of tables hold the tools as JSON."""
        if isinstance(values, Mapping) and isinstance(values.get("tools"), str):
            return {**values, "tools": json.loads(values["tools"] or "[]")}
        return values

    @property
    def source(self) -> str:
        """The first question."""
        return next((turn.content for turn in self.messages if turn.role == "user"), "")


Row = Example | Dialogue


class PairedExample(Example):
    """An example beside a reply to the same question that is not wanted."""

    rejected: Example


class PairedDialogue(Dialogue):
    """A conversation beside one that begins alike and goes on as it should not."""

    rejected: Dialogue


def find_rejected(row: Row) -> Row | None:
    """What stands against a row, if it is one of a pair."""
    return row.rejected if isinstance(row, PairedExample | PairedDialogue) else None


def find_question(row: Row) -> tuple[str, str]:
    """What a row asks: the same instruction about another input is another question."""
    return row.source.strip(), row.input.strip() if isinstance(row, Example) else ""


class Request(Record):
    """One (context, continuation) pair whose continuation is to be scored.

    ``doc_id`` is the question's place in the protocol's evaluation order, from 0;
    ``choice`` the choice's place in label order.
    """

    doc_id: int
    choice: int
    context: str
    continuation: str


class ScoringQuestion(Record):
    """All requests of one question.

    ``choice_chars`` are lengths without the leading space, ``shot_starts`` the places in the
    context (characters, from 0) where its shots begin.
    ``key`` is a SHA-256 of all that decides its scores but the model: the protocol for its task and
    the texts of its requests.
    """

    task: str
    num_fewshot: int
    doc_id: int
    gold: int
    requests: tuple[Request, ...]
    choice_chars: tuple[int, ...]
    shot_starts: tuple[int, ...]
    key: str


class Sample(Record):
    """The scores of one question: a line of ``samples.jsonl``.

    ``logprobs`` are summed natural-log probabilities in label order. ``effective_shots`` counts
    the shots that survive left truncation in full (the fewest over the choices).
    """

    task: str
    num_fewshot: int
    doc_id: int
    logprobs: tuple[float, ...]
    gold: int
    pred: int
    pred_norm: int
    effective_shots: int

    @property
    def correct(self) -> bool:
        """Whether the choice with the highest score is the right one."""
        return self.pred == self.gold


class Rationale(Record):
    """What the checks say of the rationale of one reply."""

    korean: float
    """The share of Hangul among its letters."""
    loops: bool
    contradicts: bool
    """Whether its last sentence says something else than the answer after it."""


class Answer(Record):
    """One generated answer: a line of ``answers.jsonl``. ``answer`` is None when unparsed.

    ``correct`` is so word for word, ``equivalent`` in what it means (None: not asked, as before);
    a ``truncated`` output was not done. ``rationale`` is None where nothing stands before the
    answer, or in files of before.
    """

    doc_id: int
    task: str
    source: str
    target: str
    output: str
    answer: str | None
    correct: bool
    equivalent: bool | None = None
    truncated: bool = False
    num_tokens: int
    rationale: Rationale | None = None


class Reply(Record):
    """One reply of a model that reasoned: a line of ``answers.jsonl`` of ``kot reason``.

    ``answer`` is what its answer line states, None when it has none; ``choice`` the choice which
    that is, None when it is none of them. ``stated`` is the answer in whatever form it was given,
    and ``stated_choice`` the choice that this means. ``logprobs`` (nats, in label order) are those
    of the choices after its rationale, where they were scored. A ``truncated`` one was not done.
    ``rationale`` is as in ``Answer``.
    """

    task: str
    doc_id: int
    sample: int
    output: str
    answer: str | None
    choice: int | None
    num_tokens: int
    logprobs: tuple[float, ...] | None = None
    stated: str | None = None
    stated_choice: int | None = None
    truncated: bool = False
    rationale: Rationale | None = None


class Judgement(Record):
    """What one way of answering came to for one question.

    ``answer`` is None when nothing was stated, ``choice`` is None then and for open questions.
    ``correct`` is so word for word, ``equivalent`` in what it means; None where choices were
    scored, or in files of before. ``num_tokens`` were generated for it, ``num_truncated`` of the
    replies were not done.
    """

    answer: str | None
    choice: int | None
    correct: bool
    num_tokens: int
    equivalent: bool | None = None
    num_truncated: int = 0


class Outcome(Record):
    """One question, answered with reasoning and without: a line of ``samples.jsonl``.

    ``cot`` is the answer stated after reasoning (by most of the samples), ``cot_scored`` the choice
    that is likeliest after it, ``direct`` the answer without. ``gold`` is the right choice's place.
    """

    task: str
    doc_id: int
    source: str
    target: str
    gold: int | None
    cot: Judgement
    cot_scored: Judgement | None
    direct: Judgement


class BosReading(Record):
    """How a model reads Korean sentences without BOS and with it, in nats a token."""

    nats_without: float
    nats_with: float
    reads_badly: bool
    """Whether it is so much worse without that scores without BOS say little of the model."""

    def describe(self, protocol: str) -> str:
        """One line for readers of scores of ``protocol``, which gives no BOS."""
        return (
            f"This model reads badly without BOS: {self.nats_without:.1f} against "
            f"{self.nats_with:.1f} nats a token; {protocol} gives none, see polyglot-bos"
        )


Severity = Literal["error", "warning"]


class Finding(Record):
    """One thing that a check found in a translation.

    ``detail`` is one line for a reader. Spans are (start, end) in characters of the source and of
    the translation, for highlighting; ``field`` is the row's field they lie in ("" for bare texts).
    An ``error`` should not be trained on unseen; a ``warning`` is worth a look and nothing more.
    """

    check: str
    severity: Severity
    detail: str
    field: str = ""
    source_spans: tuple[tuple[int, int], ...] = ()
    translation_spans: tuple[tuple[int, int], ...] = ()


class FoundInRow(Record):
    """What a check found in a row, counted from 0: a line of ``findings.jsonl``."""

    row: int
    finding: Finding


class FoundInPair(FoundInRow):
    """The same in a file of translations, with the place of its row there, as ``line 3``."""

    place: str


class PairExample(Record):
    """A finding and the texts that it lies in: a line of ``examples.jsonl`` of checked pairs.

    ``row`` counts from 0; ``place`` is where the row lies in its file, as ``line 3``.
    """

    row: int
    place: str
    finding: Finding
    english: str
    korean: str
