"""The verb with which a person decides about translated rows: data review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kot_platypus.cli.data import data
from kot_platypus.cli.options import example


@data.command(epilog=example("kot data review data", "kot data review data --port 0 --no-browser"))
def review(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What kot data build wrote with --out.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0: any that is free.")
    ] = 8421,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Accept, edit or drop the rows in which a check found an error, on a page in the browser.

    Each decision is on disk at once; kot data build takes them in when you run it again.
    """
    from kot_platypus.data.review.server import serve_review

    serve_review(folder, port, open_browser=browser)
