"""A training's log, also while it is being written."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from kot_platypus.results.schema import LogLine

_LIVE = "checkpoints/log.jsonl"


class Curve(NamedTuple):
    """The log of one training. ``age_s`` are seconds since the last step; None: it is done."""

    who: str
    lines: tuple[LogLine, ...]
    age_s: float | None

    @property
    def last(self) -> LogLine | None:
        """The latest step."""
        return self.lines[-1] if self.lines else None


def read_curves(run: Path) -> list[Curve]:
    """The trainings of a run that have begun, in the order of their beginning."""
    found = []
    for folder in (run / "train").glob("*/"):
        done, live = folder / "log.jsonl", folder / _LIVE
        path = done if done.is_file() else live
        if path.is_file():
            written_s = path.stat().st_mtime
            age_s = None if path == done else max(0.0, time.time() - written_s)
            found.append((written_s, Curve(folder.name, read_log(path), age_s)))
    return [curve for _, curve in sorted(found)]


def read_log(path: Path) -> tuple[LogLine, ...]:
    """The whole lines of a log; of one that is being written the last may be torn."""
    lines = []
    for text in path.read_bytes().split(b"\n"):
        try:
            lines.append(LogLine.model_validate_json(text))
        except ValidationError:  # empty, or half a line
            continue
    return tuple(lines)


def tabulate_curves(curves: Sequence[Curve], names: dict[str, str]) -> dict[str, list[Any]]:
    """Columns for a plot: step, loss, learning rate, and the training's name."""
    rows = [(names.get(curve.who, curve.who), line) for curve in curves for line in curve.lines]
    return {
        "step": [line.step for _, line in rows],
        "loss": [line.loss for _, line in rows],
        "learning_rate": [line.learning_rate for _, line in rows],
        "model": [name for name, _ in rows],
    }


def describe_state(curves: Sequence[Curve]) -> str:
    """Changes whenever there is something new to draw."""
    return json.dumps([(curve.who, len(curve.lines), curve.age_s is None) for curve in curves])
