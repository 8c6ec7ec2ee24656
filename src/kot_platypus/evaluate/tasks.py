"""Tasks' data: KoBEST's five in any of their forms, and the files of tasks.

KoBEST (Kim et al. 2022, https://arxiv.org/abs/2204.04541) exists in two forms with different
column names: the TSV files its authors publish, and ``skt/kobest_v1`` on the Hub. Whatever the
form, a document here has the Hub's columns, so one protocol fits both and their hashes agree.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from pydantic import field_validator

from kot_platypus.artifacts import hash_value, read_text
from kot_platypus.errors import DataError
from kot_platypus.hub import iter_hub
from kot_platypus.progress import print_notice
from kot_platypus.recipe_files import Section
from kot_platypus.tables import is_blank, iter_table

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
SUFFIXES = (".tsv", ".jsonl", ".csv")
"""Of a task's files."""
_WORDS = {"false": 0, "true": 1}


def compose(text: str) -> str:
    """The text in NFC: files from macOS hold Korean as single letters, which look the same."""
    return unicodedata.normalize("NFC", text)


def hash_texts(document: Document) -> str:
    """A hash of a document's texts, whatever its label, its spaces and its way to write Korean."""
    texts = {name: value for name, value in document.items() if name != "label"}
    return hash_value(compose(" ".join(json.dumps(texts, ensure_ascii=False).split())))


@dataclass(frozen=True)
class TaskData:
    """One task's documents: ``test`` to be asked, ``train`` to draw the shots from."""

    task: str
    train: tuple[Document, ...]
    test: tuple[Document, ...]
    repeated: frozenset[str] = frozenset()
    """The hashes (``hash_texts``) of test documents that are in ``train`` too, and are to be left
    out of their own shots. Always empty for KoBEST, whose protocols do not look for them."""

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the documents, whatever files they came from."""
        facts: dict[str, Any] = {"task": self.task, "train": self.train, "test": self.test}
        if self.repeated:  # scores from before they were left out are no match
            facts["left_out"] = sorted(self.repeated)
        return hash_value(facts)

    @cached_property
    def train_hashes(self) -> tuple[str, ...]:
        """``hash_texts`` of each training document."""
        return tuple(map(hash_texts, self.train))


class TaskFiles(Section):
    """Where your own task has its documents. TSV, CSV or JSONL, by their suffix."""

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
        train, test = (tuple(_load_hub_split(task, split)) for split in ("train", "test"))
        return TaskData(task, train, test)
    if str(kobest_dir) == MINI:
        with as_file(files("kot_platypus") / "data" / "sets" / "kobest_mini") as folder:
            return load_task(task, folder)
    folder = _find_task_folder(task, Path(kobest_dir).expanduser())
    train, test = (tuple(_read_split(task, folder, split)) for split in ("train", "test"))
    return TaskData(task, train, test)


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
    found = (name for name in names if any((folder / f"{name}{s}").is_file() for s in SUFFIXES))
    return tuple(document for name in found for document in _read_split(task, folder, name))


# --- files -------------------------------------------------------------------------------------


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
    for suffix in SUFFIXES:
        path = folder / f"{split}{suffix}"
        if path.is_file():
            # The originals read these files with pandas, and so does this. The goldens tell.
            return _parse_rows(task, path, read_rows(path, strict=False))
    raise DataError(
        f"{folder} has no {split} file",
        expected=f"{split}.tsv or {split}.jsonl",
        hint="Check --kobest-dir.",
    )


def read_rows(path: Path, *, strict: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a task's file and their lines; ``strict`` as in ``iter_table``."""
    return _read_jsonl(path) if path.suffix.lower() == ".jsonl" else _read_table(path, strict)


def _read_table(path: Path, strict: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in iter_table(path, strict=strict):
        if None in row.values():
            raise DataError(
                f"{path} line {number} has {sum(cell is not None for cell in row.values())} cells",
                expected=f"{len(row)}, as in the header",
                hint="Fix that line.",
            )
        yield number, row


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_refuse_twice)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(
                f"{path} line {number} is not a JSON object with each name once",
                expected="one JSON object a line",
                hint="Fix that line.",
            )
        yield number, row


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a name twice")
    return row


# --- rows --------------------------------------------------------------------------------------


def _parse_rows(
    task: str, path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> Iterator[Document]:
    """Rename columns to the Hub's, turn labels into ints, drop rows with an empty cell."""
    count, dropped = 0, []
    for number, row in rows:
        count += 1
        where = f"{path} line {number}"
        columns = _match_columns(task, where, row)
        cells = {name: row[column] for name, column in columns.items()}
        if any(is_blank(cell) for cell in cells.values()):
            dropped.append(number)
            continue
        from_one = task == "copa" and columns["label"] == "Answer"  # the authors count 1, 2
        label = _parse_label(task, where, cells.pop("label"), first=int(from_one))
        yield {**{name: str(cell) for name, cell in cells.items()}, "label": label}
    if not count:
        raise DataError(
            f"{path} holds no rows", expected=f"documents of {task}", hint="Download it again."
        )
    if dropped:
        print_notice(
            f"{path}: {len(dropped):,} of {count:,} rows are left out for an empty cell (the first "
            f"in line {dropped[0]}): other questions, and other shots for all, than of a whole file"
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
        hint="Fix that line.",
    )


# --- the Hub -----------------------------------------------------------------------------------


def _load_hub_split(task: str, split: str) -> Iterator[Document]:
    hint = "Pass --kobest-dir FOLDER, or --kobest-dir mini for the shipped set."
    found = iter_hub(HUB_DATASET, config=task, split=split, hint=hint)
    rows = (row for _, row in found if isinstance(row, Mapping))
    return _parse_rows(task, Path(HUB_DATASET, split), enumerate(rows, start=1))
