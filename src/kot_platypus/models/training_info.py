"""``kot.json``: what a trained model's folder says of its training, and of how to ask the model."""

from __future__ import annotations

import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kot_platypus.artifacts import read_json
from kot_platypus.errors import DataError
from kot_platypus.prompts import Template, load_template

TRAINING_INFO = "kot.json"
PROCESSOR_TEMPLATE = "chat_template.json"
"""Where multimodal models of 2024 keep their chat template; their tokenizer need not know it."""


class TrainingInfo(BaseModel):
    """Stands beside an adapter, a trained and a merged model. Older ones lack some of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    base: str | None = None
    """The base's fingerprint."""
    target: str | None = None
    objective: str | None = None
    """``dpo`` or ``orpo``, if pairs were learnt."""
    method: str | None = None
    quantization: str | None = None
    """How the base was held in training (``nf4``)."""
    template: Template | None = None
    chat_template: str | None = None
    """The tokenizer's, used if ``template.chat``."""
    date: datetime.date | None = None
    """The day that is written into ``chat_template``, which without it would show today."""


def read_training_info(folder: Path) -> TrainingInfo:
    """What ``folder`` says of its training: nothing, if we did not train it."""
    path = folder / TRAINING_INFO
    if not path.is_file():
        return TrainingInfo()
    try:
        return TrainingInfo.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            expected="what kot train or kot merge wrote",
            hint="Run it again.",
        ) from error


def read_template(folder: Path, otherwise: str | None = None) -> Template:
    """The template that a model was trained with; where nothing says so, that of another name.

    Raises DataError where nothing says so and none is named.
    """
    if template := read_training_info(folder).template:
        return template
    if otherwise is not None:
        return load_template(otherwise)
    raise DataError(
        f"{folder} does not say which template its model was trained with",
        expected=f"a {TRAINING_INFO} of kot merge or kot train",
        hint="Name the merged model's folder.",
    )


def read_processor_template(folder: Path) -> str | None:
    """The chat template that stands beside a multimodal model's processor, in a file of its own."""
    file = folder / PROCESSOR_TEMPLATE
    template = read_json(file).get("chat_template") if file.is_file() else None
    return template if isinstance(template, str) else None


def has_chat_template(folder: Path) -> bool:
    """Whether a model's folder says how a chat is put to it."""
    settings = folder / "tokenizer_config.json"
    is_told = settings.is_file() and bool(read_json(settings).get("chat_template"))
    files = ("chat_template.jinja", PROCESSOR_TEMPLATE)
    return is_told or any((folder / file).is_file() for file in files)
