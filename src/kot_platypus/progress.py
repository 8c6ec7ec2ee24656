"""Our voice on the terminal, the only one: notices, and progress as a bar on a screen or as lines.

The libraries are silenced.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kot_platypus.processes import is_main_process

console = Console(stderr=True, highlight=False)
_LOG_INTERVAL_S = 15.0

Advance = Callable[..., None]

# Speaks on import, which peft does: of a package that would make one processor faster.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def quieten() -> None:
    """Silence the libraries' own bars and advice."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is first imported
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")


def print_notice(text: str) -> None:
    """One dim line on the console, by the main process alone."""
    if is_main_process():
        console.print(f"  {text}", style="dim", markup=False, soft_wrap=True)


@contextmanager
def show_progress(title: str, total: int | None, unit: str, *, done: int = 0) -> Iterator[Advance]:
    """Yield ``advance(n=1, note="")``, which reports ``n`` more ``unit``s done, after ``done``.

    On a terminal a bar with the time left; elsewhere (CI, a log file) a plain line every
    15 seconds, so that a log stays readable. ``total`` is None where nobody knows it yet.
    """
    if not is_main_process():
        yield lambda n=1, note="": None
        return
    if not sys.stderr.isatty():
        yield _log_lines(title, total, unit, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, completed=done, unit=unit, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bar.update(task, advance=n, note=note)

        yield advance


def _log_lines(title: str, total: int | None, unit: str, done: int) -> Advance:
    before, started, printed = done, time.monotonic(), time.monotonic()

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, printed
        done += n
        now = time.monotonic()
        if now - printed >= _LOG_INTERVAL_S and done > before:
            printed = now
            line = f"  {title}: {done}"
            if total is None:
                line += f" {unit}"
            else:
                left_s = (now - started) / (done - before) * (total - done)
                line += f"/{total} {unit}, {left_s:.0f} s left"
            line = f"{line}  {note}".rstrip()
            console.print(line, soft_wrap=True)  # a log has no width

    return advance


@contextmanager
def show_status(title: str) -> Iterator[None]:
    """Show that one long call is under way (a spinner on a terminal, one line in a log)."""
    if sys.stderr.isatty():
        with console.status(title):
            yield
    else:
        console.print(f"  {title} ...", soft_wrap=True)
        yield
