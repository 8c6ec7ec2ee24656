"""HTML around texts of data and models, which stay text: the templates escape every value."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from kot_platypus.results.schema import AT_ONCE, BASE, ROUND, SEED, TUNED
from kot_platypus.results.templates import load_templates

_NAMES = {
    BASE: "기본 모델",
    TUNED: "학습한 모델",
    AT_ONCE: "학습한 모델, 바로 답",
    "answer": "정답만 학습",
    "rationale": "풀이만 학습",
    "rationale_answer": "풀이와 정답 학습",
    "shuffled_rationale": "뒤섞은 풀이 학습",
}


def render(template: str, **values: Any) -> str:
    """A template of this folder as HTML."""
    environment = load_templates("kot_platypus.app", model=name_model)
    return environment.get_template(f"{template}.html.jinja").render(**values)


def read_css() -> str:
    """The page's own style sheet."""
    return (files(__package__) / "templates" / "page.css").read_text(encoding="utf-8")


def name_model(who: str) -> str:
    """A model of a run by its folder's name, as people read it."""
    if who.startswith(SEED):
        return f"{_NAMES[TUNED]}, 시드 {who.removeprefix(SEED)}"
    if who.startswith(ROUND):
        return f"{who.removeprefix(ROUND)}회차 학습"
    return _NAMES.get(who, who)
