"""Copying a safetensors file with some of its tensors changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from kot_platypus.models.weights import read_header

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""The floating point types that a weight can be changed in, by their name in the format."""

Change = Callable[[Tensor], Tensor]


def copy_shard(source: Path, target: Path, changes: Mapping[str, Change]) -> None:
    """Copy a safetensors file; some of its tensors become a function of themselves.

    Names, shapes and dtypes stay, so the header and every other byte do too, and no more than one
    tensor is ever in memory. A change must keep shape and dtype.
    """
    header = read_header(source)
    shutil.copyfile(source, target)
    with source.open("rb") as old, target.open("r+b") as new:
        start = 8 + int.from_bytes(old.read(8), "little")  # the header's length, and the header
        for name, change in changes.items():
            entry = header[name]
            begin, end = entry["data_offsets"]
            content = bytearray(end - begin)
            old.seek(start + begin)
            old.readinto(content)
            weight = torch.frombuffer(content, dtype=DTYPES[entry["dtype"]]).view(entry["shape"])
            changed = change(weight)
            assert (changed.dtype, changed.shape) == (weight.dtype, weight.shape)
            new.seek(start + begin)
            new.write(changed.contiguous().view(torch.uint8).numpy())
