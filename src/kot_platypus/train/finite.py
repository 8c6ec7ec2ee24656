"""What is said of infinities and NaNs, which training and saving never pass over in silence."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from kot_platypus.errors import ModelError


def name_dtype(holder: nn.Module | Tensor | Any) -> str:
    """The dtype of a model or tensor, as a recipe has it."""
    return str(holder.dtype).removeprefix("torch.")


def not_finite(what: str, dtype: str) -> ModelError:
    """The error of a training that met infinities or NaNs: it would go on to learn nothing."""
    other = "" if dtype == "float32" else " or set model.dtype=float32"
    return ModelError(
        f"{what} not finite in {dtype}",
        expected="numbers",
        hint=f"Lower train.learning_rate{other}. The last checkpoint is kept.",
    )
