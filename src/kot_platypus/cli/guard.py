"""What the command line does with an error: one line for what a user can act on."""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from kot_platypus.cli.renamed import find_successor
from kot_platypus.errors import KotError

_STOPPED = "Stopped. Run the same command again to resume."
_DISK_FULL = (
    "kot: the disk is full; expected room for the run. "
    "Free some and run the same command again: finished work is kept."
)
_FIRST = ("run", "recipes", "data", "train", "merge", "eval", "reason")
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
        """The verbs in the order of their use; typer lists a group such as data last."""
        names = super().list_commands(ctx)
        return [*(name for name in _FIRST if name in names), *(n for n in names if n not in _FIRST)]

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
    if successor := find_successor(" ".join(names), option):
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
