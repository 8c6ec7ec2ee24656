"""Our voice on the terminal, the only one: notices, and progress as a bar on a screen or as lines.

The libraries are silenced.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from kot_platypus.processes import count_processes, is_main_process

console = Console(stderr=True, highlight=False)
_FIRST_LINE_S, _LOG_INTERVAL_S = 10.0, 15.0
_SHOWN_WAIT_S = 1.0
_next_wait_line_s = 0.0

Advance = Callable[..., None]
Left = Callable[[int, float, int], float]
"""The work that is left, of what is done by now (units; tokens) and the units under way."""

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


# --- how long it takes --------------------------------------------------------------------------


class Pace:
    """How fast work is done, to tell how long the rest of it takes.

    The first piece of work says little: it compiles, reads and warms up for the others. Of those
    the ones in the last half of the time count, so what was quick because it lay on the disk, or
    slow for a while, is forgotten.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._marks = deque([(self._started, 0.0)])
        self.work = 0.0
        """What is done."""

    def add(self, work: float) -> None:
        """Count work that has just been done."""
        if work <= 0:
            return
        self.work += work
        now = time.monotonic()
        is_second = len(self._marks) == 2 and self._marks[0] == (self._started, 0.0)
        self._marks.append((now, self.work))
        if is_second:
            self._marks.popleft()
        half = (self._started + now) / 2
        while len(self._marks) > 2 and self._marks[1][0] <= half:
            self._marks.popleft()

    def pause(self, seconds: float) -> None:
        """Leave out time in which something else was done."""
        self._started += seconds
        self._marks = deque((at + seconds, work) for at, work in self._marks)

    def estimate_s(self, work: float) -> float | None:
        """How long ``work`` still takes; None while there is but the first piece to tell."""
        (since, before), (last, after) = self._marks[0], self._marks[-1]
        if after <= before or before == 0:
            return None
        waited = time.monotonic() - last
        return max(0.0, work * (last - since) / (after - before) - waited)


class _Count:
    """What is done of one thing, and its line."""

    def __init__(
        self, title: str, total: int | None, unit: str, done: int, left: Left | None, of: str
    ) -> None:
        self.title, self._total, self._unit, self._of = title, total, unit, of
        self._before = self._done = done
        self._left = left
        self._under_way = 0
        self._work = 0.0
        self.pace = Pace()
        self.note = ""
        self.show: Callable[[], None] = lambda: None

    def advance(self, n: int = 1, note: str = "", *, work: float = 0) -> None:
        """Units that are done; without a ``left`` each is the same work."""
        self._done += n
        self.note = note
        self._work += work
        self.pace.add(work if self._left else n)
        self.show()

    def add_work(self, work: float, under_way: int) -> None:
        self._under_way = under_way
        if self._left:
            self._work += work * (under_way or 1)
            self.pace.add(work)
            self.show()

    @property
    def has_moved(self) -> bool:
        return self.pace.work > 0

    @property
    def counted(self) -> str:
        of_all = "" if self._total is None else f"/{self._total}"
        work = f", {self._work:,.0f} {self._of}" if self._of else ""
        return f"{self._done}{of_all} {self._unit}{work}"

    @property
    def left_work(self) -> float | None:
        if self._left:
            done = self._done - self._before
            return max(0.0, self._left(done, self._work, self._under_way))
        return None if self._total is None else max(0, self._total - self._done)

    @property
    def left(self) -> str:
        """``150 s left``; empty while nobody knows."""
        work = self.left_work
        seconds = None if work is None else self.pace.estimate_s(work)
        return "" if seconds is None else f"{_format_s(seconds)} left"

    @property
    def share(self) -> float | None:
        """The part that is done, what was done before included."""
        left = self.left_work
        if left is None or not self._total:
            return None
        before = self._before / self._total
        return before + (1 - before) * (self.pace.work / ((self.pace.work + left) or 1))

    def __str__(self) -> str:
        counted = ", ".join(filter(None, (self.counted, self.left)))
        return f"{self.title}: {counted}  {self.note}".rstrip()


def _format_s(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


_shown: list[_Count] = []


def count_work(work: float, *, under_way: int = 0) -> None:
    """Tell the progress that is shown, if any, of work within units, as every process does it.

    It is the tokens of a unit; or the steps of so many units ``under_way``, a token each.
    """
    if _shown:
        num = count_processes()
        _shown[-1].add_work(work if under_way else work * num, under_way * num)


def pause(seconds: float, reason: str) -> None:
    """Sleep, and say beside the progress that is shown what is waited for. Of any thread."""
    global _next_wait_line_s
    count = _shown[-1] if _shown else None
    note = f"waiting {_format_s(seconds)}: {reason}"
    if count and is_main_process():
        count.note = note
        count.show()
        now = time.monotonic()
        # A log shows no note while nothing moves, and not the same one for every thread.
        if not sys.stderr.isatty() and seconds >= _SHOWN_WAIT_S and now >= _next_wait_line_s:
            _next_wait_line_s = now + _LOG_INTERVAL_S
            print_notice(f"{count.title}: {note}")
    time.sleep(seconds)
    if count and count.note == note:
        count.note = ""
        count.show()


# --- how it is shown ----------------------------------------------------------------------------


@contextmanager
def show_progress(
    title: str,
    total: int | None,
    unit: str,
    *,
    done: int = 0,
    left: Left | None = None,
    of: str = "",
) -> Iterator[Advance]:
    """Yield ``advance(n=1, note="", work=0)``, which reports ``n`` more ``unit``s, after ``done``.

    On a terminal a bar with the time left; elsewhere (CI, a log file) a plain line after 10 seconds
    and every 15, so that a log stays readable. ``total`` is None where nobody knows it yet. Where
    the units are unlike, ``left`` says how much work they still are, ``count_work`` and ``work``
    how much is done; ``of`` is what it is counted in, if that is to be shown. Within another
    progress nothing is shown, and its clock stands still.
    """
    if not is_main_process():
        yield lambda n=1, note="", work=0: None
        return
    outer = _shown[-1] if _shown else None
    started = time.monotonic()
    count = _Count(title, total, unit, done, left, of)
    _shown.append(count)
    try:
        if outer:
            yield count.advance
        elif sys.stderr.isatty():
            with _draw_bar(title, count):
                yield count.advance
        else:
            count.show = _log_lines(count)
            yield count.advance
    finally:
        _shown.remove(count)
        if outer:
            outer.pace.pause(time.monotonic() - started)


class _Said(ProgressColumn):
    """The count beside the bar, as it is when it is drawn."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        count: _Count = task.fields["count"]
        text = Text("  ".join(filter(None, (count.counted, count.left))))
        return text.append(f"  {count.note}" if count.note else "", style="dim")


@contextmanager
def _draw_bar(title: str, count: _Count) -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), _Said())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, count=count)

        def show() -> None:
            share = count.share
            bar.update(task, total=share if share is None else 1.0, completed=share or 0.0)

        count.show = show
        yield


def _log_lines(count: _Count) -> Callable[[], None]:
    next_s = time.monotonic() + _FIRST_LINE_S

    def show() -> None:
        nonlocal next_s
        now = time.monotonic()
        if now >= next_s and count.has_moved:
            next_s = now + _LOG_INTERVAL_S
            console.print(f"  {count}", soft_wrap=True, markup=False)  # a log has no width

    return show


@contextmanager
def show_status(title: str) -> Iterator[None]:
    """Show that one long call is under way (a spinner on a terminal, one line in a log)."""
    if sys.stderr.isatty():
        with console.status(title):
            yield
    else:
        console.print(f"  {title} ...", soft_wrap=True)
        yield
