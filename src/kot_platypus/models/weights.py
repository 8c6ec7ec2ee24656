"""A folder's files: how they are called, which there are, and whether the weights are whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kot_platypus.errors import ModelError


@dataclass(frozen=True)
class Names:
    """What the one file of weights is called; beside several stands ``INDEX``, with that name."""

    safetensors: str
    pickle: str


MODEL = Names("model.safetensors", "pytorch_model.bin")
ADAPTER = Names("adapter_model.safetensors", "adapter_model.bin")
INDEX = ".index.json"

COMPANIONS = (
    *("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "*.py"),
    *("NOTICE*", "LICENSE*", "LICENCE*"),
)
"""What belongs to a model beside its weights: settings, tokenizer, code, licence."""

_POINTER = b"version https://git-lfs.github.com/spec/"
_AGAIN = "Download the model again."


def list_shards(folder: Path, single: str) -> list[Path]:
    """The files of one format, in order; none if it has none.

    Raises ModelError when its index is damaged or names files that are not there.
    """
    if (folder / single).is_file():
        return [folder / single]
    shards = [folder / name for name in sorted(set(read_weight_map(folder, single).values()))]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise ModelError(
            f"{folder} lacks {', '.join(missing[:3])}{', ...' if missing[3:] else ''}",
            expected=f"the {len(shards)} files that {single + INDEX} names",
            hint="Download the missing ones.",
        )
    return shards


def list_companions(folder: Path) -> list[Path]:
    """The files of ``COMPANIONS``, without an index of weights."""
    found = {file for pattern in COMPANIONS for file in folder.glob(pattern) if file.is_file()}
    return sorted(file for file in found if not file.name.endswith(INDEX))


def read_weight_map(folder: Path, single: str) -> dict[str, str]:
    """Tensor -> file, as the index of several files says; empty where there is none.

    Raises ModelError when the index is damaged or names files outside ``folder``.
    """
    path = folder / (single + INDEX)
    if not path.is_file() or (folder / single).is_file():
        return {}
    check_size(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        weight_map = {str(tensor): str(file) for tensor, file in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no index", expected="a weight_map", hint=_AGAIN) from error
    outside = [file for file in weight_map.values() if Path(file).name != file]
    if outside or not weight_map:
        raise ModelError(
            f"{path} names {outside[0] if outside else 'no files'}",
            expected=f"files in {folder}",
            hint=_AGAIN,
        )
    return weight_map


def read_headers(folder: Path, single: str) -> dict[str, Any]:
    """Tensor -> dtype, shape and place, of all safetensors files of ``folder``.

    Raises ModelError unless each is a safetensors file and as long as its header says.
    """
    headers: dict[str, Any] = {}
    for shard in list_shards(folder, single):
        headers |= read_header(shard)
    return headers


def read_header(shard: Path, *, metadata: bool = False) -> dict[str, Any]:
    """The same of one file; with ``metadata`` under ``__metadata__`` what else is written there."""
    check_size(shard)
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if length > 100_000_000:  # the format's own limit
                raise ValueError
            header: dict[str, Any] = json.loads(file.read(length))
            about = header.pop("__metadata__", {})
            ends = [entry["data_offsets"][1] for entry in header.values()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{shard} is no safetensors file", expected="a complete one", hint=_AGAIN
            ) from error
    expected = 8 + length + max(ends, default=0)
    if shard.stat().st_size != expected:
        raise ModelError(
            f"{shard} has {shard.stat().st_size:,} bytes",
            expected=f"{expected:,}, as its header says",
            hint=_AGAIN,
        )
    return {"__metadata__": about, **header} if metadata else header


def check_size(file: Path) -> None:
    """Raise ModelError for a file that is empty or stands in for one that Git LFS keeps."""
    if file.stat().st_size == 0:
        raise ModelError(f"{file} is empty", expected="a file with content", hint=_AGAIN)
    with file.open("rb") as opened:
        if opened.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{file} is a pointer of Git LFS, not the file itself",
                expected="the file that it points to",
                hint=f"Run: git -C {file.parent} lfs pull",
            )
