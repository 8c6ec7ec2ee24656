"""The five KoBEST tasks: finding their data in any of its forms, and reading it.

KoBEST (Kim et al. 2022, https://arxiv.org/abs/2204.04541) exists in two forms with different
column names: the TSV files its authors publish, and ``skt/kobest_v1`` on the Hub. Whatever the
form, a document here has the Hub's columns, so one protocol fits both and their hashes agree.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_value, read_text
from kot_platypus.errors import DataError, require_extra

MINI = "mini"
"""The name of the small set that is shipped with the package."""
HUB_DATASET = "skt/kobest_v1"

Document = dict[str, Any]
"""One row: the Hub's text columns (str) and ``label`` (int, from 0)."""

# The Hub's column -> the authors' column.
_COLUMNS: dict[str, dict[str, str]] = {
    "boolq": {"paragraph": "Text", "question": "Question", "label": "Answer"},
    "copa": {
        "premise": "sentence",
        "question": "question",
        "alternative_1": "1",
        "alternative_2": "2",
        "label": "Answer",
    },
    "hellaswag": {
        "context": "context",
        **{f"ending_{i}": f"choice{i}" for i in (1, 2, 3, 4)},
        "label": "label",
    },
    "sentineg": {"sentence": "Text", "label": "Label"},
    "wic": {
        "word": "Target",
        "context_1": "SENTENCE1",
        "context_2": "SENTENCE2",
        "label": "ANSWER",
    },
}
TASKS = tuple(_COLUMNS)
COLUMNS = {task: tuple(columns) for task, columns in _COLUMNS.items()}

_NUM_LABELS = {"boolq": 2, "copa": 2, "hellaswag": 4, "sentineg": 2, "wic": 2}
_SPLITS = ("train", "test")
_WORDS = {"false": 0, "true": 1}


@dataclass(frozen=True)
class TaskData:
    """One task's documents: ``test`` to be asked, ``train`` to draw the shots from."""

    task: str
    train: tuple[Document, ...]
    test: tuple[Document, ...]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the documents, whatever files they came from."""
        return hash_value({"task": self.task, "train": self.train, "test": self.test})


def resolve_task(name: str) -> str:
    """``copa`` for ``copa``, ``COPA`` or ``kobest_copa``. Raises DataError for other names."""
    task = name.lower().removeprefix("kobest_")
    if task in TASKS:
        return task
    close = get_close_matches(task, TASKS, n=1)
    raise DataError(
        f"no task {name!r}",
        expected=f"one of {', '.join(TASKS)}",
        hint=f"Did you mean {close[0]}?" if close else "Mend evaluate.tasks or --tasks.",
    )


def load_task(task: str, kobest_dir: str | Path | None = None) -> TaskData:
    """The train and test documents of one task.

    Args:
        task: With or without ``kobest_``.
        kobest_dir: A folder with one folder per task, each with ``train`` and ``test`` as
            ``.tsv`` or ``.jsonl`` in either form; ``"mini"`` the shipped set; None the Hub's.

    Raises:
        DataError: a missing or malformed file (named with its line), or no Hub.
    """
    task = resolve_task(task)
    if kobest_dir is None:
        return _load_from_hub(task)
    if str(kobest_dir) == MINI:
        with as_file(files("kot_platypus") / "data" / "sets" / "kobest_mini") as folder:
            return _load_from_folder(task, folder)
    return _load_from_folder(task, Path(kobest_dir).expanduser())


# --- files -------------------------------------------------------------------------------------


def _load_from_folder(task: str, root: Path) -> TaskData:
    folder = _find_task_folder(task, root)
    train, test = (tuple(_read_split(task, folder, split)) for split in _SPLITS)
    return TaskData(task, train, test)


def _find_task_folder(task: str, root: Path) -> Path:
    if root.is_dir():
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and folder.name.lower().removeprefix("kobest_") == task:
                return folder
    raise DataError(
        f"{root} has no folder for the task {task}",
        expected="KoBEST's layout, e.g. BoolQ/train.tsv and BoolQ/test.tsv",
        hint="Check --kobest-dir.",
    )


def _read_split(task: str, folder: Path, split: str) -> Iterator[Document]:
    readers = {".tsv": _read_tsv, ".jsonl": _read_jsonl}
    for suffix, read in readers.items():
        path = folder / f"{split}{suffix}"
        if path.is_file():
            return _parse_rows(task, path, read(path))
    raise DataError(
        f"{folder} has no {split} file",
        expected=f"{split}.tsv or {split}.jsonl",
        hint="Check --kobest-dir.",
    )


def _read_tsv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # The originals read these files with pandas, so a cell that begins with a quotation mark is
    # quoted; the csv module agrees with pandas here. The goldens tell.
    reader = csv.reader(read_text(path).replace("\r\n", "\n").split("\n"), delimiter="\t")
    header = next(reader)
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{path} line {reader.line_num} has {len(cells)} cells",
                expected=f"{len(header)}, as in the header",
                hint="Mend that line; cells are separated by tabs.",
            )
        yield reader.line_num, dict(zip(header, cells, strict=True))


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(
                f"{path} line {number} is not a JSON object",
                expected="one JSON object a line",
                hint="Mend that line.",
            )
        yield number, row


# --- rows --------------------------------------------------------------------------------------


def _parse_rows(
    task: str, path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> Iterator[Document]:
    """Rename columns to the Hub's, turn labels into ints, drop rows with an empty cell."""
    found = False
    for number, row in rows:
        found = True
        where = f"{path} line {number}"
        columns = _match_columns(task, where, row)
        cells = {name: row[column] for name, column in columns.items()}
        if any(cell is None or not str(cell).strip() for cell in cells.values()):
            continue
        from_one = task == "copa" and columns["label"] == "Answer"  # the authors count 1, 2
        label = _parse_label(task, where, cells.pop("label"), first=int(from_one))
        yield {**{name: str(cell) for name, cell in cells.items()}, "label": label}
    if not found:
        raise DataError(
            f"{path} holds no rows", expected=f"documents of {task}", hint="Download it again."
        )


