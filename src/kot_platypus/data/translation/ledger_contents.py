"""What a ledger holds, to look at, to take out and to throw away: by model, by outcome, by text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from kot_platypus.data.translation.ledger import FILE, FORMAT, open_ledger
from kot_platypus.data.translation.services import FLAWS, Flaw
from kot_platypus.errors import RunError
from kot_platypus.records import Record

TRANSLATION = "translation"
OUTCOMES = (TRANSLATION, "failed", *FLAWS)
"""What may be chosen: translations, all that failed, or that which failed in one way."""
_ENTRIES = """
    SELECT key, service, model, sent_at, 'translation' AS outcome, source, translation AS answer
        FROM texts JOIN requests ON requests.id = texts.request
    UNION ALL
    SELECT key, service, model, sent_at, flaw, source, answer
        FROM attempts JOIN requests ON requests.id = attempts.request
"""


@dataclass(frozen=True)
class Choice:
    """Which entries; what is empty chooses all."""

    model: str = ""
    """A model's name, or a service's."""
    outcome: str = ""
    """One of ``OUTCOMES``."""
    matching: str = ""
    """A part of the source, as it was sent, or of the answer."""

    @property
    def condition(self) -> tuple[str, tuple[str, ...]]:
        """The same in SQL, with its parameters."""
        terms, values = ["TRUE"], []
        if self.model:
            terms.append("? IN (model, service)")
            values.append(self.model)
        if self.outcome == "failed":
            terms.append(f"outcome <> '{TRANSLATION}'")
        elif self.outcome:
            terms.append("outcome = ?")
            values.append(self.outcome)
        if self.matching:
            terms.append("(instr(source, ?) OR instr(answer, ?))")
            values += [self.matching] * 2
        return " AND ".join(terms), tuple(values)


class Entry(Record):
    """A text that was sent, and its answer: a line of an export."""

    key: str
    service: str
    model: str
    sent_at: str
    """ISO 8601, UTC."""
    outcome: Literal["translation"] | Flaw
    source: str | None
    """As it was sent, with placeholders; None in ledgers of an early version."""
    answer: str


@dataclass(frozen=True)
class Account:
    """What one model of a service did, and what was paid for it."""

    service: str
    model: str
    requests: int
    translations: int
    flaws: dict[str, int]
    """How many answers were no translation, by what was wrong."""
    num_lost: int
    """Requests that were paid for and never answered, or may have been."""
    num_unpaid: int
    """Requests that failed and cost nothing."""
    characters: int
    dollars: float | None
    """None where a price is not known."""
    tokens: tuple[int, int] | None
    """Read and written, where the service counts them."""


@contextmanager
def read_ledger(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield the ledger in ``folder`` to read, also while a build holds it. Raises RunError."""
    path = folder / FILE
    if not path.is_file():
        raise RunError(
            f"{folder} holds no ledger",
            expected=f"a folder with {FILE}",
            hint="Give the folder of --ledger; kot data build makes it when it first translates.",
        )
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        try:
            (found,) = database.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError:
            found = 0
    if found != FORMAT:  # makes one of an earlier version new, and says of another what it is
        with open_ledger(folder):
            pass
    with closing(sqlite3.connect(address, uri=True)) as database:
        yield database


def list_accounts(database: sqlite3.Connection) -> list[Account]:
    """All models that were asked, those that cost most first."""
    query = database.execute
    flaws: dict[tuple[str, str], dict[str, int]] = {}
    for service, model, outcome, count in query(
        f"SELECT service, model, outcome, COUNT(*) FROM ({_ENTRIES}) GROUP BY 1, 2, 3"
    ):
        flaws.setdefault((service, model), {})[outcome] = count
    accounts = []
    for row in query(
        "SELECT service, model, COUNT(*), SUM(state IN ('lost', 'sent')), SUM(state = 'unpaid'),"
        " SUM(COALESCE(paid, characters)), SUM(COALESCE(paid, characters) * price),"
        " COUNT(*) = COUNT(price), SUM(tokens_read), SUM(tokens_written)"
        " FROM requests GROUP BY service, model ORDER BY 6 DESC, 1, 2"
    ):
        service, model, requests, lost, unpaid, characters, dollars, is_priced, *tokens = row
        outcomes = flaws.get((service, model), {})
        accounts.append(
            Account(
                service=service,
                model=model,
                requests=requests,
                translations=outcomes.pop(TRANSLATION, 0),
                flaws=outcomes,
                num_lost=lost,
                num_unpaid=unpaid,
                characters=characters,
                dollars=dollars if is_priced else None,
                tokens=None if None in tokens else (tokens[0], tokens[1]),
            )
        )
    return accounts


def count_entries(database: sqlite3.Connection, choice: Choice) -> int:
    """How many entries are chosen."""
    condition, values = choice.condition
    query = f"SELECT COUNT(*) FROM ({_ENTRIES}) WHERE {condition}"
    count: int = database.execute(query, values).fetchone()[0]
    return count


def iter_entries(database: sqlite3.Connection, choice: Choice) -> Iterator[Entry]:
    """The chosen entries, in the order in which they were sent."""
    condition, values = choice.condition
    query = f"SELECT * FROM ({_ENTRIES}) WHERE {condition} ORDER BY sent_at, key"
    for key, service, model, sent_at, outcome, source, answer in database.execute(query, values):
        yield Entry(
            key=key,
            service=service,
            model=model,
            sent_at=datetime.fromtimestamp(sent_at, UTC).isoformat(timespec="seconds"),
            outcome=outcome,
            source=source,
            answer=answer,
        )


def purge_entries(folder: Path, choice: Choice) -> int:
    """Throw the chosen entries away, so that their texts are asked for again. Returns how many.

    What was paid for them stays in the bill. Raises RunError while a build holds the ledger.
    """
    condition, values = choice.condition
    with open_ledger(folder), closing(sqlite3.connect(folder / FILE)) as database, database:
        count = 0
        for table, outcome, answer in (
            ("texts", f"'{TRANSLATION}'", "translation"),
            ("attempts", "flaw", "answer"),
        ):
            chosen = (
                f"SELECT {table}.key, request, {outcome} AS outcome, source, {answer} AS answer,"
                f" service, model FROM {table} JOIN requests ON requests.id = request"
            )
            count += database.execute(
                f"DELETE FROM {table} WHERE (key, request) IN"
                f" (SELECT key, request FROM ({chosen}) WHERE {condition})",
                values,
            ).rowcount
    return count
