"""The command line: one verb per stage. Parses, calls one public function, says where it lies."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Optional

import typer

from kot_platypus.errors import DataError, UsageError
from kot_platypus.guard import Guarded

app = typer.Typer(
    name="kot",
    cls=Guarded,
    help="Turn a Korean base model into one that reasons step by step, and prove what it gained.",
    epilog="Start here: kot run demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe value; repeatable."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/demo.")]
ModelName = Annotated[
    str, typer.Option("--model", help="gemma-3-270m, a local folder, or a Hub id.")
]
ProtocolName = Annotated[
    str, typer.Option("--protocol", help="polyglot, ko-harness, lm-eval, or a YAML file.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; an interrupted one goes on.")]
Adapter = Annotated[Optional[Path], typer.Option("--adapter", help="A PEFT adapter.")]  # noqa: UP045
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def _example(*lines: str) -> str:
    return "Examples:  " + "  ·  ".join(f"[cyan]{line}[/cyan]" for line in lines)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from kot_platypus import __version__

        print(__version__)
        raise typer.Exit


@app.command(epilog=_example("kot run demo", "kot run demo --set train.num_epochs=2 --out runs/b"))
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="The run folder. [default: runs/RECIPE]"),
    ] = None,
    overrides: Sets = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would happen; do nothing.")] = False,
) -> None:
    """Do a recipe from data to report; the same command goes on where it was stopped."""
    from kot_platypus.recipe import load_recipe
    from kot_platypus.run import describe_plan, run_recipe

    loaded = load_recipe(recipe, overrides or ())
    folder = out or Path("runs") / loaded.name
    if dry_run:
        print(describe_plan(loaded, folder))
        return
    run_recipe(loaded, folder)
    _print_summary(folder)


@app.command(epilog=_example("kot recipes", "kot recipes --show demo > mine.yaml"))
def recipes(
    show: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Print one recipe in full, every default written out."),
    ] = None,
) -> None:
    """List the shipped recipes."""
    from kot_platypus.recipe import dump_recipe, list_recipes, load_recipe

    if show:
        print(dump_recipe(load_recipe(show)), end="")
        return
    for name in list_recipes():
        print(f"{name:20} {load_recipe(name).description}")


@app.command(epilog=_example("kot data demo --out data", "kot data demo --set seed=7 --out d7"))
def data(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    out: Out,
    overrides: Sets = None,
) -> None:
    """Build a recipe's training rows and held-out problems."""
    from kot_platypus.artifacts import lock_folder
    from kot_platypus.data.build import build_data
    from kot_platypus.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    with lock_folder(out):
        build_data(out, loaded.data, seed=loaded.seed)
    print(*(out / name for name in ("train.jsonl", "heldout.jsonl", "shots.jsonl")), sep="\n")


@app.command(epilog=_example("kot train demo --data data/train.jsonl --out adapters/mine"))
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    data: Annotated[Path, typer.Option("--data", help="JSONL in KoCoT's columns.")],
    out: Out,
    overrides: Sets = None,
) -> None:
    """Train a LoRA adapter on your own rows with a recipe's model and settings."""
    from kot_platypus.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    _require_file(data, "--data")
    from kot_platypus.artifacts import lock_folder
    from kot_platypus.models import resolve_model
    from kot_platypus.train.fit import train_adapter

    base = resolve_model(loaded.model.name, loaded.model.revision)
    with lock_folder(out):
        train_adapter(data, base, out, loaded.train, loaded.model, seed=loaded.seed)
    print(out / "adapter")


@app.command(epilog=_example("kot merge --adapter adapters/mine/adapter --out merged"))
def merge(
    adapter: Annotated[Path, typer.Option("--adapter", help="The PEFT adapter to merge.")],
    out: Out,
    model: ModelName = "gemma-3-270m",
) -> None:
    """Merge an adapter into its base: a plain transformers folder."""
    from kot_platypus.artifacts import lock_folder
    from kot_platypus.models import resolve_model
    from kot_platypus.train.merge import merge_adapter

    _require_file(adapter / "adapter_config.json", "--adapter")
    with lock_folder(out):
        merge_adapter(resolve_model(model), adapter, out)
    print(out)


