"""The published KoBEST figures that are shipped, and ours beside them: marked, and never ranked.

``published.json`` holds the figures and three notes verbatim. Which note speaks of which figure is
said here, and no more than the notes say. Published figures have no intervals and no answers to
pair ours with, so nothing can be tested: each stands with what is known of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from string import ascii_lowercase
from typing import Any, Literal, NamedTuple

from kot_platypus.errors import UsageError
from kot_platypus.results.schema import ChoiceResults, Estimate, Part
from kot_platypus.results.wording import METRIC_NAMES, format_count, format_score, name_task

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
    protocol: Literal["polyglot"] | None
    protocol_certainty: Certainty
    notes: tuple[str, ...]
    """What to read beside it: whatever is inferred, unknown or odd, and how it is known."""


@cache
def load_figures() -> tuple[Figure, ...]:
    """All published figures, in the file's order."""
    text = (files("kot_platypus.results") / "published.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    return tuple(_mark_figure(row, facts["notes"]) for row in facts["rows"])


def list_models() -> list[str]:
    """The published models, in the table's order."""
    return list(dict.fromkeys(figure.model for figure in load_figures()))


def list_tasks() -> list[str]:
    """The tasks with published figures, in the table's order."""
    return list(dict.fromkeys(figure.task for figure in load_figures()))


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
                hint=f"Did you mean {by_name[close[0]]}?" if close else "Fix --published.",
            )
        chosen.append(by_name[name.lower()])
    return list(dict.fromkeys(chosen))


def was_cut(task: str, num_fewshot: int) -> bool:
    """Whether prompts of ``MAX_TOKENS`` hold fewer shots than were asked for."""
    return num_fewshot == 50 and task in _TASKS_CUT_AT_50


def _mark_figure(row: Mapping[str, Any], notes: Sequence[str]) -> Figure:
    task, model, num_fewshot = row["task"].removeprefix("kobest_"), row["model"], row["num_fewshot"]
    certainty = _PROTOCOLS.get(model, "unknown")
    about_protocol = {"known": notes[_NOTE_KNOWN], "inferred": _INFERRED, "unknown": _UNKNOWN}
    is_norm = task == "hellaswag" and model.startswith("Polyglot-ko")
    remarks = {
        about_protocol[certainty]: True,
        notes[_NOTE_METRIC]: is_norm,
        notes[_NOTE_COPIED]: (model, task, num_fewshot) in _COPIED,
        _CUT: was_cut(task, num_fewshot),
    }
    return Figure(
        task=task,
        model=model,
        hub_id=row["hub_id"],
        num_fewshot=num_fewshot,
        value=row["f1"],
        metric="macro_f1_norm" if is_norm else "macro_f1",
        protocol=None if certainty == "unknown" else "polyglot",
        protocol_certainty=certainty,
        notes=tuple(remark for remark, applies in remarks.items() if applies),
    )


# --- ours beside them --------------------------------------------------------------------------

Standing = Literal[
    "comparable",
    "comparable, inferred",
    "other metric",
    "other questions",
    "other protocol",
    "unknown protocol",
    "unknown shots",
]
STANDINGS: dict[Standing, str] = {
    "comparable": "same task, shots, metric, protocol and test set as ours",
    "comparable, inferred": "the same, as far as can be inferred from published facts",
    "other metric": "not macro F1 of the plain prediction, as far as can be inferred",
    "other questions": "the published figure is of KoBEST's whole test set, ours is not",
    "other protocol": "other prompts or shots than ours",
    "unknown protocol": "nothing says with which prompts and shots it was made",
    "unknown shots": "fewer than asked for fit into the prompt, and how many is not published",
}


class Ours(NamedTuple):
    """A model that was scored here."""

    name: str
    is_ours: bool
    """Trained here, rather than the base model."""
    part: ChoiceResults


class Cell(Part):
    """One figure; ours with its interval and how many shots fitted."""

    value: float
    ci95: tuple[float, float] | None = None
    effective_shots: float | None = None
    marks: str = ""
    """The letters of its notes."""

    @property
    def text(self) -> str:
        """The figure as it was published, to four decimals."""
        return format_score(self.value)


class BesideRow(Part):
    """One model in one metric: number of shots -> figure."""

    name: str
    hub_id: str = ""
    """Empty for our own."""
    is_ours: bool = False
    metric: str
    standing: str
    marks: str = ""
    cells: dict[int, Cell]


class BesideTable(Part):
    """One task: published models in their table's order, then ours."""

    task: str
    shots: tuple[int, ...]
    rows: tuple[BesideRow, ...]


class Beside(Part):
    """Every table, the notes that the rows' letters refer to, and which standings occur."""

    tables: tuple[BesideTable, ...]
    notes: tuple[tuple[str, str], ...]
    standings: tuple[tuple[Standing, str], ...]


