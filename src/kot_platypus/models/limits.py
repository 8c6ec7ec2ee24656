"""What a loaded model can take: its longest text, its table of positions, how it says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

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


def find_learnt_positions(model: Any) -> int | None:
    """How many positions a model (weights or not) has a row for; None where it has no such table.

    Beyond it lies an IndexError, and on a GPU the end of the process.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    found = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and module is not model.get_input_embeddings():
            # The first rows are no positions with OPT (by its offset) and RoBERTa (by its padding).
            padding = module.padding_idx
            first = getattr(module, "offset", 0) if padding is None else padding + 1
            rows = module.num_embeddings - int(first)
            if name.rpartition(".")[2] in _TABLES or rows == limit:
                found.append(rows)
    return min(found, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's memory did not suffice."""
    signs = ("out of memory", "can't allocate memory", "not enough memory")  # MPS and CPU
    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in signs)
