"""The command line: one verb per stage. Parses, calls one public function, says where it lies."""

from __future__ import annotations

# Importing a module of verbs adds them to the app.
from kot_platypus.cli import (  # noqa: F401
    data,
    data_audit,
    environment,
    evaluation,
    ledger,
    lm_eval,
    pages,
    publishing,
    rationales,
    results,
    suites,
    training,
)
from kot_platypus.cli.app import app, replace_unprintable

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line, as ``kot`` whatever it was called by: completion goes by that name."""
    with replace_unprintable():
        app(prog_name="kot")
