"""The verb that sends a run, a model or a data set to the Hub: publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import example, print_screen, require_one_of
from kot_platypus.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from kot_platypus.publication.plan import Plan
    from kot_platypus.publication.privacy import Finding

MAX_FINDINGS = 30


@app.command(
    epilog=example(
        "kot publish runs/demo --to kim/my-model --dry-run",
        "kot publish runs/demo --to kim/my-model",
        "kot publish merged --to kim/my-model --base-model google/gemma-3-270m --dry-run",
        "kot publish data/kocot --dataset --to kim/my-rows --public",
    )
)
def publish(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A run, a merged or wholly trained model, or with --dataset a built data set.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="USER/NAME", help="The Hub's repository.")],
    dataset: Annotated[
        bool, typer.Option("--dataset", help="Publish what kot data build made.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="For everybody to see.")] = False,
    base_model: Annotated[
        str | None,
        typer.Option(metavar="USER/NAME", help="The base's id, for the card of a model's folder."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list everything; needs no network.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Let email, path, user or host pass; repeatable."),
    ] = None,
) -> None:
    """Send model, adapter, card and results, or a data set, to the Hub: privately, or not.

    Stops at keys, e-mail addresses and names of this machine. Killed, it goes on when typed again.
    """
    from kot_platypus.publication.privacy import ALLOWABLE, find_private, list_rules

    _require_repo_id("--to", to)
    for kind in allow or ():
        require_one_of("--allow", kind, ALLOWABLE)
    plan = _make_plan(folder, to, base_model, dataset=dataset)
    print_screen(_tabulate_plan(plan))
    for name in plan.left_out:
        print(f"stays here: {name}")
    _refuse_private(find_private(plan.uploads, list_rules(to), allow or ()))
    _check_card(plan)
    where = f"{plan.kind} {to}, {'public' if public else 'private'}"
    if dry_run:
        print(f"Nothing private was found, the card is valid. Not uploaded (--dry-run): {where}.")
        return

    from kot_platypus.publication.upload import upload_plan

    print(upload_plan(plan, to, public=public))


def _make_plan(folder: Path, to: str, base_model: str | None, *, dataset: bool) -> Plan:
    from kot_platypus.publication.plan import RECIPE, plan_dataset, plan_folder, plan_model

    is_run = (folder / RECIPE).is_file()
    if base_model is not None:
        _require_repo_id("--base-model", base_model)
        if dataset or is_run:
            raise UsageError(
                "--base-model with a run or a data set",
                expected="a merged or wholly trained model's folder, whose base may be unknown",
                hint="Leave it out.",
            )
    if dataset:
        return plan_dataset(folder)
    return plan_model(folder) if is_run else plan_folder(folder, to, base_model)


def _require_repo_id(option: str, name: str) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
        is_valid = name.count("/") == 1
    except HFValidationError:
        is_valid = False
    if not is_valid:
        raise UsageError(
            f"{option} {name!r}",
            expected="USER/NAME as on the Hub",
            hint=f"E.g. {option} kim/my-model",
        )


def _tabulate_plan(plan: Plan) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for upload in plan.uploads:
        table.add_row(Text(upload.destination), f"{upload.size:,}", upload.note)
    total = sum(upload.size for upload in plan.uploads)
    table.add_row(f"{len(plan.uploads)} files", f"{total:,}", style="bold")
    return table


def _check_card(plan: Plan) -> None:
    from kot_platypus.publication.cards import check_card

    names = [upload.destination for upload in plan.uploads]
    problems, notes = check_card(plan.card, plan.kind, names)
    if problems:
        raise DataError(
            f"README.md: {'; '.join(problems)}",
            expected="metadata that the Hub takes",
            hint="Fix README.md or what it is made from.",
        )
    for note in notes:
        print(f"Note: {note}")


def _refuse_private(findings: Sequence[Finding]) -> None:
    if not findings:
        return
    for finding in findings[:MAX_FINDINGS]:
        print(finding)
    if len(findings) > MAX_FINDINGS:
        print(f"and {len(findings) - MAX_FINDINGS} more")
    kinds = dict.fromkeys(f"--allow {each.kind}" for each in findings if each.kind != "key")
    hint = (
        f"Fix the files; what is meant for others: {' '.join(kinds)}."
        if kinds
        else ("Take it out of the files, and change the key: it lay in files to be shared.")
    )
    raise DataError(
        f"{len(findings)} places that hold something private (first: {findings[0]})",
        expected="nothing that is only this machine's or person's",
        hint=hint,
    )
