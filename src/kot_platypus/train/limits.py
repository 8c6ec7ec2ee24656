"""What a model's tables hold: ids beyond them end in an IndexError, or worse on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kot_platypus.errors import DataError, ModelError
from kot_platypus.models.limits import find_learnt_positions
from kot_platypus.train.encoding import Encoded


def require_room(model: Any, encoded: Sequence[Encoded]) -> None:
    """Raise unless ``model`` (weights or not) has a row for every token and position of these.

    ModelError for tokens, which a tokenizer has that was extended without the model; DataError for
    rows longer than a table of learnt positions.
    """
    rows = model.get_input_embeddings().num_embeddings
    largest = max(max(item.ids) for item in encoded)
    if largest >= rows:
        raise ModelError(
            f"the tokenizer gives token {largest}, and the model has {rows:,}",
            expected="a model with a row for every token",
            hint="Take the tokenizer that belongs to it, or resize its embeddings to the "
            "tokenizer's (resize_token_embeddings) and save it.",
        )
    limit = find_learnt_positions(model)
    longest = max(len(item.ids) for item in encoded)
    if limit is not None and longest > limit:
        raise DataError(
            f"a row has {longest} tokens, and the model learnt {limit} positions",
            expected="rows that fit",
            hint=f"Set train.cutoff_len={limit}.",
        )
