"""The ledger: which texts are translated, what each request cost, and which answers never came.

One SQLite file. A request is written down before it is sent and again when its answer is stored,
each time flushed to disk, so that after a kill, a power cut or a time-out there is a row that says
``sent``: it may or may not have been paid for, and the service's own counter decides (see
``courier.py``). A text whose answer is stored is found by its key and never sent again.

An answer that is no translation (empty, cut, filtered, a refusal) is kept as an attempt: it is in
the bill and can be looked at, but it is never found, so that the text is asked for again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.artifacts import hash_value, read_text
from kot_platypus.data.translation.services import Flaw
from kot_platypus.errors import RunError
from kot_platypus.stages import ACCOUNT, lock_folder

FILE = "translations.sqlite"
FORMAT = 2
_KEYS_A_QUERY = 500
_SCHEMA = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    service TEXT NOT NULL,
    sent_at REAL NOT NULL,           -- seconds since 1970
    counter INTEGER,                 -- the service's own, before this request
    num_texts INTEGER NOT NULL,
    characters INTEGER NOT NULL,     -- what it was expected to cost
    state TEXT NOT NULL CHECK (state IN ('sent', 'done', 'lost', 'unpaid')),
    paid INTEGER                     -- characters; NULL while in doubt
);
CREATE TABLE texts (
    key TEXT PRIMARY KEY,
    request INTEGER NOT NULL REFERENCES requests,
    translation TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX requests_in_doubt ON requests (service) WHERE state = 'sent';
"""
_UPGRADES = {
    1: """
ALTER TABLE requests ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN price REAL;          -- US dollars a character, where it is known
ALTER TABLE requests ADD COLUMN tokens_read INTEGER; -- as the service counts them, if it does
ALTER TABLE requests ADD COLUMN tokens_written INTEGER;
ALTER TABLE requests ADD COLUMN reason TEXT;         -- why it is lost or unpaid
ALTER TABLE texts ADD COLUMN source TEXT;            -- as it was sent; NULL in rows of before
CREATE TABLE attempts (
    key TEXT NOT NULL,
    request INTEGER NOT NULL REFERENCES requests,
    flaw TEXT NOT NULL,
    answer TEXT NOT NULL,
    source TEXT,
    characters INTEGER NOT NULL      -- paid for it
);
CREATE INDEX attempts_by_key ON attempts (key);
INSERT INTO attempts
    SELECT key, request, 'empty', translation, NULL, 0 FROM texts WHERE TRIM(translation) = '';
DELETE FROM texts WHERE TRIM(translation) = '';
"""
}
"""What makes a ledger of each format one of the next."""


@dataclass(frozen=True)
class SentRequest:
    """A request that was sent, and whose answer is not stored."""

    id: int
    counter: int | None
    """The service's own count of characters before it; None where it counts none."""
    characters: int


class Stored(NamedTuple):
    """A translation under its key."""

    key: str
    source: str
    """As it was sent."""
    translation: str


@dataclass(frozen=True)
class Attempt:
    """An answer that is no translation."""

    key: str
    source: str
    flaw: Flaw
    answer: str
    characters: int
    """Paid for it."""


@dataclass(frozen=True)
class Bill:
    """What was paid from one account, in characters."""

    answered: int
    lost: int
    """Paid for answers that never came."""
    in_doubt: int
    """Sent, not answered, and not yet reconciled."""
    unusable: int = 0
    """The part of ``answered`` that was no translation."""

    @property
    def total(self) -> int:
        """All of it; what is in doubt counts as paid."""
        return self.answered + self.lost + self.in_doubt


def make_key(text: str, service: str, parameters: Mapping[str, Any]) -> str:
    """The key of a translation: SHA-256 of the text as it is sent and all that decides it."""
    return hash_value({"text": text, "service": service, "parameters": dict(parameters)})


def name_account(out: Path) -> str:
    """The name of the account of a folder's work: where that began, or now is to."""
    kept = out / ACCOUNT
    return read_text(kept).strip() if kept.is_file() else str(out.absolute())


@contextmanager
def open_ledger(folder: Path, account: str = "") -> Iterator[Ledger]:
    """Yield the ledger in ``folder``, made if there is none, and hold it for this process.

    Translations are shared by all who use the folder; an ``account`` keeps the bill of one
    piece of work, which a budget limits. Raises RunError while another process holds it.
    """
    with lock_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        with closing(sqlite3.connect(path)) as database:
            try:
                _prepare(database, path)
            except sqlite3.DatabaseError as error:
                raise RunError(
                    f"{path} cannot be used ({error})",
                    expected="a ledger of translations",
                    hint="Choose another folder for the ledger.",
                ) from error
            yield Ledger(database, account)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # a paid answer survives a power cut
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise RunError(
            f"{path} has the format {found}",
            expected=str(FORMAT),
            hint="Use the version of kot that wrote it, or another folder.",
        )
    steps = {0: _SCHEMA, **_UPGRADES}
    for version in range(found, FORMAT):
        # One transaction: a kill in the middle leaves the former format, not half of the next.
        script = f"BEGIN; {steps[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        database.executescript(script)


