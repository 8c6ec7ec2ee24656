"""The verbs that look through rows: data check, duplicates, contamination and page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from kot_platypus.benchmarks import KOBEST, load_benchmarks
from kot_platypus.cli.data import Budget, ExecutorName, LedgerFolder, data
from kot_platypus.cli.options import (
    ColumnNames,
    KobestDir,
    Out,
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

    from kot_platypus.data.census import CountTokens
    from kot_platypus.data.duplicates import Kind

Rows = Annotated[
    str,
    typer.Argument(
        metavar="ROWS", help="A file, a folder, a 'PATTERN' of files, or hub:NAME:CONFIG@SPLIT."
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(help="kobest (dev and test), or a benchmark's file; repeatable."),
]
_A_JUDGE = "{service: openai, options: {model: NAME, base_url: URL}}"


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
    judge: Annotated[
        str,
        typer.Option(
            metavar="YAML", help=f"With --pairs: a model that reads what passes, e.g. '{_A_JUDGE}'."
        ),
    ] = "",
    budget: Budget = None,
    ledger: LedgerFolder = None,
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
        _check_pairs(Path(rows), out, columns, judge, budget, ledger)
        return
    if judge or ledger or budget is not None:
        raise UsageError(
            "--judge, --budget or --ledger without --pairs",
            expected="them with --pairs: a judge compares two texts",
            hint="Leave them out.",
        )
    from kot_platypus.data.audit import audit_rows, describe_audit

    with hold_folder(out):
        file = gather(rows, out, columns)
        benchmarks = load_benchmarks(against or [], kobest_dir)
        report = audit_rows(file, out, benchmarks, read_columns(columns))
    for name, count in report["findings"].items():
        print(f"{name:28} {count:,}")
    print(describe_audit(report))
    print(*(out / name for name in ("report.json", "findings.jsonl")), sep="\n")


def _check_pairs(
    file: Path, out: Path, columns: str, judge: str, budget: int | None, ledger: Path | None
) -> None:
    from kot_platypus.data.dataset_recipe import JudgeSection
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.pairs import check_pairs, describe_pairs, parse_pair_columns
    from kot_platypus.data.translation.judge import describe_counts, open_judge
    from kot_platypus.data.translation.ledger import name_account
    from kot_platypus.models import cache_folder
    from kot_platypus.recipe_files import parse_section
    from kot_platypus.report.pairs import write_pairs_page

    require_file(file, "ROWS")
    named = parse_pair_columns(columns)
    with hold_folder(out), open_executor() as workers, ExitStack() as stack:
        judging = None
        if judge:
            section = parse_section(JudgeSection, judge, "--judge", _A_JUDGE)
            place, account = ledger or cache_folder() / "translations", name_account(out)
            judging = stack.enter_context(open_judge(section, place, account, budget))
        report = check_pairs(file, out, workers, named, judging)
        page = write_pairs_page(out)
        paid = judging.paid if judging else 0
    if report["findings"]:
        print_screen(_tabulate_findings(report["findings"], report["rows"]))
    print(describe_pairs(report))
    if "judged" in report:
        print(f"Judge: {describe_counts(report['judged'])}. Paid for in all: {paid:,} characters.")
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


@data.command(
    epilog=example(
        "kot data page kocot",
        "kot data page mine.jsonl --out mine-page --tokenizer gemma-3-270m",
    )
)
def page(
    rows: Annotated[
        str,
        typer.Argument(
            metavar="ROWS",
            help="What kot data build wrote; or a file, folder, 'PATTERN', hub:NAME:CONFIG@SPLIT.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write; left out: that of kot data build."),
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Lengths also in the tokens of this model: folder or Hub id.")
    ] = "",
    columns: ColumnNames = "",
    executor: ExecutorName = "local",
) -> None:
    """Show a data set as a whole on one page: lengths, tasks, languages, endings, duplicates.

    The page is one file without scripts, which needs nothing else. kot data build writes it, too.
    """
    from kot_platypus.data.census import TokenCount
    from kot_platypus.data.executors import open_executor
    from kot_platypus.data.overview import PAGE, describe_build, describe_rows, is_build
    from kot_platypus.report.data_page import write_data_page
    from kot_platypus.row_sources import list_inputs, parse_source

    built = is_build(Path(rows))
    if not built and out is None:
        list_inputs(parse_source(rows))  # a path that is not there is said before what lacks
    if built == (out is not None) or (built and columns):
        raise UsageError(
            f"{rows} {'is what kot data build wrote' if built else 'without --out'}",
            expected="neither --out nor --columns" if built else "a folder to write",
            hint="Leave them out." if built else "E.g. --out page",
        )
    folder = out or Path(rows)
    tokens = TokenCount(tokenizer, _load_counter(tokenizer))
    with hold_folder(folder), open_executor(executor) as workers:
        if built:
            overview = describe_build(folder, workers, tokens)
        else:
            file = gather(rows, folder, columns)
            named = read_columns(columns)
            overview = describe_rows(file, folder, workers, name=rows, columns=named, tokens=tokens)
        write_data_page(folder / PAGE, overview)
    print(folder / PAGE)


def _load_counter(name: str) -> CountTokens | None:
    if not name:
        return None
    from kot_platypus.models import resolve_model
    from kot_platypus.models.tokens import encode_texts, load_tokenizer

    loaded = load_tokenizer(resolve_model(name, weights=False))

    def count(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in encode_texts(loaded, texts)]

    return count
