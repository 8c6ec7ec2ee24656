"""One file of ``gpu``-marked tests, with a result that grows test by test.

    python bench/gpu_tests.py tests/gpu/test_scoring.py --device cuda --result FILE

A crash then still tells what had passed and what was under way. The project's own pytest settings
are left aside: they ask for plugins that a bare machine may lack, and make warnings errors.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from gpu_runner import ROOT, write_result

KEPT_CHARACTERS = 1500


class Recorder:
    """A pytest plugin that writes down each outcome as it comes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._names: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
        self._found: dict[str, Any] = {"tests": self._names, "reasons": {}, "notes": {}}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write(failed=f"ended within {nodeid}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.partition("::")[2]
        if name not in self._names[report.outcome]:
            self._names[report.outcome].append(name)
        if report.outcome == "failed":
            self._found["reasons"][name] = str(report.longrepr)[-KEPT_CHARACTERS:]
        elif report.outcome == "skipped":
            self._found["reasons"][name] = str(report.longrepr[2])[-KEPT_CHARACTERS:]
        for key, value in report.user_properties:
            self._found["notes"][f"{name}: {key}"] = value

    def finish(self, code: int) -> None:
        passed, failed, skipped = (self._names[k] for k in ("passed", "failed", "skipped"))
        counts = f"{len(failed)} failed, {len(passed)} passed, {len(skipped)} skipped"
        if failed:
            self._write(failed=f"{counts}: {', '.join(failed[:5])}")
        elif code:
            self._write(failed=f"pytest ended with code {code}")
        elif not passed:
            reasons = sorted(set(self._found["reasons"].values()))
            self._write(skipped="; ".join(reasons) or "no test ran")
        else:
            self._write()

    def _write(self, **ending: str) -> None:
        write_result(self._file, {**self._found, **ending})


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one file of gpu-marked tests.")
    parser.add_argument("file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    os.environ["KOT_GPU_TEST_DEVICE"] = options.device
    try:
        import pytest
    except ImportError:
        write_result(options.result, {"failed": "pytest is not installed: pip install pytest"})
        return
    recorder = Recorder(options.result)
    settings = ["-c", "tests/gpu/check.ini", "--rootdir", str(ROOT), "--confcutdir", str(ROOT)]
    code = pytest.main([options.file, *settings], plugins=[recorder])
    recorder.finish(int(code))


if __name__ == "__main__":
    sys.exit(main())
