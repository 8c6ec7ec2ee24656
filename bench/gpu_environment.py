"""What machine this is, and whether the check can run on it. Needs nothing but Python at first."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
import platform
import re
import subprocess
import tomllib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gpu_runner import ROOT

SOURCES = ("src/**/*.py", "bench/*.py", "bench/gpu_lengths.json", "tests/gpu/*.py")
DTYPES = ("bfloat16", "float16", "float32")
SPARE = ("matplotlib", "pytest", "bitsandbytes")
"""Nothing here draws; without the other two their tests say so."""


def measure(options: SimpleNamespace, save: Callable[[dict[str, Any]], None]) -> None:
    found: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform()}
    found |= {"source": hash_sources(), "tiny": options.tiny}
    found["packages"], lacking = list_packages()
    if lacking:
        save({**found, "failed": f"missing packages: pip install {' '.join(lacking)}"})
        return
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        build = f"torch {torch.__version__}, built for CUDA {torch.version.cuda}"
        save({**found, "failed": f"torch.cuda.is_available() is false ({build}): {ask_driver()}"})
        return
    found |= describe_device(options.device)
    found["key"] = make_key(found, options)
    save(found)
    from dtypes import measure_gflops

    for name in DTYPES:
        side = options.side
        speed = measure_gflops(getattr(torch, name), options.device, side, side, side)
        found[f"TFLOP/s {name}"] = round(speed / 1000, 3)
    save(found)


def hash_sources() -> str:
    """A hash of all code that takes part: what passed with other code has to be shown again."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def list_packages() -> tuple[dict[str, str], list[str]]:
    """Versions of the core dependencies, and those that are missing or too old."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions, lacking = {}, []
    for requirement in [*project["dependencies"], "pytest>=7", "bitsandbytes>=0.50"]:
        name, _, least = requirement.partition(">=")
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "none"
        is_there = versions[name] != "none" and read_version(versions[name]) >= read_version(least)
        if not is_there and name not in SPARE:
            lacking.append(f"'{requirement}'")
    return versions, lacking


def read_version(text: str) -> list[int]:
    """The numbers of a release, so that they compare: 2.11.0+cu130 is [2, 11, 0]."""
    return [int(number) for number in re.findall(r"\d+", text.partition("+")[0])]


def describe_device(device: str) -> dict[str, Any]:
    import torch

    from kot_platypus.models import resolve_dtype
    from kot_platypus.train.attention import find_kernel
    from measuring import describe_processor

    kernel = find_kernel()
    options = list(inspect.signature(kernel).parameters) if kernel else []
    found = {
        "device": describe_processor(),
        "dtype auto": resolve_dtype("auto", device, {}),
        "varlen_attn": ", ".join(options) or "none",
        "CUDA": str(torch.version.cuda),
    }
    if device == "cpu":
        return found
    count = torch.cuda.device_count()
    free, total = torch.cuda.mem_get_info()
    return found | {
        "GPUs": count,
        "all devices": [torch.cuda.get_device_name(i) for i in range(count)],
        "capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "memory": f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} of it free",
        "driver": ask_driver(),
        "cuDNN": str(torch.backends.cudnn.version()),
        "bfloat16": "native" if torch.cuda.is_bf16_supported(including_emulation=False) else "no",
    }


def ask_driver() -> str:
    """What nvidia-smi says of the driver, or why it says nothing."""
    command = ["nvidia-smi", "--query-gpu=driver_version,memory.total,memory.used", "--format=csv"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi: {error}"
    return " / ".join((done.stdout or done.stderr).split("\n")).strip(" /")


def make_key(found: dict[str, Any], options: SimpleNamespace) -> str:
    """What a step that passed has passed for."""
    packages = found["packages"]
    facts = [found["source"], packages, found["device"], found.get("GPUs"), options.device]
    return hashlib.sha256(json.dumps([*facts, options.tiny]).encode()).hexdigest()[:16]
