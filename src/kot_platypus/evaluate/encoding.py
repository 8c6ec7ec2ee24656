"""From text to scored tokens: how a protocol tokenises, and what left truncation leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kot_platypus.errors import DataError
from kot_platypus.evaluate.protocols import Protocol
from kot_platypus.records import Question, Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EncodedRequest:
    """One request's tokens: ``ids[:start]`` is context, ``ids[start:]`` is scored."""

    ids: list[int]
    start: int

    @property
    def inputs(self) -> list[int]:
        """What the model reads: the last token is only predicted."""
        return self.ids[:-1]


@dataclass(frozen=True)
class EncodedQuestion:
    """A question's requests in label order, and the shots that its model input holds in full."""

    question: Question
    requests: tuple[EncodedRequest, ...]
    effective_shots: int


def encode_question(
    tokenizer: PreTrainedTokenizerBase, protocol: Protocol, question: Question, max_length: int
) -> EncodedQuestion:
    """Tokenise all requests of a question and cut them from the left to ``max_length`` inputs.

    Raises:
        DataError: a continuation with no tokens, or with more than ``max_length``.
    """
    encode = _encode_separately if protocol.tokenisation == "separate" else _encode_jointly
    requests, most_cut = [], 0
    for request, (context, continuation) in zip(
        question.requests, encode(tokenizer, protocol, question.requests), strict=True
    ):
        where = f"{question.task} question {question.doc_id} choice {request.choice}"
        cut = cut_request(context, continuation, max_length, where)
        requests.append(cut)
        most_cut = max(most_cut, len(context) - cut.start)
    return EncodedQuestion(
        question,
        tuple(requests),
        question.num_fewshot
        if most_cut == 0
        else _count_shots(tokenizer, protocol, question, most_cut),
    )


def cut_request(
    context: list[int], continuation: list[int], max_length: int, where: str
) -> EncodedRequest:
    """A request cut from the left to ``max_length`` inputs.

    The cut is the harnesses': ``(context + continuation)[-(max_length + 1):]``, of which all but
    the last token are read. It depends on the continuation, so choices may begin differently.

    Raises:
        DataError: a continuation with no tokens, or with more than ``max_length``; ``where``
            names it.
    """
    if not 0 < len(continuation) <= max_length:
        raise DataError(
            f"{where} has {len(continuation)} tokens",
            expected=f"1 to {max_length}, the model's limit",
            hint="Leave this row out, or take a model with a longer context.",
        )
    ids = (context + continuation)[-(max_length + 1) :]
    return EncodedRequest(ids, len(ids) - len(continuation))


def _encode_separately(
    tokenizer: PreTrainedTokenizerBase, protocol: Protocol, requests: Sequence[Request]
) -> list[tuple[list[int], list[int]]]:
    """(context ids, continuation ids) a request, each text encoded for itself."""
    texts = list(dict.fromkeys(text for r in requests for text in (r.context, r.continuation)))
    encoded = dict(zip(texts, _encode(tokenizer, texts, protocol.special_tokens), strict=True))
    empty = [_empty_context(tokenizer, protocol)]
    return [(encoded[r.context] or empty, encoded[r.continuation]) for r in requests]


def _encode_jointly(
    tokenizer: PreTrainedTokenizerBase, protocol: Protocol, requests: Sequence[Request]
) -> list[tuple[list[int], list[int]]]:
    """(context ids, continuation ids) a request, as lm-eval's ``_encode_pair`` divides them.

    The context's tokens are those it has alone, and the continuation is what follows as many
    tokens in the whole: where the seam falls inside a token of the whole, the two overlap or
    leave something out, there as here.
    """
    contexts = {r.context: r.context.rstrip() for r in requests}
    if "" in contexts.values():
        prefix = [_empty_context(tokenizer, protocol)]
        texts = [r.context + r.continuation for r in requests]
        return [(prefix, ids) for ids in _encode(tokenizer, texts, special_tokens=False)]
    bare = dict(
        zip(
            contexts,
            _encode(tokenizer, list(contexts.values()), protocol.special_tokens),
            strict=True,
        )
    )
    wholes = _encode(
        tokenizer, [r.context + r.continuation for r in requests], protocol.special_tokens
    )
    return [
        (bare[r.context], whole[len(bare[r.context]) :])
        for r, whole in zip(requests, wholes, strict=True)
    ]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], special_tokens: bool
) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=special_tokens, verbose=False)[
        "input_ids"
    ]
    return ids


def _empty_context(tokenizer: PreTrainedTokenizerBase, protocol: Protocol) -> int:
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    token: int = bos if protocol.empty_context == "bos" and bos is not None else eos
    return token


def _count_shots(
    tokenizer: PreTrainedTokenizerBase,
    protocol: Protocol,
    question: Question,
    num_cut: int,
) -> int:
    """How many of the shots survive, whole, the loss of the first ``num_cut`` tokens."""
    context = question.requests[0].context
    encoding = tokenizer(
        context,
        add_special_tokens=protocol.special_tokens,
        return_offsets_mapping=tokenizer.is_fast,
        verbose=False,
    )
    if num_cut > len(encoding["input_ids"]):
        return 0
    if tokenizer.is_fast:
        cut_chars = encoding["offset_mapping"][num_cut - 1][1]
    else:
        cut_chars = len(context) - len(tokenizer.decode(encoding["input_ids"][num_cut:]))
    return sum(start >= cut_chars for start in question.shot_starts)
