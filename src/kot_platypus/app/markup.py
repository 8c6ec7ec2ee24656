"""HTML around texts of data and models, which stay text: the templates escape every value."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kot_platypus.results.schema import AT_ONCE, BASE, TUNED, Estimate

MINUS = "\N{MINUS SIGN}"
_NAMES = {
    BASE: "기본 모델",
    TUNED: "학습한 모델",
    AT_ONCE: "학습한 모델, 바로 답",
    "answer": "정답만 학습",
    "rationale": "풀이만 학습",
    "rationale_answer": "풀이와 정답 학습",
}
_TASKS = {
    "copa": "COPA",
    "hellaswag": "HellaSwag",
    "boolq": "BoolQ",
    "sentineg": "SentiNeg",
    "wic": "WiC",
}


def render(template: str, **values: Any) -> str:
    """A template of this folder as HTML."""
    return _environment().get_template(f"{template}.html.jinja").render(**values)


def read_css() -> str:
    """The page's own style sheet."""
    return (files(__package__) / "templates" / "page.css").read_text(encoding="utf-8")


def name_model(who: str) -> str:
    """A model of a run by its folder's name, as people read it."""
    return _NAMES.get(who, who)


def name_task(task: str) -> str:
    """``copa`` -> ``COPA``; other tasks as they are called."""
    return _TASKS.get(task, task)


def format_percent(value: float) -> str:
    """0.545 -> ``54.5 %``."""
    return f"{100 * value:.1f} %"


def format_points(value: float) -> str:
    """A difference of two shares in percentage points: 0.095 -> ``+9.5``."""
    text = f"{abs(100 * value):.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text


def format_score(value: float) -> str:
    """An F1 in a table: 0.54321 -> ``0.543``."""
    return f"{value:.3f}"


def format_interval(estimate: Estimate, kind: str) -> str:
    """The ends of an interval: ``percent``, ``points`` or ``score``."""
    form = {"percent": format_percent, "points": format_points, "score": format_score}[kind]
    low, high = map(form, estimate.ci95)
    return f"{low.removesuffix(' %')}~{high.removesuffix(' %')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kot_platypus.app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "interval": format_interval,
        "model": name_model,
        "percent": format_percent,
        "points": format_points,
        "score": format_score,
        "task": name_task,
    }
    return environment
