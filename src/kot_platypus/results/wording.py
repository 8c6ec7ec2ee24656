"""Figures and names as every screen writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePath

from kot_platypus.models import EMBEDDED_MODEL
from kot_platypus.results.schema import Estimate, Rationales

MINUS, NBSP = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
TASK_NAMES = {
    "copa": "COPA",
    "hellaswag": "HellaSwag",
    "boolq": "BoolQ",
    "sentineg": "SentiNeg",
    "wic": "WiC",
}
METRIC_NAMES = {
    "macro_f1": "macro F1",
    "macro_f1_norm": "macro F1 norm",
    "acc": "accuracy",
    "acc_norm": "accuracy norm",
}
WAY_NAMES = {"direct": "direct", "cot": "reasoned", "cot_scored": "then scored"}
"""The ways in which kot reason answers a question."""

# --- figures -----------------------------------------------------------------------------------


def format_count(value: float) -> str:
    """12345 -> ``12,345``."""
    return f"{value:,.0f}"


def format_percent(value: float) -> str:
    """0.545 -> ``54.5%``."""
    return f"{100 * value:.1f}%"


def format_points(value: float) -> str:
    """A difference of two shares in percentage points: 0.095 -> ``+9.5``."""
    return format_signed(100 * value, 1)


def format_score(value: float) -> str:
    """An F1 or accuracy as benchmark tables print it: 0.54321 -> ``0.5432``."""
    return f"{value:.4f}"


def format_score_difference(value: float) -> str:
    """A difference of two scores: 0.0123 -> ``+0.0123``."""
    return format_signed(value, 4)


def format_shots(shots: int, fitted: float | None) -> str:
    """How many shots, and how many of them fitted on average where some did not."""
    is_cut = fitted is not None and fitted < shots - 0.05
    return f"{shots} ({fitted:.1f} fit)" if is_cut else str(shots)


def format_p(value: float | None) -> str:
    """A p-value to three decimals, never ``0.000``."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_signed(value: float, decimals: int = 3) -> str:
    """A signed difference, except zero: 0.0123 -> ``+0.012``."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def format_seconds(value: float) -> str:
    """Seconds as a person would say them: ``48 s``, ``12 min 5 s``, ``3 h 20 min``."""
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def format_interval(estimate: Estimate, kind: str) -> str:
    """An interval's ends, by kind: ``percent``, ``points``, ``score`` or ``score_difference``."""
    form = {
        "percent": format_percent,
        "points": format_points,
        "score": format_score,
        "score_difference": format_score_difference,
    }[kind]
    low, high = (form(end) for end in estimate.ci95)
    # A dash between signed numbers would read as a minus.
    is_signed = kind in ("points", "score_difference") or estimate.ci95[0] < 0
    return f"{low} to {high}" if is_signed else f"{low.rstrip('%')}\N{EN DASH}{high}"


# --- names -------------------------------------------------------------------------------------


def name_task(task: str) -> str:
    """``copa`` -> ``COPA``."""
    return TASK_NAMES.get(task, task)


def count_noun(count: int, noun: str) -> str:
    """``1 comparison``, ``3 comparisons``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def join_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def name_model(name: str) -> str:
    """A Hub id as it is, a local path without its folders, which stay private.

    A folder of the Hub's cache, or of ours, goes by the model's id.
    """
    local = name.startswith(("/", ".", "~")) or "\\" in name
    if not local:
        return name
    path = PurePath(name.replace("\\", "/"))
    if path.parent.name == "snapshots":
        return path.parent.parent.name.removeprefix("models--").replace("--", "/")
    return re.sub(rf"^({EMBEDDED_MODEL})-[0-9a-f]{{12}}$", r"\1", path.name)


def name_folders(model: Path, adapter: Path | None = None) -> str:
    """What to call a model folder, with the adapter on top."""
    parts = [model, adapter] if adapter else [model]
    return make_printable(" + ".join(name_model(str(part.absolute())) for part in parts))


def make_printable(text: object) -> str:
    """One line of a file's text, without what could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def format_date(when: datetime) -> str:
    """A time in UTC to the minute, which sorts as text."""
    return when.strftime("%Y-%m-%d %H:%M")


def describe_rationales(found: Rationales) -> str:
    """``64 rationales: 98.2% Korean letters, 3 loop, 1 ends in another answer``."""
    ends = "ends" if found.contradictions == 1 else "end"
    loop = "loops" if found.loops == 1 else "loop"
    return (
        f"{count_noun(found.n, 'rationale')}: {format_percent(found.korean)} Korean letters, "
        f"{found.loops} {loop}, {found.contradictions} {ends} in another answer"
    )
