"""What ``kot train --dry-run`` shows: the size of a training, where each figure comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from rich.console import Group
from rich.table import Table

from kot_platypus.errors import DataError, ModelError
from kot_platypus.methods import METHODS
from kot_platypus.progress import print_notice
from kot_platypus.recipe import TrainSection
from kot_platypus.recipe_files import Section
from kot_platypus.records import Row
from kot_platypus.schedule import count_eval_steps, count_warmup, describe_length

if TYPE_CHECKING:
    from kot_platypus.recipe import Recipe, SourceSection
    from kot_platypus.train.estimate import Estimate, Lengths, Measurement

_MEMORY_NOTES = {
    "base weights": "held in {held}",
    "adapter weights": "float32, as are gradients{and_states}",
    "gradients": "one for each trainable parameter",
    "optimizer states": "{optim}: two for each trainable parameter",
    "activations": "what a pass of {tokens:,} tokens keeps for its backward pass",
    "logits": "one block of the output layer",
}


def describe_training(recipe: Recipe, data: Sequence[SourceSection], *, measure: bool) -> Group:
    """Count and, if asked, measure what a recipe's training takes. Needs no Hub and no weights.

    Raises KotError when neither model nor rows are known here.
    """
    from kot_platypus.models import build_empty_model, find_model, resolve_device, resolve_dtype
    from kot_platypus.progress import show_status

    folder = find_model(recipe.model.name, recipe.model.revision)
    architecture, origin = _find_architecture(recipe, folder)

    # These load torch, so they come last.
    from kot_platypus.models.limits import CANNOT, is_out_of_memory
    from kot_platypus.models.rows import count_embeddings
    from kot_platypus.train.estimate import estimate_training, measure_pass, prepare_empty
    from kot_platypus.train.isolation import isolates_in_small
    from kot_platypus.train.loss import unwrap

    device = resolve_device(recipe.model.device)
    dtype = resolve_dtype(recipe.model.dtype, device, architecture)
    model = build_empty_model(architecture, trust_remote_code=recipe.model.trust_remote_code)
    tokenizer, added = _load_tokenizer(recipe, folder, count_embeddings(model))
    model = prepare_empty(model, recipe.train, dtype, added)
    found = _find_examples(recipe, data, tokenizer, model)
    lengths = found.lengths
    train, trust = recipe.train, recipe.model.trust_remote_code
    if train.max_tokens_per_pass > 1 and measure:
        longest = max(lengths.tokens)
        if not isolates_in_small(unwrap(model), longest, trust_remote_code=trust):
            train = train.model_copy(update={"max_tokens_per_pass": 1})
    measurement = None
    try:
        estimate = estimate_training(model, train, lengths)
        if measure:
            with show_status("Measuring one layer on this device"):
                measurement = measure_pass(model, train, lengths, device=device, dtype=dtype)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{type(unwrap(model)).__name__} cannot be counted without its weights ({error})",
            expected="an architecture that runs without them, and with a single layer",
            hint="Count without a measurement (--no-measure), or begin the training itself.",
        ) from error
    return Group(
        f"[bold]{recipe.name}[/bold]: {recipe.description}",
        _tabulate_work(train, estimate, found, f"{recipe.model.name}: {origin}"),
        _tabulate_memory(estimate, train, dtype),
        _describe_time(estimate, measurement, device, dtype),
        *_describe_surprises(estimate, len(lengths.tokens), train),
        "Nothing was trained (--dry-run).",
    )


# --- what is known -----------------------------------------------------------------------------


class Architecture(Section):
    """A model's shape: values of its config.json, and a note on where they come from."""

    note: str
    config: dict[str, Any]


class Known(Section):
    """The shipped facts and the assumptions in place of those that are not published."""

    datasets: dict[str, int]
    """A dataset's Hub id -> its published number of rows."""
    tokens_per_row: int
    """Assumed mean of prompt and response together."""
    response_share: float
    """Assumed part of them that is learnt."""
    models: dict[str, str]
    """A model's name -> its architecture."""
    architectures: dict[str, Architecture]

    def find_architecture(self, model: str) -> Architecture | None:
        """The architecture of a model by its name, or None."""
        name = self.models.get(model)
        return self.architectures[name] if name else None


@cache
def load_known() -> Known:
    """The facts of ``recipes/offline/known.yaml``."""
    path = files("kot_platypus") / "recipes" / "offline" / "known.yaml"
    return Known.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def _find_architecture(recipe: Recipe, folder: Path | None) -> tuple[Path | dict[str, Any], str]:
    """The config of the recipe's model, and where it comes from."""
    if folder is not None:
        return folder, f"{folder.name}/config.json"
    known = load_known().find_architecture(recipe.model.name)
    if known is None:
        raise ModelError(
            f"the architecture of {recipe.model.name} is not known here",
            expected=f"a local folder, or one of {', '.join(load_known().models)}",
            hint="Download the model's config.json and pass its folder: --set model.name=FOLDER",
        )
    return known.config, known.note


