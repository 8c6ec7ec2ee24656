"""The app that the verbs add themselves to: what a user can act on is one line, on any terminal."""

from __future__ import annotations

import codecs
import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from kot_platypus.errors import KotError

_STOPPED = "Stopped. Run the same command again to resume."
_DISK_FULL = (
    "kot: the disk is full; expected room for the run. "
    "Free some and run the same command again: finished work is kept."
)
_ORDER = (
    *("run", "recipes", "data", "train", "merge", "export", "eval", "reason", "suites", "lm-eval"),
    *("requests", "compare", "report", "card", "chat", "serve-check", "leaderboard", "app"),
    "publish",
)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
_NATIVE_DISK_FULL = (  # how writers in C, C++ and Rust report it
    "No space left on device",
    "database or disk is full",
    "file write failed",
    "iostream error",
    "inline_container.cc",
)


class Guarded(TyperGroup):
    """Prints what a user can act on as one line. Bugs keep their traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs in the order of their use."""
        names = super().list_commands(ctx)
        return [*_ORDER, *(name for name in names if name not in _ORDER)]

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KotError as error:
            message, code = f"kot: {error}", error.exit_code
        except TyperException as error:
            message, code = _describe_misuse(error), error.exit_code
        except KeyboardInterrupt:
            message, code = _STOPPED, 130
        except Exception as error:
            if _is_disk_full(error):
                message, code = _DISK_FULL, 1
            elif isinstance(error, OSError) and error.errno in _NOT_ALLOWED:
                message, code = _refuse_path(error), 1
            else:
                raise
        print(message, file=sys.stderr)
        raise typer.Exit(code)


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


# --- what becomes of an error --------------------------------------------------------------------

_IN_REASON = {
    "--mode": "(for --mode cot)",
    "--problems": "--problems",
    "--shots": "--shots",
    "--samples": "--num-samples",
    "--temperature": "--temperature",
    "--max-new-tokens": "--max-new-tokens",
    "--template": "--template",
    "--engine": "--backend",
    "--base-url": "--base-url",
    "--at-once": "--num-concurrent",
}
"""Of the former ``kot eval --mode cot``."""

_IN_DATA = {"--engine": "--executor"}

RENAMED = {
    "eval": {old: f"kot reason {new}".strip() for old, new in _IN_REASON.items()},
    "reason": {
        **{old: new for old, new in _IN_REASON.items() if old != new},
        "--mode": "nothing: kot reason does both",
        "--num-fewshot": "--shots FILE",
        "--batch-tokens": "nothing: kot reason picks it",
    },
    **{f"data {verb}": _IN_DATA for verb in ("build", "duplicates", "contamination")},
}
"""Command -> its former options -> what to type instead."""


def _describe_misuse(error: Any) -> str:
    """An option or a value that a command does not know; for a renamed option its new name.

    Raises the error again where it is a page of help.
    """
    if "\n" in error.message.strip():
        raise error
    names: list[str] = []
    context = error.ctx
    while context is not None and context.parent is not None:
        names, context = [context.info_name, *names], context.parent
    option = getattr(error, "option_name", "")
    if successor := RENAMED.get(" ".join(names), {}).get(option):
        return f"kot: {' '.join(names)} has no {option} any more; use {successor}."
    said = error.format_message().replace("Value error, ", "")
    end = "" if said.endswith((".", "?")) else "."
    return f"kot: {said}{end} See: {' '.join(['kot', *names, '--help'])}"


def _refuse_path(error: OSError) -> str:
    return (
        f"kot: {error.filename}: {error.strerror}; expected a path that may be read and written. "
        "Choose another, or change its permissions."
    )


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether ``error`` or a cause of it is a full disk, also as native writers report it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(sign in str(error) for sign in _NATIVE_DISK_FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


# --- terminals that cannot show everything -----------------------------------------------------


@contextmanager
def replace_unprintable() -> Iterator[None]:
    """Print ``?`` for what stdout and stderr cannot encode, and say so once at the end.

    Without it the first such character ends a command in a traceback, after all its work.
    """
    lost: set[str] = set()

    def replace(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        lost.update(error.object[error.start : error.end])
        return "?" * (error.end - error.start), error.end

    codecs.register_error("kot.replace", replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # tests and notebooks have others
            stream.reconfigure(errors="kot.replace")
    try:
        yield
    finally:
        if lost:
            encoding = sys.stdout.encoding
            print(
                f"kot: {encoding} lacks {len(lost)} of the characters printed, which are ? here. "
                "To see them: PYTHONIOENCODING=utf-8",
                file=sys.stderr,
            )
