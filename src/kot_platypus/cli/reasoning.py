"""``kot eval --mode cot``: its options, and how they become questions and a model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kot_platypus.cli.options import find_model_folder, hold_folder, print_screen
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from kot_platypus.evaluate.model_under_test import ModelUnderTest
    from kot_platypus.evaluate.prompting import Question
    from kot_platypus.prompts import Template
    from kot_platypus.records import Example

_COT = "Mode cot"

Mode = Annotated[
    str,
    typer.Option(
        "--mode", help="direct: score the choices. cot: reason first, and compare with direct."
    ),
]
Problems = Annotated[
    Path | None,
    typer.Option(
        "--problems",
        help="Rows with source and target, instead of tasks.",
        rich_help_panel=_COT,
    ),
]
Shots = Annotated[
    Path | None,
    typer.Option("--shots", help="Worked examples before each question.", rich_help_panel=_COT),
]
Samples = Annotated[
    int,
    typer.Option("--samples", min=1, help="Replies that vote.", rich_help_panel=_COT),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0,
        help="Left out: 0 (the likeliest reply), or 0.7 for several samples.",
        rich_help_panel=_COT,
    ),
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", min=1, help="Of a reply.", rich_help_panel=_COT)
]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="Left out: the one that the model was trained with, else kot.",
        rich_help_panel=_COT,
    ),
]
Engine = Annotated[
    str,
    typer.Option("--engine", help="transformers (here) or openai.", rich_help_panel=_COT),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", help="Of an OpenAI-compatible server.", rich_help_panel=_COT),
]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", min=1, help="Texts, or requests, under way.", rich_help_panel=_COT),
]


@dataclass(frozen=True)
class CotOptions:
    """What the options say that belong to mode cot alone."""

    problems: Path | None = None
    shots: Path | None = None
    samples: int = 1
    temperature: float | None = None
    max_new_tokens: int = 256
    template: str | None = None
    engine: str = "transformers"
    base_url: str | None = None
    at_once: int = 32

    def name_given(self) -> str:
        """The first option that is not left out."""
        given = (f.name for f in fields(self) if getattr(self, f.name) != f.default)
        return "--" + next(given).replace("_", "-")


def refuse_option(option: str, mode: str) -> UsageError:
    """The error for an option that a mode does not have."""
    return UsageError(
        f"{option} with --mode {mode}",
        expected=f"--mode {'cot' if mode == 'direct' else 'direct'}, which has it",
        hint="Leave one of them out. (Mode cot's worked examples come from --shots.)",
    )


def evaluate_cot(
    out: Path,
    model: str,
    options: CotOptions,
    questions: dict[str, Any],
    local: dict[str, Any],
) -> None:
    """Examine a model with and without reasoning; print a table and where it all lies.

    ``questions`` holds ``protocol``, ``tasks``, ``limit`` and ``kobest_dir``, ``local`` what only
    a model in this process has: ``adapter``, ``dtype``, ``device``, ``trust_remote_code``.
    """
    from kot_platypus.evaluate.reasoning import Reasoning, check_reasoning, evaluate_reasoning
    from kot_platypus.processes import is_main_process

    temperature = options.temperature
    if temperature is None:
        temperature = 0.7 if options.samples > 1 else 0.0
    subject, template = _find_subject(model, options, local)
    how = Reasoning(
        template=template,
        max_new_tokens=options.max_new_tokens,
        samples=options.samples,
        temperature=temperature,
        shots=_read_shots(options.shots),
    )
    check_reasoning(how)
    asked, about = _load_questions(options.problems, **questions)
    with hold_folder(out):
        evaluate_reasoning(out, subject, asked, how, about_data=about)
    if is_main_process():
        from kot_platypus.report.reasoning_table import gains_table

        print_screen(gains_table(out))
        print(out / "changes.md", out / "results.json", sep="\n")


def _find_subject(
    model: str, options: CotOptions, local: dict[str, Any]
) -> tuple[ModelUnderTest, Template]:
    from kot_platypus.evaluate.model_under_test import OpenAIModel, TransformersModel
    from kot_platypus.models import read_template
    from kot_platypus.prompts import load_template

    if (options.engine == "openai") != (options.base_url is not None):
        raise UsageError(
            f"--engine {options.engine} "
            + ("without --base-url" if options.base_url is None else "with --base-url"),
            expected="--engine openai and --base-url together",
            hint="E.g. --engine openai --base-url http://localhost:8000/v1",
        )
    if options.base_url is not None:
        if options.template is None:
            raise UsageError(
                "--engine openai without --template",
                expected="the template that the model was trained with, or chat",
                hint="E.g. --template chat for an instruction-tuned model",
            )
        served = OpenAIModel(model, options.base_url, max_requests=options.at_once)
        return served, load_template(options.template)
    folder = find_model_folder(model, local["adapter"])
    subject = TransformersModel(folder, **local, max_rows=options.at_once)
    if options.template is not None:
        return subject, load_template(options.template)
    return subject, read_template(subject.adapter or folder) or load_template("kot")


def _read_shots(path: Path | None) -> tuple[Example, ...]:
    from kot_platypus.formats import read_rows
    from kot_platypus.records import Example

    rows = read_rows(path) if path else []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Example) or not row.rationale or not row.target:
            raise UsageError(
                f"--shots {path}: row {number} is no worked example",
                expected="source, rationale and target",
                hint="Leave it out.",
            )
    return tuple(row for row in rows if isinstance(row, Example))


def _load_questions(
    problems: Path | None,
    *,
    protocol: str,
    tasks: str | None,
    limit: int | None,
    kobest_dir: str | None,
) -> tuple[list[Question], dict[str, Any]]:
    from kot_platypus.evaluate.prompting import load_choices, load_problems
    from kot_platypus.evaluate.protocols import load_protocol

    if problems is not None:
        if tasks is not None:
            raise UsageError(
                "--problems with --tasks", expected="one of them", hint="Leave one out."
            )
        return load_problems(problems, limit), {"limit": limit}
    loaded = load_protocol(protocol)
    wanted = [name.strip() for name in tasks.split(",")] if tasks else list(loaded.tasks)
    asked: list[Question] = []
    data = {}
    for name in dict.fromkeys(map(loaded.find_task, wanted)):
        questions, data[name] = load_choices(loaded, name, kobest_dir, limit)
        asked += questions
    return asked, {"data": data, "limit": limit}
