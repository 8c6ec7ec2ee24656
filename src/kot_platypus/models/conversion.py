"""Folders as people have them made into folders as everything here reads them: safetensors.

What has been converted lies in the cache under the hash of its content, so it is done once for
equal files, wherever they lie, and a changed file is another model.

PyTorch's own files (``.bin``) are pickles: programs that build objects. PyTorch's restricted reader
builds tensors out of them and refuses everything else, so no code of theirs is ever run.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import hash_file, hash_value, write_json
from kot_platypus.errors import ModelError
from kot_platypus.models.cache import cache_folder, keep_once
from kot_platypus.models.weights import (
    ADAPTER,
    INDEX,
    MODEL,
    Names,
    check_size,
    list_companions,
    list_shards,
    read_weight_map,
)
from kot_platypus.progress import show_status

if TYPE_CHECKING:
    from torch import Tensor

_ZIP = b"PK\x03\x04"
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_ADVICE = re.compile(r"Weights only load failed.*WeightsUnpickler error:", re.DOTALL)
"""What PyTorch says before the reason: how to read the file openly."""
_DTYPES = {
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
}


def prepare_model(folder: Path) -> Path:
    """``folder`` itself if it holds safetensors, else one in the cache that does.

    A folder without any weights is returned as it is. Raises ModelError for ``.bin`` files that
    are incomplete, damaged or hold anything but tensors.
    """
    return _prepare(folder, MODEL)


def prepare_adapter(adapter: Path) -> Path:
    """The same of a PEFT folder, whose older form is ``adapter_model.bin``."""
    return _prepare(adapter, ADAPTER)


def _prepare(folder: Path, names: Names) -> Path:
    if list_shards(folder, names.safetensors):
        return folder
    pickles = list_shards(folder, names.pickle)
    if not pickles:
        return folder
    for file in pickles:
        check_size(file)
    weights = _convert_weights(folder, pickles, names)
    companions = list_companions(folder)
    content = {file.name: hash_file(file) for file in (*companions, *weights)}

    def write(part: Path) -> None:
        for file in companions:
            shutil.copyfile(file, part / file.name)
        for file in weights:
            link_file(file, part / file.name)

    name = f"{_find_name(folder)}-{hash_value(content)[:12]}"
    return keep_once(cache_folder() / "models" / name, write)


def _convert_weights(folder: Path, pickles: list[Path], names: Names) -> list[Path]:
    """The same tensors in the cache, a safetensors file for each file, and an index of several."""

    def write(part: Path) -> None:
        size = sum(file.stat().st_size for file in pickles) / 2**30
        title = f"Converting {_find_name(folder)} to safetensors (once, {size:,.1f} GiB)"
        with show_status(title):
            _write_weights(folder, pickles, names, part)

    key = hash_value([names.pickle, *map(hash_file, pickles)])
    return sorted(keep_once(cache_folder() / "weights" / key[:12], write).iterdir())


def _write_weights(folder: Path, pickles: list[Path], names: Names, part: Path) -> None:
    promised = read_weight_map(folder, names.pickle)
    where: dict[str, str] = {}
    for file in pickles:
        stem = file.name.replace(Path(names.pickle).stem, Path(names.safetensors).stem)
        target = Path(stem).with_suffix(".safetensors").name
        for tensor in convert_pickle(file, part / target):
            if tensor in where:
                raise _index_error(folder, f"{tensor} lies in two files")
            where[tensor] = target
    absent = promised.keys() - where.keys()
    if absent:
        raise _index_error(folder, f"no file holds {min(absent)}, which the index names")
    if promised:
        index = {"metadata": {}, "weight_map": dict(sorted(where.items()))}
        write_json(part / (names.safetensors + INDEX), index)


def _index_error(folder: Path, found: str) -> ModelError:
    return ModelError(
        f"{folder}: {found}",
        expected="weight files that agree with their index",
        hint="Download the model again.",
    )


def _find_name(folder: Path) -> str:
    """What the model is called: in the Hub's cache folders go by a commit."""
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.rpartition("--")[2]
    return folder.name


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there are no links (another disk)."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


# --- pickles -----------------------------------------------------------------------------------


def convert_pickle(source: Path, target: Path) -> list[str]:
    """Write the tensors of one ``.bin`` file as safetensors, in the memory of that file at most.

    Values, shapes and dtypes stay. Tensors that share memory (tied embeddings) are written each
    for itself. Returns their names. Raises ModelError for a file that holds anything but tensors,
    a damaged one, and numbers that are not finite.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    written = set()
    for name, value in _read_pickle(source).items():
        tensor = _check_tensor(source, name, value).contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in written else tensor
        written.add(place)
    save_file(tensors, target, metadata={"format": "pt"})
    shutil.copymode(source, target)  # safetensors lets no other user read it
    return list(tensors)


def _read_pickle(source: Path) -> dict[str, Any]:
    import torch

    with source.open("rb") as file:
        is_zip = file.read(4) == _ZIP  # older files cannot be mapped into memory
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(source, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # a torn or hostile file can provoke any kind
        raise _pickle_error(source, error) from error
    if not isinstance(state, dict) or not state:
        raise ModelError(
            f"{source} holds {'no tensors' if state == {} else type(state).__name__}",
            expected="tensors by name",
            hint="Download it again, or save the model anew with save_pretrained.",
        )
    return state


def _pickle_error(source: Path, error: Exception) -> ModelError:
    """The error of a file that cannot be read; one that asks for code is told apart."""
    text = _ADVICE.sub("", str(error)).strip()
    asked = _GLOBAL.search(text)
    if asked:
        return ModelError(
            f"{source} asks for {asked[1]}, which no weights need; nothing of it was run",
            expected="a file of tensors alone",
            hint="Do not trust it: take the model from its author, as safetensors if there are.",
        )
    reason = text.splitlines() or [type(error).__name__]
    return ModelError(
        f"{source} cannot be read ({reason[0][:160]})",
        expected="a complete file of PyTorch tensors",
        hint="Download it again, or save the model anew with save_pretrained.",
    )


def _check_tensor(source: Path, name: object, value: object) -> Tensor:
    import torch

    found = None
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        found = f"holds {type(value).__name__} as {name!r}"
    elif value.layout != torch.strided or str(value.dtype).removeprefix("torch.") not in _DTYPES:
        found = f"holds {name} as {value.dtype}, {value.layout}"
    elif not _is_finite(value):
        found = f"holds numbers in {name} that are not finite"
    if found is not None:
        raise ModelError(
            f"{source} {found}",
            expected="plain tensors of finite numbers by name",
            hint="Save the model anew with save_pretrained.",
        )
    return value.detach()  # type: ignore[attr-defined]


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; its two ends say so (NaN counts as both) and need no memory.

    A single number may be infinite: GPT-NeoX's files in float16 hold a mask's -1e9.
    """
    import torch

    if not tensor.is_floating_point() or not tensor.numel():
        return True
    ends = torch.aminmax(tensor)
    return all(bool(end.isfinite() or (tensor.numel() == 1 and end.isinf())) for end in ends)
