from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.executors import IN_PROCESS, Executor, open_executor
from kot_platypus.data.leaks import check_contamination
from kot_platypus.errors import DataError, KotError, MissingExtraError, RunError, UsageError
from kot_platypus.records import Example
from tests.data.test_duplicates import BAKER, SHIP


class CountCalls:
    """Keeps what it has built, as an index would be."""

    calls = 0

    def __call__(self, chunk: int) -> tuple[int, int, int]:
        self.calls += 1
        return chunk, os.getpid(), self.calls


def wait_long_for_even(chunk: int) -> int:
    time.sleep(0.05 if chunk % 2 == 0 else 0)
    return chunk


def refuse_three(chunk: int) -> int:
    if chunk == 3:
        raise DataError("row 3 is bad", expected="a good one", hint="Mend it.")
    return chunk


def break_at_three(chunk: int) -> int:
    return 1 // (chunk - 3)


def end_process(chunk: int) -> None:
    os._exit(1)


def write_pid_and_sleep(folder: Path, chunk: int) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_chunks(workers):
    with open_executor("local", workers) as executor:
        assert list(executor.map(wait_long_for_even, range(9))) == list(range(9))


@pytest.mark.slow
def test_two_workers_are_two_processes_that_keep_what_they_build():
    with open_executor("local", 2) as executor:
        results = list(executor.map(CountCalls(), range(20)))
    processes = {process for _, process, _ in results}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert max(calls for _, _, calls in results) >= 10


@pytest.mark.parametrize(("workers", "chunks"), [(1, 3), (2, 1), (2, 0)])
def test_little_work_is_done_here(workers, chunks):
    with open_executor("local", workers) as executor:
        results = list(executor.map(CountCalls(), range(chunks)))
    assert [process for _, process, _ in results] == [os.getpid()] * chunks


@pytest.mark.parametrize("workers", [1, 2])
def test_few_chunks_are_taken_before_their_results_are_asked_for(workers):
    taken = 0

    def count() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with open_executor("local", workers) as executor:
        results = executor.map(partial(mul, 2), count())
        assert [next(results), next(results)] == [2, 4]
        assert taken <= 6


@pytest.mark.one_in(2)
@pytest.mark.parametrize("workers", [1, 2])
def test_error_arrives_as_it_was_raised(workers):
    with open_executor("local", workers) as executor:
        with pytest.raises(DataError) as caught:
            list(executor.map(refuse_three, range(5)))
        assert str(caught.value) == "row 3 is bad; expected a good one. Mend it."
        with pytest.raises(ZeroDivisionError):
            list(executor.map(break_at_three, range(5)))


@pytest.mark.slow
def test_worker_that_is_gone_is_an_error_of_one_line():
    with open_executor("local", 2) as executor, pytest.raises(RunError, match="a worker process"):
        list(executor.map(end_process, range(5)))


@pytest.mark.parametrize("kind", [KotError, *KotError.__subclasses__()])
def test_errors_can_be_pickled(kind):
    error = kind("a found", expected="b", hint="C.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.found, copy.expected, copy.hint, str(copy)) == ("a found", "b", "C.", str(error))


def test_unknown_executor_is_refused():
    with pytest.raises(UsageError, match="no executor 'spark'"), open_executor("spark"):
        pass


def test_missing_ray_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"kot-platypus\[ray\]"), open_executor("ray"):
        pass


# --- killed ------------------------------------------------------------------------------------

SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from typing import Any
from kot_platypus.data.executors import open_executor
from tests.data.test_executors import write_pid_and_sleep

if __name__ == "__main__":
    with open_executor("local", 2) as executor:
        list(executor.map(partial(write_pid_and_sleep, Path(sys.argv[1])), range(5)))
"""


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition, *, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", ["killed", "Ctrl-C"])
def test_stopped_command_leaves_no_workers(tmp_path, how):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "pids").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, tmp_path / "script.py", tmp_path / "pids"]
    parent = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # The tests may be a background job, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert all(map(is_running, workers))
    if how == "killed":
        parent.kill()
    else:
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: everyone gets it
    _, errors = parent.communicate(timeout=30)
    wait_until(lambda: not any(map(is_running, workers)))
    assert errors.count("Traceback") == (how == "Ctrl-C")


# --- the data steps ----------------------------------------------------------------------------


def make_rows(count: int) -> list[Example]:
    rng = random.Random(1)
    words = [*SHIP.split(), *BAKER.split()]
    rows = [Example(source=" ".join(rng.choices(words, k=14)), target="예") for _ in range(count)]
    copies = [row.model_copy(update={"source": f"{row.source} 끝"}) for row in rows[::3]]
    return [*rows, *copies, rows[0], Example(source="읽어라.", rationale=BAKER, target="아니요")]


def look_for_leaks(data: Path, out: Path, executor: Executor) -> None:
    check_contamination(data, out, {"b/test": [SHIP, BAKER]}, executor=executor)


def look_for_duplicates(data: Path, out: Path, executor: Executor) -> None:
    find_duplicates(data, out, executor=executor)


def read_results(folder: Path) -> dict[str, bytes]:
    """All that a step wrote, manifests apart: those hold times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


