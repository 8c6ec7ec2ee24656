"""The contamination stage: a file of training rows against benchmarks, and a verdict on it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, hash_value, write_json, write_jsonl, write_text
from kot_platypus.columns import Columns
from kot_platypus.data.contamination import (
    NUM_CHARS,
    NUM_MORPHEMES,
    RULES,
    SHORT_CHARS,
    BenchmarkIndex,
    Benchmarks,
    How,
    Item,
    Match,
)
from kot_platypus.data.executors import IN_PROCESS, Executor
from kot_platypus.data.spool import iter_chunks
from kot_platypus.errors import DataError
from kot_platypus.formats import iter_rows, iter_values, write_values
from kot_platypus.records import Record, Row, find_rejected
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import open_stage
from kot_platypus.verdicts import Checked, Verdict, write_verdict

CHUNK_ROWS = 1024
NUM_SHOWN = 20
_AROUND = 30
"""Characters shown on either side of a match."""


class FieldSpan(Record):
    """A stretch of one of a row's fields, in characters from 0."""

    field: str
    start: int
    end: int


class Leak(Record):
    """One match: a line of ``leaks.jsonl``. Rows, items and characters count from 0."""

    row: int
    spans: tuple[FieldSpan, ...]
    """Where in the row's fields."""
    benchmark: str
    item: int
    item_start: int
    item_end: int
    how: How


@dataclass
class _Tally:
    """What the pages about a check are written from; grows by one row or match at a time."""

    rows: int = 0
    leaked: set[int] = field(default_factory=set)
    hows: dict[int, set[How]] = field(default_factory=lambda: defaultdict(set))
    items: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    rows_of: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    shown: list[str] = field(default_factory=list)


