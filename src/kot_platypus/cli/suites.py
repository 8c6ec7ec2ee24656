"""The verb that lists Korean benchmarks, and what ``kot reason --suite`` takes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import example, parse_names
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from kot_platypus.evaluate.prompting import Question
    from kot_platypus.evaluate.suites import Suite

SuiteName = Annotated[
    str | None,
    typer.Option("--suite", help="Korean benchmarks, instead of tasks: kot suites lists them."),
]
SuiteData = Annotated[
    Path | None,
    typer.Option("--data", help="A local copy of the suite's data. Left out: from the Hub."),
]


@app.command(epilog=example("kot suites", "kot suites --show hrm8k > mine.yaml"))
def suites(
    show: Annotated[str | None, typer.Option(help="Print one suite's file.")] = None,
) -> None:
    """List the Korean benchmarks of kot reason --suite; show their prompts and sources."""
    from kot_platypus.evaluate.suites import list_suites, load_suite, read_suite

    if show:
        print(read_suite(show), end="")
        return
    for name in list_suites():
        suite = load_suite(name)
        print(f"{name:12} {suite.description}\n{'':12} {suite.dataset}, {suite.licence}")


def choose_suite(
    name: str | None,
    data: Path | None,
    problems: Path | None,
    tasks: str | None,
    others: Mapping[str, bool],
) -> Suite | None:
    """The suite of that name. Raises UsageError for options of which one would be ignored.

    ``others``: whether options that never go with a suite are given.
    """
    from kot_platypus.evaluate.suites import load_suite

    given = ", ".join(option for option, is_given in others.items() if is_given)
    for first, second, both in (
        ("--problems", "--suite", problems and name),
        ("--problems", "--tasks", problems and tasks),
        ("--data", "no --suite", data and not name),
        ("--suite", given, name and given),
    ):
        if both:
            raise UsageError(
                f"{first} with {second}",
                expected="--problems FILE, or --suite NAME [--data PATH] [--tasks ...], or --tasks",
                hint="Leave one out.",
            )
    return load_suite(name) if name else None


def pose_suite(
    suite: Suite, data: Path | None, tasks: str | None, limit: int | None
) -> tuple[list[Question], dict[str, Any]]:
    """A suite's questions, and what results say of them."""
    from kot_platypus.evaluate.suites import load_suite_questions

    names = parse_names("--tasks", tasks) if tasks else ()
    questions = load_suite_questions(suite, data, names, limit)
    about = {"suite": suite.name, "fingerprint": suite.fingerprint, "tasks": list(names)}
    return questions, {**about, "limit": limit}
