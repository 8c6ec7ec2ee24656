"""The verbs that make a model: run, recipes, train, merge, export, serve-check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import (
    ColumnNames,
    ModelName,
    Out,
    OwnRows,
    RecipeName,
    Sets,
    TrustRemoteCode,
    example,
    find_model_folder,
    hold_folder,
    print_screen,
    read_own_rows,
    require_file,
)
from kot_platypus.errors import UsageError
from kot_platypus.methods import METHODS
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kot_platypus.recipe import Recipe, SourceSection


@app.command(
    epilog=example(
        "kot run demo",
        "kot run demo --set train.num_epochs=2 --out runs/b",
        "kot run demo --data mine.jsonl --heldout test.jsonl --out runs/mine",
    )
)
def run(
    recipe: RecipeName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run folder; left out: runs/RECIPE."),
    ] = None,
    overrides: Sets = None,
    data: OwnRows = None,
    columns: ColumnNames = "",
    heldout: Annotated[
        Path | None,
        typer.Option("--heldout", help="Your own problems for the reasoning test."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would happen; do nothing.")] = False,
) -> None:
    """Do a recipe from data to report; the same command goes on where it was stopped."""
    from kot_platypus.recipe import load_recipe, replace_data
    from kot_platypus.run import describe_plan, run_recipe

    given = load_recipe(recipe, overrides or ())
    loaded = replace_data(given, read_own_rows(data, columns), heldout)
    if given.data.has_problems and not loaded.data.has_problems:
        print_notice("No reasoning test: the recipe's is of its own rows. Name yours: --heldout")
    folder = out or Path("runs") / loaded.name
    if dry_run:
        print(describe_plan(loaded, folder))
        return
    run_recipe(loaded, folder)
    from kot_platypus.report.summary import summary_table

    print_screen(summary_table(folder))


@app.command(epilog=example("kot recipes", "kot recipes --show demo > mine.yaml"))
def recipes(
    show: Annotated[
        str | None,
        typer.Option(help="Print one recipe in full, every default written out."),
    ] = None,
) -> None:
    """List the shipped recipes: of runs, and of data sets."""
    from kot_platypus.data.dataset_recipe import (
        is_dataset_recipe,
        list_dataset_recipes,
        load_dataset_recipe,
    )
    from kot_platypus.recipe import dump_recipe, load_recipe, load_shipped

    if show:
        load = load_dataset_recipe if is_dataset_recipe(show) else load_recipe
        print(dump_recipe(load(show)), end="")
        return
    for recipe in load_shipped():
        print(f"{recipe.name:22} {recipe.description}")
    print("\nof data sets (kot data build NAME):")
    for name in list_dataset_recipes():
        print(f"{name:22} {load_dataset_recipe(name).description}")


TrainingOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder to write; an interrupted run resumes."),
]
ResumeFrom = Annotated[
    str | None,
    typer.Option(
        "--resume-from-checkpoint",
        metavar="NAME",
        help="Go on from this checkpoint of --out, not from its newest.",
    ),
]


@app.command(
    epilog=example(
        "kot train demo --data mine.jsonl --out adapters/mine",
        "kot train demo --data mine.jsonl --preview",
        "kot train demo --data a.csv --data b.csv:0.5 --columns source=question,target=answer "
        "--out adapters/b",
        "kot train kot-platypus2-7b --dry-run",
    )
)
def train(
    recipe: RecipeName,
    data: OwnRows = None,
    columns: ColumnNames = "",
    out: TrainingOut = None,
    overrides: Sets = None,
    checkpoint: ResumeFrom = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show steps, memory and time; train nothing.")
    ] = False,
    measure: Annotated[
        bool, typer.Option(help="Whether --dry-run times a layer on this device.")
    ] = True,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would be trained on; train nothing.")
    ] = False,
    rows: Annotated[int, typer.Option(min=0, help="How many rows --preview shows.")] = 3,
) -> None:
    """Train on your own rows with a recipe's model and settings.

    To share the work: torchrun --nproc-per-node N -m kot_platypus train ...
    """
    from kot_platypus.recipe import load_recipe

    loaded = load_recipe(recipe, _own_seed(overrides or []))
    sources = read_own_rows(data, columns)
    if dry_run:
        from kot_platypus.cli.dry_run import describe_training

        print_screen(describe_training(loaded, sources, measure=measure))
        return
    if preview:
        _print_preview(loaded, sources, rows)
        return
    if not sources or out is None:
        raise UsageError(
            f"{'--out' if sources else '--data'} is missing",
            expected="--data FILE and --out FOLDER, or --preview, or --dry-run",
            hint="A recipe's own rows: kot data build RECIPE --out data, then data/train.jsonl",
        )
    _train(loaded, sources, out, checkpoint)


def _train(
    recipe: Recipe, sources: Sequence[SourceSection], out: Path, checkpoint: str | None
) -> None:
    from kot_platypus.models import resolve_model
    from kot_platypus.processes import is_main_process
    from kot_platypus.row_sources import check_validation

    check_validation(recipe.train)  # before a model is downloaded
    options: dict[str, Any] = {"seed": recipe.training_seeds[0], "data_seed": recipe.seed}
    options["resume_from_checkpoint"] = checkpoint
    with hold_folder(out):
        base = resolve_model(recipe.model.name, recipe.model.revision)
        from kot_platypus.evaluate.answers import answer_rows
        from kot_platypus.train.fit import train_adapter  # loads torch, so it comes last

        options["answer"] = answer_rows
        train_adapter(sources, base, out, recipe.train, recipe.model, **options)
    if is_main_process():
        print(out / METHODS[recipe.train.method].result)


def _own_seed(overrides: list[str]) -> list[str]:
    """``seed`` given for one training is that training's, whatever seeds the recipe has."""
    names = {override.partition("=")[0].strip() for override in overrides}
    return [*overrides, "seeds=[]"] if "seed" in names and "seeds" not in names else overrides


