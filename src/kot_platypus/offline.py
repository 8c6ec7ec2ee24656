"""What is known of models and data that are not on this machine: facts shipped with the recipes."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class Architecture(BaseModel):
    """A model's shape: values of its config.json, and a note on where they come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: str
    config: dict[str, Any]


class Known(BaseModel):
    """The shipped facts and the assumptions in place of those that are not published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datasets: dict[str, int]
    """A dataset's Hub id -> its published number of rows."""
    tokens_per_row: int
    """Assumed mean of prompt and response together."""
    response_share: float
    """Assumed part of them that is learnt."""
    models: dict[str, str]
    """A model's name -> its architecture."""
    architectures: dict[str, Architecture]

    def find_architecture(self, model: str) -> Architecture | None:
        """The architecture of a model by its name, or None."""
        name = self.models.get(model)
        return self.architectures[name] if name else None


@cache
def load_known() -> Known:
    """The facts of ``recipes/offline/known.yaml``."""
    path = files("kot_platypus") / "recipes" / "offline" / "known.yaml"
    return Known.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
