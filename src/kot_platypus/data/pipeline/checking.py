"""Drafts checked: each by itself, so that any executor may share the work out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from kot_platypus.artifacts import hash_file, write_lines
from kot_platypus.data.checks import CHECK_NAMES, KOREAN_CHECK_NAMES, check_korean, check_row
from kot_platypus.data.executors import Executor
from kot_platypus.data.pipeline.drafts import ROWS, Draft
from kot_platypus.data.spool import iter_chunks
from kot_platypus.progress import Advance, show_progress
from kot_platypus.stages import open_stage

PROTECTION = "protection"
"""The check that a service did not damage what was protected, which translating makes itself."""
CHUNK_ROWS = 256


def check_rows(rows: Path, out: Path, executor: Executor, total: int) -> Path:
    """Write the drafts in ``rows`` with what the checks find in them. Returns the file."""
    inputs = {"rows": hash_file(rows)}
    with open_stage(out, "check", config={"checks": CHECK_NAMES}, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        with rows.open(encoding="utf-8") as file, show_progress("Checking", total, "rows") as step:
            checked = executor.map(check_lines, iter_chunks(file, CHUNK_ROWS))
            write_lines(out / ROWS, _count(chain.from_iterable(checked), step))
    return out / ROWS


def _count(lines: Iterable[str], advance: Advance) -> Iterator[str]:
    for line in lines:
        yield line
        advance()


def check_lines(lines: list[str]) -> list[str]:
    """Drafts as lines of JSON, checked."""
    drafts = map(Draft.model_validate_json, lines)
    return [check_draft(draft).model_dump_json() + "\n" for draft in drafts]


def check_draft(draft: Draft) -> Draft:
    """The draft with all findings; what is known of its protected pieces stays."""
    known = [finding for finding in draft.findings if finding.check == PROTECTION]
    if draft.origin.language == "ko":
        found = check_korean(draft.translated)
    else:
        found = check_row(draft.original, draft.translated)
    return draft.model_copy(update={"findings": (*known, *found)})


def edit_draft(draft: Draft, fields: Mapping[str, str]) -> Draft:
    """The draft with a person's texts in some fields, checked anew."""
    kept = tuple(each for each in draft.findings if each.field not in fields)
    edited = draft.translated.model_copy(update=dict(fields))
    return check_draft(draft.model_copy(update={"translated": edited, "findings": kept}))


def list_passed(draft: Draft) -> list[str]:
    """The names of the checks that found no error in a draft."""
    is_korean = draft.origin.language == "ko"
    names = KOREAN_CHECK_NAMES if is_korean else (PROTECTION, *CHECK_NAMES)
    failed = {finding.check for finding in draft.findings if finding.severity == "error"}
    return [name for name in names if name not in failed]


def count_errors(draft: Draft) -> Counter[str]:
    """How many errors there are in each field of a draft."""
    return Counter(finding.field for finding in draft.findings if finding.severity == "error")
