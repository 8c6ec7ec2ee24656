"""The verbs that make and check training rows: data build, review, check, duplicates, ..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from kot_platypus.benchmarks import KOBEST, load_benchmarks
from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    ColumnNames,
    KobestDir,
    Out,
    RecipeName,
    Sets,
    example,
    hold_folder,
    print_screen,
    read_columns,
    require_file,
    require_one_of,
)
from kot_platypus.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from kot_platypus.data.dataset_recipe import DatasetRecipe
    from kot_platypus.data.duplicates import Kind
    from kot_platypus.data.translation.translate import TranslationCost

ExecutorName = Annotated[
    str, typer.Option("--executor", help="local, or ray (extra ray; a cluster at $RAY_ADDRESS).")
]
Glossary = Annotated[
    Path | None,
    typer.Option(help="English terms and their Korean: YAML, JSON or TSV; checked on rows."),
]
Speech = Annotated[
    str | None,
    typer.Option(metavar="LEVEL", help="Checked on rows: formal (합니다체) or plain (해라체)."),
]
Rows = Annotated[
    str,
    typer.Argument(
        metavar="ROWS", help="A file, a folder, a 'PATTERN' of files, or hub:ID:CONFIG@SPLIT."
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(help="kobest (dev and test), or a benchmark's file; repeatable."),
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
    budget: Annotated[
        int | None,
        typer.Option(min=0, metavar="CHARACTERS", help="The most that may be paid for OUT in all."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Folder of paid translations; left out: in the cache, for all."),
    ] = None,
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
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.overview import PAGE, describe_build
    from kot_platypus.data.pipeline.dataset import build_dataset, estimate_dataset
    from kot_platypus.data.pipeline.translating import Account
    from kot_platypus.models import cache_folder
    from kot_platypus.report.data_page import write_data_page

    account = Account(ledger or cache_folder() / "translations", str(out.absolute()), budget)
    if estimate:
        print(_describe_estimate(estimate_dataset(out, recipe, account)))
        return

    def load() -> dict[str, list[tuple[str, ...]]]:
        return load_benchmarks(recipe.decontaminate.against, recipe.decontaminate.kobest_dir)

    with open_executor(executor) as workers:
        counts = build_dataset(out, recipe, account, workers, load, recheck=recheck)
        if counts["written"]:
            write_data_page(out / PAGE, describe_build(out, workers))
    print_screen(_tabulate_steps(counts))
    if recipe.translate is not None:
        bill = account.bill()
        vain = {"answers that never came": bill.lost, "answers of no use": bill.unusable}
        parts = [f"{paid:,} for {what}" for what, paid in vain.items() if paid]
        lost = f", of which {' and '.join(parts)}" if parts else ""
        print(f"Paid for in all: {bill.total:,} characters{lost}.")
    if counts.get("waiting"):
        print(
            f"{counts['waiting']:,} rows wait for a person: kot data review {out}, "
            "and then the same command again."
        )
    if counts["written"]:
        print(out / PAGE)
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


@data.command(epilog=example("kot data review data", "kot data review data --port 0 --no-browser"))
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
) -> None:
    """Accept, edit or drop the rows in which a check found an error, on a page in the browser.

    Each decision is on disk at once; kot data build takes them in when you run it again.
    """
    from kot_platypus.data.review.server import serve_review

    serve_review(folder, port, open_browser=browser)


@data.command(
    epilog=example(
        "kot data check mine.jsonl --out audit --against kobest --kobest-dir mini",
        "kot data check --pairs both.csv --columns english=en,korean=ko --out checked",
    )
)
def check(
    rows: Rows,
    out: Out,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="ROWS is a file of translations: English and Korean.")
    ] = False,
    against: Against = None,
    kobest_dir: KobestDir = None,
    columns: ColumnNames = "",
) -> None:
    """Check Korean rows as they are: each by itself, duplicates and, if asked, benchmarks.

    kot run does so with a recipe's rows. With --pairs each Korean text is compared with its
    English one instead. Nothing but lines that are no rows is left out.
    """
    if pairs:
        if against or kobest_dir:
            raise UsageError(
                "--pairs with --against or --kobest-dir",
                expected="--pairs alone",
                hint="Check the Korean rows against benchmarks by a second command.",
            )
        _check_pairs(Path(rows), out, columns)
        return
    from kot_platypus.data.audit import audit_rows, describe_audit

    with hold_folder(out):
        file = gather(rows, out, columns)
        benchmarks = load_benchmarks(against or [], kobest_dir)
        report = audit_rows(file, out, benchmarks, read_columns(columns))
    for name, count in report["findings"].items():
        print(f"{name:28} {count:,}")
    print(describe_audit(report))
    print(*(out / name for name in ("report.json", "findings.jsonl")), sep="\n")


def _check_pairs(file: Path, out: Path, columns: str) -> None:
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.pairs import check_pairs, describe_pairs, parse_pair_columns
    from kot_platypus.report.pairs import write_pairs_page

    require_file(file, "ROWS")
    named = parse_pair_columns(columns)
    with hold_folder(out), open_executor() as workers:
        report = check_pairs(file, out, workers, named)
        page = write_pairs_page(out)
    print_screen(_tabulate_findings(report["findings"], report["rows"]))
    print(describe_pairs(report))
    print(page, *(out / name for name in ("report.json", "findings.jsonl")), sep="\n")


def _tabulate_findings(findings: dict[str, dict[str, int]], rows: int) -> Table:
    """In how many pairs each check found an error, and in how many only a warning."""
    from rich.table import Table

    table = Table("check", box=None)
    for name in ("errors", "warnings", "share"):
        table.add_column(name, justify="right")
    for check, found in findings.items():
        counts = [f"{found[name]:,}" for name in ("errors", "warnings")]
        table.add_row(check, *counts, f"{sum(found.values()) / rows:.1%}")
    return table


@data.command(
    epilog=example(
        "kot data duplicates mine.jsonl --out duplicates --show 5",
        "kot data duplicates mine.jsonl --out duplicates --threshold 0.8",
    )
)
def duplicates(
    rows: Rows,
    out: Out,
    kinds: Annotated[
        str, typer.Option("--kind", help="Comma-separated: exact, near, semantic.")
    ] = "exact,near",
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity of near duplicates, 0.5 to 1.")
    ] = 0.7,
    semantic_threshold: Annotated[
        float, typer.Option(help="Cosine of semantic duplicates, 0.7 to 1.")
    ] = 0.8,
    encoder: Annotated[
        str, typer.Option(help="offline, or a sentence-transformers model: folder or Hub id.")
    ] = "offline",
    show: Annotated[int, typer.Option(min=0, help="Print the N largest clusters.")] = 0,
    executor: ExecutorName = "local",
    columns: ColumnNames = "",
) -> None:
    """Find rows that ask the same; write those that stay.

    Pairs are found once: with another threshold the same command only clusters again.
    """
    from kot_platypus.data.dedupe import describe_clusters, find_duplicates
    from kot_platypus.data.executors import open_executor

    chosen, named = _parse_kinds(kinds), read_columns(columns)
    thresholds: dict[Kind, float] = {
        "exact": 1.0,
        "near": threshold,
        "semantic": semantic_threshold,
    }
    with hold_folder(out), open_executor(executor) as workers:
        file = gather(rows, out, columns)
        report = find_duplicates(
            file, out, chosen, thresholds, encoder=encoder, executor=workers, columns=named
        )
    if show:
        print(describe_clusters(file, out, show, named))
    print(
        f"{report['rows']:,} rows: {report['kept']:,} kept, {report['dropped']:,} dropped in "
        f"{report['clusters']:,} clusters"
    )
    print(*(out / name for name in ("kept.jsonl", "clusters.jsonl", "report.json")), sep="\n")


def gather(rows: str, out: Path, columns: str) -> Path:
    """The file of the rows that a command is given. Raises KotError for none."""
    from kot_platypus.data.gathering import gather_rows
    from kot_platypus.row_sources import parse_source

    try:
        return gather_rows(parse_source(rows, read_columns(columns)), out)
    except DataError as error:
        raise DataError(f"ROWS: {error.found}", expected=error.expected, hint=error.hint) from error


def _parse_kinds(text: str) -> Sequence[Kind]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        require_one_of("--kind", name, ("exact", "near", "semantic"))
    return cast("Sequence[Kind]", names)


@data.command(
    epilog=example(
        "kot data contamination mine.jsonl --against kobest --out contamination",
        "kot data contamination mine.jsonl --against test.csv --columns question --out checked",
    )
)
def contamination(
    rows: Rows,
    out: Out,
    against: Against = None,
    kobest_dir: KobestDir = None,
    columns: Annotated[
        str,
        typer.Option(
            help="A benchmark file's columns of text (left out: all); with NAME=COLUMN FILE's."
        ),
    ] = "",
    executor: ExecutorName = "local",
) -> None:
    """Find text of benchmarks in training rows; kot train refuses rows that have any."""
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.leaks import check_contamination, describe_verdict

    with hold_folder(out):
        parts = [name.strip() for name in columns.split(",") if name.strip()]
        named = read_columns(",".join(part for part in parts if "=" in part))
        names = [part for part in parts if "=" not in part]
        file = gather(rows, out, ",".join(part for part in parts if "=" in part))
        benchmarks = load_benchmarks(against or [KOBEST], kobest_dir, names)
        with open_executor(executor) as workers:
            verdict = check_contamination(file, out, benchmarks, executor=workers, columns=named)
    print(describe_verdict(file.name, verdict))
    print(*(out / name for name in ("report.md", "leaks.jsonl", "clean.jsonl")), sep="\n")