@app.command(
    "eval",
    epilog=_example(
        "kot eval --kobest-dir mini --num-fewshot 0 --out scores/base",
        "kot eval --model merged --tasks copa,wic --out scores/merged",
    ),
)
def evaluate(
    out: Out,
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    protocol: ProtocolName = "polyglot",
    tasks: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated. [default: all of the protocol's]"),
    ] = None,
    num_fewshot: Annotated[str, typer.Option(help="Comma-separated.")] = "0,5,10,50",
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Only the first N questions of each task."),
    ] = None,
    kobest_dir: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="KoBEST's TSV files; `mini`: ours; left out: the Hub's."),
    ] = None,
    batch_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Tokens per forward pass. [default: 512 on a CPU, else 4096]"),
    ] = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Score a model on KoBEST or on tasks of your own.

    To share the work: torchrun --nproc-per-node N -m kot_platypus eval ...
    """
    from kot_platypus.artifacts import lock_folder
    from kot_platypus.evaluate.choices import evaluate_choices
    from kot_platypus.evaluate.protocols import load_protocol
    from kot_platypus.models import resolve_model
    from kot_platypus.processes import is_main_process
    from kot_platypus.recipe import EvaluateSection

    section = EvaluateSection(
        protocol=protocol,
        tasks=tuple(tasks.replace(" ", "").split(",") if tasks else load_protocol(protocol).tasks),
        num_fewshot=_parse_counts("--num-fewshot", num_fewshot),
        limit=limit,
        kobest_dir=kobest_dir,
        max_batch_tokens=batch_tokens,
    )
    _require_one_of("--dtype", dtype, ("auto", "float32", "bfloat16", "float16"))
    _require_one_of("--device", device, ("auto", "cpu", "cuda", "mps"))
    folder = resolve_model(model)
    # Of torchrun's processes one holds the folder for all.
    with lock_folder(out) if is_main_process() else nullcontext():
        evaluate_choices(out, folder, section, adapter=adapter, dtype=dtype, device=device)
    if is_main_process():
        print(out / "results.json")


@app.command(
    "lm-eval",
    epilog=_example(
        "kot lm-eval --model merged --tasks kmmlu,haerae --out scores/merged",
        "kot lm-eval --include-path my_tasks --tasks mine --num-fewshot 5 --out scores/mine",
    ),
)
def lm_eval(
    out: Out,
    tasks: Annotated[str, typer.Option(help="Comma-separated: tasks, groups, kmmlu_*, or files.")],
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    num_fewshot: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Shots before each question; left out: what a task says."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Only the first N documents of each task."),
    ] = None,
    include_path: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A folder with task files of your own."),
    ] = None,
    apply_chat_template: Annotated[
        bool, typer.Option("--apply-chat-template", help="Ask in the model's chat template.")
    ] = False,
    batch_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Tokens per scoring pass; left out: 512 on a CPU, else 4096."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts generated at a time.")] = 8,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Score a model on any task of lm-eval: KMMLU, HAE-RAE, CLIcK, HRM8K, ...

    An interrupted run keeps its scores; texts are generated again. Needs the extra lm-eval.

    To share the work: torchrun --nproc-per-node N -m kot_platypus lm-eval ...
    """
    from kot_platypus.artifacts import lock_folder
    from kot_platypus.evaluate.catalogue import Selection, evaluate_catalogue
    from kot_platypus.models import resolve_model
    from kot_platypus.processes import is_main_process

    _require_one_of("--dtype", dtype, ("auto", "float32", "bfloat16", "float16"))
    _require_one_of("--device", device, ("auto", "cpu", "cuda", "mps"))
    names = tuple(name for name in tasks.replace(" ", "").split(",") if name)
    selection = Selection(names, num_fewshot, limit, apply_chat_template, include_path)
    with lock_folder(out) if is_main_process() else nullcontext():
        evaluate_catalogue(
            out,
            resolve_model(model),
            selection,
            adapter=adapter,
            dtype=dtype,
            device=device,
            max_batch_tokens=batch_tokens,
            batch_size=batch_size,
        )
    if is_main_process():
        print((out / "table.md").read_text(encoding="utf-8"), out / "results.json", sep="\n")


@app.command(epilog=_example("kot requests --task copa --num-fewshot 5 --kobest-dir mini"))
def requests(
    task: Annotated[str, typer.Option(help="copa, hellaswag, boolq, sentineg, wic, or your own.")],
    protocol: ProtocolName = "polyglot",
    num_fewshot: Annotated[int, typer.Option(min=0, help="Shots before each question.")] = 0,
    kobest_dir: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="KoBEST's TSV files; `mini`: ours; left out: the Hub's."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Only the first N questions."),
    ] = None,
) -> None:
    """Print exactly what a protocol asks a model, as JSON lines."""
    from kot_platypus.evaluate.choices import iter_requests

    for request in iter_requests(protocol, task, num_fewshot, kobest_dir, limit):
        print(request.model_dump_json())


@app.command(epilog=_example("kot report runs/demo"))
def report(run: RunFolder) -> None:
    """Write a run's report.html and model card again."""
    from kot_platypus.report import write_report

    _require_file(run / "recipe.yaml", "RUN")
    write_report(run)
    print(run / "report.html")


@app.command(epilog=_example("kot card runs/demo"))
def card(run: RunFolder) -> None:
    """Print a run's model card (README.md for the Hub)."""
    from kot_platypus.report.card import render_card
    from kot_platypus.report.results import load_results

    _require_file(run / "recipe.yaml", "RUN")
    print(render_card(load_results(run)), end="")


@app.command(epilog=_example("kot chat runs/demo", "kot chat runs/demo --ask '3+4는 얼마인가?'"))
def chat(
    run: RunFolder,
    ask: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Answer one question and exit."),
    ] = None,
) -> None:
    """Ask a run's trained model questions, one at a time."""
    _require_file(run / "merged" / "kot.json", "RUN")
    from kot_platypus.app.chat import chat_with

    chat_with(run / "merged", ask)


# --- helpers -----------------------------------------------------------------------------------


def _parse_counts(option: str, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(
            f"{option} {text!r}", expected="numbers like 0,5,10", hint="Separate them by commas."
        )
    return tuple(map(int, parts))


def _require_one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"{option} {value!r}", expected=f"one of {', '.join(allowed)}", hint="Pick one of them."
        )


def _require_file(path: Path, option: str) -> None:
    if not path.is_file():
        raise DataError(
            f"{option}: {path} does not exist", expected="that file", hint="Check the path."
        )


def _print_summary(run: Path) -> None:
    from rich.console import Console

    from kot_platypus.report.summary import summary_table

    Console().print(summary_table(run))


def main() -> None:
    """Run the command line."""
    app()
