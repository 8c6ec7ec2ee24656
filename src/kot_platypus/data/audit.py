"""The audit of training rows as they are: checks, duplicates, text of benchmarks. Changes nothing.

Nothing is left out here. Text of a benchmark stops the training, unless the recipe allows it; the
rest is for a person to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, hash_value, read_json, write_json, write_jsonl
from kot_platypus.checks import KOREAN_CHECK_NAMES, check_korean
from kot_platypus.columns import Columns
from kot_platypus.data.contamination import Benchmarks
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.executors import IN_PROCESS, Executor
from kot_platypus.data.leaks import check_contamination
from kot_platypus.data.spool import iter_chunks
from kot_platypus.formats import iter_rows
from kot_platypus.oddities import KINDS, Oddities
from kot_platypus.progress import show_progress
from kot_platypus.records import Example, Finding, FoundInRow, Row
from kot_platypus.row_formats import Notes
from kot_platypus.stages import open_stage

REPORT, FINDINGS = "report.json", "findings.jsonl"
_CHUNK_ROWS = 256


def audit_rows(
    data: Path,
    out: Path,
    benchmarks: Benchmarks | None = None,
    columns: Columns | None = None,
    executor: Executor = IN_PROCESS,
) -> dict[str, Any]:
    """Check the Korean rows of ``data`` one by one, with each other, and against ``benchmarks``.

    Writes ``out/report.json``, ``out/findings.jsonl``, and the folders ``duplicates`` and
    ``contamination`` of those steps; the verdict on benchmarks lies beside ``data``. Every turn
    of a conversation is checked. Returns the report.
    """
    hashes = {name: hash_value(list(texts)) for name, texts in (benchmarks or {}).items()}
    config: dict[str, Any] = {"checks": KOREAN_CHECK_NAMES}
    config |= {"columns": columns} if columns else {}
    inputs = {"data": hash_file(data), **hashes}
    with open_stage(out, "audit", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return dict(read_json(out / REPORT))
        counts: Counter[str] = Counter()
        failing: set[int] = set()
        notes = Notes()
        rows = iter_rows(data, columns, notes)
        write_jsonl(out / FINDINGS, _iter_found(rows, counts, failing, executor))
        duplicates = find_duplicates(data, out / "duplicates", columns=columns, executor=executor)
        report: dict[str, Any] = {
            "rows": duplicates["rows"],
            "rows_with_errors": len(failing),
            "findings": dict(sorted(counts.items())),
            "duplicates": duplicates["dropped"],
            "contamination": None,
            **({"not_read": dict(sorted(notes.items()))} if notes else {}),
        }
        if benchmarks:
            leaks = out / "contamination"
            verdict = check_contamination(
                data, leaks, benchmarks, columns=columns, executor=executor
            )
            report["contamination"] = verdict.model_dump(mode="json")
        write_json(out / REPORT, report)
        stage.facts = report
    return report


def _iter_found(
    rows: Iterable[Row], counts: Counter[str], failing: set[int], executor: Executor
) -> Iterator[FoundInRow]:
    oddities = Oddities()

    def iter_seen() -> Iterator[Row]:
        for row in rows:
            oddities.add(row)
            yield row

    with show_progress("Checking rows", None, "rows") as advance:
        checked = executor.map(_check_rows, iter_chunks(iter_seen(), _CHUNK_ROWS))
        for number, findings in enumerate(chain.from_iterable(checked)):
            for finding in findings:
                counts[f"{finding.check} ({finding.severity})"] += 1
                if finding.severity == "error":
                    failing.add(number)
                yield FoundInRow(row=number, finding=finding)
            advance()
    for kind, numbers in oddities.found.items():
        counts[f"{kind} (warning)"] += len(numbers)
        finding = Finding(check=kind, severity="warning", detail=f"a row {KINDS[kind]}")
        yield from (FoundInRow(row=number, finding=finding) for number in numbers)


def _check_rows(rows: Sequence[Row]) -> list[list[Finding]]:
    return [[*_find_blank(row), *check_korean(row)] for row in rows]


def _find_blank(row: Row) -> Iterator[Finding]:
    """A row that asks or answers nothing, which ``kot data build`` does not take."""
    if isinstance(row, Example):
        texts = {"source": row.source + row.input, "rationale": row.rationale + row.target}
        for (field, text), name in zip(texts.items(), ("question", "answer"), strict=True):
            if not text.strip():
                detail = f"the {name} is empty"
                yield Finding(check="cut_off", severity="error", detail=detail, field=field)


def describe_audit(report: Mapping[str, Any]) -> str:
    """The report in one line, e.g. ``108 rows: 1 with errors, 0 duplicates``."""
    doubles = "1 duplicate" if report["duplicates"] == 1 else f"{report['duplicates']:,} duplicates"
    unread = "".join(f", {n:,} {what}" for what, n in report.get("not_read", {}).items())
    return f"{report['rows']:,} rows: {report['rows_with_errors']:,} with errors, {doubles}{unread}"
