"""The verbs that show what came out: report, card, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    RunFolder,
    TrustRemoteCode,
    example,
    require_new_file,
)
from kot_platypus.errors import DataError, UsageError

Published = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Put published figures beside ours: models, or all."),
]


@app.command(
    epilog=example(
        "kot report runs/demo",
        "kot report runs/demo --published all",
        "kot report runs/demo runs/other --out both.html",
    )
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where the page goes; several runs need it."
        ),
    ] = None,
    published: Published = None,
) -> None:
    """Write a run's report.html and model card again, or one page that compares several runs."""
    from kot_platypus.report import write_report, write_runs
    from kot_platypus.results.run import require_run

    for run in runs:  # before matplotlib is loaded
        require_run(run)
    require_new_file(out)
    if out is not None:
        write_runs(runs, out, published)
    elif len(runs) == 1:
        write_report(runs[0], published)
    else:
        raise UsageError(
            f"{len(runs)} runs and no --out",
            expected="the file of their common page",
            hint=f"Run: kot report {' '.join(map(str, runs))} --out both.html",
        )
    print(out or runs[0] / "report.html")


@app.command(epilog=example("kot card runs/demo", "kot card runs/demo --published all"))
def card(run: RunFolder, published: Published = None) -> None:
    """Print a run's model card (README.md for the Hub)."""
    from kot_platypus.report.card import render_card
    from kot_platypus.results.published import select_models
    from kot_platypus.results.run import load_results

    models = select_models(published) if published else []
    print(render_card(load_results(run), published=models), end="")


@app.command(
    epilog=example(
        "kot chat runs/demo",
        "kot chat runs/demo --compare base",
        "kot chat merged --ask '3+4는 얼마인가?'",
    )
)
def chat(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A run folder, or a model of kot merge or train."),
    ],
    ask: Annotated[
        str | None,
        typer.Option(help="Answer one question and exit."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Also ask another: base (the run's), a folder, an id."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="The longest answer, in tokens.")
    ] = 256,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Ask a trained model questions, one at a time: its rationale dim, its answer bright."""
    model = _find_model(folder)
    base = _find_other(folder, compare) if compare else None
    from kot_platypus.app.chat import chat_with

    trust, limit = trust_remote_code, max_new_tokens
    chat_with(model, ask, base=base, max_new_tokens=limit, trust_remote_code=trust)


def _find_other(folder: Path, name: str) -> Path:
    """The model to compare with: the base of a run, or any."""
    from kot_platypus.models import resolve_model
    from kot_platypus.recipe import load_recipe

    if name != "base":
        return resolve_model(name)
    recipe = folder / "recipe.yaml"
    if not recipe.is_file():
        raise UsageError(
            f"--compare base with {folder}, which is no run",
            expected="a run folder, whose recipe names the base",
            hint="Name the model: --compare gemma-3-270m",
        )
    section = load_recipe(str(recipe)).model
    return resolve_model(section.name, section.revision)


def _find_model(folder: Path) -> Path:
    """The trained model in a run folder, or the folder itself if that is one."""
    from kot_platypus.models import TRAINING_INFO

    for model in (folder / "merged", folder):
        if (model / TRAINING_INFO).is_file() and (model / "config.json").is_file():
            return model
    for adapter in (folder / "adapter", folder):
        if (adapter / "adapter_config.json").is_file():
            raise DataError(
                f"FOLDER: {adapter} is an adapter, not yet a model",
                expected="a run folder, or a merged model",
                hint=f"Merge it first: kot merge --adapter {adapter} --model BASE --out merged",
            )
    raise DataError(
        f"FOLDER: {folder} holds no model trained by kot",
        expected="a run folder, or a model of kot merge or kot train",
        hint="Check the path.",
    )
