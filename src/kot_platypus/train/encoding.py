"""From rows to token ids: the prompt, the labels, and what is truncated."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import lru_cache
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kot_platypus.errors import DataError
from kot_platypus.models.limits import check_room
from kot_platypus.models.tokens import encode_texts, is_seam, list_opening
from kot_platypus.progress import show_progress
from kot_platypus.prompts import Template, find_stop_tokens, has_thoughts, split_turns
from kot_platypus.recipe import TrainSection
from kot_platypus.records import Dialogue, Example, Message, Row, find_rejected
from kot_platypus.train.items import Encoded, Item, Pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = list[int]
_Result = TypeVar("_Result")
_Asking = Generator[list[str], list[Ids], _Result]
"""What asks for the token ids of texts on its way to a result."""
_Work = _Asking[Encoded | None]
_TOGETHER = 256
"""Rows that are tokenised in one call."""


class Encoder(NamedTuple):
    """All that decides how rows become token ids: of the section its target and ``cutoff_len``."""

    template: Template
    section: TrainSection
    tokenizer: PreTrainedTokenizerBase


def encode_rows(
    encoder: Encoder,
    rows: Sequence[Row],
    *,
    source: object,
    numbers: Iterable[int] | None = None,
) -> list[Encoded | None]:
    """Every row, or None where nothing is left to learn.

    With the target ``shuffled_rationale`` rows exchange their rationales first. Raises DataError
    naming ``source`` and the row that the template cannot show, by its own of ``numbers``.
    """
    if encoder.section.target == "shuffled_rationale":
        rows = shuffle_rationales(rows)

    def encode(number: int, row: Row) -> _Work:
        try:
            return (yield from _encode(encoder, row))
        except DataError as error:
            found = f"{source}, row {number}: {error.found}"
            raise DataError(found, expected=error.expected, hint=error.hint) from error

    named = list(zip(numbers or count(1), rows, strict=False))
    encoded: list[Encoded | None] = []
    with show_progress("Encoding", len(named), "rows") as advance:
        for start in range(0, len(named), _TOGETHER):
            part = named[start : start + _TOGETHER]
            encoded += _do_together([encode(*each) for each in part], encoder.tokenizer)
            advance(len(part))
    return encoded


def encode_items(
    encoder: Encoder,
    rows: Sequence[Row],
    *,
    source: object,
    numbers: Iterable[int] | None = None,
    encode: Callable[..., list[Encoded | None]] = encode_rows,
) -> list[Item | None]:
    """Every row, or every pair, or None where nothing is left to learn. Raises as ``encode_rows``.

    Of a pair nothing is left where one half is dropped or both are the same tokens. ``encode`` is
    called as ``encode_rows`` is, with the rows, or with each half of the pairs.
    """
    listed = list(numbers or range(1, len(rows) + 1))
    halves = [
        encode(encoder, half, source=source, numbers=listed)
        for half in split_rows(rows, encoder.section, source=source, numbers=listed)
    ]
    if len(halves) == 1:
        return list(halves[0])
    return [
        Pair(chosen, rejected) if chosen and rejected and chosen.ids != rejected.ids else None
        for chosen, rejected in zip(*halves, strict=True)
    ]


def split_rows(
    rows: Sequence[Row], section: TrainSection, *, source: object, numbers: Sequence[int]
) -> list[list[Row]]:
    """``rows``, and of pairs those that are rejected. Raises DataError for a row without one."""
    if not section.takes_pairs:
        return [list(rows)]
    rejected = []
    for number, row in zip(numbers, rows, strict=True):
        other = find_rejected(row)
        if other is None:
            raise DataError(
                f"{source}, row {number} is no pair, which objective {section.objective} takes",
                expected="`chosen` and `rejected` beside a `prompt`, or what kot data pairs wrote",
                hint="Make pairs of it, or set train.objective=sft.",
            )
        rejected.append(other)
    return [list(rows), rejected]


def keep_encoded(encoded: Sequence[Item | None], section: TrainSection) -> list[Item]:
    """The rows that have something to learn. Raises DataError when none has."""
    kept = [item for item in encoded if item]
    if not kept:
        raise DataError(
            f"none of the {len(encoded)} rows has anything to learn with target "
            f"{section.target!r} and cutoff_len {section.cutoff_len}",
            expected="at least one",
            hint="Look at them with: kot train --preview" if encoded else "The file holds no rows.",
        )
    return kept


def describe_losses(encoded: Sequence[Item | None], what: str = "rows") -> str:
    """What training will not see of its rows (``what``), in one line; empty where it sees all.

    Above a twentieth of the rows it is a warning.
    """
    kept = [item for item in encoded if item]
    counts = {
        "dropped (nothing to learn)": len(encoded) - len(kept),
        "truncated to cutoff_len": sum(item.num_truncated > 0 for item in kept),
        "with answers that are only shown": sum(item.num_only_shown > 0 for item in kept),
    }
    found = ", ".join(f"{num:,} {how}" for how, num in counts.items() if num)
    if not found:
        return ""
    is_much = sum(counts.values()) > len(encoded) / 20
    line = f"Of {len(encoded):,} {what} {found}. To look at them: kot train --preview"
    return f"Warning: {line[0].lower()}{line[1:]}" if is_much else line


def check_fit(model: Any, encoded: Iterable[Encoded]) -> None:
    """Raise ModelError unless ``model`` (weights or not) has an embedding for all of these."""
    check_room(model, (item.ids for item in encoded), hint="Set train.cutoff_len={limit}.")


def _do_together(
    works: Sequence[_Work], tokenizer: PreTrainedTokenizerBase
) -> list[Encoded | None]:
    """The result of each; what they ask for is tokenised in one call, which is quicker."""
    results: list[Encoded | None] = [None] * len(works)
    answers: dict[int, Any] = dict.fromkeys(range(len(works)))  # none yet: a work begins
    while answers:
        asked = {}
        for number, answer in answers.items():
            try:
                asked[number] = works[number].send(answer)
            except StopIteration as stop:
                results[number] = stop.value
        ids = iter(encode_texts(tokenizer, [text for texts in asked.values() for text in texts]))
        answers = {number: list(islice(ids, len(texts))) for number, texts in asked.items()}
    return results


def _encode(encoder: Encoder, row: Row) -> _Work:
    """Encode ``prompt + rationale + answer + EOS``, or a conversation, in ``cutoff_len`` tokens.

    No token spans two of these parts. Too long an example loses the end of its rationale, never
    its answer or EOS; a rationale that is all there is to learn (``target="rationale"``, or a row
    without an answer) loses EOS with its end. None when nothing is left to learn.
    """
    if isinstance(row, Dialogue):
        return (yield from _encode_dialogue(encoder, row))
    template, section, tokenizer = encoder
    target = section.target
    rationale = "" if target == "answer" or not row.rationale.strip() else row.rationale
    answer = "" if target == "rationale" else template.render_answer(row.target)
    if not rationale and not answer:
        return None
    if template.chat:
        pieces = _frame(encoder, row, rationale, answer)
        if pieces is None:
            return None
        prompt, steps, closing, rest = yield from _encode_pieces(tokenizer, pieces)
    else:
        # A row without an answer, such as Alpaca's, is no rationale: its response is one piece.
        steps_text, after = template.frame_rationale(rationale) if row.target else (rationale, "")
        ending = after + ("\n" if rationale and answer else "") + answer
        texts = (template.render_prompt(row.source, row.input), steps_text, ending)
        prompt, steps, closing = yield from _encode_pieces(tokenizer, texts, start=True)
        closing += list_end(tokenizer)
        rest = []
    limit = section.cutoff_len
    return _fit(prompt, steps, closing, rest, limit, keep_closing=bool(answer))


def shuffle_rationales(rows: Sequence[Row]) -> list[Row]:
    """Every row with the rationale of another of its task: as many tokens, none of them reasons.

    The same for the same rows, whatever the training's seed. Rows that are alone in their task
    exchange theirs with each other.
    """
    examples = {
        place: row
        for place, row in enumerate(rows)
        if isinstance(row, Example) and row.rationale.strip() and row.target
    }
    sizes = Counter(row.task for row in examples.values())
    groups: dict[str, list[int]] = {}
    for place, row in examples.items():
        groups.setdefault(row.task if sizes[row.task] > 1 else "", []).append(place)
    shuffled = list(rows)
    for group in groups.values():
        random.Random(0).shuffle(group)
        for place, other in zip(group, [*group[1:], *group[:1]], strict=True):
            rationale = {"rationale": examples[other].rationale}
            shuffled[place] = examples[place].model_copy(update=rationale)
    return shuffled


def list_end(tokenizer: PreTrainedTokenizerBase) -> Ids:
    """EOS, which ends every training text outside of a chat; there ``split_turns`` ends turns."""
    return [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]


def _fit(
    prompt: Ids, rationale: Ids, closing: Ids, rest: Ids, cutoff_len: int, *, keep_closing: bool
) -> Encoded | None:
    """The parts in ``cutoff_len`` tokens; ``closing`` is the answer, if any, and EOS."""
    whole = len(prompt) + len(rationale) + len(closing) + len(rest)
    if whole > cutoff_len:
        rest = []
        if len(prompt) + len(rationale) + len(closing) > cutoff_len:
            closing = closing if keep_closing else []
            room = cutoff_len - len(prompt) - len(closing)
            if room < 0 or not (room or closing):
                return None
            rationale = rationale[:room]
    labels_end = len(prompt) + len(rationale) + len(closing)
    ids = (*prompt, *rationale, *closing, *rest)
    masked = frozenset(range(labels_end, len(ids)))
    return Encoded(ids, len(prompt), masked, num_truncated=whole - len(ids))


def _frame(
    encoder: Encoder, row: Example, rationale: str, answer: str
) -> tuple[str, str, str, str] | None:
    """Prompt, rationale, answer with the end of its turn, and what the chat template adds.

    In templates that think, a rationale before an answer is thoughts.
    """
    template, _, tokenizer = encoder
    thinking = template.enable_thinking
    question = Message(role="user", content=template.render_prompt(row.source, row.input))
    if rationale and answer and has_thoughts(tokenizer, thinking):
        rationale = rationale.strip()
        reply = Message(role="assistant", content=answer, reasoning_content=rationale)
    else:
        if answer:
            before, after = template.frame_rationale(rationale)
            rationale, answer = before, f"{after}\n{answer}" if before else answer
        reply = Message(role="assistant", content=(rationale + answer).strip())
    pieces = split_turns((question, reply), tokenizer, enable_thinking=thinking)
    if len(pieces) == 1:
        return None
    prompt, labels, rest = pieces
    at = 0
    if rationale:
        last = rationale.lstrip() if answer else rationale.strip()
        answer_at = labels.rindex(answer.strip()) if answer else len(labels)
        at = labels.rindex(last, 0, answer_at) + len(last)
    return prompt, labels[:at], labels[at:], rest


def _encode_dialogue(encoder: Encoder, row: Dialogue) -> _Work:
    """Every assistant turn is labels. Too long a conversation loses whole turns from its end.

    A first answer that is too long by itself loses its end, and the token that ends its turn.
    """
    template, section, tokenizer = encoder
    if not template.chat:
        raise DataError(
            f"chat messages, which the template {template.name!r} cannot show",
            expected="the template `chat`",
            hint="Set train.template=chat.",
        )
    if section.target == "answer" or not row.messages:
        return None  # as in Alpaca's rows, a response is one piece: no answer stands apart
    ids: Ids = []
    labels: Ids = []
    ends = []
    pieces = split_turns(
        row.messages, tokenizer, enable_thinking=template.enable_thinking, tools=row.tools
    )
    answers = sum(
        turn.role == "assistant" and turn.weight and bool(turn.content.strip() or turn.tool_calls)
        for turn in row.messages
    )
    for i, piece in enumerate((yield from _encode_pieces(tokenizer, pieces))):
        if i % 2:
            labels += range(len(ids), len(ids) + len(piece))
            ends.append(len(ids) + len(piece))
        ids += piece
    stop = len(ids)
    if stop > (limit := section.cutoff_len):
        stop = max((end for end in ends if end <= limit), default=limit)
    labels = [position for position in labels if position < stop]
    if not labels:
        return None
    masked = frozenset(range(labels[0], stop)).difference(labels)
    return Encoded(
        tuple(ids[:stop]),
        labels[0],
        masked,
        num_truncated=len(ids) - stop,
        num_only_shown=answers - len(ends),
    )


def _encode_pieces(
    tokenizer: PreTrainedTokenizerBase, pieces: Sequence[str], *, start: bool = False
) -> _Asking[list[Ids]]:
    """Token ids of each piece: those of the joint text, unless a token would span two pieces.

    Then the later piece is tokenised apart. (Always doing that would put a space before every
    piece with the tokenizers of Llama 2, which begin each text with one.) At the ``start`` stands
    the tokenizer's own BOS, if it adds one. What stands before the token that ends a turn is not
    tokenised again for what stands behind it.
    """
    ends = {} if len(pieces) < 4 else _list_turn_ends(tokenizer, tokenizer.chat_template)
    texts, known = [], list[Ids]()
    text = ""
    for piece in pieces:
        end = next((end for end in ends if text.endswith(end)), None)
        known.append([ends[end]] if end else [])
        text = (end or text) + piece
        texts.append(text)
    joints = yield texts
    encoded: list[Ids | None] = []
    before: Ids = []
    for joint, opening in zip(joints, known, strict=True):
        before = opening or before
        encoded.append(joint[len(before) :] if joint[: len(before)] == before else None)
        before = joint
    spanning = [piece for piece, ids in zip(pieces, encoded, strict=True) if ids is None]
    apart = iter((yield spanning) if spanning else [])
    found = [next(apart) if ids is None else ids for ids in encoded]
    if start:
        found[0] = [*list_opening(tokenizer), *found[0]]
    return found


@lru_cache(maxsize=1)
def _list_turn_ends(tokenizer: PreTrainedTokenizerBase, _chat_template: object) -> dict[str, int]:
    """The tokens that end a turn and behind which a text begins anew, and their ids."""
    ids = [id_ for id_ in find_stop_tokens(tokenizer) if is_seam(tokenizer, id_)]
    return {str(tokenizer.convert_ids_to_tokens(id_)): id_ for id_ in ids}
