"""One measurement of ``gpu_check.py``, in this process: what it finds goes to a file.

    python bench/gpu_step.py "scoring 7B" --device cuda --result FILE

Each is a function of another file, called with what it measures and with ``save``, which writes all
that is known so far. It raises ``Skipped`` where it can find nothing here.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpu_runner import write_result

Save = Callable[[dict[str, Any]], None]

BF16, FP16 = {"dtype": "bfloat16"}, {"dtype": "float16"}
SEVEN, ONE = {"model": "llama-7b", **BF16}, {"model": "llama-1b", **BF16}
MEASUREMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "environment": ("gpu_environment", {}),
    "scoring 7B": ("gpu_scoring", {**SEVEN, "cell_s": 12.0}),
    "training 7B, packs of 4096": ("gpu_training", {**SEVEN, "pack": 4096, "train_s": 60.0}),
    "training 7B, packs of 2048": ("gpu_training", {**SEVEN, "pack": 2048, "train_s": 45.0}),
    "generation 7B": ("gpu_generation", {**SEVEN, "rows": (1, 8, 32, 128), "new_tokens": 64}),
    "memory full 1B": ("gpu_training", {**ONE, "pack": 4096, "train_s": 20.0, "method": "full"}),
    "memory QLoRA 1B": ("gpu_training", {**ONE, "pack": 4096, "train_s": 20.0, "method": "qlora"}),
    "scoring 1B float16": ("gpu_scoring", {**ONE, **FP16, "cell_s": 4.0}),
}
TINY: dict[str, dict[str, Any]] = {
    "gpu_environment": {"side": 256},
    "gpu_scoring": {"model": "llama-tiny", "cell_s": 0.01},
    "gpu_training": {"model": "llama-tiny", "train_s": 0.01, "batch": 4},
    "gpu_generation": {"model": "llama-tiny", "rows": (1, 4), "new_tokens": 4},
}


class Skipped(Exception):  # noqa: N818  # no error: a reason
    """This machine lacks what the measurement needs."""


def make_options(name: str, device: str, *, tiny: bool) -> SimpleNamespace:
    """All that a measurement is told."""
    module, options = MEASUREMENTS[name]
    defaults = {"method": "lora", "batch": 64, "side": 8192}
    small = TINY[module] if tiny else {}
    return SimpleNamespace(**{**defaults, **options, **small}, device=device, tiny=tiny)


def measure(name: str, options: SimpleNamespace, save: Save) -> None:
    """Measure; what is found goes to ``save``, as does a reason to skip it."""
    # The same class for all, though this file is also run as __main__.
    skipped = importlib.import_module("gpu_step").Skipped
    try:
        importlib.import_module(MEASUREMENTS[name][0]).measure(options, save)
    except skipped as reason:
        save({"skipped": str(reason)})


def main() -> None:
    parser = argparse.ArgumentParser(description="One measurement of gpu_check.py.")
    parser.add_argument("name", choices=MEASUREMENTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    at = make_options(options.name, options.device, tiny=options.tiny)
    measure(options.name, at, lambda result: write_result(options.result, result))


if __name__ == "__main__":
    sys.exit(main())
