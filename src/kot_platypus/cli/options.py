"""What several verbs share: options, checks of their values, and printing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kot_platypus.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kot_platypus.recipe import SourceSection

RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override a recipe value; repeatable."),
]
ModelName = Annotated[
    str, typer.Option("--model", "-m", help="gemma-3-270m, a local folder, or a Hub id.")
]
ProtocolName = Annotated[
    str,
    typer.Option("--protocol", help="polyglot, polyglot-bos, ko-harness, lm-eval, or a YAML file."),
]
OwnRows = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        "-d",
        metavar="SOURCE[:WEIGHT]",
        help="Your rows: a file, a folder, a 'PATTERN', hub:NAME:CONFIG@SPLIT; repeatable.",
    ),
]
ColumnNames = Annotated[
    str,
    typer.Option(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="Which column is what, e.g. source=question,target=answer.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Folder to write; an interrupted run resumes.")
]
Adapter = Annotated[Path | None, typer.Option("--adapter", "-a", help="A PEFT adapter.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option("--dtype", help="auto: $KOT_DTYPE, or what model and device allow."),
]
Tasks = Annotated[
    str | None,
    typer.Option("--tasks", "-t", help="Comma-separated; left out: all of the protocol's."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", "-l", min=1, help="Only the first N questions of each task."),
]
KobestDir = Annotated[
    str | None,
    typer.Option("--kobest-dir", help="KoBEST's TSV files; `mini`: ours; left out: the Hub's."),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        min=1,
        help="Tokens per scoring pass; left out: 1024 on a CPU, else 4096.",
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option("--device", help="Where it computes."),
]


def example(*lines: str) -> str:
    """A help page's last line: commands to type."""
    return "Examples:  " + "  ·  ".join(f"[cyan]{line}[/cyan]" for line in lines)


def hold_folder(out: Path) -> AbstractContextManager[None]:
    """Hold ``out`` for this command. Of torchrun's processes one does so for all."""
    from kot_platypus.processes import is_main_process
    from kot_platypus.stages import lock_folder

    return lock_folder(out) if is_main_process() else nullcontext()


def require_one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise UsageError unless an option's value is one of those allowed."""
    if value not in allowed:
        raise UsageError(
            f"{option} {value!r}", expected=f"one of {', '.join(allowed)}", hint="Pick one of them."
        )


def require_file(path: Path, option: str) -> None:
    """Raise DataError unless the file that an option names exists."""
    if not path.is_file():
        from kot_platypus.artifacts import describe_no_file

        found = describe_no_file(path)
        raise DataError(f"{option}: {path} {found}", expected="a file", hint="Check the path.")


def read_columns(columns: str) -> dict[str, str]:
    """What ``--columns`` says. Raises UsageError for what is no such thing."""
    from kot_platypus.columns import parse_columns

    return parse_columns(columns) if columns else {}


def read_own_rows(data: list[str] | None, columns: str) -> list[SourceSection]:
    """The sources that ``--data`` names. Raises KotError for one that is none."""
    from kot_platypus.row_sources import list_inputs, parse_source

    if columns and not data:
        raise UsageError(
            "--columns without --data", expected="both", hint="A recipe's sources have `columns`."
        )
    sources = [parse_source(text, read_columns(columns)) for text in data or ()]
    for source in sources:
        try:
            list_inputs(source)
        except DataError as error:
            found = f"--data: {error.found}"
            raise DataError(found, expected=error.expected, hint=error.hint) from error
    return sources


def find_model_folder(model: str, adapter: Path | None = None) -> Path:
    """The model's folder, once the adapter is known to be one: both before anything heavy loads."""
    from kot_platypus.models import resolve_model
    from kot_platypus.models.adapters import require_adapter

    if adapter is not None:
        require_adapter(adapter)
    return resolve_model(model)


def parse_names(option: str, text: str) -> tuple[str, ...]:
    """Names between commas. Raises UsageError where there is none."""
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names:
        raise UsageError(
            f"{option} {text!r}", expected="at least one name", hint="Separate several by commas."
        )
    return names


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Numbers between commas. Raises UsageError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(
            f"{option} {text!r}", expected="numbers like 0,5,10", hint="Separate them by commas."
        )
    return tuple(map(int, parts))


def require_new_file(path: Path | None) -> None:
    """Refuse a path that no file can have, before the work rather than after it."""
    if path and (path.is_dir() or any(p.exists() and not p.is_dir() for p in path.parents)):
        raise UsageError(
            f"--out {path} is a folder or below a file",
            expected="a file's path",
            hint="Choose another path.",
        )


def print_screen(screen: RenderableType) -> None:
    """Print a table or text, as wide as the terminal."""
    from rich.console import Console

    Console().print(screen)
