"""A row on its way from a source into a data set: its texts, what is found in them, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from kot_platypus.artifacts import hash_file, hash_value, iter_jsonl, write_lines
from kot_platypus.checks import CHECK_NAMES, Finding, check_korean, check_row
from kot_platypus.data.executors import Executor
from kot_platypus.data.pipeline.decisions import Decision
from kot_platypus.data.spool import iter_chunks
from kot_platypus.progress import Advance, show_progress
from kot_platypus.records import Record, Row
from kot_platypus.row_texts import list_texts, replace_texts
from kot_platypus.stages import open_stage

ROWS = "rows.jsonl"
"""In a step's folder: the Drafts as they are after it."""
QUEUE, PASSED = "queue.jsonl", "passed.jsonl"
"""In the folder ``review``: the Drafts that a person should see, and a sample of the others."""
CHAT = "chat"
"""The ``columns`` of a recipe whose rows are conversations."""
PROTECTION = "protection"
"""The check that a service did not damage what was protected, which translating makes itself."""
UNANSWERED = "unanswered"
"""The check that a service answered at all, and in full; translating makes it too."""
_CHUNK_ROWS = 256


class Origin(Record):
    """Where a row comes from."""

    source: str
    """A Hub id, or a file's name."""
    id: str
    """Its key there: the key of an object, else the row's number from 1."""
    sha256: str
    """Of its texts there."""
    language: Literal["en", "ko"] = "en"


class Translation(Record):
    """Who translated a row, and how."""

    service: str
    parameters: dict[str, Any]
    retried: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The fields whose second translation was taken, with the parameters that were other."""


class Draft(Record):
    """One row: what it was, what it is, and what the checks found in it."""

    model_config = ConfigDict(ser_json_bytes="base64")

    origin: Origin
    original: Row
    translated: Row
    translation: Translation | None = None
    """None: the source is Korean."""
    findings: tuple[Finding, ...] = ()
    values: dict[str, Any] | None = None
    """Of a conversation: the columns of its source, in which it goes out again. Of a question:
    those that are no text of it. None: a draft of before, which had none."""

    @property
    def key(self) -> str:
        """What a decision about this row is filed under: SHA-256 of its origin and texts."""
        parts = (self.origin, self.original, self.translated)
        return hash_value([part.model_dump() for part in parts])

    @property
    def is_korean(self) -> bool:
        """Whether there is nothing to translate."""
        return self.origin.language == "ko"

    @property
    def errors(self) -> list[Finding]:
        """The findings for which a person must see it."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def is_unanswered(self) -> bool:
        """Whether a text of it got no usable answer of the translator."""
        return any(finding.check == UNANSWERED for finding in self.findings)


def iter_drafts(path: Path) -> Iterator[Draft]:
    """The drafts in a file, one at a time."""
    return iter_jsonl(path, Draft)


# --- checked -----------------------------------------------------------------------------------


def check_rows(rows: Path, out: Path, executor: Executor, total: int) -> Path:
    """Write the drafts in ``rows`` with what the checks find in them. Returns the file."""
    inputs = {"rows": hash_file(rows)}
    with open_stage(out, "check", config={"checks": CHECK_NAMES}, inputs=inputs) as stage:
        if stage.is_done:
            return out / ROWS
        with rows.open(encoding="utf-8") as file, show_progress("Checking", total, "rows") as step:
            checked = executor.map(_check_lines, iter_chunks(file, _CHUNK_ROWS))
            write_lines(out / ROWS, _count(chain.from_iterable(checked), step))
    return out / ROWS


def _count(lines: Iterable[str], advance: Advance) -> Iterator[str]:
    for line in lines:
        yield line
        advance()


def _check_lines(lines: list[str]) -> list[str]:
    drafts = map(Draft.model_validate_json, lines)
    return [check_draft(draft).model_dump_json() + "\n" for draft in drafts]


def check_draft(draft: Draft) -> Draft:
    """The draft with all findings; what is known of its protected pieces stays."""
    known = [finding for finding in draft.findings if finding.check in (PROTECTION, UNANSWERED)]
    if draft.is_korean:
        found = check_korean(draft.translated)
    else:
        asked = draft.translation.parameters if draft.translation else {}
        found = check_row(
            draft.original,
            draft.translated,
            glossary=asked.get("glossary"),
            speech=asked.get("speech"),
        )
    return draft.model_copy(update={"findings": (*known, *found)})


def lacks_text(draft: Draft, fields: Mapping[str, str]) -> bool:
    """Whether a text of the original is an empty one now, with a person's texts in some fields."""
    texts = {**list_texts(draft.translated), **fields}
    originals = list_texts(draft.original).items()
    return any(text.strip() and not texts.get(name, "").strip() for name, text in originals)


def is_emptied(draft: Draft, decision: Decision) -> bool:
    """Whether a person kept a row without a text of it, as an earlier version let them."""
    return decision.action in ("accept", "edit") and lacks_text(draft, decision.fields)


def edit_draft(draft: Draft, fields: Mapping[str, str]) -> Draft:
    """The draft with a person's texts in some fields, checked anew."""
    kept = tuple(each for each in draft.findings if each.field not in fields)
    edited = replace_texts(draft.translated, fields)
    return check_draft(draft.model_copy(update={"translated": edited, "findings": kept}))
