"""The day that a training's chat template shows: one, however often the training is taken up."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.errors import RecipeError
from kot_platypus.processes import ask_main
from kot_platypus.progress import print_notice
from kot_platypus.prompts import Template, shows_date, write_date
from kot_platypus.recipe import TrainSection

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILE = "date.json"


def pin_date(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    section: TrainSection,
    checkpoints: Path | None = None,
) -> date | None:
    """Write a day into the tokenizer's chat template, in place of today, and say which.

    It is the section's, that of the training whose ``checkpoints`` lie there, or today. None, and
    nothing is done, where ``template`` shows none. Raises RecipeError when the section names one
    all the same, ModelError when the chat template cannot hold it.
    """
    if not template.chat or not shows_date(tokenizer.chat_template):
        if section.date:
            raise RecipeError(
                f"train.date={section.date}, which no prompt shows",
                expected="the template chat, and a tokenizer whose chat template shows the date",
                hint="Leave it out.",
            )
        return None
    day = section.date or ask_main(lambda: _find_day(checkpoints))
    tokenizer.chat_template = write_date(str(tokenizer.chat_template), day)
    print_notice(f"The chat template shows the date: {day} in every row (train.date)")
    return day


def keep_date(checkpoints: Path, day: date | None) -> None:
    """Have a training that is taken up on another day show the same one."""
    if day is not None:
        ask_main(lambda: write_json(checkpoints / _FILE, day.isoformat()))


def _find_day(checkpoints: Path | None) -> date:
    file = checkpoints / _FILE if checkpoints else None
    if file and file.is_file():
        return date.fromisoformat(read_json(file))
    return datetime.now().date()
