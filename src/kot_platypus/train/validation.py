"""Validation: rows that are not learnt, and their loss while the others are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback

from kot_platypus.errors import DataError
from kot_platypus.recipe import SourceSection, TrainSection
from kot_platypus.records import Row, find_question
from kot_platypus.row_sources import parse_source, read_sources

EVALUATED = (
    *("eval_loss", "eval_token_accuracy"),
    *("eval_rewards/accuracies", "eval_rewards/margins"),
    *("eval_accuracy", "eval_equivalent"),
)
"""What an evaluation may find: of rows, of pairs, of answers in words."""


@dataclass(frozen=True)
class Split:
    """Rows to learn and rows to validate on, each under its number in its file, from 1."""

    train: dict[int, Row]
    validation: dict[int, Row]
    num_known: int = 0
    """Validation rows that ask what a row to learn asks."""
    note: str = ""
    """The split in one line, and what of a file is read otherwise than it may be meant."""
    name: str = ""
    """Where the validation rows are from, if not from the others."""


def find_validation(
    section: TrainSection, sources: Sequence[SourceSection]
) -> SourceSection | None:
    """The files, or the split on the Hub, to validate on; None for a share of the rows, or none.

    Their columns are those of the training's ``sources``, where these agree and none are said.
    """
    if not isinstance(section.validation, str):
        return None
    columns = section.validation_columns
    if columns is None and all(each.columns == sources[0].columns for each in sources):
        columns = sources[0].columns if sources else {}
    return parse_source(section.validation, columns)


def hold_out(
    rows: Sequence[Row], section: TrainSection, seed: int, sources: Sequence[SourceSection] = ()
) -> Split:
    """Split by ``section.validation``: a share of ``rows``, the same for a ``seed``, or a file.

    ``sources`` are those of the rows. Raises DataError where a share leaves one side empty, and for
    a file that is not there, has no rows or cannot be read.
    """
    numbered = dict(enumerate(rows, start=1))
    if section.validation is None:
        return Split(numbered, {})
    if source := find_validation(section, sources):
        return _take_source(numbered, source)
    assert not isinstance(section.validation, str)
    chosen = choose_questions(rows, section.validation, seed)
    train, validation = (
        {n: row for n, row in numbered.items() if (find_question(row) in chosen) == is_chosen}
        for is_chosen in (False, True)
    )
    note = (
        f"Validation: {len(validation):,} of the {len(rows):,} rows, {len(chosen):,} questions "
        f"drawn with seed {seed}; the other {len(train):,} are trained on"
    )
    return Split(train, validation, note=note)


def _take_source(train: dict[int, Row], source: SourceSection) -> Split:
    try:
        loaded = read_sources([source])
    except DataError as error:
        found = f"train.validation: {error.found}"
        raise DataError(found, expected=error.expected, hint=error.hint) from error
    validation, name = dict(enumerate(loaded.rows, start=1)), loaded.name
    if not validation:
        raise DataError(
            f"{name} holds no rows", expected="rows to validate on", hint="Check train.validation."
        )
    known = set(map(find_question, train.values()))
    num_known = sum(find_question(row) in known for row in validation.values())
    note = f"Validation: the {len(validation):,} rows of {name}"
    if num_known:
        note = (
            f"Warning: {num_known:,} of the {len(validation):,} validation rows of {name} ask what "
            "training rows ask, so their loss shows memory"
        )
    return Split(train, validation, num_known, "; ".join([note, *loaded.describe()]), name)


def choose_questions(rows: Sequence[Row], share: float, seed: int) -> set[tuple[str, str]]:
    """Questions whose rows are together about ``share`` of all, at least one and never all.

    Questions are drawn, not rows: rows of one question teach each other's answers. Raises DataError
    where all rows ask the same.
    """
    sizes = Counter(map(find_question, rows))
    if len(sizes) < 2:
        raise DataError(
            f"train.validation {share:g} of {len(rows):,} rows that ask {len(sizes)} question(s)",
            expected="at least two, to learn from one and validate on the other",
            hint="Give a file of validation rows, or train.validation=null.",
        )
    room = max(1, round(share * len(rows)))
    drawn = sorted(sizes)
    random.Random(seed).shuffle(drawn)
    chosen: set[tuple[str, str]] = set()
    for question in drawn:
        if sizes[question] <= room and len(chosen) < len(sizes) - 1:
            chosen.add(question)
            room -= sizes[question]
    return chosen or {min(drawn, key=sizes.__getitem__)}


class Validate(TrainerCallback):  # type: ignore[misc]
    """Asks for an evaluation every ``eval_steps`` and after the last step.

    With ``patience`` it ends a training whose loss has not fallen for so many evaluations. What it
    decides follows from the log alone, so an interrupted training decides the same.
    """

    def __init__(self, eval_steps: int, patience: int | None) -> None:
        self._eval_steps, self._patience = eval_steps, patience

    def on_step_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Whether it is time. HF's own "epoch" evaluates after the epoch's checkpoint is made."""
        step = state.global_step
        if step % self._eval_steps == 0 or step >= state.max_steps:
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Whether it is over."""
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        num_vain = len(losses) - 1 - losses.index(min(losses))
        if self._patience and num_vain >= self._patience:
            control.should_training_stop = True
            control.should_save = False  # going on from here would be a step too many


def choose_evaluation(lines: Sequence[dict[str, Any]], *, keeps_best: bool) -> dict[str, float]:
    """Of a log's lines the evaluation of the weights that are kept."""
    found = [line for line in lines if "eval_loss" in line]
    kept = min(found, key=lambda line: line["eval_loss"]) if keeps_best else found[-1]
    return {key: kept[key] for key in ("step", *EVALUATED) if key in kept}


def describe_course(lines: Sequence[dict[str, Any]], *, keeps_best: bool) -> str:
    """Where the validation loss was lowest, and whose weights are kept, in one line."""
    found = [line for line in lines if "eval_loss" in line]
    best, last = min(found, key=lambda line: line["eval_loss"]), found[-1]
    lowest = (
        f"The validation loss was lowest at step {best['step']} (epoch {best['epoch']:.4g}): "
        f"{best['eval_loss']:.4f}"
    )
    if best is last:
        return f"{lowest}, the last"
    kept = choose_evaluation(lines, keeps_best=keeps_best)["step"]
    return (
        f"{lowest}; at step {last['step']}, the last, it was {last['eval_loss']:.4f}. The weights "
        f"kept are those of step {kept}"
    )
