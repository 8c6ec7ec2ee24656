"""The errors a user can act on.

    KotError
    ├── UsageError          a command or option that does not exist       (exit code 2)
    ├── RecipeError         a recipe that cannot be read or makes no sense
    ├── DataError           rows or files that are not what they should be
    ├── ModelError          a model or adapter that cannot be loaded
    ├── RunError            a run folder that cannot be written or belongs to another run
    │   └── OutdatedError   ... or holds what the same stage made of other settings or inputs
    ├── ServiceError        a paid or remote service that refuses or cannot be reached
    ├── BudgetError         work that would cost more than was allowed
    └── MissingExtraError   an optional dependency that is not installed

Each prints as one line: what was found, what was expected, what to do next. Anything else that
is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import importlib
from functools import partial
from types import ModuleType
from typing import Any


class KotError(Exception):
    """An error with a one-line remedy. ``exit_code`` is what the command line returns."""

    exit_code = 1

    def __init__(self, found: str, *, expected: str, hint: str) -> None:
        self.found, self.expected, self.hint = found, expected, hint
        super().__init__(f"{found}; expected {expected}. {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle makes it of, so that it can come from another process."""
        return partial(type(self), expected=self.expected, hint=self.hint), (self.found,)

    def __str__(self) -> str:
        return " ".join(super().__str__().split())  # one line, whatever a cause's text holds


class UsageError(KotError):
    """Wrong usage of the command line."""

    exit_code = 2


class RecipeError(KotError):
    """A recipe that cannot be read, or whose values contradict each other."""


class DataError(KotError):
    """Data that is missing, malformed or of the wrong kind."""


class ModelError(KotError):
    """A model, tokenizer or adapter that cannot be loaded."""


class RunError(KotError):
    """A run folder that cannot be used: another run's, damaged, or on a full disk."""


class OutdatedError(RunError):
    """A folder with the same stage's work of other settings or inputs."""


class ServiceError(KotError):
    """A service that refuses a request or cannot be reached. What it did before is kept."""


class RefusedError(ServiceError):
    """A service that answered, but not with what was asked for: nothing is paid for that."""


class BudgetError(KotError):
    """Work stopped before it would cost more than was allowed. What was paid for is kept."""


class MissingExtraError(KotError):
    """A feature whose optional dependency is not installed."""


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or raise MissingExtraError naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"the package {module!r} is not installed",
            expected=f"it for {purpose}",
            hint=f"Run: pip install 'kot-platypus[{extra}]', or in a checkout "
            f"pip install -e '.[{extra}]'",
        ) from error