slow = pytest.mark.slow


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=slow)])
@pytest.mark.parametrize(
    ("step", "found"),
    [
        (look_for_duplicates, "pairs/pairs.jsonl"),
        pytest.param(look_for_leaks, "leaks.jsonl", marks=slow),
    ],
)
def test_step_writes_the_same_bytes_on_any_executor(tmp_path, monkeypatch, step, found, executor):
    for size in ("duplicates.CHUNK_ROWS", "duplicates.CHUNK_PAIRS", "leaks.CHUNK_ROWS"):
        monkeypatch.setattr(f"kot_platypus.data.{size}", 4)
    data = tmp_path / "rows.jsonl"
    write_jsonl(data, make_rows(20))
    step(data, tmp_path / "here", IN_PROCESS)
    with open_executor(executor, 2) as opened:
        step(data, tmp_path / executor, opened)
    expected = read_results(tmp_path / "here")
    assert expected[found]
    assert read_results(tmp_path / executor) == expected


# --- ray ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ray_gives_the_same_and_the_same_errors():
    with open_executor("ray", 2) as executor:
        assert list(executor.map(wait_long_for_even, range(40))) == list(range(40))
        calls = list(executor.map(CountCalls(), range(40)))
        assert max(count for _, _, count in calls) >= 15
        with pytest.raises(DataError, match="row 3 is bad"):
            list(executor.map(refuse_three, range(5)))
        with pytest.raises(ZeroDivisionError):
            list(executor.map(break_at_three, range(5)))


@pytest.mark.slow
def test_task_that_always_ends_its_worker_is_an_error_of_one_line():
    with open_executor("ray", 1) as executor, pytest.raises(RunError, match="Ray lost a piece"):
        list(executor.map(end_process, range(2)))


def report_node(chunk: int) -> tuple[int, str]:
    import ray

    time.sleep(0.2)
    return chunk, ray.get_runtime_context().get_node_id()


class Losing:
    """An executor that loses a machine after some results."""

    def __init__(self, executor: Executor, after: int, lose: Callable[[], None]) -> None:
        self._executor, self._left, self._lose = executor, after, lose

    def map(self, function: Any, chunks: Iterable[Any]) -> Iterator[Any]:
        for result in self._executor.map(function, chunks):
            yield result
            self._left -= 1
            if self._left == 0:
                self._lose()


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[], None]]]:
    """A Ray cluster of two raylets with a processor each: the second one's id, and its death."""
    from ray.cluster_utils import Cluster

    sizes = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
    second = cluster.add_node(**sizes)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield second.node_id, lambda: cluster.remove_node(second, allow_graceful=False)
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_work_of_a_lost_node_is_done_by_the_others(two_nodes):
    lost, lose_node = two_nodes
    with open_executor("ray") as executor:
        together = dict(executor.map(report_node, range(30)))
        results = list(Losing(executor, 3, lose_node).map(report_node, range(30)))
    assert lost in together.values()
    assert [chunk for chunk, _ in results] == list(range(30))
    assert lost not in {node for _, node in results[12:]}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("step", [look_for_duplicates, look_for_leaks])
def test_step_writes_the_same_bytes_when_a_node_is_lost(tmp_path, monkeypatch, two_nodes, step):
    for size in ("duplicates.CHUNK_ROWS", "duplicates.CHUNK_PAIRS", "leaks.CHUNK_ROWS"):
        monkeypatch.setattr(f"kot_platypus.data.{size}", 4)
    data = tmp_path / "rows.jsonl"
    write_jsonl(data, make_rows(60))
    step(data, tmp_path / "here", IN_PROCESS)
    lost: list[str] = []

    def lose_node() -> None:
        two_nodes[1]()
        lost.append(two_nodes[0])

    with open_executor("ray") as executor:
        step(data, tmp_path / "there", Losing(executor, 3, lose_node))
    assert lost, "the step ended before the node was lost"
    assert read_results(tmp_path / "there") == read_results(tmp_path / "here")
