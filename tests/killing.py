"""kill -9, the one way in which all tests of resuming end a process."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def kill_when(
    is_time: Callable[[], object],
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 240,
) -> None:
    """Start a command and kill it once ``is_time``; fail if it ends before."""
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + timeout_s
        try:
            while not is_time():
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < deadline, "it never came so far"
                time.sleep(0.01)
        finally:
            process.kill()


def run_with_kills(
    command: Sequence[str | Path],
    draw_s: Callable[[], float],
    *,
    env: Mapping[str, str] | None = None,
    at_most: int | None = None,
) -> int:
    """Run a command that is killed after ``draw_s()`` seconds, again and again until it is done.

    After ``at_most`` kills it is left to its end. Returns how often it was killed.
    """
    kills = 0
    while True:
        patience = draw_s() if at_most is None or kills < at_most else None
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
                continue
        assert process.returncode == 0
        return kills


def draw_times(seed: int, shortest: float, longest: float) -> Callable[[], float]:
    """The seconds of ``run_with_kills``, evenly between two."""
    rng = random.Random(seed)
    return lambda: rng.uniform(shortest, longest)
