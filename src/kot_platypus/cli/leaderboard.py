"""The verb that puts the results of a whole folder beside each other: leaderboard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.evaluation import parse_counts
from kot_platypus.cli.options import example, print_screen, require_new_file
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from kot_platypus.report.leaderboard import Block
    from kot_platypus.results.schema import SkippedFile

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
