"""The rows that a person should see, and the log of what reviewers decided about them.

Several processes may serve a folder, each for another reviewer or for the same. They share only
the log, and each takes in what is new there before it answers.
"""

from __future__ import annotations

import getpass
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Literal

from kot_platypus.artifacts import JsonlLog
from kot_platypus.checks import Finding
from kot_platypus.data.pipeline.decisions import (
    DECISIONS,
    SETTLED,
    Decision,
    Reason,
    SpotCheck,
    Votes,
)
from kot_platypus.data.pipeline.drafts import (
    PASSED,
    QUEUE,
    UNANSWERED,
    Draft,
    edit_draft,
    is_emptied,
    lacks_text,
)
from kot_platypus.data.review.line_ends import restore_line_ends
from kot_platypus.data.review.shelf import Shelf
from kot_platypus.errors import DataError, UsageError
from kot_platypus.records import Record
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import lock_folder

Action = Literal["accept", "edit", "drop", "undo"]
DecisionState = Literal["stored", "unchanged", "conflict", "empty"]
Show = Literal["open", "untouched", "disputed", "passed", "passed_open", "all"]
"""Which rows: of the queue those that this reviewer has not decided on, or nobody has; those on
which reviewers disagree; the sample of what passed, or what is open of it; all of the queue."""
NOBODY = "reviewer"
"""Whose name is not known."""
_WAIT_S = 5
"""For the folder's lock, which is held for one read or write at a time."""
_NAME = re.compile(r"\w[\w.-]{0,39}")


class Entry(Record):
    """One row as a reviewer may see it: what it was, what was decided, its texts and findings."""

    number: int
    """Its place among all rows, from 0: first the queue, then the sample of what passed."""
    place: int
    """Its place in that one of the two, from 0."""
    total: int
    """How many rows that one has."""
    version: int
    """Which line of the log that this reviewer may see, from 1, last spoke of it; 0: none."""
    action: Literal["accept", "edit", "drop"] | None
    """What was settled, else what this reviewer decided."""
    draft: Draft
    texts: dict[str, str]
    """The translation by the field's name, an edit's changes included."""
    findings: tuple[Finding, ...]
    reason: Reason
    note: str
    votes: dict[str, Decision]
    """Everyone's, and under ``SETTLED`` what was settled. Empty while ``action`` is None: nobody
    sees another's decision before their own."""
    is_disputed: bool
    """Whether the next decision settles it for all. False while ``action`` is None."""


class Summary(Record):
    """How far a reviewer is."""

    reviewer: str
    total: int
    accept: int
    edit: int
    drop: int
    disputed: int
    """On how many rows reviewers disagree."""
    passed: SpotCheck
    """How far they are with the sample of what passed."""
    checks: dict[str, int]
    """Of each check that found something, how many rows are still open."""

    @property
    def decided(self) -> int:
        """Rows with a decision."""
        return self.accept + self.edit + self.drop

    def __str__(self) -> str:
        disputed = f" Reviewers disagree on {self.disputed:,}." if self.disputed else ""
        passed = f"\n{self.passed}" if self.passed.decided else ""
        return (
            f"{self.decided:,} of {self.total:,} rows decided: {self.accept:,} accepted, "
            f"{self.edit:,} edited, {self.drop:,} dropped.{disputed}{passed}"
        )


