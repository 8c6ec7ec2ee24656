"""A synthetic run folder, fresh for every test that changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .run_builder import write_run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder for a whole module: only to be read."""
    return write_run(tmp_path_factory.mktemp("module") / "run")