class Found(NamedTuple):
    """The examples to train on, and how many to validate on."""

    lengths: Lengths
    origin: str
    """Where their number comes from."""
    how: str
    """Where their lengths come from."""
    num_validation: int = 0
    validation: str = ""
    """Where the validation rows come from."""


def _find_examples(
    recipe: Recipe, data: Sequence[SourceSection], tokenizer: Any, model: Any
) -> Found:
    """Encoded where rows and tokenizer are here; else as many as are published, of assumed length.

    Without those to validate on.
    """
    from kot_platypus.train.estimate import Lengths
    from kot_platypus.train.validation import hold_out

    rows, count, origin = _find_rows(recipe, data)
    share = recipe.train.validation
    if rows and tokenizer is not None:
        split = hold_out(rows, recipe.train, recipe.seed, data)
        lengths = _encode_lengths(recipe, split.train, tokenizer, model, origin)
        dropped = len(split.train) - len(lengths.tokens)
        origin += f"; {dropped} dropped" if dropped else ""
        if not split.validation:
            return Found(lengths, origin, "counted")
        source = split.name or origin
        validated = _encode_lengths(recipe, split.validation, tokenizer, model, source)
        note = split.note.removeprefix("Validation: ")
        return Found(lengths, origin, "counted", len(validated.tokens), note)
    known = load_known()
    tokens = min(known.tokens_per_row, recipe.train.cutoff_len)
    labels = round(tokens * known.response_share)
    held = max(1, round(share * count)) if isinstance(share, float) else 0
    lengths = Lengths((tokens,) * (count - held), (labels,) * (count - held))
    return Found(lengths, origin, "assumed", held, f"a share of {share}" if held else "")


def _find_rows(recipe: Recipe, data: Sequence[SourceSection]) -> tuple[list[Row], int, str]:
    """The rows that are here (none if one source is on the Hub), their number, and its origin."""
    from kot_platypus.data.build import load_source, load_sources
    from kot_platypus.row_sources import read_sources

    if data:
        loaded = read_sources(data)
        rows, name = loaded.rows, loaded.name
        if not rows:
            raise DataError(f"{name} holds no rows", expected="at least one", hint="Check it.")
        for line in loaded.describe():
            print_notice(line)
        return rows, len(rows), name
    sources = recipe.data.sources
    if all(source.name != "hub" for source in sources):
        rows = [row for part in load_sources(recipe.data.sources, recipe.seed) for row in part]
        return rows, len(rows), "the recipe's rows"
    count, published = 0, load_known().datasets
    for i, source in enumerate(sources):
        if source.name == "hub" and not source.rows and source.path not in published:
            raise DataError(
                f"how many rows {source.path} has is not known here",
                expected=f"--data FILE, or one of {', '.join(published)}",
                hint="Download the dataset and pass it with --data.",
            )
        known = source.rows or published.get(source.path or "")
        known = known and round(known * source.weight)
        count += known or len(load_source(source, recipe.seed + i))
    return [], count, "published"


def _encode_lengths(
    recipe: Recipe, rows: Mapping[int, Row], tokenizer: Any, model: Any, source: str
) -> Lengths:
    from kot_platypus.prompts import load_template
    from kot_platypus.train.encoding import Encoder, check_fit, encode_items, keep_encoded
    from kot_platypus.train.estimate import Lengths
    from kot_platypus.train.items import list_halves
    from kot_platypus.train.loss import unwrap

    section = recipe.train
    template = load_template(section.template, section.enable_thinking)
    encoder = Encoder(template, section, tokenizer)
    encoded = keep_encoded(
        encode_items(encoder, list(rows.values()), source=source, numbers=rows), section
    )
    check_fit(unwrap(model), list_halves(encoded))
    return Lengths(
        tuple(item.num_tokens for item in encoded), tuple(item.num_labels for item in encoded)
    )


def _load_tokenizer(recipe: Recipe, folder: Path | None, rows: int) -> tuple[Any, list[int]]:
    """The model's, its chat template with the date of the training; and the new tokens' ids.

    Without a tokenizer here, as if the model's own filled all ``rows``.
    """
    from kot_platypus.models import has_tokenizer
    from kot_platypus.models.new_tokens import load_vocabulary
    from kot_platypus.prompts import load_template
    from kot_platypus.train.dates import pin_date

    section = recipe.train
    if folder is None or not has_tokenizer(folder):
        return None, list(range(rows, rows + len(section.new_tokens)))
    trust = {"trust_remote_code": recipe.model.trust_remote_code}
    vocabulary = load_vocabulary(folder, section.new_tokens, **trust)
    template = load_template(section.template, section.enable_thinking)
    pin_date(vocabulary.tokenizer, template, section)
    return vocabulary.tokenizer, sorted(vocabulary.added.values())


