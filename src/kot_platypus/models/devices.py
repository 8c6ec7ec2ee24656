"""Which device computes, and in which dtype: the only module that decides."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kot_platypus.errors import ModelError, UsageError

DTYPES = ("float32", "bfloat16", "float16")
_OVERFLOWING = {"gemma2", "gemma3", "gemma3_text", "glm4", "plamo2"}
"""Models whose activations leave float16's range (65,504), whatever their files are kept in: those
that vLLM refuses in float16 (``vllm/config/model.py``)."""


def resolve_device(device: str = "auto") -> str:
    """``auto`` is CUDA, else Apple's MPS, else the CPU. ModelError for one that is not here."""
    if device == "cpu":
        return device  # always there, and known without loading torch
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, there in present.items() if there)
    if not present.get(device):
        raise ModelError(
            f"no {device} device here",
            expected=f"one of {', '.join(name for name, there in present.items() if there)}",
            hint="Leave out --device, or install a PyTorch build for it.",
        )
    return device


def resolve_dtype(dtype: str, device: str, architecture: Path | Mapping[str, Any]) -> str:
    """``auto`` is bfloat16 where the device computes it natively, else float32.

    A CPU without AVX512-BF16 or AMX emulates bfloat16 some five times slower than float32. A GPU
    without bfloat16 (T4, V100) is used in float16 for a model that was published so and does not
    overflow in it: ``architecture`` is the model's folder, or the values of its config.json.
    ``$KOT_DTYPE`` is what ``auto`` means, if it is set. Raises UsageError when that is no dtype.
    """
    if dtype != "auto":
        return dtype
    if forced := os.environ.get("KOT_DTYPE"):
        if forced not in DTYPES:
            raise UsageError(
                f"KOT_DTYPE is {forced!r}",
                expected=f"one of {', '.join(DTYPES)}",
                hint="Correct or unset that environment variable, or name a dtype.",
            )
        return forced
    import torch

    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    if device == "cuda" and _bears_float16(architecture):
        return "float16"
    if device == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        if any(getattr(torch.cpu, probe, bool)() for probe in probes):
            return "bfloat16"
    return "float32"


def _bears_float16(architecture: Path | Mapping[str, Any]) -> bool:
    """Whether a model was published in float16 (``torch_dtype`` in 2023) and can compute in it."""
    if isinstance(architecture, Path):
        try:
            architecture = json.loads((architecture / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # loading the model says what is wrong with its files
    if not isinstance(architecture, Mapping):
        return False
    published = architecture.get("dtype") or architecture.get("torch_dtype")
    return published == "float16" and architecture.get("model_type") not in _OVERFLOWING
