"""The verb of lm-eval's own tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    Adapter,
    BatchTokens,
    Device,
    Dtype,
    Limit,
    ModelName,
    Out,
    TrustRemoteCode,
    example,
    find_model_folder,
    hold_folder,
    parse_names,
)

SystemInstruction = Annotated[
    str | None, typer.Option(help="A system message before each question.")
]
TaskKwargs = Annotated[
    str | None,
    typer.Option(
        "--gen-kwargs", help="In place of the tasks' settings: temperature=0.6,do_sample=true"
    ),
]
ThinkEnd = Annotated[
    str | None,
    typer.Option(
        "--think-end-token", help="What ends thoughts, </think>: only what follows is read."
    ),
]


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
    system_instruction: SystemInstruction = None,
    gen_kwargs: TaskKwargs = None,
    think_end_token: ThinkEnd = None,
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
    chosen = (gen_kwargs, system_instruction, think_end_token)
    selection = Selection(names, num_fewshot, limit, apply_chat_template, include_path, *chosen)
    with hold_folder(out):
        folder = find_model_folder(model, adapter)
        held = TransformersModel(
            folder, adapter, dtype, device, trust_remote_code, max_rows=batch_size
        )
        run_lm_eval(out, held, selection, max_batch_tokens=batch_tokens)
    if is_main_process():
        print((out / "table.md").read_text(encoding="utf-8"), out / "results.json", sep="\n")
