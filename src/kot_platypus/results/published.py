"""The published KoBEST figures that are shipped, each marked with how its making is known.

``published.json`` holds the figures and three notes verbatim. Which note speaks of which figure is
said here, and no more than the notes say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

from kot_platypus.errors import UsageError
from kot_platypus.results.schema import Part

ALL_MODELS = "all"
Certainty = Literal["known", "inferred", "unknown"]
NUM_QUESTIONS = {"copa": 1000, "hellaswag": 500, "boolq": 1404, "sentineg": 397, "wic": 1260}
"""KoBEST's test sets."""
MAX_TOKENS = 2048
"""Every prompt of these tasks is longer at 50 shots, so fewer of them were seen."""
_TASKS_CUT_AT_50 = ("boolq", "hellaswag", "wic")

# The notes in published.json, by what they are about.
_NOTE_METRIC, _NOTE_COPIED, _NOTE_KNOWN = 0, 1, 2
_PROTOCOLS: dict[str, Certainty] = {
    "Llama-2-Ko-7b 40B": "known",
    "KO-platypus2-7B-EX": "inferred",
    "KoT-platypus2-7B": "inferred",
}
_COPIED = {("Polyglot-ko-3.8b", task, 50) for task in ("boolq", "sentineg")}
_INFERRED = (
    "Protocol inferred, not proven: made with the ko-lm-evaluation-harness in September or October "
    "2023, most likely with the `polyglot` prompts: SentiNeg behaves as with that older prompt."
)
_UNKNOWN = "Protocol unknown: nothing says with which prompts these figures were made."
_CUT = (
    f"50 shots of this task never fit into {MAX_TOKENS:,} tokens: the published figure is for as "
    "many of the last shots as fit, and how many that were is not published."
)


class Figure(Part):
    """One published figure and what is known of it."""

    task: str
    model: str
    hub_id: str
    num_fewshot: int
    value: float
    metric: Literal["macro_f1", "macro_f1_norm"]
    metric_certainty: Certainty
    protocol: Literal["polyglot"] | None
    protocol_certainty: Certainty
    is_probably_copied: bool
    notes: tuple[str, ...]
    """What to read beside it: whatever is inferred, unknown or odd, and how it is known."""


@cache
def load_figures() -> tuple[Figure, ...]:
    """All published figures, in the file's order."""
    text = (files("kot_platypus.results") / "published.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    return tuple(
        _mark_figure(
            row["task"].removeprefix("kobest_"),
            row["model"],
            row["hub_id"],
            row["num_fewshot"],
            row["f1"],
            facts["notes"],
        )
        for row in facts["rows"]
    )


def list_models() -> list[str]:
    """The published models, in the table's order."""
    return list(dict.fromkeys(figure.model for figure in load_figures()))


def select_models(names: str) -> list[str]:
    """The published models of ``all`` or of a comma-separated list, upper or lower case.

    Raises:
        UsageError: no such model.
    """
    models = list_models()
    if names.strip().lower() == ALL_MODELS:
        return models
    by_name = {model.lower(): model for model in models}
    chosen = []
    for name in (part.strip() for part in names.split(",")):
        if name.lower() not in by_name:
            close = get_close_matches(name.lower(), by_name, n=1, cutoff=0.4)
            raise UsageError(
                f"no published model {name!r}",
                expected=f"{ALL_MODELS} or one of {', '.join(models)}",
                hint=f"Did you mean {by_name[close[0]]}?" if close else "Mend --published.",
            )
        chosen.append(by_name[name.lower()])
    return list(dict.fromkeys(chosen))


def was_cut(task: str, num_fewshot: int) -> bool:
    """Whether prompts of ``MAX_TOKENS`` hold fewer shots than were asked for."""
    return num_fewshot == 50 and task in _TASKS_CUT_AT_50


def _mark_figure(
    task: str, model: str, hub_id: str, num_fewshot: int, value: float, notes: Sequence[str]
) -> Figure:
    certainty = _PROTOCOLS.get(model, "unknown")
    about_protocol = {"known": notes[_NOTE_KNOWN], "inferred": _INFERRED, "unknown": _UNKNOWN}
    is_norm = task == "hellaswag" and model.startswith("Polyglot-ko")
    is_copied = (model, task, num_fewshot) in _COPIED
    remarks = {
        about_protocol[certainty]: True,
        notes[_NOTE_METRIC]: is_norm,
        notes[_NOTE_COPIED]: is_copied,
        _CUT: was_cut(task, num_fewshot),
    }
    return Figure(
        task=task,
        model=model,
        hub_id=hub_id,
        num_fewshot=num_fewshot,
        value=value,
        metric="macro_f1_norm" if is_norm else "macro_f1",
        # The table is headed F1, and the first note takes no other row from it.
        metric_certainty="inferred" if is_norm else "known",
        protocol=None if certainty == "unknown" else "polyglot",
        protocol_certainty=certainty,
        is_probably_copied=is_copied,
        notes=tuple(remark for remark, applies in remarks.items() if applies),
    )
