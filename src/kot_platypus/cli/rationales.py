"""The verb that has a teacher write rationales: data reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kot_platypus.benchmarks import load_benchmarks
from kot_platypus.cli.data import Against, Rows, data
from kot_platypus.cli.evaluation import (
    Backend,
    BaseUrl,
    GenKwargs,
    MaxNewTokens,
    NumConcurrent,
    Shots,
    Temperature,
    TemplateName,
    Think,
    choose_how,
    open_model,
)
from kot_platypus.cli.options import (
    Adapter,
    Device,
    Dtype,
    KobestDir,
    Limit,
    ModelName,
    Out,
    TrustRemoteCode,
    example,
    hold_folder,
    require_file,
)
from kot_platypus.progress import print_notice

NumReplies = Annotated[int, typer.Option("--num-samples", min=1, help="Replies to each question.")]
KeepName = Annotated[
    Literal["shortest", "diverse", "all"],
    typer.Option(help="Of a question's right replies: one, those most unlike, or all."),
]
MaxPerQuestion = Annotated[int, typer.Option(min=1, help="For diverse and all.")]
MinKorean = Annotated[
    float, typer.Option(min=0, max=1, help="Share of Korean among a rationale's letters.")
]
MinPassRate = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out questions solved less often.")
]
MaxPassRate = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out questions solved more often.")
]
Rationalize = Annotated[
    bool, typer.Option("--rationalize", help="Ask the unsolved again, given the answer.")
]
VerifySteps = Annotated[
    bool,
    typer.Option("--verify-steps", help="Of generated problems: only where every step holds."),
]
Price = Annotated[
    float | None, typer.Option("--price", help="Of a million output tokens, to estimate the bill.")
]


@data.command(
    "reason",
    epilog=example(
        "kot data reason mine.jsonl --model merged --num-samples 4 --out taught",
        "kot data reason mine.jsonl --backend openai --base-url http://localhost:8000/v1 "
        "--model NAME --template chat --out taught",
    ),
)
def reason(
    file: Rows,
    out: Out,
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    limit: Limit = None,
    shots: Shots = None,
    template: TemplateName = None,
    num_samples: NumReplies = 4,
    temperature: Temperature = None,
    gen_kwargs: GenKwargs = None,
    think: Think = None,
    max_new_tokens: MaxNewTokens = 512,
    keep: KeepName = "shortest",
    max_per_question: MaxPerQuestion = 4,
    min_korean: MinKorean = 0.5,
    min_pass_rate: MinPassRate = 0.0,
    max_pass_rate: MaxPassRate = 1.0,
    rationalize: Rationalize = False,
    verify_steps: VerifySteps = False,
    against: Against = None,
    kobest_dir: KobestDir = None,
    price: Price = None,
    backend: Backend = "transformers",
    base_url: BaseUrl = None,
    num_concurrent: NumConcurrent = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Have a model write rationales for questions with answers; keep only what holds."""
    from kot_platypus.evaluate.prompting import load_problems
    from kot_platypus.processes import is_main_process
    from kot_platypus.rationales import Selection, describe_cost, write_rationales

    require_file(file, "FILE")
    held = (adapter, dtype, device, trust_remote_code)
    teacher, folder = open_model(model, backend, base_url, template, num_concurrent, *held)
    asked = (template, adapter or folder, think, shots)
    how = choose_how(*asked, max_new_tokens, num_samples, temperature, gen_kwargs, folder)
    questions = load_problems(file, limit)
    chosen = (keep, max_per_question, min_korean, min_pass_rate, max_pass_rate, rationalize)
    selection = Selection(*chosen, verify_steps=verify_steps)
    print_notice(describe_cost(questions, how, price, rationalize=rationalize))
    with hold_folder(out):
        write_rationales(out, teacher, questions, how, selection)
        if is_main_process() and against:
            _check_against(out, against, kobest_dir)
    _print_result(out)


def _print_result(out: Path) -> None:
    from kot_platypus.artifacts import read_manifest
    from kot_platypus.rationales import describe_result

    print_notice(describe_result(read_manifest(out)))
    print(*(out / name for name in ("README.md", "train.jsonl", "dropped.jsonl")), sep="\n")


def _check_against(out: Path, against: list[str], kobest_dir: str | None) -> None:
    from kot_platypus.data.leaks import check_contamination, describe_verdict
    from kot_platypus.rationales import TRAIN

    benchmarks = load_benchmarks(against, kobest_dir)
    verdict = check_contamination(out / TRAIN, out.with_name(out.name + "-leaks"), benchmarks)
    print(describe_verdict(TRAIN, verdict))
