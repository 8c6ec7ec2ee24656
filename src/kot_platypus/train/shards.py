"""Safetensors files on disk: which ones a model has, and copying one with some tensors changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, TypedDict

import torch
from torch import Tensor

from kot_platypus.artifacts import read_json
from kot_platypus.errors import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""The floating point types that a weight can be changed in, by their name in the format."""

Change = Callable[[Tensor], Tensor]


class Entry(TypedDict):
    """What a file's header says of one tensor; offsets in bytes from where the data starts."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


Header = dict[str, Entry]


def list_shards(folder: Path) -> list[Path]:
    """The weight files of a model, in order. Raises ModelError when one is missing."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise ModelError(
            f"{folder} has no {SINGLE} and no {INDEX}",
            expected="a model in safetensors",
            hint="Download or convert it again.",
        )
    shards = [
        folder / name for name in sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    ]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise ModelError(
            f"{folder} lacks {', '.join(missing[:3])}",
            expected=f"the {len(shards)} files that its index names",
            hint="Download it again.",
        )
    return shards


def read_header(shard: Path) -> Header:
    """Name -> dtype, shape and offsets of every tensor. Raises ModelError for another format."""
    with shard.open("rb") as file:
        return _read_header(file)[0]


def copy_shard(source: Path, target: Path, changes: Mapping[str, Change]) -> None:
    """Copy a safetensors file; some of its tensors become a function of themselves.

    Names, shapes and dtypes stay, so the header and every other byte do too, and no more than one
    tensor is ever in memory. A change must keep shape and dtype.
    """
    shutil.copyfile(source, target)
    with source.open("rb") as old, target.open("r+b") as new:
        header, start = _read_header(old)
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


def _read_header(file: BinaryIO) -> tuple[Header, int]:
    """The header and where the tensors' bytes start (8 bytes of length, then JSON, then data)."""
    try:
        length = int.from_bytes(file.read(8), "little")
        if length > 100_000_000:  # the format's own limit
            raise ValueError
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"{file.name} is not a safetensors file",
            expected="a complete one",
            hint="Download it again.",
        ) from error
    return header, 8 + length