# --- how it is shown ---------------------------------------------------------------------------


def _tabulate_work(train: TrainSection, estimate: Estimate, found: Found, origin: str) -> Table:
    lengths = found.lengths
    trainable = estimate.trainable_parameters
    steps, passes = estimate.optimizer_steps, estimate.passes
    size = f"at most {train.max_tokens_per_pass:,} tokens"
    if train.max_tokens_per_pass == 1:
        size = "one example"
    rows = {
        "parameters": (estimate.parameters, origin),
        "trainable parameters": (
            trainable,
            f"{trainable / estimate.parameters:.2%}: {_describe_method(train)}",
        ),
        "examples": (len(lengths.tokens), found.origin),
        "tokens per example": (
            lengths.mean_tokens,
            f"{lengths.mean_labels:,.0f} of them labels; {found.how}",
        ),
        "optimizer steps": (
            steps,
            f"{describe_length(train)}, batch_size {train.batch_size}, "
            f"{count_warmup(steps, train)} of them warm-up",
        ),
        "tokens": (estimate.tokens, f"{estimate.trained_tokens:,} of them labels"),
        "packs (passes)": (passes, f"{passes / steps:.1f} a step, of {size}"),
    }
    if found.num_validation:
        rows["validation examples"] = (found.num_validation, found.validation)
        looks = math.ceil(steps / count_eval_steps(len(lengths.tokens), train))
        rows["evaluations"] = (looks, _describe_evaluations(train))
    table = _new_table()
    for name, (value, note) in rows.items():
        table.add_row(name, f"{value:,.0f}", note)
    return table


def _describe_evaluations(train: TrainSection) -> str:
    often = f"every {train.eval_steps} steps" if train.eval_steps else "at the end of each epoch"
    kept = "lowest loss" if train.load_best_model_at_end else "last step"
    patience = train.early_stopping_patience
    ending = f"; the training ends after {patience} that are no better" if patience else ""
    return f"{often}; the weights of the {kept} are kept{ending}"


def _describe_method(train: TrainSection) -> str:
    method, modules = METHODS[train.method], train.lora_target_modules
    names = modules if isinstance(modules, str) else ", ".join(modules)
    return method.describe(train.lora_r) + (f" on {names}" if method.makes_adapter else "")


def _tabulate_memory(estimate: Estimate, train: TrainSection, dtype: str) -> Table:
    method = METHODS[train.method]
    held = method.base_dtype(dtype)
    if method.quantization:
        held = f"4 bits; what is no linear layer in {held}"
    table = _new_table()
    optimizer = {
        "optim": "AdamW" if train.optim == "adamw_torch" else train.optim,
        "and_states": "" if "8bit" in train.optim else " and optimizer states",
    }
    for kind, size in estimate.memory.items():
        note = _MEMORY_NOTES[kind].format(held=held, tokens=estimate.largest_pass, **optimizer)
        table.add_row(kind, _format_bytes(size), note)
    total = sum(estimate.memory.values())
    table.add_row("memory", _format_bytes(total), "their sum; allocator and libraries take more")
    return table


def _new_table() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=20)
    table.add_column(justify="right", min_width=16)
    table.add_column(style="dim")
    return table


def _format_bytes(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:,.1f} MiB"


def _describe_time(
    estimate: Estimate, measurement: Measurement | None, device: str, dtype: str
) -> str:
    if measurement is None:
        return "time: not measured (--no-measure)"
    return (
        f"time: about {_format_time(measurement.extrapolate(estimate.tokens))} on this {device} in "
        f"{dtype}. Measured: one layer, forward and backward, {measurement.num_tokens:,} tokens, "
        f"{measurement.layer_s:.3g} s; output layer and loss {measurement.head_s:.3g} s. "
        f"Extrapolated: {measurement.num_layers} layers, {estimate.tokens:,} tokens, in "
        "proportion; optimizer steps, checkpoints and evaluations not included."
    )


def _describe_surprises(estimate: Estimate, num_examples: int, train: TrainSection) -> list[str]:
    """What a recipe made for thousands of rows does to a few, and would do in silence."""
    lines = []
    if count_warmup(estimate.optimizer_steps, train) >= estimate.optimizer_steps:
        setting = "warmup_steps" if train.warmup_steps else "warmup_ratio"
        lines.append(
            f"Note: warm-up takes {train.warmup_steps or estimate.optimizer_steps} steps, so the "
            f"learning rate never reaches {train.learning_rate:g}. Lower train.{setting}."
        )
    left_out = num_examples % min(train.batch_size, num_examples)
    if train.last_batch == "drop" and left_out:
        lines.append(
            f"Note: each epoch leaves out {left_out} of the {num_examples:,} examples, which fill "
            "no batch. train.last_batch=keep takes them too."
        )
    return lines


def _format_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
