"""A run's KoBEST figures beside published ones, as rows: each marked, ranked where that is fair.

A rank needs the same task, shots, metric, protocol and questions. Whatever is not known to be the
same is shown and not ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase
from typing import Literal, NamedTuple

from kot_platypus.results.published import NUM_QUESTIONS, Figure, load_figures, was_cut
from kot_platypus.results.schema import ChoiceResults, ChoiceScore
from kot_platypus.results.wording import format_count, format_score, name_task

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
    """A row of our own: a model that was scored here."""

    name: str
    is_ours: bool
    """Trained here, rather than the base model."""
    part: ChoiceResults


class Cell(NamedTuple):
    """One figure; ``rank`` is its place among ``num_ranked`` comparable ones, 0 without one."""

    value: str
    interval: tuple[float, float] | None = None
    marks: str = ""
    rank: int = 0
    num_ranked: int = 0


class BesideRow(NamedTuple):
    """One model; None where there is no figure."""

    name: str
    hub_id: str
    """Empty for our own."""
    is_ours: bool
    standing: str
    marks: str
    cells: tuple[Cell | None, ...]


class BesideTable(NamedTuple):
    """One task: published models in their table's order, then ours."""

    task: str
    shots: tuple[int, ...]
    rows: tuple[BesideRow, ...]


class Beside(NamedTuple):
    """Every table, the notes that the rows' letters refer to, and which standings occur."""

    tables: tuple[BesideTable, ...]
    notes: tuple[tuple[str, str], ...]
    standings: tuple[tuple[Standing, str], ...]


def put_beside(ours: Sequence[Ours], models: Sequence[str]) -> Beside:
    """Published figures of ``models`` and our own, on every task that both have."""
    figures = [figure for figure in load_figures() if figure.model in models]
    scored = dict.fromkeys(task for our in ours for task in our.part.results)
    tasks = [t for t in dict.fromkeys(f.task for f in figures) if t in scored]
    notes = list(dict.fromkeys(n for f in figures if f.task in tasks for n in f.notes))
    letters = dict(zip(notes, ascii_lowercase, strict=False))
    tables = tuple(
        _table(task, ours, [f for f in figures if f.task == task], letters) for task in tasks
    )
    found = {judge(f, ours) for f in figures if f.task in tasks}
    return Beside(
        tables,
        tuple((letter, note.replace("`", "")) for note, letter in letters.items()),
        tuple((name, what) for name, what in STANDINGS.items() if name in found),
    )


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


def describe_questions(ours: Sequence[Ours], tasks: Iterable[str]) -> str:
    """A sentence on tasks where we asked other questions than KoBEST's whole test sets."""
    counts = {
        task: sorted(set().union(*(_count_questions(our.part, task) for our in ours)))
        for task in tasks
    }
    parts = [
        f"{name_task(task)} {' or '.join(map(format_count, n))} of {format_count(whole)}"
        for task, n in counts.items()
        if n != [whole := NUM_QUESTIONS[task]]
    ]
    return f"Ours are of fewer or other questions: {', '.join(parts)}." if parts else ""


# --- one task ----------------------------------------------------------------------------------


def _table(
    task: str, ours: Sequence[Ours], figures: Sequence[Figure], letters: Mapping[str, str]
) -> BesideTable:
    own = {our.name: our.part.results.get(task, {}) for our in ours}
    shots = sorted({s for by in own.values() for s in by} | {f.num_fewshot for f in figures})
    ladders = {s: _ladder(task, s, ours, figures) for s in shots}
    models = dict.fromkeys(figure.model for figure in figures)
    rows = [
        _row([f for f in figures if f.model == model], shots, ours, ladders, letters)
        for model in models
    ]
    rows += [
        BesideRow(
            our.name,
            "",
            our.is_ours,
            "scored here",
            "",
            tuple(_own_cell(own[our.name].get(s), ladders[s]) for s in shots),
        )
        for our in ours
        if own[our.name]
    ]
    return BesideTable(task, tuple(shots), tuple(rows))


def _ladder(
    task: str, shots: int, ours: Sequence[Ours], figures: Sequence[Figure]
) -> tuple[str, ...]:
    """The figures that may be ranked, best first; none unless ours and a published one are."""
    published = [
        format_score(figure.value)
        for figure in figures
        if figure.num_fewshot == shots and judge(figure, ours).startswith("comparable")
    ]
    own = [
        format_score(by[shots].macro_f1.value)
        for our in ours
        if shots in (by := our.part.results.get(task, {}))
    ]
    return tuple(sorted(published + own, reverse=True)) if published and own else ()


def _row(
    figures: Sequence[Figure],
    shots: Sequence[int],
    ours: Sequence[Ours],
    ladders: Mapping[int, tuple[str, ...]],
    letters: Mapping[str, str],
) -> BesideRow:
    """A published model's row. What holds for all its figures is marked once, at its name."""
    common = {note for note in figures[0].notes if all(note in f.notes for f in figures)}
    by_shots = {figure.num_fewshot: figure for figure in figures}
    standings = dict.fromkeys(judge(figure, ours) for figure in figures)

    def cell(figure: Figure) -> Cell:
        value = format_score(figure.value)
        marks = "".join(letters[note] for note in figure.notes if note not in common)
        ladder = ladders[figure.num_fewshot]
        if not judge(figure, ours).startswith("comparable"):
            ladder = ()
        return Cell(value, None, marks, *_find_rank(value, ladder))

    return BesideRow(
        figures[0].model,
        figures[0].hub_id,
        False,
        "; ".join(standings),
        "".join(sorted(letters[note] for note in common)),
        tuple(cell(by_shots[s]) if s in by_shots else None for s in shots),
    )


def _own_cell(score: ChoiceScore | None, ladder: tuple[str, ...]) -> Cell | None:
    if score is None:
        return None
    value = format_score(score.macro_f1.value)
    return Cell(value, score.macro_f1.ci95, "", *_find_rank(value, ladder))


def _find_rank(value: str, ladder: tuple[str, ...]) -> tuple[int, int]:
    """Place among the ranked, equal figures sharing the better one, and how many there are."""
    return (ladder.index(value) + 1, len(ladder)) if value in ladder else (0, 0)
