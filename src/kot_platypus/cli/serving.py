"""The verb for models on servers: serve-check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import example, require_file


@app.command(
    "serve-check",
    epilog=example("kot serve-check runs/demo/merged --base-url http://localhost:8000/v1"),
)
def serve_check(
    folder: Annotated[Path, typer.Argument(metavar="MERGED", help="The merged model's folder.")],
    base_url: Annotated[str, typer.Option(help="Where it is served, e.g. by vLLM.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its name there; left out: the folder's path.")
    ] = "",
) -> None:
    """Check that a server asks a merged model exactly as it was trained to be asked."""
    from kot_platypus.train.serving import check_server

    require_file(folder / "config.json", "MERGED")
    how = check_server(folder, base_url, model or str(folder))
    what = "every token" if how == "tokens" else "the number of tokens (it does not tell them)"
    print(f"The server's prompts are those of training: {what}.")
