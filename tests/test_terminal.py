"""Every command prints to the end whatever the terminal can show, and libraries keep quiet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluate.lm_eval_tasks import write_tasks
from tests.evaluation_builder import write_evaluation
from tests.report.run_builder import write_run

pytestmark = pytest.mark.slow

KOT = ["-m", "kot_platypus"]
# The summary of a run that is done: all its work lies behind it.
RUN = ["-c", "from kot_platypus import run; run.run_recipe = print; "
       "from kot_platypus.cli import main; main()", "run"]  # fmt: skip
TINY = ["--limit", "2", "--dtype", "float32", "--device", "cpu", "--model"]


def start(
    arguments: list[str], folder: Path, encoding: str = "utf-8"
) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> tuple[Path, dict]:
    """A folder with a run and scores, and the commands that print them."""
    folder = tmp_path_factory.mktemp("terminal")
    write_run(folder / "run")
    for name, preds in (("a", [0, 1] * 9), ("b", [1, 0] * 9)):
        write_evaluation(folder / name, {("copa", 0): preds})
    tasks = ["--tasks", "copa,wic", "--num-fewshot", "0", "--kobest-dir", "mini"]
    tiny = [*TINY, str(shared / "models" / "tiny-llama-ko")]
    return folder, {
        "run": [*RUN, "run/recipe.yaml", "--out", "run"],
        "eval": [*KOT, "eval", *tasks, *tiny, "--out", "scores"],
        "compare": [*KOT, "compare", "a", "b"],
        "leaderboard": [*KOT, "leaderboard", "."],
        "card": [*KOT, "card", "run"],
    }


@pytest.mark.parametrize(
    ("verb", "encodings"),
    [
        ("run", ["cp949", "ascii"]),
        ("eval", ["cp949"]),
        ("compare", ["cp949"]),
        ("leaderboard", ["cp949", "ascii"]),
        ("card", ["cp949", "ascii"]),
    ],
)
def test_a_terminal_without_some_characters_gets_the_rest(commands, verb, encodings):
    folder, arguments = commands
    whole = start(arguments[verb], folder)
    assert whole.returncode == 0, whole.stderr.decode()
    for encoding in encodings:
        part = start(arguments[verb], folder, encoding)
        errors = part.stderr.decode(encoding)
        assert part.returncode == 0, errors
        wanted = whole.stdout.decode().encode(encoding, errors="replace")
        assert part.stdout == wanted != whole.stdout
        assert errors.splitlines()[-1].startswith(f"kot: {encoding} lacks ")


def test_an_error_in_korean_is_one_line_in_any_encoding(tmp_path):
    done = start([*KOT, "card", "실험"], tmp_path, "ascii")
    assert done.returncode == 1
    first, second = done.stderr.decode("ascii").splitlines()
    assert first.startswith("kot: ?? has no recipe.yaml; expected a folder of kot run")
    assert second.startswith("kot: ascii lacks 2 of the characters")


# Without lm-eval's fourteen thousand tasks, which take ten seconds and more to index.
LM_EVAL = """
import logging
from kot_platypus.evaluate import lm_eval_run
def open_own(include_path):
    from lm_eval.tasks import TaskManager
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # as ours does
    return TaskManager(include_path=include_path, include_defaults=False)
lm_eval_run.open_catalogue = open_own
from kot_platypus.cli import main
main()
"""


def test_lm_eval_says_nothing_that_we_do_not_say(shared, tmp_path, monkeypatch):
    for name in ("TQDM_DISABLE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        monkeypatch.delenv(name, raising=False)  # as this process's own imports may have set it
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write_tasks(tmp_path)
    options = ["--tasks", "choice,whole,answer", "--include-path", ".", "--out", "out"]
    tiny = [*TINY, str(shared / "models" / "tiny-llama-ko")]
    done = start(["-c", LM_EVAL, "lm-eval", *options, *tiny], tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode() == ""
