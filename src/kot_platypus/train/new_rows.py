"""The rows of new tokens while they are trained, as small as they are.

PEFT puts them into a copy of the whole table at each pass, and the copy has a gradient as large as
itself: with Gemma's 262,144 rows that is longer than all else. Here they are looked up where a
token is new. Numbers and gradients are the same.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper
from torch import Tensor
from torch.nn import functional as F

from kot_platypus.models.rows import list_tables
from kot_platypus.recipe import TrainSection


def find_rows(model: Any, section: TrainSection, added: Collection[int]) -> dict[str, list[int]]:
    """The name of each table that is not trained in full -> the rows of it that are trained."""
    tables = list_tables(model) if added else []
    names = [name for name, module in model.named_modules() if module in tables]
    saved = tuple(f".{each}" for each in section.modules_to_save)
    return {name: sorted(added) for name in names if not f".{name}".endswith(saved)}


def look_up_rows(model: Any) -> None:
    """Have an adapted ``model`` look its new tokens up in their own rows."""
    table = model.get_input_embeddings()
    if isinstance(table, TrainableTokensWrapper):
        table.token_adapter.forward = partial(_embed, table)


def _embed(table: TrainableTokensWrapper, ids: Tensor) -> Tensor:
    """The embeddings (..., H) of ``ids`` (...)."""
    embedded: Tensor = table.original_module(ids)
    rows, tokens = read_rows(table)
    if rows is None or tokens is None:
        return embedded
    place = torch.searchsorted(tokens, ids).clamp(max=len(tokens) - 1)
    new = F.embedding(place, rows.to(table.original_module.weight.dtype))
    scale = table.token_adapter._get_embed_scale()  # Gemma's
    if scale is not None:
        new = new * scale.to(new.dtype)
    return torch.where((tokens[place] == ids)[..., None], new, embedded)


def read_rows(table: Any) -> tuple[Tensor | None, Tensor | None]:
    """The trained rows (R, H) of a table and their tokens (R,), ascending; None where it has none.

    None as well while its adapter is switched off.
    """
    if not isinstance(table, TrainableTokensWrapper) or table.disable_adapters:
        return None, None
    adapter, name = table.token_adapter, table.active_adapters[0]
    rows = adapter.trainable_tokens_delta[name]
    return rows, torch.tensor(adapter.token_indices[name], device=rows.device)


def find_layer(head: Any) -> Any:
    """The layer itself that PEFT has put something around, or trains a copy of."""
    if isinstance(head, ModulesToSaveWrapper) and not head.disable_adapters:
        return head.modules_to_save[head.active_adapters[0]]
    return getattr(head, "original_module", head)
