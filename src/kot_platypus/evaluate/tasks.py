"""Tasks' data: KoBEST's five in any of their forms, and tables of the user's own.

KoBEST (Kim et al. 2022, https://arxiv.org/abs/2204.04541) exists in two forms with different
column names: the TSV files its authors publish, and ``skt/kobest_v1`` on the Hub. Whatever the
form, a document here has the Hub's columns, so one protocol fits both and their hashes agree.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

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


class TaskFiles(BaseModel):
    """Where a task of one's own has its documents. TSV, CSV or JSONL, by their suffix."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: Path
    train: Path | None = None
    """To draw the shots from."""
    label: str = "label"
    """The column that says which choice is right."""
    labels: tuple[str, ...] | None = None
    """Its values in the order of the choices; None: whole numbers from 0."""

    @field_validator("labels", mode="before")
    @classmethod
    def _as_text(cls, labels: Any) -> Any:
        if labels is None or isinstance(labels, str):
            return labels  # a text is refused by its type: its characters are no labels
        if any(isinstance(label, bool) for label in labels):
            raise ValueError("quote yes, no, true and false: YAML reads them as booleans")
        return [str(label) for label in labels]


def load_task(task: str, kobest_dir: str | Path | None = None) -> TaskData:
    """The train and test documents of one task.

    Args:
        task: One of KoBEST's five.
        kobest_dir: A folder with one folder per task, each with ``train`` and ``test`` as
            ``.tsv`` or ``.jsonl`` in either form; ``"mini"`` the shipped set; None the Hub's.

    Raises:
        DataError: a missing or malformed file (named with its line), or no Hub.
    """
    if kobest_dir is None:
        return _load_from_hub(task)
    if str(kobest_dir) == MINI:
        with as_file(files("kot_platypus") / "data" / "sets" / "kobest_mini") as folder:
            return _load_from_folder(task, folder)
    return _load_from_folder(task, Path(kobest_dir).expanduser())


def load_texts(kobest_dir: str | Path | None = None) -> dict[str, list[tuple[str, ...]]]:
    """The texts of KoBEST's items that models are tested on, by ``kobest/task/split``: no labels.

    Splits are test and, where it exists, dev. ``kobest_dir`` is as in ``load_task``.
    """
    texts = {}
    own = "kobest-mini" if str(kobest_dir) == MINI else "kobest"
    for task in TASKS:
        splits = {"test": load_task(task, kobest_dir).test, "dev": _load_dev(task, kobest_dir)}
        for split, documents in splits.items():
            if documents:
                texts[f"{own}/{task}/{split}"] = [
                    tuple(str(row[name]) for name in COLUMNS[task] if name != "label")
                    for row in documents
                ]
    return texts


def _load_dev(task: str, kobest_dir: str | Path | None) -> tuple[Document, ...]:
    """A task's development set; empty where a folder has none."""
    if kobest_dir is None:
        return tuple(_load_hub_split(task, "validation"))
    if str(kobest_dir) == MINI:
        return ()
    folder = _find_task_folder(task, Path(kobest_dir).expanduser())
    names = ("dev", "validation")
    found = (name for name in names if any((folder / f"{name}{s}").is_file() for s in _READERS))
    return tuple(document for name in found for document in _read_split(task, folder, name))


def load_own_task(task: str, source: TaskFiles, columns: Sequence[str]) -> TaskData:
    """The documents of a task of the user's own: ``columns`` as they are, and the label.

    Raises:
        DataError: a missing file, or a row (named with its line) without a column or a label.
    """

    def read(path: Path | None) -> tuple[Document, ...]:
        return tuple(_iter_own_rows(path, source, columns)) if path else ()

    return TaskData(task, train=read(source.train), test=read(source.test))


def _iter_own_rows(path: Path, source: TaskFiles, columns: Sequence[str]) -> Iterator[Document]:
    if not path.is_file() or path.suffix not in _READERS:
        raise DataError(
            f"{path} {'has another suffix' if path.is_file() else 'does not exist'}",
            expected=f"a table ending in {', '.join(_READERS)}, beside the protocol",
            hint="Mend its `data`.",
        )
    found = False
    for number, row in _READERS[path.suffix](path):
        found = True
        for name in (*columns, source.label):
            if row.get(name) in (None, "", []):
                raise DataError(
                    f"{path} line {number} has no {name!r}",
                    expected=f"the columns {', '.join(columns)} and the label {source.label}",
                    hint="Mend that line, or the protocol's templates.",
                )
        label, known = str(row[source.label]).strip(), source.labels
        if not (label in known if known else label.isdecimal()):
            raise DataError(
                f"{path} line {number} has the label {label!r}",
                expected=f"one of {', '.join(known)}" if known else "a whole number from 0",
                hint="Mend that line, or `labels` in the protocol's `data`.",
            )
        texts = {name: _as_text(row[name]) for name in columns}
        yield {**texts, "label": known.index(label) if known else int(label)}
    if not found:
        raise DataError(
            f"{path} holds no rows", expected="documents", hint="Check `data` in the protocol."
        )


def _as_text(cell: Any) -> Any:
    return [str(element) for element in cell] if isinstance(cell, list) else str(cell)


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
    for suffix, read in _READERS.items():
        path = folder / f"{split}{suffix}"
        if path.is_file():
            return _parse_rows(task, path, read(path))
    raise DataError(
        f"{folder} has no {split} file",
        expected=f"{split}.tsv or {split}.jsonl",
        hint="Check --kobest-dir.",
    )


def _read_table(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # The originals read these files with pandas, so a cell that begins with a quotation mark is
    # quoted; the csv module agrees with pandas here. The goldens tell.
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter)
    header = next(reader)
    for cells in _iter_cells(reader, path):
        if not cells:
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{path} line {reader.line_num} has {len(cells)} cells",
                expected=f"{len(header)}, as in the header",
                hint=f"Mend that line; cells are separated by {delimiter!r}.",
            )
        yield reader.line_num, dict(zip(header, cells, strict=True))


def _iter_cells(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(
            f"{path} line {reader.line_num} cannot be read ({error})",
            expected="a table whose quotation marks close",
            hint="Mend that line; a quotation mark inside a quoted cell is written twice.",
        ) from error


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(
                f"{path} line {number} is not a JSON object",
                expected="one JSON object a line",
                hint="Mend that line.",
            )
        yield number, row


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".tsv": partial(_read_table, delimiter="\t"),
    ".jsonl": _read_jsonl,
    ".csv": partial(_read_table, delimiter=","),
}
"""Yield each row with its line number."""


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
    train, test = (tuple(_load_hub_split(task, split)) for split in _SPLITS)
    return TaskData(task, train, test)


def _load_hub_split(task: str, split: str) -> Iterator[Document]:
    datasets = require_extra("datasets", "data", "loading KoBEST from the Hub")
    try:
        rows = datasets.load_dataset(HUB_DATASET, task, split=split)
    except Exception as error:  # the Hub client raises many kinds; all mean "not to be had"
        raise DataError(
            f"cannot get {HUB_DATASET} from the Hub ({type(error).__name__})",
            expected="a connection to huggingface.co, or a local copy",
            hint="Pass --kobest-dir FOLDER, or --kobest-dir mini for the shipped set.",
        ) from error
    return _parse_rows(task, Path(HUB_DATASET, split), enumerate(rows, start=1))
