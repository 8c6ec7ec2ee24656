"""What several real processes do together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LEAVING = """
import atexit, os
atexit.register(lambda: print(os.environ["RANK"], "left:", not dist.is_initialized(), flush=True))
import torch.distributed as dist
from kot_platypus.processes import share_all
assert share_all(int(os.environ["RANK"])) == [0, 1]
"""


def test_processes_leave_each_other_before_python_ends(tmp_path: Path):
    """Else gloo aborts some of them at exit, after all work is done."""
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*launch, str(script)], check=False, capture_output=True, text=True)
    assert (done.returncode, sorted(done.stdout.splitlines())) == (
        0,
        ["0 left: True", "1 left: True"],
    ), done.stderr
