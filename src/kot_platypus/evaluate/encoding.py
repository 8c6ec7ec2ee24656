"""From text to scored tokens: how a protocol tokenises, and what left truncation leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kot_platypus.errors import DataError
from kot_platypus.models.tokens import list_closing, list_opening
from kot_platypus.progress import print_notice
from kot_platypus.recipe_files import Section
from kot_platypus.records import Request, ScoringQuestion

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Encoding(Section):
    """How the texts of a request become tokens."""

    tokenisation: Literal["separate", "joint"]
    """``separate``: context and continuation are encoded each for itself. ``joint``: together,
    trailing spaces of the context going to the continuation."""
    special_tokens: bool | Literal["opening", "bos"]
    """Those before a context: none, what the tokenizer puts there by default (``true``,
    ``opening``), or ``bos`` whatever its default is. They are not cut away with the first shots.
    ``true`` with ``joint`` is lm-eval's to the token: cut away, and with EOS behind each text where
    the tokenizer closes texts so. A choice has none in any other case."""
    empty_context: Literal["bos", "eos"]
    """The token that stands for an empty context."""


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

    question: ScoringQuestion
    requests: tuple[EncodedRequest, ...]
    effective_shots: int

    @property
    def has_equal_requests(self) -> bool:
        """Whether several choices are the same tokens: no score can tell them apart."""
        return len({(tuple(r.ids), r.start) for r in self.requests}) < len(self.requests)


def encode_question(
    tokenizer: PreTrainedTokenizerBase,
    encoding: Encoding,
    question: ScoringQuestion,
    max_length: int,
) -> EncodedQuestion:
    """Tokenise all requests of a question and cut them from the left to ``max_length`` inputs.

    Raises:
        DataError: a continuation with no tokens, or with more than ``max_length``.
    """
    encode = _encode_separately if encoding.tokenisation == "separate" else _encode_jointly
    opening = _find_opening(tokenizer, encoding)
    requests, most_truncated = [], 0
    for request, (context, continuation) in zip(
        question.requests, encode(tokenizer, encoding, question.requests), strict=True
    ):
        where = f"{question.task} question {question.doc_id} choice {request.choice}"
        context = [*opening, *context] or [_empty_context(tokenizer, encoding)]
        cut = truncate_request(context, continuation, max_length, where, num_kept=len(opening))
        requests.append(cut)
        most_truncated = max(most_truncated, len(context) - cut.start)
    return EncodedQuestion(
        question,
        tuple(requests),
        question.num_fewshot
        if most_truncated == 0
        else _count_shots(tokenizer, encoding, question, most_truncated),
    )


def warn_of_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    """Say of a tokenizer that closes texts what lm-eval's tokens are then: faithful, and no use."""
    if list_closing(tokenizer):
        print_notice(
            "This tokenizer puts EOS behind every text, and lm-eval scores that EOS as each "
            'choice\'s end or in its place: set "add_eos_token" to false, or see polyglot-bos'
        )


def truncate_request(
    context: list[int],
    continuation: list[int],
    max_length: int,
    where: str,
    *,
    num_kept: int = 0,
) -> EncodedRequest:
    """A request cut from the left to ``max_length`` inputs.

    The cut is the harnesses': ``(context + continuation)[-(max_length + 1):]``, of which all but
    the last token are read. It depends on the continuation, so choices may begin differently. The
    first ``num_kept`` tokens of the context (BOS) stay, where there is room for one of them.

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
    kept = context[: min(num_kept, max_length + 1 - len(continuation))]
    rest = [*context[len(kept) :], *continuation]
    ids = [*kept, *rest[max(0, len(rest) + len(kept) - max_length - 1) :]]
    return EncodedRequest(ids, len(ids) - len(continuation))


def _encode_separately(
    tokenizer: PreTrainedTokenizerBase, encoding: Encoding, requests: Sequence[Request]
) -> list[tuple[list[int], list[int]]]:
    """(context ids, continuation ids) a request, each text encoded for itself.

    Special tokens are the opening's alone: one inside would part the choice from its context.
    """
    texts = list(dict.fromkeys(text for r in requests for text in (r.context, r.continuation)))
    encoded = dict(zip(texts, _encode(tokenizer, texts), strict=True))
    return [(encoded[r.context], encoded[r.continuation]) for r in requests]


def _encode_jointly(
    tokenizer: PreTrainedTokenizerBase, encoding: Encoding, requests: Sequence[Request]
) -> list[tuple[list[int], list[int]]]:
    """(context ids, continuation ids) a request, as lm-eval's ``_encode_pair`` divides them.

    The context's tokens are those it has alone, and the continuation is what follows as many
    tokens in the whole: where the seam falls inside a token of the whole, the two overlap or
    leave something out, there as here.
    """
    contexts = {r.context: r.context.rstrip() for r in requests}
    wholes = [r.context + r.continuation for r in requests]
    if "" in contexts.values():
        return [([], ids) for ids in _encode(tokenizer, wholes)]
    special = encoding.special_tokens is True
    bare = dict(zip(contexts, _encode(tokenizer, list(contexts.values()), special), strict=True))
    return [
        (bare[r.context], whole[len(bare[r.context]) :])
        for r, whole in zip(requests, _encode(tokenizer, wholes, special), strict=True)
    ]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], special_tokens: bool = False
) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=special_tokens, verbose=False)[
        "input_ids"
    ]
    return ids


def _find_opening(tokenizer: PreTrainedTokenizerBase, encoding: Encoding) -> list[int]:
    """What stands before every context and is not cut away."""
    bos = tokenizer.bos_token_id
    if encoding.special_tokens == "bos" and bos is not None:
        return [bos]
    own = "opening" if encoding.tokenisation == "joint" else True
    return list_opening(tokenizer) if encoding.special_tokens in (own, "opening") else []


def _empty_context(tokenizer: PreTrainedTokenizerBase, encoding: Encoding) -> int:
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    order = (bos, eos) if encoding.empty_context == "bos" else (eos, bos)
    token: int | None = next((token for token in order if token is not None), None)
    if token is None:
        raise DataError(
            "an empty context, and the tokenizer has neither BOS nor EOS",
            expected=f"{encoding.empty_context.upper()}, which stands for it",
            hint='Add "eos_token" to the model\'s tokenizer_config.json.',
        )
    return token


def _count_shots(
    tokenizer: PreTrainedTokenizerBase,
    encoding: Encoding,
    question: ScoringQuestion,
    num_truncated: int,
) -> int:
    """How many of the shots survive, whole, the loss of the first ``num_truncated`` tokens."""
    context = question.requests[0].context
    tokens = tokenizer(
        context,
        add_special_tokens=encoding.special_tokens is True and encoding.tokenisation == "joint",
        return_offsets_mapping=tokenizer.is_fast,
        verbose=False,
    )
    if num_truncated > len(tokens["input_ids"]):
        return 0
    if tokenizer.is_fast:
        cut_chars = tokens["offset_mapping"][num_truncated - 1][1]
    else:
        cut_chars = len(context) - len(tokenizer.decode(tokens["input_ids"][num_truncated:]))
    return sum(start >= cut_chars for start in question.shot_starts)
