"""Rows of a model's embeddings for tokens that its base does not know."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def add_rows(model: Any, tokens: Collection[int]) -> None:
    """Give new tokens, by their ids, a row each: the mean of all that the base has.

    The tables grow as far as they must. Spare rows, which Qwen's have, are used before.
    """
    tables = list_tables(model)
    means = [table.weight.detach().mean(0) for table in tables]
    resize_rows(model, max([count_embeddings(model), *(token + 1 for token in tokens)]))
    for table, mean in zip(list_tables(model), means, strict=True):
        table.weight.data[sorted(tokens)] = mean


def resize_rows(model: Any, rows: int) -> None:
    """Cut the embeddings to so many rows, or add means of the old ones."""
    before = count_embeddings(model)
    if rows == before:
        return
    means = [table.weight.detach().mean(0) for table in list_tables(model)]
    model.resize_token_embeddings(rows, mean_resizing=False)
    for table, mean in zip(list_tables(model), means, strict=True):
        table.weight.data[before:] = mean
        if getattr(table, "bias", None) is not None:
            table.bias.data[before:] = table.bias.data[:before].mean()


def count_embeddings(model: Any) -> int:
    """How many tokens the input embeddings have a row for."""
    return int(find_table(model).weight.shape[0])


def find_table(model: Any) -> Any:
    """The input embeddings, without what PEFT puts around them to train some of their rows."""
    table = model.get_input_embeddings()
    return getattr(table, "original_module", table)


def list_tables(model: Any) -> list[Any]:
    """Input and output embeddings; one of them where they are one."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    is_one = head is None or head.weight is table.weight
    return [table] if is_one else [table, head]
