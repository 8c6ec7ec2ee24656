"""Which device computes, and in which dtype: the only module that decides."""

from __future__ import annotations

from kot_platypus.errors import ModelError


def resolve_device(device: str = "auto") -> str:
    """``auto`` is CUDA, else Apple's MPS, else the CPU. Raises ModelError when asked in vain."""
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


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 where the device computes it natively, else float32.

    A CPU without AVX512-BF16 or AMX emulates bfloat16 some five times slower than float32.
    """
    import torch

    if dtype != "auto":
        return dtype
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        if any(getattr(torch.cpu, probe, bool)() for probe in probes):
            return "bfloat16"
    return "float32"