def _match_columns(task: str, where: str, row: Mapping[str, Any]) -> dict[str, str]:
    authors = _COLUMNS[task]
    for columns in ({name: name for name in authors}, authors):
        if row.keys() >= set(columns.values()):
            return columns
    missing = next(name for name in authors if name not in row)
    raise DataError(
        f"{where} has no column {missing!r}",
        expected=f"the columns {', '.join(authors)} or {', '.join(authors.values())}",
        hint=f"Check that the file belongs to {task}.",
    )


def _parse_label(task: str, where: str, cell: Any, *, first: int) -> int:
    text = str(cell).strip().lower()
    label = _WORDS[text] if text in _WORDS else int(text) - first if text.isdecimal() else -1
    if 0 <= label < _NUM_LABELS[task]:
        return label
    last = first + _NUM_LABELS[task] - 1
    words = "" if task in ("copa", "hellaswag") else " or True, False"
    raise DataError(
        f"{where} has the label {cell!r}",
        expected=f"{first} to {last}{words}",
        hint="Mend that line.",
    )


# --- the Hub -----------------------------------------------------------------------------------


def _load_from_hub(task: str) -> TaskData:
    datasets = require_extra("datasets", "data", "loading KoBEST from the Hub")
    try:
        splits = {split: datasets.load_dataset(HUB_DATASET, task, split=split) for split in _SPLITS}
    except Exception as error:  # the Hub client raises many kinds; all mean "not to be had"
        raise DataError(
            f"cannot get {HUB_DATASET} from the Hub ({type(error).__name__})",
            expected="a connection to huggingface.co, or a local copy",
            hint="Pass --kobest-dir FOLDER, or --kobest-dir mini for the shipped set.",
        ) from error
    train, test = (
        tuple(_parse_rows(task, Path(HUB_DATASET, split), enumerate(rows, start=1)))
        for split, rows in splits.items()
    )
    return TaskData(task, train, test)