class ReviewStore:
    """A review folder as one reviewer may see it. Threads and processes may share it.

    ``folder`` is what ``kot data build --out`` wrote, or the folder ``review`` in it. Raises
    DataError when it has no queue or a line cannot be read, RunError when it cannot be written.
    """

    def __init__(self, folder: Path, reviewer: str = NOBODY) -> None:
        self.folder, self.reviewer = find_review(folder), reviewer
        self._lock = Lock()
        with ExitStack() as stack:
            passed = self.folder / PASSED
            passed = passed if passed.is_file() else Path(os.devnull)  # of an earlier build
            self._passed = stack.enter_context(closing(Shelf(passed)))
            queue = Shelf(self.folder / QUEUE, but=self._passed.keys)
            self._queue = stack.enter_context(closing(queue))
            keys = chain(self._queue.keys, self._passed.keys)
            self._numbers = {key: number for number, key in enumerate(keys)}
            self._votes = [Votes() for _ in self._numbers]
            self._counts: Counter[str] = Counter()
            self._open: Counter[str] = Counter()
            for number in range(len(self)):
                self._count(number, 1)
            with self._hold():
                self._log = JsonlLog(self.folder / DECISIONS, Decision)
            self._take(self._log.rows)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let go of the files."""
        self._held.close()

    def __len__(self) -> int:
        return len(self._numbers)

    def _hold(self) -> AbstractContextManager[None]:
        """The folder's lock. Raises RunError where another server does not let go of it."""
        hint = (
            "End it, then try again: a kot data review of an earlier version keeps the folder to "
            "itself as long as it runs."
        )
        return lock_folder(self.folder, wait_s=_WAIT_S, hint=hint)

    def _look(self) -> None:
        """Take in what other processes have decided since."""
        if self._log.has_changed:
            with self._lock, self._hold():
                self._take(self._log.read_on())

    def _take(self, decisions: Sequence[Decision]) -> None:
        """Take in the last lines of the log."""
        first = len(self._log.rows) - len(decisions) + 1
        for line, decision in enumerate(decisions, start=first):
            number = self._numbers.get(decision.key)
            if number is not None:  # else: of a row that was translated anew since
                self._count(number, -1)
                if self._is_emptied(number, decision):  # then it waits again
                    decision = decision.model_copy(update={"action": "undo", "fields": {}})
                self._votes[number].take(decision, line)
                self._count(number, 1)

    def _is_emptied(self, number: int, decision: Decision) -> bool:
        shelf, place = self._find_shelf(number)
        is_whole = all(map(str.strip, decision.fields.values()))
        if is_whole and shelf.checks[place].isdisjoint((UNANSWERED, "cut_off")):
            return False  # no text of it is empty: known without reading it
        return is_emptied(shelf.read(place), decision)

    def _count(self, number: int, sign: int) -> None:
        action, (shelf, place) = self._action(number), self._find_shelf(number)
        self._counts["disputed"] += sign * self._votes[number].is_disputed
        if action:
            self._counts[f"passed {action}" if shelf is self._passed else action] += sign
        elif shelf is self._queue:
            self._open.update(dict.fromkeys(shelf.checks[place], sign))

    # --- reading -------------------------------------------------------------------------------

    def find_number(self, key: str) -> int | None:
        """The place of the row with a key."""
        return self._numbers.get(key)

    def find(
        self, start: int, step: int, *, show: Show, check: str = "", text: str = ""
    ) -> int | None:
        """The first row from ``start`` on, in steps of 1 or -1, that is shown and has a check.

        ``text`` must be in one of its texts, original or translated, in any case of its letters.
        """
        self._look()
        sought, last = fold(text), len(self) - 1
        for number in (
            range(max(start, 0), last + 1) if step > 0 else range(min(start, last), -1, -1)
        ):
            shelf, place = self._find_shelf(number)
            if not self._shows(number, show) or (check and check not in shelf.checks[place]):
                continue
            if not sought or self._holds(number, sought):
                return number
        return None

    def _shows(self, number: int, show: Show) -> bool:
        if show == "disputed":
            return self._votes[number].is_disputed
        if (number >= len(self._queue)) != show.startswith("passed"):
            return False
        if show == "untouched":
            return not self._votes[number].by
        return show in ("all", "passed") or self._action(number) is None

    def _holds(self, number: int, sought: str) -> bool:
        """Whether a row has a folded text, in the form it has by now."""
        word = max(re.findall(r"[^\W_]+", sought), key=len, default="")
        is_edited = self._action(number) == "edit"
        shelf, place = self._find_shelf(number)
        if not is_edited and word not in fold(shelf.read_line(place).decode()):
            return False  # no letter or digit is escaped in the file: much quicker than reading it
        entry = self._read(number)
        texts = (*list_texts(entry.draft.original).values(), *entry.texts.values())
        return any(sought in fold(each) for each in texts)

    def read(self, number: int) -> Entry:
        """A row as it stands. Raises IndexError unless 0 <= ``number`` < len(self)."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        self._look()
        return self._read(number)

    def _read(self, number: int) -> Entry:
        shelf, place = self._find_shelf(number)
        draft, votes, action = shelf.read(place), self._votes[number], self._action(number)
        decision, lines = self._find_decision(number), votes.lines
        if decision is None:
            lines = {who: line for who, line in lines.items() if who in (SETTLED, self.reviewer)}
        texts = list_texts(draft.translated)
        texts = {field: texts.get(field, "") for field in list_texts(draft.original)}
        findings = draft.findings
        if decision and action == "edit":
            texts |= decision.fields
            findings = edit_draft(draft, decision.fields).findings
        return Entry(
            number=number,
            place=place,
            total=len(shelf),
            version=max(lines.values(), default=0),
            action=action,
            draft=draft,
            texts=texts,
            findings=findings,
            reason=decision.reason if decision else "",
            note=decision.note if decision else "",
            votes=dict(votes.by) if decision else {},
            is_disputed=decision is not None and votes.is_disputed,
        )

    def summarise(self) -> Summary:
        """How far the review is."""
        self._look()
        actions = ("accept", "edit", "drop")
        passed = {action: self._counts[f"passed {action}"] for action in actions}
        return Summary(
            reviewer=self.reviewer,
            total=len(self._queue),
            **{action: self._counts[action] for action in actions},
            disputed=self._counts["disputed"],
            passed=SpotCheck(total=len(self._passed), **passed),
            checks={name: self._open[name] for name in self._queue.names},
        )

    def _find_shelf(self, number: int) -> tuple[Shelf, int]:
        """Where a row lies, and its place there."""
        ahead = len(self._queue)
        return (self._queue, number) if number < ahead else (self._passed, number - ahead)

    def _find_decision(self, number: int) -> Decision | None:
        """What was settled about a row, else what this reviewer decided."""
        by = self._votes[number].by
        return by.get(SETTLED) or by.get(self.reviewer)

    def _action(self, number: int) -> Literal["accept", "edit", "drop"] | None:
        decision = self._find_decision(number)
        return None if decision is None or decision.action == "undo" else decision.action

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

        It is this reviewer's vote, or settles the row if they see that others disagree; what was
        settled, anyone may settle anew. ``texts`` are an edit's, by field, with any kind of line
        ends. ``version`` is the one that the person saw: ``conflict`` when the row was decided
        otherwise since. ``unchanged`` when the edit changes nothing; ``empty`` when the row would
        be kept without a text that its original has. ``undo`` takes back what was settled, else
        the vote, and reason and note with it.
        """
        said: tuple[Reason, str] = ("", "") if action == "undo" else (reason, note.strip())
        with self._lock, self._hold():
            self._take(self._log.read_on())
            entry = self._read(number)
            settles = entry.is_disputed and action != "undo"
            edited = _apply(entry.texts, texts) if action == "edit" else {}
            same = edited == entry.texts if edited else action == (entry.action or "undo")
            if edited and entry.action != "edit":
                is_news = False  # a remark alone makes no edit
            else:
                settles_now = settles and version == entry.version
                is_news = said != (entry.reason, entry.note) or settles_now
            if same and not is_news:
                # Also the same again: the page never got the answer to its first try.
                return "unchanged" if edited and version == entry.version else "stored"
            if version != entry.version:
                return "conflict"
            translated = list_texts(entry.draft.translated)
            if action in ("accept", "edit") and lacks_text(entry.draft, edited):
                return "empty"
            fields = {f: t for f, t in edited.items() if t != translated.get(f, "")}
            if edited and not fields:
                action = "accept"  # an edit taken back to what the translation was
            decision = Decision(
                key=entry.draft.key,
                action=action,
                fields=fields,
                decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
                reason=said[0],
                note=said[1],
                reviewer=self.reviewer,
                settles=settles or SETTLED in entry.votes,
            )
            self._log.append([decision])
            self._take([decision])
            return "stored"


def name_reviewer(name: str | None = None) -> str:
    """A reviewer's name as it is kept; None: the login's. Raises UsageError unless it is plain."""
    if name is None:
        try:
            login = getpass.getuser()
        except (ImportError, KeyError, OSError):
            return NOBODY
        return login if _NAME.fullmatch(login) else NOBODY
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--reviewer {name!r}",
            expected="a name of at most 40 letters, digits, _, . and -",
            hint="E.g. --reviewer jiwoo.",
        )
    return name


def fold(text: str) -> str:
    """A text as the search compares it: letters composed, in one case, all line ends alike."""
    flat = re.sub("\r\n?", "\n", text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", flat).casefold())


def find_review(folder: Path) -> Path:
    """The folder with the queue. Raises DataError when there is none."""
    for review in (folder / "review", folder):
        if (review / QUEUE).is_file():
            return review
    raise DataError(
        f"{folder} has no review/{QUEUE}",
        expected="a folder that kot data build wrote",
        hint="Give the folder of --out.",
    )


def _apply(texts: Mapping[str, str], edited: Mapping[str, str]) -> dict[str, str]:
    return {
        field: restore_line_ends(text, edited[field]) if field in edited else text
        for field, text in texts.items()
    }
