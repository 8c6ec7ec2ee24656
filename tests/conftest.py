from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tiny models need one thread, and two of them on a busy machine wait for each other. Set before
# torch is imported; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# What `auto` picks differs from machine to machine, so a test that leaves the dtype to it proves
# nothing about the next. It is refused here and in subprocesses, whatever the caller's environment
# says: a test names its dtype, and what should work in several is run in each.
os.environ["KOT_DTYPE"] = "a test names its dtype"

# No test cuts the power: what is written need not wait for the disk. A closed file is refused all
# the same.
os.fsync = os.fstat

# What collecting makes stays to the end, so looking through it again and again frees nothing.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the cases of a test marked ``one_in(n)`` the first of every n is quick; CI runs all.

    With an n that has no factor in common with the numbers of values, each stays in a quick case.
    """
    # What takes longest begins, so that at the end no process waits long for the other.
    items.sort(key=lambda item: item.path.parent.name != "train")
    seen: Counter[str] = Counter()
    for item in items:
        if mark := item.get_closest_marker("one_in"):
            test = item.nodeid.partition("[")[0]
            if seen[test] % mark.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[test] += 1


def pytest_collection_finish() -> None:
    """Libraries and tests stay to the end: no garbage collection need look through them again."""
    gc.freeze()
    gc.set_threshold(20_000)  # of 700: tests make much, and are soon over
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _refuse_skip((yield))


def _refuse_skip(report):
    """Under CI nothing is skipped: data, browser or package that are missing there have failed."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"under CI nothing is skipped: {report.longrepr[-1]}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache of models."""
    os.environ["KOT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, tiny models and goldens beside the checkout, or $KOT_SHARED."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("KOT_SHARED") or default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: the real KoBEST data, tiny models and goldens")
    return folder