def load_benchmark(path: Path, columns: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The items of a benchmark in a file: all text of each row, or that of some columns."""
    items = []
    for place, values in iter_values(path):
        cells = dict(values) if isinstance(values, Mapping) else {}
        missing = [name for name in columns if name not in cells]
        if missing or not cells:
            raise DataError(
                f"{path} {place} has no column {missing[0]!r}" if missing else f"{path} {place}",
                expected=f"the columns {', '.join(columns) or 'of a benchmark'}",
                hint="Check --columns.",
            )
        chosen = [cells[name] for name in columns] if columns else list(cells.values())
        items.append(tuple(_iter_texts(chosen)))
    if not items:
        raise DataError(f"{path} holds no rows", expected="a benchmark", hint="Check --against.")
    return items


def _iter_texts(value: object) -> Iterator[str]:
    """The texts in a cell: itself, or those of a list or an object."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _iter_texts(list(value.values()))
    elif isinstance(value, Sequence):
        for each in value:
            yield from _iter_texts(each)


def check_contamination(
    data: Path,
    out: Path,
    benchmarks: Benchmarks,
    *,
    executor: Executor = IN_PROCESS,
    columns: Columns | None = None,
) -> Verdict:
    """Look for the items of ``benchmarks`` (name to items) in the rows of ``data``.

    Writes ``out/leaks.jsonl`` (every match), ``out/clean.jsonl`` (the rows without any),
    ``out/report.json`` and ``out/report.md``, and a verdict beside ``data`` that ``kot train``
    heeds. A finished check of the same bytes is not done again.
    """
    hashes = {name: hash_value(list(texts)) for name, texts in benchmarks.items()}
    config: dict[str, Any] = {
        "characters": NUM_CHARS,
        "morphemes": NUM_MORPHEMES,
        "rules": RULES,
        "short_characters": SHORT_CHARS,
    }
    config |= {"columns": columns} if columns else {}
    inputs = {"data": hash_file(data), **hashes}
    with open_stage(out, "contamination", config=config, inputs=inputs) as stage:
        if not stage.is_done:
            rows = iter_rows(data, columns)
            tally = _Tally()
            leaks = iter_leaks(rows, _list_items(benchmarks), tally, executor)
            write_jsonl(out / "leaks.jsonl", leaks)
            clean = out / "clean.jsonl"
            kept = (v for row, (_, v) in enumerate(iter_values(data)) if row not in tally.leaked)
            write_values(clean, kept)
            judge = partial(_judge, hashes, benchmarks, columns or {})
            # Each row was looked at by itself, so in those that are left nothing was found.
            write_verdict(clean, judge(clean, _Tally(tally.rows - len(tally.leaked))))
            _write_report(out, data.name, judge(data, tally), tally)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    verdict = Verdict.model_validate(report["verdict"])
    write_verdict(data, verdict)
    return verdict


def find_leaked_rows(rows: Iterable[Row], benchmarks: Benchmarks) -> set[int]:
    """The places of those ``rows`` that hold text of a benchmark (name to items)."""
    items = _list_items(benchmarks)
    return {leak.row for leak in iter_leaks(rows, items)} if items else set()


def _list_items(benchmarks: Benchmarks) -> list[Item]:
    return [
        Item(name, i, cells) for name, items in benchmarks.items() for i, cells in enumerate(items)
    ]


def iter_leaks(
    rows: Iterable[Row],
    items: Sequence[Item],
    tally: _Tally | None = None,
    executor: Executor = IN_PROCESS,
) -> Iterator[Leak]:
    """Every match in ``rows``, in their order; ``tally`` counts along."""
    tally = tally or _Tally()
    chunks = iter_chunks(map(list_fields, rows), CHUNK_ROWS)
    for num_rows, leaks in executor.map(_Scan(items), chunks):
        for leak, shown in leaks:
            leak = leak.model_copy(update={"row": tally.rows + leak.row})
            if leak.row not in tally.leaked and len(tally.leaked) < NUM_SHOWN:
                tally.shown.append(f"row {leak.row}, {shown}")
            tally.leaked.add(leak.row)
            tally.hows[leak.row].add(leak.how)
            tally.items[leak.benchmark].add(leak.item)
            tally.rows_of[leak.benchmark].add(leak.row)
            yield leak
        tally.rows += num_rows


class _Scan:
    """Rows' fields to how many they are and their leaks, each with what the report shows of it.

    ``Leak.row`` counts within these rows. The index is built at the first ones: once per worker.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    @cached_property
    def _index(self) -> BenchmarkIndex:
        return BenchmarkIndex(self._items)

    def __call__(self, rows: Sequence[Mapping[str, str]]) -> tuple[int, list[tuple[Leak, str]]]:
        texts = [join_fields(fields) for fields in rows]
        leaks = []
        for match in self._index.scan(texts):
            item = self._items[match.item]
            leak = Leak(
                row=match.text,
                spans=locate(rows[match.text], *match.span),
                benchmark=item.benchmark,
                item=item.number,
                item_start=match.item_span[0],
                item_end=match.item_span[1],
                how=match.how,
            )
            leaks.append((leak, _show_match(texts[match.text], match, item)))
        return len(rows), leaks


def _judge(
    hashes: Mapping[str, str], benchmarks: Benchmarks, columns: Columns, data: Path, tally: _Tally
) -> Verdict:
    return Verdict(
        data_sha256=hash_file(data),
        rows=tally.rows,
        leaked_rows=len(tally.leaked),
        benchmarks=tuple(
            Checked(
                name=name,
                sha256=hashes[name],
                items=len(texts),
                items_found=len(tally.items[name]),
                rows=len(tally.rows_of[name]),
            )
            for name, texts in benchmarks.items()
        ),
        columns=dict(columns),
    )


# --- a row's texts -----------------------------------------------------------------------------


def list_fields(row: Row) -> dict[str, str]:
    """A row's texts by name, as ``list_texts`` has them, also those of tools; none is empty.

    Of a pair also those that are rejected, ``rejected.rationale``, but what both have.
    """
    texts = list_texts(row, of_tools=True)
    if (rejected := find_rejected(row)) is not None:
        others = list_fields(rejected).items()
        texts |= {f"rejected.{name}": text for name, text in others if text != texts.get(name)}
    return {name: text for name, text in texts.items() if text}


def join_fields(fields: Mapping[str, str]) -> str:
    """All fields, a line each: a text that goes on from one to the next is found too."""
    return "\n".join(fields.values())


def locate(fields: Mapping[str, str], start: int, end: int) -> tuple[FieldSpan, ...]:
    """The stretches of single fields that ``[start, end)`` of ``join_fields(fields)`` is."""
    spans, offset = [], 0
    for name, text in fields.items():
        first, last = max(start - offset, 0), min(end - offset, len(text))
        if first < last:
            spans.append(FieldSpan(field=name, start=first, end=last))
        offset += len(text) + 1
    return tuple(spans)


# --- report ------------------------------------------------------------------------------------


def _write_report(out: Path, name: str, verdict: Verdict, tally: _Tally) -> None:
    how = Counter(how for hows in tally.hows.values() for how in hows)
    facts: dict[str, Any] = {
        "data": name,
        "clean": verdict.is_clean,
        "rows_by_match": dict(sorted(how.items())),
        "verdict": verdict.model_dump(),
    }
    write_json(out / "report.json", facts)
    write_text(out / "report.md", describe_verdict(name, verdict) + _describe_leaks(tally))


def describe_verdict(name: str, verdict: Verdict) -> str:
    """The verdict and its table, as Markdown."""
    rows = [
        f"| {each.name} | {each.items:,} | {each.items_found:,} | {each.rows:,} |\n"
        for each in verdict.benchmarks
    ]
    word = "Clean" if verdict.is_clean else "CONTAMINATED"
    return (
        f"# Contamination of {name}\n\n**{word}**: {verdict.describe()}.\n\n"
        f"| benchmark | items | items found | training rows |\n|---|---|---|---|\n{''.join(rows)}"
    )


def _describe_leaks(tally: _Tally) -> str:
    if not tally.shown:
        return ""
    first = f"The first {len(tally.shown)} of" if len(tally.leaked) > len(tally.shown) else "All"
    blocks = "\n".join(tally.shown)
    return (
        f"\n## Rows\n\n{first} {len(tally.leaked):,} rows, one match of each; all matches are in "
        f"`leaks.jsonl`. 【】: what is the same.\n\n```\n{blocks}```\n"
    )


def _show_match(text: str, match: Match, item: Item) -> str:
    return (
        f"{match.how}: {item.benchmark} item {item.number}\n"
        f"  row   {_mark(text, *match.span)}\n"
        f"  item  {_mark(item.text, *match.item_span)}\n"
    )


def _mark(text: str, start: int, end: int) -> str:
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    return " ".join(
        f"{'…' * (start > _AROUND)}{before}【{text[start:end]}】{after}"
        f"{'…' * (end + _AROUND < len(text))}".split()
    )
