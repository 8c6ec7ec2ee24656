"""What ``kot data build`` does for the recipe of a data set, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kot_platypus.benchmarks import load_benchmarks
from kot_platypus.cli.options import print_screen
from kot_platypus.data.executors import open_executor
from kot_platypus.data.pipeline.card import STEPS
from kot_platypus.data.pipeline.dataset import build_dataset, estimate_dataset
from kot_platypus.data.pipeline.translating import Account
from kot_platypus.models import cache_folder

if TYPE_CHECKING:
    from kot_platypus.data.dataset_recipe import DatasetRecipe
    from kot_platypus.data.translation.translate import TranslationCost


def build_or_estimate(
    recipe: DatasetRecipe,
    out: Path,
    *,
    estimate: bool,
    budget: int | None,
    ledger: Path | None,
    executor: str,
) -> None:
    """Build a data set in ``out``, or print what translating its rows would cost."""
    folder = ledger or cache_folder() / "translations"
    account = Account(folder, str(out.absolute()), budget)
    if estimate:
        print(_describe_estimate(estimate_dataset(out, recipe, account)))
        return

    def load() -> dict[str, list[str]]:
        return load_benchmarks(recipe.decontaminate.against, recipe.decontaminate.kobest_dir)

    with open_executor(executor) as workers:
        counts = build_dataset(out, recipe, account, workers, load)
    print_screen(_make_table(counts))
    if recipe.translate is not None:
        bill = account.bill()
        lost = f", of which {bill.lost:,} for answers that never came" if bill.lost else ""
        print(f"Paid for in all: {bill.total:,} characters{lost}.")
    if counts.get("waiting"):
        print(
            f"{counts['waiting']:,} rows wait for a person: kot data review {out}, "
            "and then the same command again."
        )
    dataset = out / "dataset"
    print(*(dataset / name for name in ("README.md", "train.parquet", "dropped.jsonl")), sep="\n")


def _describe_estimate(estimate: TranslationCost | None) -> str:
    if estimate is None:
        return "Nothing is to be translated: all sources are Korean."
    price = "unknown" if estimate.price is None else f"{estimate.price:,.2f} US dollars"
    stored = f" {estimate.stored:,} more are paid for already and free." if estimate.stored else ""
    return (
        f"To be sent: {estimate.characters:,} characters in {estimate.texts:,} texts.{stored}\n"
        f"Price: {price}. Rows that fail a check are translated a second time, for more."
    )


def _make_table(counts: dict[str, int]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for key, text in STEPS.items():
        if key in counts:
            style = "bold" if key == "written" else ""
            table.add_row(text.replace("**", ""), f"{counts[key]:,}", style=style)
    return table
