"""``kot data page``: a data set as a whole, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.data import ExecutorName, data
from kot_platypus.cli.data_audit import gather
from kot_platypus.cli.options import ColumnNames, example, hold_folder, read_columns
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kot_platypus.data.census import CountTokens


@data.command(
    epilog=example(
        "kot data page kocot",
        "kot data page mine.jsonl --out mine-page --tokenizer gemma-3-270m",
    )
)
def page(
    rows: Annotated[
        str,
        typer.Argument(
            metavar="ROWS",
            help="What kot data build wrote; or a file, folder, 'PATTERN', hub:NAME:CONFIG@SPLIT.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write; left out: that of kot data build."),
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Lengths also in the tokens of this model: folder or Hub id.")
    ] = "",
    columns: ColumnNames = "",
    executor: ExecutorName = "local",
) -> None:
    """Show a data set as a whole on one page: lengths, tasks, languages, endings, duplicates.

    The page is one file without scripts, which needs nothing else. kot data build writes it, too.
    """
    from kot_platypus.data.census import TokenCount
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.overview import PAGE, describe_build, describe_rows, is_build
    from kot_platypus.report.data_page import write_data_page

    built = is_build(Path(rows))
    if built == (out is not None) or (built and columns):
        raise UsageError(
            f"{rows} {'is what kot data build wrote' if built else 'without --out'}",
            expected="neither --out nor --columns" if built else "a folder to write",
            hint="Leave them out." if built else "E.g. --out page",
        )
    folder = out or Path(rows)
    tokens = TokenCount(tokenizer, _load_counter(tokenizer))
    with hold_folder(folder), open_executor(executor) as workers:
        if built:
            overview = describe_build(folder, workers, tokens)
        else:
            file = gather(rows, folder, columns)
            named = read_columns(columns)
            overview = describe_rows(file, folder, workers, name=rows, columns=named, tokens=tokens)
        write_data_page(folder / PAGE, overview)
    print(folder / PAGE)


def _load_counter(name: str) -> CountTokens | None:
    if not name:
        return None
    from kot_platypus.models import resolve_model
    from kot_platypus.models.tokens import encode_texts, load_tokenizer

    loaded = load_tokenizer(resolve_model(name, weights=False))

    def count(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in encode_texts(loaded, texts)]

    return count
