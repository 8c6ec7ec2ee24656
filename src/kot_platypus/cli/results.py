"""The verbs that show what came out: report, card, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import RunFolder, example, require_file
from kot_platypus.errors import DataError


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


@app.command(
    epilog=example(
        "kot chat runs/demo", "kot chat merged", "kot chat runs/demo --ask '3+4는 얼마인가?'"
    )
)
def chat(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A run folder, or a model of kot merge or train."),
    ],
    ask: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Answer one question and exit."),
    ] = None,
) -> None:
    """Ask a trained model questions, one at a time."""
    model = _find_model(folder)
    from kot_platypus.app.chat import chat_with

    chat_with(model, ask)


def _find_model(folder: Path) -> Path:
    """The trained model in a run folder, or the folder itself if that is one."""
    for model in (folder / "merged", folder):
        if (model / "kot.json").is_file() and (model / "config.json").is_file():
            return model
    for adapter in (folder / "adapter", folder):
        if (adapter / "adapter_config.json").is_file():
            raise DataError(
                f"FOLDER: {adapter} is an adapter, not yet a model",
                expected="a run folder, or a merged model",
                hint=f"Merge it first: kot merge --adapter {adapter} --out merged",
            )
    raise DataError(
        f"FOLDER: {folder} holds no model trained by kot",
        expected="a run folder, or a model of kot merge or kot train",
        hint="Check the path.",
    )
