from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tiny models need one thread, and two of them on a busy machine wait for each other. Set before
# torch is imported; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# What `auto` picks differs from machine to machine, so a test that leaves the dtype to it proves
# nothing about the next. It is refused here and in subprocesses, whatever the caller's environment
# says: a test names its dtype, and what should work in several is run in each.
os.environ["KOT_DTYPE"] = "a test names its dtype"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache of models."""
    os.environ["KOT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, tiny models and goldens beside the checkout, or $KOT_SHARED."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("KOT_SHARED") or default)
    if folder.is_dir():
        return folder
    message = f"{folder} is missing: the real KoBEST data, tiny models and goldens"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    return pytest.skip(message)
