"""The rows that a person should see, and the log of what was decided about them.

Rows stay on disk: memory holds a row's place, key and checks, and every decision made so far.
"""

from __future__ import annotations

import os
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain, takewhile
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import ValidationError

from kot_platypus.artifacts import JsonlLog, describe_bad_line
from kot_platypus.checks import Finding
from kot_platypus.data.pipeline.drafts import (
    DECISIONS,
    QUEUE,
    Decision,
    Draft,
    Reason,
    edit_draft,
)
from kot_platypus.errors import DataError, RunError
from kot_platypus.records import Record
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import lock_folder

Action = Literal["accept", "edit", "drop", "undo"]
DecisionState = Literal["stored", "unchanged", "conflict"]


class Entry(Record):
    """One row as it stands: what it was, what was decided, and its texts and findings by that."""

    number: int
    """Its place in the queue, from 0."""
    version: int
    """Which line of the log, from 1, last spoke of it; 0: none."""
    action: Literal["accept", "edit", "drop"] | None
    draft: Draft
    texts: dict[str, str]
    """The translation by the field's name, an edit's changes included."""
    findings: tuple[Finding, ...]
    reason: Reason
    note: str


class Summary(Record):
    """How far the review is."""

    total: int
    accept: int
    edit: int
    drop: int
    checks: dict[str, int]
    """Of each check that found something, how many rows are still open."""

    @property
    def decided(self) -> int:
        """Rows with a decision."""
        return self.accept + self.edit + self.drop

    def __str__(self) -> str:
        return (
            f"{self.decided:,} of {self.total:,} rows decided: {self.accept:,} accepted, "
            f"{self.edit:,} edited, {self.drop:,} dropped."
        )


class ReviewStore:
    """A review folder, held by this process until ``close``. Threads may share it.

    ``folder`` is what ``kot data build --out`` wrote, or the folder ``review`` in it. Raises
    DataError when it has no queue or a line cannot be read, RunError when another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _find_review(folder)
        self._lock = Lock()
        with ExitStack() as stack:
            _hold(stack, self.folder)
            self._queue = stack.enter_context((self.folder / QUEUE).open("rb"))
            self._index()
            _refuse_bad_lines(self.folder / DECISIONS)
            self._log = stack.enter_context(JsonlLog(self.folder / DECISIONS, Decision))
            self._versions = array("q", [0]) * len(self)
            for version, decision in enumerate(self._log.rows, start=1):
                number = self._numbers.get(decision.key)
                if number is not None:  # else: of a row that was translated anew since
                    self._versions[number] = version
            self._counts: Counter[str] = Counter()
            self._open: Counter[str] = Counter()
            for number in range(len(self)):
                self._count(number, 1)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def __len__(self) -> int:
        return len(self._numbers)

    def _index(self) -> None:
        self._places = array("q")
        self._numbers: dict[str, int] = {}
        self._checks: list[frozenset[str]] = []
        seen: dict[frozenset[str], frozenset[str]] = {}  # few combinations: one object for each
        place = 0
        for line_number, line in enumerate(self._queue, start=1):
            if line.strip():
                draft = self._parse(line, line_number)
                if draft.key not in self._numbers:
                    self._numbers[draft.key] = len(self._numbers)
                    self._places.append(place)
                    checks = frozenset(finding.check for finding in draft.findings)
                    self._checks.append(seen.setdefault(checks, checks))
            place += len(line)
        self._places.append(place)
        self._names = list(dict.fromkeys(chain.from_iterable(map(sorted, seen))))

    def _parse(self, line: bytes, line_number: int) -> Draft:
        try:
            return Draft.model_validate_json(line)
        except ValidationError as error:
            raise describe_bad_line(self.folder / QUEUE, line_number, Draft, error) from error

    # --- reading -------------------------------------------------------------------------------

    def find_number(self, key: str) -> int | None:
        """The place of the row with a key."""
        return self._numbers.get(key)

    def find(
        self, start: int, step: int, *, only_open: bool, check: str = "", text: str = ""
    ) -> int | None:
        """The first row from ``start`` on, in steps of 1 or -1, that is open, that has a check.

        ``text`` must be in one of its texts, original or translated, in any case of its letters.
        """
        sought = fold(text)
        numbers = range(max(start, 0), len(self)) if step > 0 else range(start, -1, -1)
        for number in numbers:
            if number >= len(self) or (only_open and self._action(number)):
                continue
            if check and check not in self._checks[number]:
                continue
            if not sought or self._holds(number, sought):
                return number
        return None

    def _holds(self, number: int, sought: str) -> bool:
        """Whether a row has a folded text, in the form it has by now."""
        word = max(re.findall(r"[^\W_]+", sought), key=len, default="")
        is_edited = self._action(number) == "edit"
        if not is_edited and word not in fold(self._read_line(number).decode()):
            return False  # no letter or digit is escaped in the file: much quicker than reading it
        entry = self.read(number)
        texts = (*list_texts(entry.draft.original).values(), *entry.texts.values())
        return any(sought in fold(each) for each in texts)

    def read(self, number: int) -> Entry:
        """A row as it stands. Raises IndexError unless 0 <= ``number`` < len(self)."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        draft = self._read_draft(number)
        version, action = self._versions[number], self._action(number)
        texts = list_texts(draft.translated)
        texts = {field: texts.get(field, "") for field in list_texts(draft.original)}
        findings = draft.findings
        decision = self._log.rows[version - 1] if action else None
        if decision and action == "edit":
            changed = decision.fields
            texts |= changed
            findings = edit_draft(draft, changed).findings
        return Entry(
            number=number,
            version=version,
            action=action,
            draft=draft,
            texts=texts,
            findings=findings,
            reason=decision.reason if decision else "",
            note=decision.note if decision else "",
        )

    def summarise(self) -> Summary:
        """How far the review is."""
        return Summary(
            total=len(self),
            accept=self._counts["accept"],
            edit=self._counts["edit"],
            drop=self._counts["drop"],
            checks={name: self._open[name] for name in self._names},
        )

    def _read_draft(self, number: int) -> Draft:
        return self._parse(self._read_line(number), number + 1)

    def _read_line(self, number: int) -> bytes:
        start, end = self._places[number], self._places[number + 1]
        # Blank lines and repeated rows lie before the next row's place.
        line, _, _ = os.pread(self._queue.fileno(), end - start, start).partition(b"\n")
        return line

    def _action(self, number: int) -> Literal["accept", "edit", "drop"] | None:
        version = self._versions[number]
        action = self._log.rows[version - 1].action if version else "undo"
        return None if action == "undo" else action

    # --- deciding ------------------------------------------------------------------------------

    def decide(
        self,
        number: int,
        action: Action,
        texts: Mapping[str, str],
        *,
        version: int,
        reason: Reason = "",
        note: str = "",
    ) -> DecisionState:
        """Put a decision on disk. Raises OSError when that fails: then nothing was decided.

        ``texts`` are an edit's, by field, with any kind of line ends. ``version`` is the one that
        the person saw: ``conflict`` when the row was decided otherwise since. ``unchanged`` when
        the edit changes nothing. ``undo`` takes reason and note back with the decision.
        """
        said: tuple[Reason, str] = ("", "") if action == "undo" else (reason, note.strip())
        with self._lock:
            entry = self.read(number)
            edited = _apply(entry.texts, texts) if action == "edit" else {}
            same = edited == entry.texts if edited else action == (entry.action or "undo")
            if edited and entry.action != "edit":
                said_anew = False  # a remark alone makes no edit
            else:
                said_anew = said != (entry.reason, entry.note)
            if (
                same and not said_anew
            ):  # also the same again: the page never got the answer to its first try
                return "unchanged" if edited and version == entry.version else "stored"
            if version != entry.version:
                return "conflict"
            translated = list_texts(entry.draft.translated)
            fields = {f: t for f, t in edited.items() if t != translated.get(f, "")}
            if edited and not fields:
                action = "accept"  # an edit taken back to what the translation was
            decided_at = datetime.now(UTC).isoformat(timespec="seconds")
            decision = Decision(
                key=entry.draft.key,
                action=action,
                fields=fields,
                decided_at=decided_at,
                reason=said[0],
                note=said[1],
            )
            self._log.append([decision])
            self._count(number, -1)
            self._versions[number] = len(self._log.rows)
            self._count(number, 1)
            return "stored"

    def _count(self, number: int, sign: int) -> None:
        action = self._action(number)
        if action:
            self._counts[action] += sign
        else:
            self._open.update(dict.fromkeys(self._checks[number], sign))


