"""The keys and values of texts under way: a row each, and no copying as they grow.

All rows end at the same column, so that a step of the batch writes one column; where a row begins
later than the first, what lies before it is masked.

    column    0  1  2  3  4  5  6  7
    row 0     a  a  a  a  a  a  a        <- every row's next token goes to column 7
    row 1              b  b  b  b
    row 2           c  c  c  c  c

A row that is dropped is overwritten by the last one. When the columns are used up, what the rows
still need is moved to the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class KVCache(Cache):  # type: ignore[misc]
    """A batch's keys and values in buffers of fixed size, one a layer and kind.

    ``starts`` are the first columns of the rows in use, which are the buffers' first; ``column``
    is the one that the next step writes.
    """

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=partial(_KVLayer, self))
        self.num_rows = 0
        self.num_columns = 0
        self.column = 0
        self.starts: list[int] = []

    @property
    def first(self) -> int:
        """The first column that a row uses."""
        return min(self.starts, default=self.column)

    def resize(self, num_rows: int, num_columns: int) -> None:
        """Make the buffers of this size; the rows in use are kept, as far to the left as can be."""
        first, width = self.first, self.column - self.first
        self.num_rows, self.num_columns = num_rows, num_columns
        self.starts = [start - first for start in self.starts]
        self.column = width
        for layer in self.layers:
            layer.rewrite(first, width)

    def put(self, layers: Sequence[DynamicLayer], length: int) -> None:
        """Add a row: the first ``length`` keys and values of a text that was read alone."""
        if not self.starts:
            self.column = length
        while len(self.layers) < len(layers):
            self.layers.append(_KVLayer(self))
        for mine, theirs in zip(self.layers, layers, strict=True):
            mine.put(len(self.starts), theirs.keys[:, :, :length], theirs.values[:, :, :length])
        self.starts.append(self.column - length)

    def drop(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        for layer in self.layers:
            layer.move(len(self.starts) - 1, row)
        self.starts[row] = self.starts[-1]
        self.starts.pop()

    def advance(self) -> None:
        """Go on to the next column, after a step has written this one."""
        self.column += 1
        if self.column == self.num_columns:
            self.resize(self.num_rows, self.num_columns)

    def place_step(self, device: torch.device) -> dict[str, torch.Tensor]:
        """A step's ``attention_mask`` (rows, columns in use) and ``position_ids`` (rows, 1)."""
        starts = torch.tensor(self.starts, device=device)[:, None]
        columns = torch.arange(self.first, self.column + 1, device=device)
        return {"attention_mask": columns >= starts, "position_ids": self.column - starts}


class _KVLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's buffers, (rows, heads, columns, size)."""

    def __init__(self, rows: KVCache) -> None:
        super().__init__()
        self._rows = rows

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        self.keys, self.values = self._make_buffer(key_states), self._make_buffer(value_states)
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write a step's column of the rows in use; return all columns in use."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, column = len(self._rows.starts), self._rows.column
        self.keys[:rows, :, column] = key_states[:, :, 0]
        self.values[:rows, :, column] = value_states[:, :, 0]
        used = slice(self._rows.first, column + 1)
        return self.keys[:rows, :, used], self.values[:rows, :, used]

    def get_seq_length(self) -> int:
        return self._rows.column - self._rows.first

    def put(self, row: int, keys: Any, values: Any) -> None:
        """Write a row that ends before the current column."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        used = slice(self._rows.column - keys.shape[2], self._rows.column)
        self.keys[row, :, used] = keys[0]
        self.values[row, :, used] = values[0]

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        used = slice(self._rows.starts[source], self._rows.column)
        for buffer in (self.keys, self.values):
            buffer[target, :, used] = buffer[source, :, used]

    def rewrite(self, first: int, width: int) -> None:
        """Copy the rows in use, ``width`` columns from ``first``, into new buffers' beginning."""
        if not self.is_initialized:
            return
        rows = len(self._rows.starts)
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = self._make_buffer(old)
            new[:rows, :, :width] = old[:rows, :, first : first + width]
            setattr(self, name, new)
            del old

    def _make_buffer(self, like: Any) -> Any:
        size = (self._rows.num_rows, like.shape[1], self._rows.num_columns, like.shape[3])
        # Zeros, as what is masked is multiplied all the same: 0 times NaN would be NaN.
        return like.new_zeros(size)
