"""The verbs that show what came out: compare, leaderboard, report, card, chat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    TrustRemoteCode,
    example,
    parse_counts,
    print_screen,
    require_new_file,
)
from kot_platypus.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kot_platypus.report.leaderboard import Block
    from kot_platypus.results.collect import SkippedFile

Published = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Put published figures beside ours: models, or all."),
]


@app.command(
    epilog=example(
        "kot compare scores/merged scores/base",
        "kot compare runs/demo runs/demo/evaluate/base/kobest",
        "kot compare scores/base --published all",
    ),
)
def compare(
    run_a: Annotated[
        Path, typer.Argument(metavar="RUN_A", help="A folder of kot run, eval, reason or lm-eval.")
    ],
    run_b: Annotated[
        Path | None,
        typer.Argument(metavar="RUN_B", help="Another: same protocol, data, questions."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Of choices macro_f1 (if left out), acc, acc_norm or macro_f1_norm; equivalent: "
            "stated answers by what they mean."
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Instead of RUN_B: published models, or all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.json", help="Write the figures as JSON too."),
    ] = None,
) -> None:
    """Compare two models' scores, or one's with published figures."""
    require_new_file(out)
    from kot_platypus.report import comparison_table as tables
    from kot_platypus.results.comparison import compare_evaluations
    from kot_platypus.results.schema import dump_part

    screen: RenderableType
    if published is not None and run_b is None and metric is None:
        beside = tables.gather_published(run_a, published)
        facts, screen = beside.model_dump(mode="json"), tables.published_table(beside)
    elif published is None and run_b is not None:
        pair = compare_evaluations(run_a, run_b, metric)
        facts, screen = dump_part(pair), tables.comparison_table(pair)
    else:
        raise UsageError(
            "one RUN alone" if published is None else "--published with RUN_B or --metric",
            expected="two runs, or one and --published (whose figures have their own metric)",
            hint="Run: kot compare RUN_A RUN_B, or: kot compare RUN --published all",
        )
    print_screen(screen)
    if out:
        from kot_platypus.artifacts import write_json

        write_json(out, facts)
        print(out)


_SUFFIXES = (".html", ".json", ".csv")


@app.command(
    epilog=example(
        "kot leaderboard runs",
        "kot leaderboard history --protocol polyglot --num-fewshot 5 --sort date",
        "kot leaderboard history --out history.html",
    )
)
def leaderboard(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Runs, scores, and files of other harnesses.")
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="Only this one: its name, how that begins, or its fingerprint."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    num_fewshot: Annotated[
        str | None,
        typer.Option(help="Only these numbers of shots, comma-separated."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Only this one, or all; left out: each task's first (files: all)."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="value, model, date or file, within what is comparable."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write a page (.html) or rows (.json, .csv)."
        ),
    ] = None,
) -> None:
    """Show all results below a folder: of kot, lm-eval and ko-lm-evaluation-harness."""
    require_new_file(out)
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"--out {out}", expected=f"a name with {', '.join(_SUFFIXES)}", hint="Rename it."
        )
    from kot_platypus.report.leaderboard import leaderboard_table, make_blocks, select_scores
    from kot_platypus.results.collect import collect_rows
    from kot_platypus.results.standings import add_tests

    shots = parse_counts("--num-fewshot", num_fewshot) if num_fewshot else None
    found, skipped = collect_rows(folder)
    scores = select_scores(found, protocol=protocol, task=task, num_fewshot=shots, metric=metric)
    wanted = [each for each in make_blocks(scores, sort) if out or each.is_main or metric]
    blocks = [replace(block, rows=tuple(add_tests(folder, block.rows))) for block in wanted]
    if out is None:
        print_screen(leaderboard_table(blocks, skipped))
    else:
        _write_file(out, folder.absolute().name, skipped, blocks)
        print(out)


def _write_file(
    out: Path,
    title: str,
    skipped: list[SkippedFile],
    blocks: list[Block],
) -> None:
    from kot_platypus.artifacts import write_json, write_text
    from kot_platypus.report.leaderboard import render_leaderboard, write_csv

    rows = [row for block in blocks for row in block.rows]
    if out.suffix.lower() == ".html":
        write_text(out, render_leaderboard(title, blocks, skipped))
    elif out.suffix.lower() == ".csv":
        write_text(out, write_csv(rows))
    else:
        scores = [row.model_dump(mode="json") for row in rows]
        write_json(out, {"scores": scores, "skipped": [each.model_dump() for each in skipped]})


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
def card(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/demo.")],
    published: Published = None,
) -> None:
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
