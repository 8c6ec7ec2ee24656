"""Steps, each a process of its own with a limit of time, and a log to go on from. No torch here.

A crash, a device-side assert or a lack of memory ends one step and no other. A line of the log is
written when a step begins and when it ends; what the log says passed is not repeated.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PASSED, FAILED, SKIPPED, NOT_RUN, STARTED = "passed", "failed", "skipped", "not run", "started"
KEPT_LINES = 60
"""Of a step's output, from its end, in the log of a step that failed."""
LEAST_S = 15
"""With less time left no step is begun."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A command that writes what it finds to the file that ``{result}`` becomes.

    That is JSON: any figures, as often as they grow; ``skipped`` with a reason when nothing can be
    found here; ``failed`` with one when something is wrong though the process ended well.
    """

    name: str
    command: Sequence[str]
    limit_s: float


class Log:
    """``log.jsonl``: what was begun, and how it ended. Lines cut short by a kill are passed over.

    Names of folders that tell who ran it are shortened before they are written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"

    def add(self, entry: Entry) -> None:
        line = json.dumps({**entry, "at": datetime.now(UTC).isoformat(timespec="seconds")})
        for path, name in ((str(ROOT), "."), (str(Path.home()), "~")):
            line = line.replace(path, name) if path != "/" else line
        torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * (torn and self.path.stat().st_size > 0) + line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Entry]:
        entries = []
        lines = self.path.read_text("utf-8").splitlines() if self.path.is_file() else []
        for line in lines:
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
        return entries

    def find_last(self, key: str) -> dict[str, Entry]:
        """Each step's last line among those of ``key``: this source, machine and way to run."""
        return {entry["step"]: entry for entry in self.read() if entry["key"] == key}


def run_steps(steps: Iterable[Step], log: Log, key: str, deadline: float) -> Iterable[Entry]:
    """Run what ``log`` does not know as passed, and yield each step's entry.

    ``deadline`` is of ``time.monotonic``: a step gets what is left at most, and none is begun
    without ``LEAST_S``.
    """
    known = log.find_last(key)
    for step in steps:
        if known.get(step.name, {}).get("status") == PASSED:
            yield known[step.name]
            continue
        left_s = deadline - time.monotonic()
        if left_s < LEAST_S:
            entry = {"status": NOT_RUN, "reason": "no time was left; type the same again"}
        else:
            log.add({"key": key, "step": step.name, "status": STARTED})
            entry = run_step(step, log.path.parent, min(step.limit_s, left_s))
        log.add({"key": key, "step": step.name, **entry})
        yield log.find_last(key)[step.name]


def run_step(step: Step, folder: Path, limit_s: float) -> Entry:
    """Run a step, its output shown as it comes; what its entry says of it."""
    result_file = folder / f".{os.getpid()}.json"
    result_file.unlink(missing_ok=True)
    command = [part.format(result=result_file) for part in step.command]
    started = time.monotonic()
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=make_environment(),
        cwd=ROOT,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        process_group=0,  # so that its children end with it
    )
    reader = threading.Thread(target=_show, args=(child, lines), daemon=True)
    reader.start()
    try:
        child.wait(limit_s)
        reason = "" if child.returncode == 0 else _describe_end(child.returncode)
    except subprocess.TimeoutExpired:
        reason = f"was not done after {limit_s:.0f} s"
    finally:
        _kill(child)
    reader.join(5)
    result = _read_result(result_file)
    result_file.unlink(missing_ok=True)
    entry = {**judge(result, reason), "seconds": round(time.monotonic() - started, 1)}
    if entry["status"] == FAILED:
        entry["output"] = list(lines)
    return {**entry, "result": result}


def judge(result: Mapping[str, Any], reason: str) -> Entry:
    """A step's status: nothing that ended badly, said nothing or was cut short has passed."""
    if reason:
        return {"status": FAILED, "reason": reason}
    if "failed" in result:
        return {"status": FAILED, "reason": result["failed"]}
    if "skipped" in result:
        return {"status": SKIPPED, "reason": result["skipped"]}
    if not result:
        return {"status": FAILED, "reason": "ended without a result"}
    return {"status": PASSED, "reason": ""}


def make_environment() -> dict[str, str]:
    """A step's: our source first, and no network asked for."""
    paths = [str(ROOT / "src"), str(ROOT / "bench"), str(ROOT)]
    paths += [path for path in [os.environ.get("PYTHONPATH", "")] if path]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **offline, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _show(child: subprocess.Popen[bytes], lines: deque[str]) -> None:
    assert child.stdout
    with child.stdout:
        for raw in child.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            lines.append(line[:400])
            print(f"    {line}", flush=True)


def _describe_end(code: int) -> str:
    if code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with code {code}"


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _read_result(file: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return result


def write_result(file: Path, result: Mapping[str, Any]) -> None:
    """Write it whole or not at all: a kill may come at any time."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result), "utf-8")
    part.replace(file)
