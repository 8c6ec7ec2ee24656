"""The verbs that show what came out: report, card, chat."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import RunFolder, example, require_file


@app.command(epilog=example("kot report runs/demo"))
def report(run: RunFolder) -> None:
    """Write a run's report.html and model card again."""
    from kot_platypus.report import write_report

    require_file(run / "recipe.yaml", "RUN")
    write_report(run)
    print(run / "report.html")


@app.command(epilog=example("kot card runs/demo"))
def card(run: RunFolder) -> None:
    """Print a run's model card (README.md for the Hub)."""
    from kot_platypus.report.card import render_card
    from kot_platypus.report.results import load_results

    require_file(run / "recipe.yaml", "RUN")
    print(render_card(load_results(run)), end="")


@app.command(epilog=example("kot chat runs/demo", "kot chat runs/demo --ask '3+4는 얼마인가?'"))
def chat(
    run: RunFolder,
    ask: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Answer one question and exit."),
    ] = None,
) -> None:
    """Ask a run's trained model questions, one at a time."""
    require_file(run / "merged" / "kot.json", "RUN")
    from kot_platypus.app.chat import chat_with

    chat_with(run / "merged", ask)
