"""The app that the verbs add themselves to."""

from __future__ import annotations

from typing import Annotated

import typer

from kot_platypus.cli.guard import Guarded

app = typer.Typer(
    name="kot",
    cls=Guarded,
    help="Turn a Korean base model into one that reasons step by step, and prove what it gained.",
    epilog="Start here: kot run demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from kot_platypus import __version__

        print(__version__)
        raise typer.Exit
