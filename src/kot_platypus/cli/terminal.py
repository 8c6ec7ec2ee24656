"""Terminals that cannot show everything: a Korean Windows' (cp949) has no arrows and no minus."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
