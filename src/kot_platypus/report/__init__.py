"""A run, told in three ways: a page to read, a card to publish, a table for the terminal."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_report"]


def write_report(run: Path) -> None:
    """Write ``run/report.html`` and ``run/README.md`` from what the other stages left in ``run``.

    Loads no torch. Parts the run does not have are left out. The same folder gives the same
    bytes. Raises RunError when ``run`` is no run folder, DataError when a file in it is damaged.
    """
    # Imported here so that the terminal's summary need not wait for matplotlib.
    from kot_platypus.artifacts import write_text
    from kot_platypus.report.card import render_card
    from kot_platypus.report.page import render_page
    from kot_platypus.results import load_results

    results = load_results(run)
    write_text(run / "report.html", render_page(results))
    write_text(run / "README.md", render_card(results))
