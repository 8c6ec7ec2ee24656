"""Pages are Jinja templates: every value escaped, and numbers written one way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from kot_platypus.results import wording


@cache
def load_templates(package: str, **filters: Callable[..., object]) -> Environment:
    """A package's templates, each compiled once, with the filters that all pages use and more."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": wording.format_count,
        "difference": wording.format_score_difference,
        "interval": wording.format_interval,
        "p": wording.format_p,
        "percent": wording.format_percent,
        "points": wording.format_points,
        "score": wording.format_score,
        "task": wording.name_task,
        **filters,
    }
    return environment
