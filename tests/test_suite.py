"""What holds for every test: no skip under CI, no dtype that the machine picks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kot_platypus.errors import UsageError
from kot_platypus.models import resolve_dtype

SKIPPING = """
import pytest

@pytest.fixture(scope="session")
def browser():
    pytest.skip("no browser")

def test_of_a_page(browser): ...

def test_of_real_data(shared): ...

@pytest.mark.xfail
def test_known_to_fail():
    assert False
"""
ROOT = Path(__file__).parents[1]
NOT_COLLECTED = 'import pytest\npytest.importorskip("no_such_package")\n'


def run_pytest(folder: Path, ci: str) -> str:
    (folder / "test_skipping.py").write_text(SKIPPING)
    (folder / "test_not_collected.py").write_text(NOT_COLLECTED)
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    environment = {**os.environ, "CI": ci, "KOT_SHARED": str(folder / "nowhere")}
    options = ["--continue-on-collection-errors", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.slow
def test_what_is_missing_is_skipped_on_a_developers_machine(tmp_path):
    assert "3 skipped, 1 xfailed" in run_pytest(tmp_path, ci="")


@pytest.mark.slow
def test_what_is_missing_has_failed_under_ci(tmp_path):
    told = run_pytest(tmp_path, ci="true")
    assert "1 xfailed, 3 errors" in told
    assert "under CI nothing is skipped: Skipped: no browser" in told


def test_auto_is_refused_in_a_test():
    with pytest.raises(UsageError, match="KOT_DTYPE is 'a test names its dtype'"):
        resolve_dtype("auto", "cpu", {})


def test_a_commit_is_asked_what_make_lint_asks():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repo,) = config["repos"]
    asked = [hook["entry"].removeprefix(".venv/bin/") for hook in repo["hooks"]]
    rule = (ROOT / "Makefile").read_text().partition("\nlint: ")[2].partition("\n\n")[0]
    assert asked == re.findall(r"\$\(BIN\)/(.*)", rule)


QUICK = """
import pytest

@pytest.mark.one_in(3)
@pytest.mark.parametrize("b", range(2))
@pytest.mark.parametrize("a", range(4))
def test_of_many_cases(a, b): ...
"""


@pytest.mark.slow
def test_one_case_in_n_is_quick_and_the_others_are_slow(tmp_path):
    (tmp_path / "test_many.py").write_text(QUICK)
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", "."]
    counts = {}
    for tier in ("not slow", "slow"):
        command = [sys.executable, "-m", "pytest", *options, "-m", tier, str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        counts[tier] = done.stdout.splitlines()[0].count(".")
    assert counts == {"not slow": 3, "slow": 5}
