"""`make gpu-check` rehearsed without a GPU: its steps in small, its log, a kill, a failure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
sys.path.insert(0, str(BENCH))

import gpu_check  # noqa: E402
import gpu_report  # noqa: E402
import gpu_runner  # noqa: E402
import gpu_step  # noqa: E402
from gpu_runner import FAILED, NOT_RUN, PASSED, SKIPPED, Log, Step  # noqa: E402

WRITE = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps({}))"


def make_step(name: str, result: object, then: str = "", limit_s: float = 30) -> Step:
    """A step that leaves a trace, writes its result, and then does what it is told."""
    trace = f"open('{{trace}}/{name}', 'a').write('x')"
    code = f"{trace}\n{WRITE.format(result)}\n{then}"
    return Step(
        name,
        [sys.executable, "-c", code.replace("{", "{{").replace("}", "}}"), "{result}"],
        limit_s,
    )


def trace(step: Step, folder: Path) -> Step:
    code = step.command[2].replace("{{trace}}", str(folder))
    return Step(step.name, [*step.command[:2], code, "{result}"], step.limit_s)


STEPS = (
    make_step("sound", {"kind": "?"}),
    make_step("crashing", {"kind": "?"}, "print('last words', flush=True); import os; os.abort()"),
    make_step("late", {"part": 1}, "import time; time.sleep(60)", limit_s=1),
    make_step("silent", {}),
    make_step("elsewhere", {"skipped": "no second GPU"}),
    make_step("wrong", {"failed": "2 failed"}),
)
FIRST = make_step("environment", {"key": "k", "device": "a GPU"})


@pytest.fixture
def steps(tmp_path: Path) -> list[Step]:
    return [trace(step, tmp_path) for step in STEPS]


def check(steps: list[Step], folder: Path, minutes: float = 1) -> bool:
    first, deadline = trace(FIRST, folder), time.monotonic() + 60 * minutes
    return gpu_check.check(steps, Log(folder / "out"), first, deadline)


def count(folder: Path, name: str) -> int:
    file = folder / name
    return len(file.read_text()) if file.is_file() else 0


# --- the runner --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_step_that_fails_in_any_way_ends_no_other_and_all_is_told(steps, tmp_path):
    assert not check(steps, tmp_path)
    last = Log(tmp_path / "out").find_last("k")
    statuses = {name: entry["status"] for name, entry in last.items()}
    assert statuses == {
        "sound": PASSED,
        "crashing": FAILED,
        "late": FAILED,
        "silent": FAILED,
        "elsewhere": SKIPPED,
        "wrong": FAILED,
    }
    assert last["crashing"]["reason"] == "ended by signal 6 (SIGABRT)"
    assert last["late"]["reason"] == "was not done after 1 s"
    assert last["late"]["result"] == {"part": 1}, "what it had found is kept"
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| sound | passed |" in report
    assert re.search(r"\| late \| \*\*failed\*\* \| \d+ \| was not done after 1 s \|", report)
    assert "| elsewhere | **skipped** |" in report
    assert "last words" in report


@pytest.mark.slow
def test_again_repeats_only_what_did_not_pass(steps, tmp_path):
    check(steps, tmp_path)
    check(steps, tmp_path)
    assert count(tmp_path, "sound") == 1
    assert count(tmp_path, "crashing") == count(tmp_path, "elsewhere") == 2


def test_what_passed_for_another_source_is_shown_again(steps, tmp_path):
    check(steps[:1], tmp_path)
    other = make_step("environment", {"key": "other"})
    log, deadline = Log(tmp_path / "out"), time.monotonic() + 60
    gpu_check.check(steps[:1], log, trace(other, tmp_path), deadline)
    assert count(tmp_path, "sound") == 2


def test_all_well_is_well_and_a_skip_with_a_reason_too(steps, tmp_path):
    assert check([steps[0], steps[4]], tmp_path)


def test_without_time_nothing_is_begun_and_nothing_is_well(steps, tmp_path):
    first = trace(FIRST, tmp_path)
    log = Log(tmp_path / "out")
    deadline = time.monotonic() + gpu_runner.LEAST_S + 0.02  # enough for the first alone
    assert not gpu_check.check(steps[:1], log, first, deadline)
    assert log.find_last("k")["sound"]["status"] == NOT_RUN
    assert count(tmp_path, "sound") == 0


def test_without_a_machine_to_check_nothing_else_runs(steps, tmp_path):
    first = trace(make_step("environment", {"failed": "no GPU"}), tmp_path)
    assert not gpu_check.check(steps, Log(tmp_path / "out"), first, time.monotonic() + 60)
    assert count(tmp_path, "sound") == 0
    assert "no GPU" in (tmp_path / "out" / "report.md").read_text("utf-8")


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was(tmp_path):
    """`kill -9` within the second step: its process ends too, and the first is not repeated."""
    flag = tmp_path / "go"
    then = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.05)"
    steps = [
        trace(step, tmp_path) for step in (STEPS[0], make_step("waiting", {"kind": "?"}, then))
    ]
    script = f"""
