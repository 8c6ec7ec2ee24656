"""``kot data ledger``: what translations were paid for, and what became of them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.data import data
from kot_platypus.cli.options import example, print_screen, require_one_of
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from sqlite3 import Connection

    from rich.table import Table

    from kot_platypus.data.translation.ledger_contents import Account, Choice, Entry

_SHOWN_CHARS = 60


@data.command(
    epilog=example(
        "kot data ledger",
        "kot data ledger --outcome cut",
        "kot data ledger --model qwen3 --export translations.jsonl",
        "kot data ledger --matching 'As an AI' --purge",
    )
)
def ledger(
    folder: Annotated[
        Path | None,
        typer.Option("--ledger", help="Folder of paid translations; left out: in the cache."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Only of this model, or service.")
    ] = "",
    outcome: Annotated[
        str,
        typer.Option(
            help="Only translation, failed, or one of empty, cut, filtered, refused, unreadable."
        ),
    ] = "",
    matching: Annotated[
        str, typer.Option(metavar="TEXT", help="Only with this in the text or its answer.")
    ] = "",
    show: Annotated[int, typer.Option(min=0, help="How many of those chosen to print.")] = 20,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is chosen, a line of JSON each.")
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Throw what is chosen away: it is asked for again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Purge without asking.")] = False,
) -> None:
    """Look at paid translations by model; print, export or purge those chosen.

    Answers that were no translation are listed too: paid for, never used, and asked for again by
    the next build. What was paid stays in the bill.
    """
    from kot_platypus.data.translation import ledger_contents as contents
    from kot_platypus.models import cache_folder

    place = folder or cache_folder() / "translations"
    if outcome:
        require_one_of("--outcome", outcome, contents.OUTCOMES)
    choice = contents.Choice(model, outcome, matching)
    chooses = choice != contents.Choice()
    if purge and not chooses:
        raise UsageError(
            "--purge of everything",
            expected="what to purge: --model, --outcome or --matching",
            hint=f"To begin anew, remove {place}.",
        )
    with contents.read_ledger(place) as database:
        if chooses or export:
            count = _show_chosen(database, choice, show, export)
        else:
            print_screen(_tabulate(contents.list_accounts(database)))
    if purge and count and (yes or typer.confirm(f"Throw {count:,} entries away?")):
        gone = contents.purge_entries(place, choice)
        print(f"{gone:,} entries are gone; a build that needs their texts pays for them again.")


def _show_chosen(database: Connection, choice: Choice, show: int, export: Path | None) -> int:
    """Print or write what is chosen. Returns how much it is."""
    from kot_platypus.artifacts import write_jsonl
    from kot_platypus.data.translation.ledger_contents import count_entries, iter_entries

    count, entries = count_entries(database, choice), iter_entries(database, choice)
    if export is not None:
        write_jsonl(export, entries)
        print(f"{count:,} entries are in {export}")
        return count
    for entry in islice(entries, show):
        print(_describe(entry))
    print(f"{count:,} entries")
    return count


def _describe(entry: Entry) -> str:
    parts = (entry.source or "?", entry.answer)
    plain = ("".join(c if c.isprintable() else " " for c in part) for part in parts)
    source, answer = (" ".join(part.split())[:_SHOWN_CHARS] for part in plain)
    return f"{entry.outcome:11}  {entry.model or entry.service}  {source}  ->  {answer}"


def _tabulate(accounts: Sequence[Account]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    # In 80 columns every word of the head must be whole.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("service, model", overflow="fold")
    for name in ("sent", "usable", "of no use", "lost", "failed free"):
        table.add_column(name, justify="right")
    for name in ("characters", "dollars"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("tokens read, written", justify="right")
    for each in accounts:
        flaws = ", ".join(f"{count:,} {flaw}" for flaw, count in sorted(each.flaws.items()))
        numbers = (each.num_lost, each.num_unpaid, each.characters)
        table.add_row(
            escape(f"{each.service} {each.model}"),
            f"{each.requests:,}",
            f"{each.translations:,}",
            flaws or "0",
            *(f"{number:,}" for number in numbers),
            "?" if each.dollars is None else f"{each.dollars:,.2f}",
            "?" if each.tokens is None else "{:,}, {:,}".format(*each.tokens),
        )
    return table
