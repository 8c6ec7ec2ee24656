"""What several real processes do together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LEAVING = """
import atexit, os, pathlib
rank = os.environ["RANK"]
note = pathlib.Path(__file__).with_name(rank)
atexit.register(lambda: note.write_text(f"still together: {dist.is_initialized()}"))
import torch.distributed as dist
from kot_platypus.processes import share_all
assert share_all(int(rank)) == [0, 1]
"""


@pytest.mark.slow
def test_processes_leave_each_other_before_python_ends(tmp_path: Path):
    """Else gloo aborts some of them at exit, after all work is done."""
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*launch, str(script)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for rank in "01":
        assert (tmp_path / rank).read_text() == "still together: False"
