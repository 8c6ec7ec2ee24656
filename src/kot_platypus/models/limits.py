"""What a loaded model can take: tokens, positions, its longest text, its memory, its numbers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from kot_platypus.errors import ModelError
from kot_platypus.models.parts import find_decoder
from kot_platypus.models.rows import find_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CANNOT = (
    TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError, AssertionError
)  # fmt: skip
"""What a model raises that was not made for what is asked of it."""
_LENGTHS = (
    # The first three as in the harnesses, so that what they cut is cut here.
    "n_ctx", "n_positions", "max_position_embeddings", "max_seq_len", "max_seq_length",
    "max_sequence_length", "seq_length", "context_length", "ctx_len", "model_max_length",
)  # fmt: skip
"""What configs call the longest text."""
_DEFAULT_LENGTH = 2048
"""lm-eval's, for models that state none."""
_TABLES = ("wpe", "position_embeddings", "embed_positions")
"""What models call their table of positions, if it is not as long as their config says."""


def find_max_length(model: Any, tokenizer: PreTrainedTokenizerBase | None = None) -> int:
    """The most tokens the model reads at once.

    Its config says so, else its tokenizer, else it is 2,048 as in lm-eval: recurrent models have
    no limit. A learnt table of positions has as many rows as it has, whatever else is stated.
    """
    config = model.config.get_text_config()
    stated = [getattr(config, name, None) for name in _LENGTHS]
    if tokenizer is not None:
        stated.append(tokenizer.model_max_length)
    # transformers has a huge number for a tokenizer that states none.
    sane = (int(n) for n in stated if type(n) is int and 0 < n < 10**9)
    length = next(sane, _DEFAULT_LENGTH)
    return min(length, find_learnt_positions(model) or length)


def choose_pass_tokens(model: Any) -> int:
    """Tokens of one scoring pass: ``bench/pass_sizes.py`` says which; a GPU's is a guess."""
    # On a CPU the same in float32 and in bfloat16 (docs/benchmarks.md).
    return 1024 if model.device.type == "cpu" else 4096


def find_learnt_positions(model: Any) -> int | None:
    """How many positions a model (weights or not) has a row for; None where it has no such table.

    Beyond it lies an IndexError, and on a GPU the end of the process.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    found = []
    for name, module in find_decoder(model).named_modules():
        if isinstance(module, torch.nn.Embedding) and module is not find_table(model):
            # The first rows are no positions with OPT (by its offset) and RoBERTa (by its padding).
            padding = module.padding_idx
            first = getattr(module, "offset", 0) if padding is None else padding + 1
            rows = module.num_embeddings - int(first)
            if name.rpartition(".")[2] in _TABLES or rows == limit:
                found.append(rows)
    return min(found, default=None)


def check_room(
    model: Any, texts: Iterable[Sequence[int]], *, hint: str, num_unread: int = 0
) -> None:
    """Raise ModelError for tokens or positions that a model (weights or not) has no embedding of.

    On the CPU it would be an IndexError, and a GPU would be lost to the whole process. A text's
    last ``num_unread`` tokens are only predicted. ``hint`` is for texts that are too long, with
    ``{limit}`` for their most tokens.
    """
    kind, num_tokens = model.config.model_type, find_table(model).num_embeddings
    limit = find_learnt_positions(model)
    for ids in texts:
        if max(ids, default=0) >= num_tokens:
            raise ModelError(
                f"token {max(ids)} for a {kind} of {num_tokens} embeddings",
                expected="a tokenizer that fits the model",
                hint="Use the tokenizer that the model came with, or the adapter that resized it.",
            )
        length = len(ids) - num_unread
        if limit is not None and length > limit:
            raise ModelError(
                f"a text of {length} tokens for a {kind} of {limit} positions",
                expected="a text that fits into its table of positions",
                hint=hint.format(limit=limit),
            )


def draw_tokens(model: Any, count: int, seed: int) -> list[int]:
    """Ordinary tokens, at random: none that the config names (images, padding)."""
    config = model.config.get_text_config()
    named: set[Any] = {
        value
        for each in (config, model.config)
        for name, value in vars(each).items()
        if name.endswith(("_token_id", "_token_index")) and isinstance(value, int)
    }
    draws, vocab_size = random.Random(seed), config.vocab_size
    tokens: list[int] = []
    while len(tokens) < count:
        token = draws.randrange(min(5, vocab_size - 1), vocab_size)
        if token not in named or vocab_size < 2 * len(named):
            tokens.append(token)
    return tokens


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's memory did not suffice."""
    signs = ("out of memory", "can't allocate memory", "not enough memory")  # MPS and CPU
    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in signs)


def infinite_error(
    what: str,
    dtype: torch.dtype | str,
    *,
    advice: str = "Check the model's weights",
    setting: str = "--dtype ",
) -> ModelError:
    """The error for numbers that overflow a dtype, or weights that are none."""
    name = str(dtype).removeprefix("torch.")
    wider = {"float16": ("bfloat16", "float32"), "bfloat16": ("float32",)}.get(name, ())
    others = " or ".join(setting + other for other in wider)
    return ModelError(
        f"{what} not finite in {name}",
        expected="numbers that the dtype can hold",
        hint=f"{advice}, or use {others}." if others else f"{advice}.",
    )
