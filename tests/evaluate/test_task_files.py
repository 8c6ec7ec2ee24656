"""Which files decide lm-eval's tasks: every change of one is another hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.evaluate.task_files import hash_task_files

TASK = """
task: mine
include: ../shared/_base.yaml
dataset_path: parquet
dataset_kwargs:
  data_files: {test: ["AWAY/data/test*.parquet"]}
process_docs: !function more.utils.fill
doc_to_text: "{{question}}"
"""
BASE = """
dataset_kwargs: {data_dir: AWAY/folder}
output_type: multiple_choice
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of tasks that names files beside it and elsewhere."""
    folder = tmp_path / "tasks"
    files = {
        "tasks/mine.yaml": TASK,
        "shared/_base.yaml": BASE,
        "tasks/more/utils.py": "def fill(docs): return docs",
        "tasks/prompt.jinja": "{{question}}",
        "tasks/words.txt": "a",
        "tasks/data.arrow": "a",
        "data/test-0.parquet": "a",
        "folder/deep/rows.csv": "a",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("AWAY", str(tmp_path)))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "tasks/mine.yaml",
        "shared/_base.yaml",
        "tasks/more/utils.py",
        "tasks/prompt.jinja",
        "tasks/words.txt",
        "tasks/data.arrow",
        "data/test-0.parquet",
        "folder/deep/rows.csv",
        "data/test-1.parquet",
    ],
)
def test_every_file_of_a_task_counts(tasks: Path, tmp_path: Path, name: str) -> None:
    before = hash_task_files(tasks, ["mine"])
    with (tmp_path / name).open("a") as file:
        file.write("\n# changed\n")
    after = hash_task_files(tasks, ["mine"])
    assert before.keys() == after.keys() == {"tasks"}
    assert before != after


@pytest.mark.parametrize("name", ["more/utils.py", "../shared/_base.yaml", "mine.yaml"])
def test_a_task_that_is_a_file_counts_with_what_it_names(tasks: Path, name: str) -> None:
    wanted = str(tasks / "mine.yaml")
    before = hash_task_files(None, [wanted])
    (tasks / name).write_text((tasks / name).read_text() + "\n# changed\n")
    after = hash_task_files(None, [wanted])
    assert before.keys() == after.keys() == {wanted}
    assert before != after


@pytest.mark.parametrize(
    "name",
    [
        "more/__pycache__/utils.cpython-311.pyc",
        ".git/HEAD",
        "cache/json/default-84ce/0.0.0/d78d59350287f412d1b9bba3fc43382481557d01d4e6863b/test.arrow",
        "cache/json/default-84ce/0.0.0/x_builder.lock",
        "cache-0123456789abcdef.arrow",
        "scores/results.json",
        "model/model.safetensors",
    ],
)
def test_what_running_a_task_leaves_behind_does_not_count(tasks: Path, name: str) -> None:
    before = hash_task_files(tasks, [])
    path = tasks / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made")
    if name.startswith("scores"):
        (path.parent / "manifest.json").write_text("{}")
    assert hash_task_files(tasks, []) == before


def test_where_a_folder_lies_does_not_count(tasks: Path, tmp_path: Path) -> None:
    before = hash_task_files(tasks, [])
    tasks.rename(tmp_path / "moved")
    assert hash_task_files(tmp_path / "moved", []) == before


def test_files_that_name_each_other_or_are_no_yaml_end(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: b.yaml")
    (tmp_path / "b.yaml").write_text("include: [a.yaml, c.yaml]")
    (tmp_path / "c.yaml").write_text("{")
    (tmp_path / "d.yaml").write_text("[1]")
    assert hash_task_files(tmp_path, []).keys() == {"tasks"}