def fold(text: str) -> str:
    """A text as the search compares it: letters composed, in one case, all line ends alike."""
    flat = re.sub("\r\n?", "\n", text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", flat).casefold())


def _find_review(folder: Path) -> Path:
    for review in (folder / "review", folder):
        if (review / QUEUE).is_file():
            return review
    raise DataError(
        f"{folder} has no review/{QUEUE}",
        expected="a folder that kot data build wrote from a translated source",
        hint="Give the folder of --out.",
    )


def _hold(stack: ExitStack, folder: Path) -> None:
    try:
        stack.enter_context(lock_folder(folder))
    except RunError as error:
        raise RunError(
            error.found,
            expected="one process per review",
            hint="Use the page that is already open, or end that process.",
        ) from error


def _refuse_bad_lines(path: Path) -> None:
    """Raise DataError for a whole line that is no Decision.

    JsonlLog would cut it off with all that follow, and these are a person's work.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                try:
                    Decision.model_validate_json(line)
                except ValidationError as error:
                    raise describe_bad_line(path, number, Decision, error) from error


def _apply(texts: Mapping[str, str], edited: Mapping[str, str]) -> dict[str, str]:
    return {
        field: restore_line_ends(text, edited[field]) if field in edited else text
        for field, text in texts.items()
    }


def restore_line_ends(text: str, edited: str) -> str:
    r"""``edited`` with the line ends that ``text`` has where the two agree.

    A browser's text field makes ``\n`` of ``\r\n`` and ``\r``. Lines that are new get the kind
    that ``text`` begins with.
    """
    old, new = (_split_lines(each) for each in (text, edited))
    head = _count_equal(old, new)
    tail = _count_equal(old[head:][::-1], new[head:][::-1])
    usual = old[0][1] or "\n"
    middle = [(line, end and usual) for line, end in new[head : len(new) - tail]]
    lines = [*old[:head], *middle, *old[len(old) - tail :]]
    restored = ""
    for line, end in lines:
        # An empty line's "\n" behind a "\r" would make one line end of two.
        joins = restored.endswith("\r") and not line and end == "\n"
        restored += line + ("\r" if joins else end)
    return restored


def _split_lines(text: str) -> list[tuple[str, str]]:
    """Lines and their ends; the last line, which may be empty, has none."""
    parts = [*re.split("(\r\n|\r|\n)", text), ""]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _count_equal(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> int:
    """How many lines are equal from the first on, whatever the kind of their ends."""
    pairs = zip(old, new, strict=False)
    equal = (a[0] == b[0] and bool(a[1]) == bool(b[1]) for a, b in pairs)
    return sum(takewhile(bool, equal))
