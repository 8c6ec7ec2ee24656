"""Everything that only a GPU can tell, in one command and one log, the most important first.

    make gpu-check                                 # or, without make: python bench/gpu_check.py
    python bench/gpu_check.py --tiny --device cpu  # a rehearsal in small, without a GPU

It needs Python 3.11, PyTorch for CUDA and the core dependencies, no network, no weights and 25
minutes (docs/gpu.md). The log is ``gpu-check/log.jsonl``, and ``gpu-check/report.md`` what it says.
Stopped at any time, the same command goes on; what passed is not repeated, the rest is tried again.
Exits with 0 if nothing failed and nothing was left out for want of time.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpu_report import describe_entry, write_report
from gpu_runner import FAILED, NOT_RUN, PASSED, ROOT, Log, Step, run_steps

ENVIRONMENT = "environment"
TESTS = ("attention", "scoring", "generation", "training", "memory", "quantized", "command")
MEASURED = {  # name -> limit in seconds; what they measure stands in gpu_step.py
    "scoring 7B": 330,
    "training 7B, packs of 4096": 210,
    "training 7B, packs of 2048": 150,
    "generation 7B": 180,
    "memory full 1B": 120,
    "memory QLoRA 1B": 120,
    "scoring 1B float16": 150,
}
TESTS_LIMIT_S = 150
COMMAND_LIMIT_S = 240
"""Of the commands' tests, which start seven processes of their own."""


def list_steps(device: str, *, tiny: bool) -> list[Step]:
    """All steps but the first, in order."""
    places = ["--device", device, "--result", "{result}"]
    small = ["--tiny"] if tiny else []
    tests = [_make_test_step(name, places) for name in TESTS]
    measured = [
        Step(name, [sys.executable, "bench/gpu_step.py", name, *places, *small], limit_s)
        for name, limit_s in MEASURED.items()
    ]
    return [*tests, *measured, _make_test_step("processes", places)]


def _make_test_step(name: str, places: Sequence[str]) -> Step:
    command = [sys.executable, "bench/gpu_tests.py", f"tests/gpu/test_{name}.py", *places]
    limit_s = COMMAND_LIMIT_S if name == "command" else TESTS_LIMIT_S
    return Step(f"tests {name}", command, limit_s)


def check(steps: Sequence[Step], log: Log, first: Step, deadline: float) -> bool:
    """Run all steps; whether everything passed or had a reason to be skipped.

    The first one says what machine this is, and nothing else is run if it fails. It is quick and
    always repeated: passed steps count for the source and machine that it finds, and no others.
    """
    (entry,) = run_steps([first], log, f"{time.time_ns()}", deadline)
    print(describe_entry(entry), flush=True)
    if entry["status"] != PASSED:
        write_report(log.path.parent, entry, [])
        return False
    key = entry["result"]["key"]
    entries = []
    for step in steps:
        print(f"\n--- {step.name}", flush=True)
        entries += run_steps([step], log, key, deadline)
        print(describe_entry(entries[-1]), flush=True)
        write_report(log.path.parent, entry, entries)
    return not {FAILED, NOT_RUN} & {each["status"] for each in entries}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What only a GPU can tell, in one log.")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="Tiny models: only whether it runs.")
    parser.add_argument("--steps", help="Only these, by the beginnings of their names: a,b,...")
    parser.add_argument("--minutes", type=float, default=25, help="For everything.")
    parser.add_argument("--out", type=Path, default=ROOT / "gpu-check")
    return parser.parse_args()


def main() -> None:
    options = parse()
    deadline = time.monotonic() + 60 * options.minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    places = ["--device", options.device, "--result", "{result}"]
    small = ["--tiny"] if options.tiny else []
    first = Step(
        ENVIRONMENT, [sys.executable, "bench/gpu_step.py", ENVIRONMENT, *places, *small], 180
    )
    steps = list_steps(options.device, tiny=options.tiny)
    if options.steps:
        wanted = tuple(options.steps.split(","))
        steps = [step for step in steps if step.name.startswith(wanted)]
    is_well = check(steps, Log(options.out), first, deadline)
    print(f"\n{(options.out / 'report.md').read_text('utf-8')}")
    print(f"The log: {options.out / 'log.jsonl'}; the same, to read: {options.out / 'report.md'}")
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
