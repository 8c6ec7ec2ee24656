from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kot_platypus.errors import RunError
from kot_platypus.stages import lock_folder

TRY = """
import sys
from pathlib import Path
from kot_platypus.errors import RunError
from kot_platypus.stages import lock_folder
try:
    with lock_folder(Path(sys.argv[1])):
        print("held")
except RunError as error:
    print("refused:", error)
"""
COUNT = """
import sys
from pathlib import Path
from kot_platypus.stages import lock_folder
folder = Path(sys.argv[1])
for _ in range(20):
    with lock_folder(folder, wait_s=-1):
        number = int((folder / "count").read_text())
        (folder / "count").write_text(str(number + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from kot_platypus.stages import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )


def test_folder_in_use_is_refused_to_a_second_process(tmp_path):
    with lock_folder(tmp_path / "run"):
        told, _ = start(TRY, tmp_path / "run").communicate()
    assert "refused: another kot process" in told


def test_who_waits_in_vain_is_told_who_holds_the_folder(tmp_path):
    told = r"process \(PID \d+\) is working in .*; expected .*\. Try later\."
    with start(HOLD, tmp_path / "run") as process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(RunError, match=told.replace(r"\d+", str(process.pid))),
            lock_folder(tmp_path / "run", wait_s=0.1, hint="Try later."),
        ):
            pass
        process.kill()


def test_folder_is_free_again_after_use_and_nothing_is_left_beside_it(tmp_path):
    with lock_folder(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="of the stage"), lock_folder(tmp_path / "run"):
        raise ValueError("of the stage")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_leaves_holds_nobody_up(tmp_path):
    with start(HOLD, tmp_path / "run") as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
    with lock_folder(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_those_who_wait_come_one_at_a_time_though_the_file_goes_each_time(tmp_path):
    (tmp_path / "count").write_text("0")
    processes = [start(COUNT, tmp_path) for _ in range(3)]
    assert [process.communicate() for process in processes] == [("", None)] * 3
    assert (tmp_path / "count").read_text() == "60"


@pytest.mark.parametrize("below", [".", "data", "runs/data"])
def test_file_in_the_place_of_a_folder_is_refused_and_kept(tmp_path, below):
    (tmp_path / "thesis.txt").write_text("years of work")
    folder = tmp_path / "thesis.txt" / below
    with pytest.raises(RunError, match=r"thesis\.txt is a file"), lock_folder(folder):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_folder_behind_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "link", tmp_path / "link" / "run"):
        with pytest.raises(RunError, match="link is a link to nothing"), lock_folder(folder):
            pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_folder_where_nothing_can_be_written_is_not_called_in_use():
    told = "nothing can be written into /proc"
    with pytest.raises(RunError, match=told), lock_folder(Path("/proc/kot")):
        pass
