"""A run, told in three ways: a page to read, a card to publish, a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_report", "write_runs"]


def write_report(run: Path, published: str | None = None) -> None:
    """Write ``run/report.html`` and ``run/README.md`` from what the other stages left in ``run``.

    ``published`` names models whose published figures are put beside ours, or is ``all``. Loads
    no torch. Parts the run does not have are left out. The same folder gives the same bytes.
    Raises RunError when ``run`` is no run folder, DataError when a file in it is damaged,
    UsageError for a model that was not published.
    """
    # Imported here so that the terminal's summary need not wait for matplotlib.
    from kot_platypus.artifacts import write_text
    from kot_platypus.report.card import render_card
    from kot_platypus.report.page import render_page
    from kot_platypus.report.runs import load_runs
    from kot_platypus.results.published import select_models

    models = select_models(published) if published else []
    (shown,) = load_runs([run])
    write_text(run / "report.html", render_page([shown], models))
    write_text(run / "README.md", render_card(shown.results, published=models))


def write_runs(runs: Sequence[Path], out: Path, published: str | None = None) -> None:
    """Write ``out``: one page on a run, or on several side by side.

    Raises as ``write_report`` does, and UsageError for more runs than can be told apart.
    """
    from kot_platypus.artifacts import write_text
    from kot_platypus.report.page import render_page
    from kot_platypus.report.runs import load_runs
    from kot_platypus.results.published import select_models

    models = select_models(published) if published else []
    write_text(out, render_page(load_runs(runs), models))