def _print_preview(recipe: Recipe, sources: Sequence[SourceSection], count: int) -> None:
    from kot_platypus.data.build import load_sources, mix_rows
    from kot_platypus.models import build_empty_model, resolve_model
    from kot_platypus.models.new_tokens import load_vocabulary
    from kot_platypus.models.rows import add_rows
    from kot_platypus.row_sources import read_sources
    from kot_platypus.train.preview import preview_rows
    from kot_platypus.train.validation import hold_out

    section = recipe.model
    if sources:
        loaded = read_sources(sources)
        rows, source = loaded.rows, loaded.name
        for line in loaded.describe():
            print_notice(line)
    else:
        rows = mix_rows(load_sources(recipe.data.sources, recipe.seed), recipe.seed)
        source = "the recipe's rows"
    base = resolve_model(section.name, section.revision, weights=False)
    trust = section.trust_remote_code
    vocabulary = load_vocabulary(base, recipe.train.new_tokens, trust_remote_code=trust)
    model = build_empty_model(base, trust_remote_code=trust)
    add_rows(model, vocabulary.added.values())
    split = hold_out(rows, recipe.train, recipe.seed, sources)
    shown = preview_rows(
        list(split.train.values()),
        recipe.train,
        vocabulary.tokenizer,
        count,
        model,
        source=source,
        numbers=split.train,
    )
    print_screen(shown)
    if split.note:
        print_notice(split.note)


@app.command(epilog=example("kot merge --adapter adapters/mine/adapter --out merged"))
def merge(
    adapter: Annotated[Path, typer.Option("--adapter", help="The PEFT adapter to merge.")],
    out: Out,
    model: ModelName = "gemma-3-270m",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Merge an adapter into its base: a plain transformers folder."""
    require_file(adapter / "adapter_config.json", "--adapter")
    with hold_folder(out):
        base = find_model_folder(model, adapter)
        from kot_platypus.train.merge import merge_adapter  # loads torch, so it comes last

        merge_adapter(base, adapter, out, trust_remote_code=trust_remote_code)
    print(out)


@app.command(
    epilog=example(
        "kot export runs/demo/merged --gguf demo.gguf",
        "kot export merged --gguf mine.gguf --dtype bf16",
    )
)
def export(
    folder: Annotated[Path, typer.Argument(metavar="MERGED", help="The merged model's folder.")],
    gguf: Annotated[Path, typer.Option("--gguf", metavar="FILE", help="The new file to write.")],
    dtype: Annotated[
        Literal["f16", "f32", "bf16"], typer.Option("--dtype", help="How its weights are kept.")
    ] = "f16",
) -> None:
    """Convert a merged model for llama.cpp and Ollama, with llama.cpp's own converter."""
    from kot_platypus.train.gguf_file import write_gguf

    require_file(folder / "config.json", "MERGED")
    write_gguf(folder, gguf, dtype)
    print(gguf)


@app.command(
    "serve-check",
    epilog=example("kot serve-check runs/demo/merged --base-url http://localhost:8000/v1"),
)
def serve_check(
    folder: Annotated[Path, typer.Argument(metavar="MERGED", help="The merged model's folder.")],
    base_url: Annotated[str, typer.Option(help="Where it is served, e.g. by vLLM.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its name there; left out: the folder's path.")
    ] = "",
) -> None:
    """Check that a server asks a merged model exactly as it was trained to be asked."""
    from kot_platypus.train.serving import check_server

    require_file(folder / "config.json", "MERGED")
    how = check_server(folder, base_url, model or str(folder))
    what = "every token" if how == "tokens" else "the number of tokens (it does not tell them)"
    print(f"The server's prompts are those of training: {what}.")