import sys, time
sys.path.insert(0, {str(BENCH)!r})
import gpu_check
from gpu_runner import Log, Step
from pathlib import Path
steps = [Step(*step) for step in {[(s.name, list(s.command), s.limit_s) for s in steps]!r}]
first = Step(*{(FIRST.name, list(trace(FIRST, tmp_path).command), 30.0)!r})
gpu_check.check(steps, Log(Path({str(tmp_path / "out")!r})), first, time.monotonic() + 100)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    while not count(tmp_path, "waiting"):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with process.stdout:
        process.stdout.read()  # ends only when the step, which holds the other end, has ended
    log = Log(tmp_path / "out")
    assert log.find_last("k")["waiting"]["status"] == "started"
    with log.path.open("a") as file:
        file.write('{"torn')
    flag.touch()
    assert check(steps, tmp_path)
    assert (count(tmp_path, "sound"), count(tmp_path, "waiting")) == (1, 2)


def test_the_log_names_no_home(tmp_path):
    log = Log(tmp_path)
    log.add({"key": "k", "step": "s", "output": [f"{Path.home()}/x {ROOT}/bench/y"]})
    if str(Path.home()) != "/":
        assert log.read()[0]["output"] == ["~/x ./bench/y"]


# --- the steps ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", gpu_step.MEASUREMENTS)
def test_each_measurement_in_small_and_its_table(name, monkeypatch):
    monkeypatch.delenv("KOT_DTYPE")  # what auto means here is one of the things it reports
    found: list[dict] = []
    options = gpu_step.make_options(name, "cpu", tiny=True)
    gpu_step.measure(name, options, found.append)
    result = json.loads(json.dumps(found[-1]))
    assert gpu_runner.judge(result, "")["status"] == PASSED
    entry = {"step": name, "status": PASSED, "reason": "", "result": result, "at": "now"}
    if name == gpu_check.ENVIRONMENT:
        assert "| device |" in gpu_report.describe_machine(entry)
        assert result["tiny"], "the report says that it is a rehearsal"
    else:
        assert "llama-tiny (random weights)" in gpu_report.describe_figures(entry)


def test_what_is_measured_is_what_is_listed():
    assert [*gpu_step.MEASUREMENTS] == [gpu_check.ENVIRONMENT, *gpu_check.MEASURED]


def test_lengths_are_the_published_tables_16_cells():
    from gpu_scoring import LENGTHS

    sizes = {"boolq": 1404, "copa": 1000, "hellaswag": 500, "sentineg": 397}
    cells = LENGTHS["cells"]
    assert {(c["task"], c["shots"]) for c in cells} == {
        (t, n) for t in sizes for n in (0, 5, 10, 50)
    }
    assert all(cell["questions"] == sizes[cell["task"]] for cell in cells)


def test_random_questions_take_what_kobests_do():
    """Within what 32 of them can tell: their tokens are the cell's, question for question."""
    from gpu_scoring import LENGTHS, iter_questions
    from kot_platypus.evaluate.forest import count_tokens

    for cell in LENGTHS["cells"]:
        questions = iter_questions(cell)
        tokens = [count_tokens(next(questions).requests) for _ in range(32)]
        assert sum(tokens) / 32 == pytest.approx(cell["tokens"] / cell["questions"], rel=0.1)


# --- the tests on a GPU ------------------------------------------------------------------------


def test_every_file_of_gpu_tests_is_a_step_and_marked():
    files = {
        path.stem.removeprefix("test_"): path for path in (ROOT / "tests/gpu").glob("test_*.py")
    }
    assert files.keys() == {*gpu_check.TESTS, "processes"}
    for path in files.values():
        assert "\npytestmark = pytest.mark.gpu\n" in path.read_text("utf-8")


def run_tests(file: Path, code: str) -> dict:
    file.write_text(f"import os, pytest\npytestmark = pytest.mark.gpu\n{code}")
    result = file.with_suffix(".json")
    command = [sys.executable, "bench/gpu_tests.py", str(file), "--device", "cpu"]
    environment = gpu_runner.make_environment()
    command += ["--result", str(result)]
    subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    return json.loads(result.read_text("utf-8"))


@pytest.mark.slow
def test_outcomes_of_tests_are_told_one_by_one_also_after_a_crash(tmp_path):
    code = "def test_a(record_property): record_property('off', 1)\ndef test_b(): assert 1 == 2\n"
    code += "def test_c(): pytest.skip('no GPU')\n"
    found = run_tests(tmp_path / "test_x.py", code)
    assert found["tests"] == {"passed": ["test_a"], "failed": ["test_b"], "skipped": ["test_c"]}
    assert found["failed"] == "1 failed, 1 passed, 1 skipped: test_b"
    assert found["notes"] == {"test_a: off": 1}
    assert "assert 1 == 2" in found["reasons"]["test_b"]
    crashed = run_tests(tmp_path / "test_y.py", code + "def test_d(): os._exit(0)\n")
    assert crashed["failed"].endswith("::test_d")


@pytest.mark.slow
def test_tests_that_were_all_skipped_have_not_passed(tmp_path):
    found = run_tests(tmp_path / "test_x.py", "def test_a(): pytest.skip('one GPU')\n")
    assert "one GPU" in found["skipped"]
    assert gpu_runner.judge(found, "")["status"] == SKIPPED
    assert gpu_runner.judge(run_tests(tmp_path / "test_y.py", ""), "")["status"] == FAILED


# --- all of it ---------------------------------------------------------------------------------


@pytest.mark.gpu  # by hand: on a CPU it has not passed whole yet (docs/log.md)
@pytest.mark.timeout(1800)
def test_the_whole_check_in_small(tmp_path):
    command = [sys.executable, "bench/gpu_check.py", "--tiny", "--device", "cpu"]
    command += ["--minutes", "25", "--out", str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if name not in ("KOT_DTYPE", "CI")}
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (tmp_path / "report.md").read_text("utf-8")
