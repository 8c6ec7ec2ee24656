"""The verbs that measure a model: eval, lm-eval, requests, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    Adapter,
    BatchTokens,
    Device,
    Dtype,
    KobestDir,
    Limit,
    ModelName,
    Out,
    ProtocolName,
    Tasks,
    TrustRemoteCode,
    example,
    find_model_folder,
    hold_folder,
    parse_names,
    print_screen,
    require_new_file,
)
from kot_platypus.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

Facts = dict[str, Any]


@app.command(
    "eval",
    epilog=example(
        "kot eval --kobest-dir mini --num-fewshot 0 --out scores/base",
        "kot eval --model merged --tasks copa,wic --out scores/merged",
    ),
)
def evaluate(
    out: Out,
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    protocol: ProtocolName = "polyglot",
    tasks: Tasks = None,
    num_fewshot: Annotated[
        str, typer.Option("--num-fewshot", "-n", help="Comma-separated.")
    ] = "0,5,10,50",
    limit: Limit = None,
    kobest_dir: KobestDir = None,
    batch_tokens: BatchTokens = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score a model on KoBEST or on multiple-choice tasks of your own.

    To share the work: torchrun --nproc-per-node N -m kot_platypus eval ...
    """
    from kot_platypus.evaluate.choices import evaluate_choices
    from kot_platypus.evaluate.model_under_test import TransformersModel
    from kot_platypus.evaluate.protocols import load_protocol
    from kot_platypus.processes import is_main_process
    from kot_platypus.recipe import EvaluateSection

    section = EvaluateSection(
        protocol=protocol,
        tasks=parse_names("--tasks", tasks) if tasks else tuple(load_protocol(protocol).tasks),
        num_fewshot=parse_counts("--num-fewshot", num_fewshot),
        limit=limit,
        kobest_dir=kobest_dir,
        max_batch_tokens=batch_tokens,
    )
    with hold_folder(out):
        folder = find_model_folder(model, adapter)
        held = TransformersModel(folder, adapter, dtype, device, trust_remote_code)
        evaluate_choices(out, held, section)
    if is_main_process():
        from kot_platypus.report.summary import scores_table

        print_screen(scores_table(out))
        print(out / "results.json")


@app.command(
    "lm-eval",
    epilog=example(
        "kot lm-eval --model merged --tasks kmmlu,haerae --out scores/merged",
        "kot lm-eval --include-path my_tasks --tasks mine --num-fewshot 5 --out scores/mine",
    ),
)
def lm_eval(
    out: Out,
    tasks: Annotated[
        str,
        typer.Option("--tasks", "-t", help="Comma-separated: tasks, groups, kmmlu_*, or files."),
    ],
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    num_fewshot: Annotated[
        int | None,
        typer.Option(
            "--num-fewshot",
            "-n",
            min=0,
            help="Shots before each question; left out: what a task says.",
        ),
    ] = None,
    limit: Limit = None,
    include_path: Annotated[
        Path | None,
        typer.Option(help="A folder with task files of your own."),
    ] = None,
    apply_chat_template: Annotated[
        bool, typer.Option("--apply-chat-template", help="Ask in the model's chat template.")
    ] = False,
    batch_tokens: BatchTokens = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts generated at a time.")] = 8,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score a model on any task of lm-eval: KMMLU, HAE-RAE, CLIcK, HRM8K, ...

    An interrupted run keeps its scores; texts are generated again. Needs the extra lm-eval.

    To share the work: torchrun --nproc-per-node N -m kot_platypus lm-eval ...
    """
    from kot_platypus.evaluate.lm_eval_run import Selection, run_lm_eval
    from kot_platypus.evaluate.model_under_test import TransformersModel
    from kot_platypus.processes import is_main_process

    names = parse_names("--tasks", tasks)
    selection = Selection(names, num_fewshot, limit, apply_chat_template, include_path)
    with hold_folder(out):
        folder = find_model_folder(model, adapter)
        held = TransformersModel(
            folder, adapter, dtype, device, trust_remote_code, max_rows=batch_size
        )
        run_lm_eval(out, held, selection, max_batch_tokens=batch_tokens)
    if is_main_process():
        print((out / "table.md").read_text(encoding="utf-8"), out / "results.json", sep="\n")


@app.command(epilog=example("kot requests --task copa --num-fewshot 5 --kobest-dir mini"))
def requests(
    task: Annotated[str, typer.Option(help="copa, hellaswag, boolq, sentineg, wic, or your own.")],
    protocol: ProtocolName = "polyglot",
    num_fewshot: Annotated[int, typer.Option(min=0, help="Shots before each question.")] = 0,
    kobest_dir: KobestDir = None,
    limit: Limit = None,
) -> None:
    """Print exactly what a protocol asks a model, as JSON lines."""
    from kot_platypus.evaluate.choices import iter_requests

    for request in iter_requests(protocol, task, num_fewshot, kobest_dir, limit):
        print(request.model_dump_json())


@app.command(
    epilog=example(
        "kot compare scores/merged scores/base",
        "kot compare runs/demo runs/demo/evaluate/base/kobest",
        "kot compare scores/base --published all",
    ),
)
def compare(
    run_a: Annotated[
        Path, typer.Argument(metavar="RUN_A", help="A folder of kot run, eval, reason or lm-eval.")
    ],
    run_b: Annotated[
        Path | None,
        typer.Argument(metavar="RUN_B", help="Another: same protocol, data, questions."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="macro_f1 (if left out), acc, acc_norm or macro_f1_norm."),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Instead of RUN_B: published models, or all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.json", help="Write the figures as JSON too."),
    ] = None,
) -> None:
    """Compare two models' scores, or one's with published figures."""
    require_new_file(out)
    if published is not None and run_b is None and metric is None:
        facts, screen = _compare_with_published(run_a, published)
    elif published is None and run_b is not None:
        facts, screen = _compare_pair(run_a, run_b, metric)
    else:
        raise UsageError(
            "one RUN alone" if published is None else "--published with RUN_B or --metric",
            expected="two runs, or one and --published (whose figures have their own metric)",
            hint="Run: kot compare RUN_A RUN_B, or: kot compare RUN --published all",
        )
    print_screen(screen)
    if out:
        from kot_platypus.artifacts import write_json

        write_json(out, facts)
        print(out)


def _compare_pair(run_a: Path, run_b: Path, metric: str | None) -> tuple[Facts, RenderableType]:
    from kot_platypus.report.comparison_table import comparison_table
    from kot_platypus.results.comparison import compare_evaluations
    from kot_platypus.results.schema import dump_part

    pair = compare_evaluations(run_a, run_b, metric)
    return dump_part(pair), comparison_table(pair)


def _compare_with_published(run: Path, models: str) -> tuple[Facts, RenderableType]:
    from kot_platypus.report.comparison_table import gather_published, published_table
    from kot_platypus.run import find_evaluation

    beside = gather_published(find_evaluation(run), models)
    return beside.model_dump(mode="json"), published_table(beside)


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Numbers between commas. Raises UsageError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(
            f"{option} {text!r}", expected="numbers like 0,5,10", hint="Separate them by commas."
        )
    return tuple(map(int, parts))
