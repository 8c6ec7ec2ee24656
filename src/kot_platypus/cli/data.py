"""The verbs that make training rows: data build and review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kot_platypus.benchmarks import load_benchmarks
from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    Out,
    RecipeName,
    Sets,
    example,
    hold_folder,
    print_screen,
)
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from kot_platypus.data.dataset_recipe import DatasetRecipe
    from kot_platypus.data.translation.translate import TranslationCost

ExecutorName = Annotated[
    str, typer.Option("--executor", help="local, or ray (extra ray; a cluster at $RAY_ADDRESS).")
]
Budget = Annotated[
    int | None,
    typer.Option(min=0, metavar="CHARACTERS", help="The most that may be paid for OUT in all."),
]
LedgerFolder = Annotated[
    Path | None,
    typer.Option("--ledger", help="Folder of paid answers; left out: in the cache, for all."),
]
Glossary = Annotated[
    Path | None,
    typer.Option(help="English terms and their Korean: YAML, JSON or TSV; checked on rows."),
]
Speech = Annotated[
    str | None,
    typer.Option(metavar="LEVEL", help="Checked on rows: formal (합니다체) or plain (해라체)."),
]


class _BuildByDefault(TyperGroup):
    """``kot data RECIPE`` is ``kot data build RECIPE``, as it was when there was no other verb."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["build", *args]
        return super().resolve_command(ctx, args)


data = typer.Typer(
    cls=_BuildByDefault,
    help="Build training rows; find duplicates and text of benchmarks in them.",
    no_args_is_help=True,
    epilog=example("kot data build demo --out data"),
)
app.add_typer(data, name="data")


@data.command(
    epilog=example(
        "kot data build demo --out data",
        "kot data build kocot-2000 --out kocot --estimate",
        "kot data build kocot-2000 --out kocot --budget 2600000",
    )
)
def build(
    recipe: RecipeName,
    out: Out,
    overrides: Sets = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print what translating would cost; send nothing.")
    ] = False,
    budget: Budget = None,
    ledger: LedgerFolder = None,
    glossary: Glossary = None,
    speech: Speech = None,
    executor: ExecutorName = "local",
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="Run today's checks on OUT's rows; translates nothing."),
    ] = False,
) -> None:
    """Build a data set from foreign sources, or a training recipe's rows.

    A data set is drawn, translated, checked, deduplicated, compared with benchmarks. Rows that fail
    a check wait for kot data review; the same command then takes the decisions in.
    """
    from kot_platypus.data.dataset_recipe import is_dataset_recipe, load_dataset_recipe

    settings = {"glossary": glossary and str(glossary), "speech": speech}
    asked = [f"translate.{name}={json.dumps(value)}" for name, value in settings.items() if value]
    if is_dataset_recipe(recipe):
        dataset = load_dataset_recipe(recipe, [*(overrides or ()), *asked])
        with hold_folder(out):
            _build_dataset(dataset, out, estimate, budget, ledger, executor, recheck)
        return
    if estimate or budget is not None or ledger or recheck or asked:
        raise UsageError(
            f"{recipe} translates nothing",
            expected="--estimate, --budget, --ledger, --recheck, --glossary and --speech with the "
            "recipe of a data set",
            hint="Leave them out.",
        )
    from kot_platypus.data.build import build_data
    from kot_platypus.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    with hold_folder(out):
        build_data(out, loaded.data, seed=loaded.seed)
    print(*(out / name for name in ("train.jsonl", "heldout.jsonl", "shots.jsonl")), sep="\n")


def _build_dataset(
    recipe: DatasetRecipe,
    out: Path,
    estimate: bool,
    budget: int | None,
    ledger: Path | None,
    executor: str,
    recheck: bool,
) -> None:
    from kot_platypus.artifacts import read_manifest
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.overview import PAGE, describe_build
    from kot_platypus.data.pipeline.dataset import build_dataset, estimate_dataset
    from kot_platypus.data.pipeline.translating import Account
    from kot_platypus.data.translation.judge import describe_counts
    from kot_platypus.data.translation.ledger import name_account
    from kot_platypus.models import cache_folder
    from kot_platypus.report.data_page import write_data_page

    account = Account(ledger or cache_folder() / "translations", name_account(out), budget)
    if estimate:
        print(_describe_estimate(estimate_dataset(out, recipe, account)))
        if recipe.judge is not None:
            print("The judge reads every row that passes, in both languages, for more.")
        return

    def load() -> dict[str, list[tuple[str, ...]]]:
        return load_benchmarks(recipe.decontaminate.against, recipe.decontaminate.kobest_dir)

    with open_executor(executor) as workers:
        counts = build_dataset(out, recipe, account, workers, load, recheck=recheck)
        if counts["written"]:
            write_data_page(out / PAGE, describe_build(out, workers))
    print_screen(_tabulate_steps(counts))
    if recipe.judge is not None:
        print(f"Judge: {describe_counts(read_manifest(out / 'judged')['counts'])}.")
    if recipe.translate is not None:
        bill = account.bill()
        vain = {"answers that never came": bill.lost, "answers of no use": bill.unusable}
        parts = [f"{paid:,} for {what}" for what, paid in vain.items() if paid]
        lost = f", of which {' and '.join(parts)}" if parts else ""
        print(f"Paid for in all: {bill.total:,} characters{lost}.")
    _print_review(out, counts.get("waiting", 0))
    if counts["written"]:
        print(out / PAGE)
    dataset = out / "dataset"
    print(*(dataset / name for name in ("README.md", "train.parquet", "dropped.jsonl")), sep="\n")


def _print_review(out: Path, waiting: int) -> None:
    from kot_platypus.data.pipeline.reviewing import read_figures

    if waiting:
        print(
            f"{'1 row waits' if waiting == 1 else f'{waiting:,} rows wait'} for a person: "
            f"kot data review {out}, "
            "and then the same command again."
        )
    check, agreement = read_figures(out / "reviewed")
    for figure in (check if check.total else None, agreement):
        if figure:
            print(figure)


def _describe_estimate(estimate: TranslationCost | None) -> str:
    if estimate is None:
        return "Nothing is to be translated: all sources are Korean."
    price = "unknown" if estimate.price is None else f"{estimate.price:,.2f} US dollars"
    stored = f" {estimate.stored:,} more are paid for already and free." if estimate.stored else ""
    return (
        f"To be sent: {estimate.characters:,} characters in {estimate.texts:,} texts.{stored}\n"
        f"Price: {price}. Rows that fail a check are translated a second time, for more."
    )


def _tabulate_steps(counts: dict[str, int]) -> Table:
    from rich.table import Table

    from kot_platypus.data.pipeline.card import STEPS

    table = Table(box=None, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for key, text in STEPS.items():
        if key in counts:
            style = "bold" if key == "written" else ""
            table.add_row(text.replace("**", ""), f"{counts[key]:,}", style=style)
    return table


@data.command(
    epilog=example("kot data review data", "kot data review data --reviewer jiwoo --port 0")
)
def review(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What kot data build wrote with --out.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0: any that is free.")
    ] = 8421,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides; left out: your login.")
    ] = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Print how far the reviewers agree; no page.")
    ] = False,
) -> None:
    """Accept, edit or drop the rows in which a check found an error, on a page in the browser.

    It also shows a sample of the rows that passed. Each decision is on disk at once; kot data build
    takes them in when you run it again. Reviewers who disagree are shown each other's decisions.
    """
    from kot_platypus.data.review.server import describe_agreement, serve_review

    if agreement:
        print(describe_agreement(folder))
    else:
        serve_review(folder, port, reviewer, open_browser=browser)
