"""The command line: one verb per stage. Parses, calls one public function, says where it lies."""

from __future__ import annotations

# Importing a module of verbs adds them to the app. The help lists them in this order, after
# those that guard.py puts first.
from kot_platypus.cli import training  # noqa: F401  isort: skip
from kot_platypus.cli import data  # noqa: F401  isort: skip
from kot_platypus.cli import review  # noqa: F401  isort: skip
from kot_platypus.cli import evaluation  # noqa: F401  isort: skip
from kot_platypus.cli import reasoning  # noqa: F401  isort: skip
from kot_platypus.cli import results  # noqa: F401  isort: skip
from kot_platypus.cli import serving  # noqa: F401  isort: skip
from kot_platypus.cli import leaderboard  # noqa: F401  isort: skip
from kot_platypus.cli import pages  # noqa: F401  isort: skip
from kot_platypus.cli import publishing  # noqa: F401  isort: skip
from kot_platypus.cli import environment  # noqa: F401  isort: skip
from kot_platypus.cli.app import app
from kot_platypus.cli.terminal import replace_unprintable

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    with replace_unprintable():
        app()
