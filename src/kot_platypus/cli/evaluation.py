"""The verbs that measure a model: eval, reason, requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    parse_counts,
    parse_names,
    print_screen,
)
from kot_platypus.cli.suites import SuiteData, SuiteName, choose_suite, pose_suite
from kot_platypus.errors import UsageError
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from kot_platypus.evaluate.model_under_test import ModelUnderTest
    from kot_platypus.evaluate.prompting import Question
    from kot_platypus.evaluate.reasoning import Reasoning
    from kot_platypus.evaluate.suites import Suite
    from kot_platypus.prompts import Template
    from kot_platypus.records import Example

Problems = Annotated[
    Path | None,
    typer.Option("--problems", "-p", help="Rows with source and target, instead of tasks."),
]
Shots = Annotated[
    Path | None, typer.Option("--shots", help="Worked examples before each question.")
]
NumSamples = Annotated[int, typer.Option("--num-samples", min=1, help="Replies that vote.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0,
        help="Left out: 0 (the likeliest reply), or 0.7 for several samples.",
    ),
]
GenKwargs = Annotated[
    str | None,
    typer.Option(
        "--gen-kwargs",
        help="How tokens are drawn, e.g. top_p=0.95,top_k=20,min_p=0.05,repetition_penalty=1.1; or "
        "`model`: as its own generation_config says.",
    ),
]
Think = Annotated[
    bool | None,
    typer.Option("--think/--no-think", help="The switch enable_thinking of a chat template."),
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Of a reply.")]
TemplateName = Annotated[
    str | None,
    typer.Option("--template", help="Left out: the one that the model was trained with, else kot."),
]
Backend = Annotated[
    Literal["transformers", "openai"],
    typer.Option("--backend", help="Who generates: transformers here, or a server."),
]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="Of an OpenAI-compatible server.")]
NumConcurrent = Annotated[
    int, typer.Option("--num-concurrent", min=1, help="Texts, or requests, under way.")
]


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
        "kot reason --model merged --tasks copa,wic --out scores/reasoned",
        "kot reason --model merged --problems mine.jsonl --num-samples 5 --out scores/voted",
        "kot reason --model DIR --template chat --suite hrm8k --tasks GSM8K --out scores/hrm8k",
    )
)
def reason(
    out: Out,
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    problems: Problems = None,
    suite: SuiteName = None,
    data: SuiteData = None,
    protocol: ProtocolName = "polyglot",
    tasks: Tasks = None,
    limit: Limit = None,
    kobest_dir: KobestDir = None,
    shots: Shots = None,
    template: TemplateName = None,
    num_samples: NumSamples = 1,
    temperature: Temperature = None,
    gen_kwargs: GenKwargs = None,
    think: Think = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option("--max-new-tokens", min=1, help="Of a reply. Left out: 256, or the suite's."),
    ] = None,
    backend: Backend = "transformers",
    base_url: BaseUrl = None,
    num_concurrent: NumConcurrent = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Answer questions with a chain of thought and without, and show what reasoning gains.

    To share the work: torchrun --nproc-per-node N -m kot_platypus reason ...
    """
    from kot_platypus.evaluate.reasoning import evaluate_reasoning
    from kot_platypus.processes import is_main_process

    others = {"--protocol": protocol != "polyglot", "--kobest-dir": bool(kobest_dir)}
    others["--shots"] = shots is not None
    chosen = choose_suite(suite, data, problems, tasks, others)
    held = (adapter, dtype, device, trust_remote_code)
    under_test, folder = open_model(model, backend, base_url, template, num_concurrent, *held)
    asked = (template, adapter or folder, think, shots)
    longest = max_new_tokens or (chosen.max_new_tokens if chosen else 256)
    how = choose_how(*asked, longest, num_samples, temperature, gen_kwargs, folder, chosen)
    if chosen:
        questions, about = pose_suite(chosen, data, tasks, limit)
    else:
        questions, about = _load_questions(problems, protocol, tasks, limit, kobest_dir)
    with hold_folder(out):
        evaluate_reasoning(out, under_test, questions, how, about_data=about)
    if is_main_process():
        from kot_platypus.report.summary import gains_table

        print_screen(gains_table(out))
        print(out / "changes.md", out / "results.json", sep="\n")


