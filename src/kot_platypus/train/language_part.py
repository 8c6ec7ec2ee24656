"""Of a multimodal model only the language part is trained: text does not reach the others.

They have layers of the same names. Adapters there would learn nothing, and DDP would wait for their
gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kot_platypus.errors import ModelError
from kot_platypus.models.parts import list_other_parts, match_text_layers
from kot_platypus.progress import print_notice
from kot_platypus.recipe import TrainSection


def freeze_other_parts(model: Any) -> list[str]:
    """Have the parts that text does not reach stay as they are; their names."""
    others = list_other_parts(model)
    for part in others:
        model.get_submodule(part).requires_grad_(False)
    return others


def tell_other_parts(model: Any) -> None:
    """Say what of ``model`` is not trained, if anything."""
    if others := list_other_parts(model):
        kind = type(model).__name__
        print_notice(f"Only the language part of {kind} is trained, not {' nor '.join(others)}")


def choose_layers(model: Any, section: TrainSection, others: Sequence[str]) -> str | list[str]:
    """PEFT's ``target_modules``: of a multimodal model layers of the language part alone.

    Raises ModelError for a name that only the ``others`` have.
    """
    modules = section.lora_target_modules
    if not others:
        return modules if isinstance(modules, str) else list(modules)
    try:
        return match_text_layers(model, others, modules)
    except LookupError as error:
        raise ModelError(
            f"train.lora_target_modules names {error}, which the language part of "
            f"{type(model).__name__} does not have",
            expected=f"layers that text passes through, so none of {', '.join(others)}",
            hint="Set train.lora_target_modules=all-linear for all of them.",
        ) from error
