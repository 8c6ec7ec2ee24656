"""Tasks of the user's own: tables, as they are, checked for what would silently score wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kot_platypus.errors import DataError
from kot_platypus.evaluate.tasks import (
    SUFFIXES,
    Document,
    TaskData,
    TaskFiles,
    compose,
    hash_texts,
    read_rows,
)
from kot_platypus.progress import print_notice
from kot_platypus.tables import is_blank

_SINGLE_LETTERS = re.compile(r"[\u1100-\u11ff]")


def load_own_task(
    task: str, source: TaskFiles, columns: Sequence[str], list_column: str | None = None
) -> TaskData:
    """The documents of a task of the user's own: ``columns`` as they are, and the label.

    Args:
        task: Its name.
        source: Where its documents lie.
        columns: Those that its templates name.
        list_column: The one of them that holds a list of choices.

    Raises:
        DataError: a missing file; a row (named with its line) without a column or a label, or with
            what is no text in it; labels that seem to count from 1.
    """

    def read(path: Path | None) -> tuple[Document, ...]:
        return tuple(_iter_own_rows(path, source, columns, list_column)) if path else ()

    train, test = read(source.train), read(source.test)
    repeated = frozenset(map(hash_texts, train)) & frozenset(map(hash_texts, test))
    data, documents = TaskData(task, train, test, repeated), (*train, *test)
    if source.labels is None and min(document["label"] for document in documents) > 0:
        highest = max(document["label"] for document in documents)
        raise DataError(
            f"{source.test}: no label of {task} is 0, and without `labels` the first choice is 0",
            expected="labels from 0, or what they mean",
            hint=f"Say it in the protocol's `data`: labels: {[*range(1, highest + 1)]} if they "
            f"count from 1, labels: {[*range(highest + 1)]} if 0 just never occurs.",
        )
    _report_own_task(data, source)
    return data


def _iter_own_rows(
    path: Path, source: TaskFiles, columns: Sequence[str], list_column: str | None
) -> Iterator[Document]:
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{path} {'has another suffix' if path.is_file() else 'does not exist'}",
            expected=f"a table ending in {', '.join(SUFFIXES)}, beside the protocol",
            hint="Fix its `data`.",
        )
    found = False
    known = [compose(label) for label in source.labels] if source.labels else None
    for number, given in read_rows(path):
        found = True
        row = {compose(name): value for name, value in given.items()}
        texts: Document = {}
        for name in dict.fromkeys((*columns, source.label)):
            try:
                texts[name] = _as_text(row.get(compose(name)), is_list=name == list_column)
            except ValueError as error:
                raise DataError(
                    f"{path} line {number} has {error} {name!r}",
                    expected=f"the columns {', '.join(columns)} and the label {source.label}, "
                    "each a text or a number",
                    hint="Fix that line, or the protocol's templates.",
                ) from error
        label = compose(str(texts[source.label]).strip())
        if not (label in known if known else label.isdecimal()):
            raise DataError(
                f"{path} line {number} has the label {label!r}",
                expected=f"one of {', '.join(known)}" if known else "a whole number from 0",
                hint="Fix that line, or `labels` in the protocol's `data`.",
            )
        yield {**texts, "label": known.index(label) if known else int(label)}
    if not found:
        raise DataError(
            f"{path} holds no rows", expected="documents", hint="Check `data` in the protocol."
        )


def _as_text(cell: Any, *, is_list: bool) -> Any:
    """A cell as the prompt shows it. Raises ValueError, which says what is in its place."""
    if is_list and isinstance(cell, list) and cell:
        return [_as_text(element, is_list=False) for element in cell]
    if isinstance(cell, dict | list):
        raise ValueError(f"{'an object' if isinstance(cell, dict) else 'a list'} in")
    if is_blank(cell):
        raise ValueError("no")
    return json.dumps(cell) if isinstance(cell, bool) else str(cell)


def _report_own_task(data: TaskData, source: TaskFiles) -> None:
    if data.repeated:
        print_notice(
            f"{data.task}: {sum(hash_texts(each) in data.repeated for each in data.test):,} of its "
            f"{len(data.test):,} questions are among its training documents too: no question is "
            "shown itself as a shot"
        )
    for path, documents in ((source.test, data.test), (source.train, data.train)):
        single = sum(bool(_SINGLE_LETTERS.search(str(each))) for each in documents)
        if single:
            print_notice(
                f"{path}: {single:,} of {len(documents):,} documents hold Korean in single letters "
                "(NFD), which are other tokens; to compose it: uconv -x any-nfc"
            )
