"""Who works through chunks of rows: this process, processes of this machine, or a Ray cluster.

A step hands over a function and chunks of rows, and gets the results in the order of the chunks. So
an executor changes how long a step takes, never what comes out of it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from kot_platypus.errors import RunError, UsageError, require_extra

T = TypeVar("T")
U = TypeVar("U")

EXECUTORS = ("local", "ray")
_AHEAD = 2
"""So many chunks a worker are under way: enough that none waits while the caller writes."""
_OBJECT_STORE_BYTES = 256 << 20


class Executor(Protocol):
    """Something that applies a function to chunks of rows."""

    def map(self, function: Callable[[T], U], chunks: Iterable[T]) -> Iterator[U]:
        """The results, in the order of the chunks; only a few chunks are in memory at a time.

        ``function`` and chunks must be picklable. Each worker gets the function once, so what an
        object with ``__call__`` builds at its first call and keeps is built once per worker. What
        it raises is raised here.
        """


@contextmanager
def open_executor(name: str = "local", workers: int | None = None) -> Iterator[Executor]:
    """The executor of that name; what it has started ends with the block.

    ``local`` starts processes, which import the program's main module: a script that calls this
    needs ``if __name__ == "__main__":``. With one worker, or a single chunk, the caller's own
    process does the work. ``ray`` joins the cluster at ``$RAY_ADDRESS``, or starts one on this
    machine that listens on loopback only.

    Args:
        name: One of EXECUTORS.
        workers: How many processes of this machine work; None: one for each usable processor.

    Raises:
        UsageError: another name.
        MissingExtraError: ``ray`` is not installed.
    """
    count = workers or _count_processors()
    with ExitStack() as stack:
        if name == "local":
            yield _Local(count, stack)
        elif name == "ray":
            yield _Ray(stack.enter_context(_open_ray(count)))
        else:
            raise UsageError(
                f"no executor {name!r}",
                expected=f"one of {', '.join(EXECUTORS)}",
                hint="Pick one of them.",
            )


class InProcess:
    """The caller's own process does the work, a chunk when its result is asked for."""

    def map(self, function: Callable[[T], U], chunks: Iterable[T]) -> Iterator[U]:
        """See Executor."""
        return map(function, chunks)


IN_PROCESS: Executor = InProcess()


def _count_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _iter_ahead(
    submit: Callable[[Any], Any], collect: Callable[[Any], U], chunks: Iterable[Any], workers: int
) -> Iterator[U]:
    """What comes of each chunk, in order, while those after it are under way."""
    under_way: deque[Any] = deque()
    for each in chunks:
        under_way.append(submit(each))
        if len(under_way) >= _AHEAD * workers:
            yield collect(under_way.popleft())
    while under_way:
        yield collect(under_way.popleft())


# --- local -------------------------------------------------------------------------------------


class _Local:
    """Processes of this machine, started for each map and ended after it, with their memory."""

    def __init__(self, workers: int, stack: ExitStack) -> None:
        self._workers = workers
        self._stack = stack

    def map(self, function: Callable[[T], U], chunks: Iterable[T]) -> Iterator[U]:
        results = self._iter_results(function, iter(chunks))
        # A caller that stops halfway leaves no process behind.
        return self._stack.enter_context(closing(results))

    def _iter_results(
        self, function: Callable[[T], U], chunks: Iterator[T]
    ) -> Generator[U, None, None]:
        first = list(islice(chunks, 2))
        chunks = chain(first, chunks)
        if self._workers == 1 or len(first) < 2:
            yield from map(function, chunks)
            return
        # Spawned, not forked: the caller may have threads (kiwipiepy, PyTorch), which a fork loses.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._workers, context, _begin_worker, (function,))
        try:
            yield from _iter_ahead(
                lambda chunk: _submit(pool, chunk),
                lambda future: future.result(),
                chunks,
                self._workers,
            )
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process ended in the middle of its work",
                expected="enough memory for all of them",
                hint="Free some, or let fewer processors be used, e.g. with taskset -c 0.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, chunk: Any) -> Future[Any]:
    """Ctrl-C waits meanwhile, in a worker that starts until it can end without a word."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return pool.submit(_work, chunk)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_work, chunk)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


is_worker = False
"""Whether this process works for an executor, beside others: one thread is its share."""
_function: Callable[[Any], Any]
"""In a worker: what it does with each chunk."""


def _begin_worker(function: Callable[[Any], Any]) -> None:
    global _function, is_worker
    _function, is_worker = function, True
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background job
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once, without a word
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(chunk: Any) -> Any:
    return _function(chunk)


# --- ray ---------------------------------------------------------------------------------------


class _Ray:
    """A task of Ray for each chunk. What a machine that is lost had done is done again elsewhere.

    Ray keeps its worker processes between tasks, and with them what a function has built.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def map(self, function: Callable[[T], U], chunks: Iterable[T]) -> Iterator[U]:
        ray = self._ray
        # In a list it arrives as a reference: a worker fetches and unpickles the function once.
        held = [ray.put(pickle.dumps(function))]
        work = ray.remote(_work_as_task)
        workers = int(ray.cluster_resources().get("CPU", 1))
        try:
            yield from _iter_ahead(lambda each: work.remote(held, each), ray.get, chunks, workers)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise RunError(
                f"Ray lost a piece of work ({str(error).splitlines()[0][:200]})",
                expected="a cluster with enough memory, of which a machine is left",
                hint="Look at ray status, then run the same command again.",
            ) from error


def _work_as_task(held: list[Any], chunk: Any) -> Any:
    return _load_function(held[0])(chunk)


@lru_cache(maxsize=1)
def _load_function(pickled: Any) -> Callable[[Any], Any]:
    """The function of this process; kept, with what it has built, until there is another."""
    import ray

    global is_worker
    is_worker = True
    function: Callable[[Any], Any] = pickle.loads(ray.get(pickled))
    return function


@contextmanager
def _open_ray(workers: int) -> Iterator[Any]:
    """Ray, quiet, and ended after the block unless it ran before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    is_elsewhere = bool(os.environ.get("RAY_ADDRESS"))
    if not is_elsewhere:
        # The only way to have Ray's own servers listen on loopback alone; read when it is imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    own = {
        "num_cpus": workers,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about itself
        ray = require_extra("ray", "ray", "--executor ray")
        starts = not ray.is_initialized()
        if starts:
            # Without an address Ray joins whatever cluster it finds on this machine.
            options = {} if is_elsewhere else {"address": "local", **own}
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
    try:
        yield ray
    finally:
        if starts:
            ray.shutdown()