def open_model(
    name: str,
    backend: str,
    base_url: str | None,
    template: str | None,
    num_concurrent: int,
    adapter: Path | None,
    dtype: str,
    device: str,
    trust_remote_code: bool,
) -> tuple[ModelUnderTest, Path | None]:
    """The model of these options, and its folder if it is one of this machine's."""
    from kot_platypus.evaluate.model_under_test import TransformersModel
    from kot_platypus.evaluate.server import OpenAIModel

    _check_backend(backend, base_url, template)
    if base_url is not None:
        _refuse_local(adapter, dtype, device, trust_remote_code)
        return OpenAIModel(name, base_url, max_requests=num_concurrent), None
    folder = find_model_folder(name, adapter)
    held = (folder, adapter, dtype, device, trust_remote_code)
    return TransformersModel(*held, max_rows=num_concurrent), folder


def choose_how(
    template: str | None,
    trained: Path | None,
    think: bool | None,
    shots: Path | None,
    max_new_tokens: int,
    num_samples: int,
    temperature: float | None,
    gen_kwargs: str | None,
    folder: Path | None,
    suite: Suite | None = None,
) -> Reasoning:
    """How these options have a model reason. Raises UsageError for impossible ones.

    What the options leave out is the suite's.
    """
    from kot_platypus.evaluate.reasoning import Reasoning, check_reasoning
    from kot_platypus.evaluate.texts import choose_sampling

    chosen, read = _find_template(template, trained, think), _read_shots(shots)
    sampling = choose_sampling(
        gen_kwargs,
        folder,
        temperature,
        is_drawn=num_samples > 1,
        otherwise=suite.sampling if suite else None,
    )
    reader = suite.reader if suite else None
    how = Reasoning(chosen, max_new_tokens, num_samples, sampling, shots=read, pattern=reader)
    check_reasoning(how)
    return how


def _check_backend(backend: str, base_url: str | None, template: str | None) -> None:
    if (backend == "openai") != (base_url is not None):
        raise UsageError(
            f"--backend {backend} {'without' if base_url is None else 'with'} --base-url",
            expected="--backend openai and --base-url together",
            hint="E.g. --backend openai --base-url http://localhost:8000/v1",
        )
    if base_url is not None and template is None:
        raise UsageError(
            "--backend openai without --template",
            expected="the template that the model was trained with, or chat",
            hint="E.g. --template chat for an instruction-tuned model",
        )


def _refuse_local(adapter: Path | None, dtype: str, device: str, trust_remote_code: bool) -> None:
    """Raise UsageError for an option that only a model loaded here can follow."""
    given = {
        "--adapter": adapter is not None,
        "--dtype": dtype != "auto",
        "--device": device != "auto",
        "--trust-remote-code": trust_remote_code,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        raise UsageError(
            f"--backend openai with {', '.join(names)}",
            expected="the server to decide these",
            hint="Leave them out, and set them where the server is started.",
        )


def _find_template(name: str | None, trained: Path | None, think: bool | None) -> Template:
    """The one of that name, else the one that the model was trained with, else ``kot``.

    A line says so where a model trained elsewhere has a chat template and is asked as ``kot`` asks.
    """
    from kot_platypus.models import has_chat_template, read_training_info
    from kot_platypus.prompts import load_template, switch_thinking

    own = read_training_info(trained).template if name is None and trained is not None else None
    template = own or load_template(name or "kot")
    if name is None and own is None and trained is not None and has_chat_template(trained):
        print_notice("The model has a chat template, not used here: --template chat asks with it.")
    return template if think is None else switch_thinking(template, think)


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
    protocol: str,
    tasks: str | None,
    limit: int | None,
    kobest_dir: str | None,
) -> tuple[list[Question], dict[str, Any]]:
    """What is asked, and what results say of it."""
    from kot_platypus.evaluate.prompting import load_choices, load_problems
    from kot_platypus.evaluate.protocols import load_protocol

    if problems is not None:
        return load_problems(problems, limit), {"limit": limit}
    loaded = load_protocol(protocol)
    wanted = parse_names("--tasks", tasks) if tasks else loaded.tasks
    questions: list[Question] = []
    data = {}
    for name in dict.fromkeys(map(loaded.find_task, wanted)):
        more, data[name] = load_choices(loaded, name, kobest_dir, limit)
        questions += more
    return questions, {"data": data, "limit": limit}
