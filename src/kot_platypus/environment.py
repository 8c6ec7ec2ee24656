"""What this machine and this installation are: the first thing to look at when something is odd."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from packaging.requirements import Requirement

from kot_platypus.artifacts import describe_machine
from kot_platypus.models import cache_folder, resolve_device, resolve_dtype
from kot_platypus.models.cache import measure_cache

_PACKAGE = "kot-platypus"
_VARIABLES = ("KOT_CACHE", "KOT_DTYPE", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
_NOT_FOR_USERS = {"dev", "docs", "bench"}


def describe_environment() -> dict[str, Any]:
    """Versions, device, what ``auto`` picks, the cache and which extras are whole; loads torch.

    Raises UsageError when $KOT_DTYPE is no dtype.
    """
    device = resolve_device()
    return {
        **describe_machine(),
        "processor": platform.processor() or platform.machine(),
        "device": device,
        "device_name": _name_device(device),
        "dtype": resolve_dtype("auto", device, {}),
        "cache": str(cache_folder()),
        "cache_bytes": sum(measure_cache().values()),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "extras": {extra: find_missing(extra) for extra in list_extras()},
    }


def _name_device(device: str) -> str:
    if device != "cuda":
        return device
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, {memory:.0f} GiB"


def list_extras() -> list[str]:
    """The extras of this package that bring a user something."""
    return sorted(set(metadata(_PACKAGE).get_all("Provides-Extra") or ()) - _NOT_FOR_USERS)


def find_missing(extra: str) -> list[str]:
    """What an extra asks for and is not installed, or is too old: requirements."""
    wanted = map(Requirement, requires(_PACKAGE) or ())
    return sorted(
        f"{each.name}{each.specifier}"
        for each in wanted
        if each.marker and each.marker.evaluate({"extra": extra}) and each.name != _PACKAGE
        if not _is_satisfied(each)
    )


def _is_satisfied(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
