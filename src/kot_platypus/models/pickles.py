"""PyTorch's own weight files (``.bin``) made into safetensors, and no code of theirs ever run.

A ``.bin`` file is a pickle: a program that builds objects. PyTorch's restricted reader builds
tensors out of it and refuses everything else.
"""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import ModelError

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