def put_beside(ours: Sequence[Ours], models: Sequence[str], *, all_shots: bool = True) -> Beside:
    """Published figures of ``models`` and our own, on every task that both have.

    Ours stand there in every metric that a published figure is, or is inferred to be. Without
    ``all_shots``, only published figures of as many shots as ours.
    """
    figures = [
        figure
        for figure in load_figures()
        if figure.model in models and _has_ours(figure, ours, all_shots)
    ]
    tasks = list(dict.fromkeys(figure.task for figure in figures))
    notes = dict.fromkeys(note for our in ours for task in tasks for note in _note_ours(our, task))
    notes |= dict.fromkeys(note for figure in figures for note in figure.notes)
    letters = dict(zip(notes, ascii_lowercase, strict=False))
    found = {judge(figure, ours) for figure in figures}
    return Beside(
        tables=tuple(
            _make_table(task, ours, [f for f in figures if f.task == task], letters)
            for task in tasks
        ),
        notes=tuple((letter, note.replace("`", "")) for note, letter in letters.items()),
        standings=tuple((name, what) for name, what in STANDINGS.items() if name in found),
    )


def _has_ours(figure: Figure, ours: Iterable[Ours], all_shots: bool) -> bool:
    scored = [our.part.results.get(figure.task, {}) for our in ours]
    return any(by_shots and (all_shots or figure.num_fewshot in by_shots) for by_shots in scored)


def judge(figure: Figure, ours: Iterable[Ours]) -> Standing:
    """How a published figure compares with ours of the same task: what differs, or is not known."""
    parts = [our.part for our in ours if figure.task in our.part.results]
    if figure.metric != "macro_f1":
        return "other metric"
    if any(_count_questions(part, figure.task) != {NUM_QUESTIONS[figure.task]} for part in parts):
        return "other questions"
    if figure.protocol is None:
        return "unknown protocol"
    if any(part.protocol.name != figure.protocol for part in parts):
        return "other protocol"
    if was_cut(figure.task, figure.num_fewshot):
        return "unknown shots"
    return "comparable" if figure.protocol_certainty == "known" else "comparable, inferred"


def _count_questions(part: ChoiceResults, task: str) -> set[int]:
    return {score.n for score in part.results.get(task, {}).values()}


def _note_ours(our: Ours, task: str) -> list[str]:
    """Where our own figures are not of the published kind: another protocol, other questions."""
    part, protocol = our.part, our.part.protocol.name
    if task not in part.results:
        return []
    others = {
        each: counts
        for each in part.results
        if each in NUM_QUESTIONS
        and (counts := _count_questions(part, each)) != {NUM_QUESTIONS[each]}
    }
    said = "; ".join(
        f"{name_task(each)} {' or '.join(map(format_count, sorted(counts)))}, not "
        f"{format_count(NUM_QUESTIONS[each])}"
        for each, counts in others.items()
    )
    notes = {
        f"Ours: the protocol {protocol}. The published figures are of `polyglot` where that is "
        "known or inferred. A difference may be the protocol's and not the model's.": (
            protocol != "polyglot"
        ),
        f"Ours: fewer or other questions than KoBEST's test sets ({said}).": task in others,
    }
    if part.bos is not None:
        notes[f"Ours: {part.bos.describe(protocol)}."] = part.bos.reads_badly
    return [note for note, applies in notes.items() if applies]


def _make_table(
    task: str, ours: Sequence[Ours], figures: Sequence[Figure], letters: Mapping[str, str]
) -> BesideTable:
    models = dict.fromkeys(figure.model for figure in figures)
    metrics = sorted({figure.metric for figure in figures})
    rows = [_make_row([f for f in figures if f.model == model], ours, letters) for model in models]
    rows += [
        _make_own_row(our, task, metric, letters)
        for metric in metrics
        for our in ours
        if task in our.part.results
    ]
    shots = {shots for row in rows for shots in row.cells}
    return BesideTable(task=task, shots=tuple(sorted(shots)), rows=tuple(rows))


def _make_row(
    figures: Sequence[Figure], ours: Sequence[Ours], letters: Mapping[str, str]
) -> BesideRow:
    """A published model's row. What holds for all its figures is marked once, at its name."""
    first = figures[0]
    common = [note for note in first.notes if all(note in other.notes for other in figures)]
    return BesideRow(
        name=first.model,
        hub_id=first.hub_id,
        metric=first.metric,
        standing="; ".join(dict.fromkeys(judge(figure, ours) for figure in figures)),
        marks=_mark(common, letters),
        cells={
            figure.num_fewshot: Cell(
                value=figure.value,
                marks=_mark([note for note in figure.notes if note not in common], letters),
            )
            for figure in figures
        },
    )


def _make_own_row(our: Ours, task: str, metric: str, letters: Mapping[str, str]) -> BesideRow:
    cells = {}
    for num_fewshot, score in our.part.results[task].items():
        estimate: Estimate = getattr(score, metric)
        cells[num_fewshot] = Cell(**dict(estimate), effective_shots=score.effective_shots)
    return BesideRow(
        name=our.name if metric == "macro_f1" else f"{our.name}, {METRIC_NAMES[metric]}",
        is_ours=our.is_ours,
        metric=metric,
        standing="scored here",
        marks=_mark(_note_ours(our, task), letters),
        cells=cells,
    )


def _mark(notes: Iterable[str], letters: Mapping[str, str]) -> str:
    return "".join(sorted(letters[note] for note in notes))
