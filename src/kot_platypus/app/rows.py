"""A run's rows, to look at and to search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from kot_platypus.artifacts import read_jsonl
from kot_platypus.formats import read_rows
from kot_platypus.records import Dialogue, FoundInRow, Row

FILES = {"train.jsonl": "학습 (train)", "heldout.jsonl": "시험 (held-out)"}


class ShownRow(NamedTuple):
    """A row as its fields' names and texts, and what the checks say of it."""

    number: int
    label: str
    head: str
    fields: tuple[tuple[str, str], ...]
    findings: tuple[tuple[str, str, str], ...]


def load_rows(run: Path, name: str) -> Sequence[ShownRow]:
    """The rows of ``data/<name>``, none where there is no such file."""
    path, findings = run / "data" / name, run / "audit" / "findings.jsonl"
    times = tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in (path, findings))
    return _load(path, findings if name == "train.jsonl" else None, times)


@lru_cache(maxsize=8)
def _load(path: Path, findings: Path | None, _times: tuple[int, ...]) -> tuple[ShownRow, ...]:
    if not path.is_file():
        return ()
    found: dict[int, list[tuple[str, str, str]]] = {}
    for line in read_jsonl(findings, FoundInRow) if findings and findings.is_file() else ():
        finding = line.finding
        found.setdefault(line.row, []).append((finding.check, finding.severity, finding.detail))
    return tuple(_show(number, row, found) for number, row in enumerate(read_rows(path)))


def _show(number: int, row: Row, found: Mapping[int, Sequence[tuple[str, str, str]]]) -> ShownRow:
    if isinstance(row, Dialogue):
        fields = tuple((turn.role, turn.content) for turn in row.messages)
    else:
        texts = {
            "질문 source": row.source,
            "입력 input": row.input,
            "풀이 rationale": row.rationale,
            "정답 target": row.target,
        }
        fields = tuple((name, text) for name, text in texts.items() if text)
    label = " · ".join(part for part in (row.task, row.type) if part)
    return ShownRow(number, label, row.source, fields, tuple(found.get(number, ())))


def select_rows(
    rows: Sequence[ShownRow], words: str = "", *, only_found: bool = False
) -> list[ShownRow]:
    """The rows with every one of ``words`` in a field or label; those that a check found, only."""
    wanted = words.casefold().split()
    return [
        row
        for row in rows
        if (row.findings or not only_found)
        and (not wanted or all(word in _list_texts(row) for word in wanted))
    ]


def _list_texts(row: ShownRow) -> str:
    return "\n".join([row.label, *(text for _, text in row.fields)]).casefold()
