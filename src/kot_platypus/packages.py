"""The packages that a training's settings ask for."""

from __future__ import annotations

from importlib.util import find_spec

from kot_platypus.errors import RecipeError, require_extra
from kot_platypus.recipe import TrainSection


def require_packages(section: TrainSection) -> None:
    """Raise KotError when a package of ``report_to`` or ``optim`` is not installed."""
    if section.optim != "adamw_torch":
        require_extra("bitsandbytes", "qlora", f"train.optim {section.optim}")
    for module in section.report_to:
        if find_spec(module) is None:
            raise RecipeError(
                f"train.report_to names {module}, which is not installed",
                expected="an installed package",
                hint=f"Run: pip install {module}",
            )