class Ledger:
    """An open ledger. Every method returns once what it changed is on disk."""

    def __init__(self, database: sqlite3.Connection, account: str) -> None:
        self._database = database
        self.account = account
        self.failed: dict[str, Attempt] = {}
        """What was asked for since the ledger was opened, and got no usable answer, by key."""

    def find(self, keys: Iterable[str]) -> dict[str, str]:
        """The stored translations of those ``keys`` that have one."""
        wanted = list(keys)
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            part = wanted[start : start + _KEYS_A_QUERY]
            marks = ", ".join("?" * len(part))
            found.update(
                self._database.execute(
                    f"SELECT key, translation FROM texts WHERE key IN ({marks})", part
                )
            )
        return found

    def list_tried(self, keys: Iterable[str]) -> set[str]:
        """Those ``keys`` of which there is an answer that could not be used."""
        query = self._database.execute
        return {
            key for key in keys if query("SELECT 1 FROM attempts WHERE key = ?", (key,)).fetchone()
        }

    def begin(
        self,
        service: str,
        *,
        num_texts: int,
        characters: int,
        counter: int | None,
        model: str = "",
        price: float | None = None,
    ) -> SentRequest:
        """Write down a request that is about to be sent. ``price``: US dollars a character."""
        row = (self.account, service, model, time.time(), counter, num_texts, characters, price)
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO requests (account, service, model, sent_at, counter, num_texts,"
                " characters, price, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'sent')",
                row,
            )
        assert cursor.lastrowid is not None
        return SentRequest(cursor.lastrowid, counter, characters)

    def finish(
        self,
        request: SentRequest,
        stored: Sequence[Stored] = (),
        *,
        paid: int,
        attempts: Sequence[Attempt] = (),
        tokens: tuple[int, int] | None = None,
    ) -> None:
        """Store a request's answer and what it cost.

        ``attempts`` are the answers that are no translation; ``tokens`` were read and written.
        """
        with self._database:
            self._database.executemany(
                "INSERT INTO texts (key, request, source, translation) VALUES (?, ?, ?, ?)",
                [(key, request.id, *texts) for key, *texts in stored],
            )
            self._database.executemany(
                "INSERT INTO attempts (key, request, flaw, answer, source, characters)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (each.key, request.id, each.flaw, each.answer, each.source, each.characters)
                    for each in attempts
                ],
            )
            self._database.execute(
                "UPDATE requests SET tokens_read = ?, tokens_written = ? WHERE id = ?",
                (*(tokens or (None, None)), request.id),
            )
            self._close(request, "done", paid)
        self.failed.update((each.key, each) for each in attempts)

    def write_off(self, request: SentRequest, *, paid: int, reason: str = "") -> None:
        """Close a request that has no answer: ``paid`` for in vain, or 0 when it cost nothing."""
        with self._database:
            self._close(request, "lost" if paid else "unpaid", paid, reason)

    def list_in_doubt(self, service: str) -> list[SentRequest]:
        """A service's requests that were sent, by whatever account, and never closed."""
        rows = self._database.execute(
            "SELECT id, counter, characters FROM requests"
            " WHERE service = ? AND state = 'sent' ORDER BY id",
            (service,),
        )
        return [SentRequest(*row) for row in rows]

    def bill(self) -> Bill:
        """What was paid from this account."""
        amounts = dict(
            self._database.execute(
                "SELECT state, SUM(COALESCE(paid, characters)) FROM requests"
                " WHERE account = ? GROUP BY state",
                (self.account,),
            ).fetchall()
        )
        (unusable,) = self._database.execute(
            "SELECT COALESCE(SUM(attempts.characters), 0) FROM attempts"
            " JOIN requests ON requests.id = attempts.request WHERE account = ?",
            (self.account,),
        ).fetchone()
        answered, lost, in_doubt = (amounts.get(state, 0) for state in ("done", "lost", "sent"))
        return Bill(answered, lost, in_doubt, unusable)

    def _close(self, request: SentRequest, state: str, paid: int, reason: str = "") -> None:
        self._database.execute(
            "UPDATE requests SET state = ?, paid = ?, reason = ? WHERE id = ?",
            (state, paid, reason or None, request.id),
        )
