"""The train stage: examples and a base model in; an adapter, or a trained model, out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, set_seed

from kot_platypus.artifacts import hash_files, hash_value, write_text
from kot_platypus.errors import RecipeError
from kot_platypus.models import (
    TrainingInfo,
    build_empty_model,
    fingerprint_model,
    name_on_hub,
    read_training_info,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.models.new_tokens import Vocabulary, load_vocabulary
from kot_platypus.models.parts import name_auto_class
from kot_platypus.models.rows import add_rows
from kot_platypus.models.tokens import READING
from kot_platypus.models.training_info import PROCESSOR_TEMPLATE
from kot_platypus.packages import require_packages
from kot_platypus.processes import (
    ask_main,
    count_processes,
    is_main_process,
    spreads_weights,
)
from kot_platypus.progress import console, print_notice
from kot_platypus.prompts import Template, load_template
from kot_platypus.recipe import ModelSection, SourceSection, TrainSection
from kot_platypus.records import drop_defaults
from kot_platypus.schedule import count_examples
from kot_platypus.stages import open_stage
from kot_platypus.train.checkpoints import find_checkpoint, go_back, list_checkpoints
from kot_platypus.train.dates import keep_date, pin_date
from kot_platypus.train.encoding import check_fit
from kot_platypus.train.exam import Answer, Exam, make_exam
from kot_platypus.train.examples import Examples, heed_verdicts, identify_inputs, read_examples
from kot_platypus.train.items import Item, list_halves
from kot_platypus.train.kept_rows import keep_rows
from kot_platypus.train.loss import unwrap
from kot_platypus.train.methods import describe_method, keep_adapters, load_trainable, save_trained
from kot_platypus.train.preferences import REWARDS, add_reference
from kot_platypus.train.residual import conversion, keep_start
from kot_platypus.train.setup import is_cast, make_arguments, make_trainer
from kot_platypus.train.trainer import PackingTrainer, list_steps
from kot_platypus.train.validation import EVALUATED, choose_evaluation, describe_course

# What changes neither the result nor what it means: an interrupted training goes on without it.
_NO_IDENTITY = {
    "allow_contaminated",
    "baseline_targets",
    *("eval_generate_epochs", "eval_generate_rows", "eval_generate_tokens"),
    "gradient_checkpointing",
    "logging_steps",
    "report_to",
    "save_steps",
    "save_total_limit",
    "validation_columns",  # told with the rows that they are of
}
_OF_VALIDATION = {"validation", "eval_steps", "load_best_model_at_end", "early_stopping_patience"}
# Settings that came later: a folder from before them is one of their defaults.
_LATER = _OF_VALIDATION | {
    *("max_steps", "warmup_ratio", "rank_pattern", "alpha_pattern", "use_rslora"),
    *("init_lora_weights", "loraplus_lr_ratio", "neftune_noise_alpha", "optim", "date"),
    *("new_tokens", "modules_to_save", "objective", "beta"),
}

_LOGGED = ("step", "loss", *REWARDS, "learning_rate", "epoch", *EVALUATED)
_CHECKPOINTS = "checkpoints"
_EVENTS = "runs"
"""Where HF's Trainer has TensorBoard write, below the folder of its checkpoints."""


def train_adapter(
    data: Path | Sequence[SourceSection],
    base: Path,
    out: Path,
    section: TrainSection,
    model_section: ModelSection,
    *,
    seed: int = 42,
    data_seed: int | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    resume_from_checkpoint: str | None = None,
    answer: Answer | None = None,
) -> None:
    """Train on ``data``, a file or sources of rows; write ``out/adapter`` and ``out/log.jsonl``.

    ``method: full`` writes ``out/model`` instead of an adapter. A finished ``out`` is left alone;
    an interrupted one goes on from its last intact checkpoint with the same result, bit for bit on
    one CPU. Under torchrun every process calls this and computes its share of each step; the
    main one writes, on a disk that all machines see.

    Of ``model_section`` device and dtype are taken, not its name. ``seed`` is that of the order of
    examples, of fresh adapter weights and of dropout; ``data_seed`` (left out: ``seed``) that of
    the validation rows. ``resume_from_checkpoint`` names the checkpoint to go on from in place of
    the last; those after it are removed. ``answer`` asks and reads, where ``eval_generate_epochs``
    wants answers. Raises KotError for anything wrong with the rows, model,
    settings or folder.
    """
    device = resolve_device(model_section.device)
    dtype = resolve_dtype(model_section.dtype, device, base)
    trust: dict[str, Any] = {"trust_remote_code": model_section.trust_remote_code}
    base_fingerprint = ask_main(lambda: fingerprint_model(base))
    data_seed = seed if data_seed is None else data_seed
    template = load_template(section.template, section.enable_thinking)
    own = {"tokens": READING, "dtype": dtype, **(trust if model_section.trust_remote_code else {})}
    sources = [SourceSection(name="file", path=str(data))] if isinstance(data, Path) else data
    described, inputs = identify_inputs(sources, section)
    config = {**_describe_settings(section, data_seed), **own, **described, "seed": seed}
    inputs |= {"base": base_fingerprint, **_hash_templates(template, section.template, base)}
    with open_stage(out, "train", config=config, inputs=inputs) as stage:
        if resume_from_checkpoint:
            ask_main(partial(go_back, out / _CHECKPOINTS, resume_from_checkpoint))
        if stage.is_done:
            return
        _require_tools(section, device)
        verdict = heed_verdicts(sources, section)
        vocab = load_vocabulary(base, section.new_tokens, **trust)
        tokenizer, kept = vocab.tokenizer, out / _CHECKPOINTS
        day = pin_date(tokenizer, template, section, kept)
        examples = read_examples(sources, template, section, tokenizer, data_seed, kept)
        _check_fit(base, vocab, examples, **trust)
        exam = make_exam(section, template, tokenizer, examples, answer)
        set_seed(seed)
        at: dict[str, Any] = {"seed": seed, "dtype": dtype, "device": device}
        trainer, is_packed = _prepare(examples, base, out, section, vocab, at, callbacks, **trust)
        parameters = _count_parameters(trainer.model)
        keep_date(kept, day)
        log = _fit(trainer, kept, exam)
        facts = _count_facts(examples.train, section, trainer.state.global_step) | parameters
        facts |= examples.facts | vocab.facts | {"is_packed": is_packed, **_describe_base(base)}
        facts |= _conclude_validation(examples, log, section)
        info = _describe(section, base_fingerprint, template, tokenizer.chat_template, day)
        made = (trainer.model, vocab, trainer.gather_weights())
        ask_main(lambda: _save(*made, out, base, info, log, section, **trust))
        stage.facts = {**facts, "contamination": verdict.model_dump() if verdict else None}


def _describe_base(base: Path) -> dict[str, Any]:
    return {"base_model": name_on_hub(base), "auto_class": name_auto_class(base)}


def _check_fit(base: Path, vocabulary: Vocabulary, examples: Examples, **trust: bool) -> None:
    """Raise ModelError unless the model has a place for every token of every example."""
    empty = build_empty_model(base, **trust)
    add_rows(empty, vocabulary.added.values())
    check_fit(empty, list_halves([*examples.train, *examples.validation]))


def _describe_settings(section: TrainSection, data_seed: int) -> dict[str, Any]:
    """What of the section decides the result; without validation rows, as before there were any."""
    is_file = isinstance(section.validation, str)  # known by its content
    unused = _OF_VALIDATION if section.validation is None else {"validation"} if is_file else set()
    settings = section.model_dump(mode="json", exclude=_NO_IDENTITY | unused)
    settings = drop_defaults(section, settings, _LATER)
    return settings | ({"data_seed": data_seed} if "validation" in settings else {})


def _require_tools(section: TrainSection, device: str) -> None:
    """Raise KotError where a package is missing, or the optimizer has nothing to page."""
    require_packages(section)
    optim = section.optim
    if optim.startswith("paged") and device != "cuda":
        raise RecipeError(
            f"train.optim {optim} on {device}",
            expected="a CUDA device, whose memory it pages out",
            hint=f"Set train.optim={'adamw_8bit' if '8bit' in optim else 'adamw_torch'}.",
        )


def _compare_templates(section: TrainSection, before: Template | None) -> None:
    """Say where a model is asked otherwise than it learnt to be."""
    template = load_template(section.template, section.enable_thinking)
    if before is not None and before != template:
        print_notice(
            f"Warning: the model was trained with the template {before.name}, and its pairs are "
            f"shown in {template.name} (train.template)"
        )


def _hash_templates(template: Template, name: str, base: Path) -> dict[str, str]:
    """The hashes of files that frame rows, so that a change of one is said by name."""
    hashes = {}
    if name != template.name:  # a file of the user's
        hashes["template"] = hash_value(template.model_dump())
    if template.chat:
        hashes["chat_template"] = hash_files(base, ("*.jinja", PROCESSOR_TEMPLATE))
    return hashes


def _describe(
    section: TrainSection, base: str, template: Template, chat_template: Any, day: date | None
) -> TrainingInfo:
    """What the result's folder says of its training."""
    return TrainingInfo(
        base=base,
        target=section.target,
        **describe_method(section),
        template=template,
        chat_template=chat_template,
        **({"date": day} if day else {}),
    )


def _save(
    model: Any,
    vocabulary: Vocabulary,
    weights: dict[str, Tensor] | None,
    out: Path,
    base: Path,
    info: TrainingInfo,
    log: str,
    section: TrainSection,
    **trust: bool,
) -> None:
    """Write what a finished training leaves.

    Of its checkpoints that is TensorBoard's files and ``save_total_limit`` adapters.
    """
    checkpoints = out / _CHECKPOINTS
    options = conversion(model, checkpoints)
    whole: dict[str, Any] = {"vocabulary": vocabulary, "weights": weights, **trust, **options}
    save_trained(model, out, base, info, **whole)
    if section.save_total_limit:
        last = list_checkpoints(checkpoints)[-section.save_total_limit :]
        keep_adapters(model, last, out, info, vocabulary, **options)
    write_text(out / "log.jsonl", log)
    if (events := checkpoints / _EVENTS).is_dir():
        shutil.copytree(events, out / _EVENTS, dirs_exist_ok=True)
    shutil.rmtree(checkpoints, ignore_errors=True)


def _prepare(
    examples: Examples,
    base: Path,
    out: Path,
    section: TrainSection,
    vocabulary: Vocabulary,
    at: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
    **trust: bool,
) -> tuple[PackingTrainer, bool]:
    """The trainer of ``base``, and whether it packs: not every model keeps examples apart."""
    place = "cpu" if spreads_weights() else at["device"]  # it may be too large for one GPU
    encoded, validation = examples.train, examples.validation
    longest = max(item.num_tokens for item in list_halves([*encoded, *validation]))
    added = vocabulary.added.values()
    held: dict[str, Any] = {"dtype": at["dtype"], "device": place, **trust}
    model, max_tokens = load_trainable(base, section, longest=longest, added=added, **held)
    keep_start(model, out / _CHECKPOINTS)
    keep_rows(out / _CHECKPOINTS, examples.encoded)
    arguments = make_arguments(section, len(encoded), out / _CHECKPOINTS, **at)
    passes = section.model_copy(update={"max_tokens_per_pass": max_tokens})
    if section.takes_pairs:
        _compare_templates(section, read_training_info(base).template)
    if section.objective == "dpo":
        cast = torch.autocast(at["device"], getattr(torch, at["dtype"]), enabled=is_cast(**at))
        both = add_reference(model, [*encoded, *validation], passes, out / _CHECKPOINTS, cast)
        encoded, validation = both[: len(encoded)], both[len(encoded) :]
    trainer = make_trainer(model, encoded, passes, arguments, callbacks, validation=validation)
    return trainer, max_tokens > 1


def _count_facts(encoded: Sequence[Item], section: TrainSection, steps: int) -> dict[str, Any]:
    """The manifest's facts. Tokens seen are expected ones where an epoch drops its last batch."""
    epochs = count_examples(len(encoded), section, steps) / len(encoded)
    return {
        "num_examples": len(encoded),
        "num_cut": sum(item.num_truncated > 0 for item in encoded),
        "num_processes": count_processes(),
        "optimizer_steps": steps,
        "tokens_seen": round(epochs * sum(item.num_tokens for item in encoded)),
        "trained_tokens_seen": round(epochs * sum(item.num_labels for item in encoded)),
    }


def _count_parameters(model: Any) -> dict[str, int]:
    return {
        "parameters": unwrap(model).num_parameters(),  # also counts a quantised model's right
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def _conclude_validation(examples: Examples, log: str, section: TrainSection) -> dict[str, Any]:
    """Say how the validation went. Facts for the manifest: its rows, and what is kept of it."""
    if not examples.validation:
        return {}
    lines = [json.loads(line) for line in log.splitlines()]
    keeps_best = section.load_best_model_at_end
    print_notice(describe_course(lines, keeps_best=keeps_best))
    return {
        "validation": {
            "num_rows": len(examples.split.validation),
            "num_examples": len(examples.validation),
            "num_known": examples.split.num_known,
            **choose_evaluation(lines, keeps_best=keeps_best),
        }
    }


def _fit(trainer: PackingTrainer, checkpoints: Path, exam: Exam | None) -> str:
    """Train in place; return the log as JSONL text: a line a step with what ``_LOGGED`` names.

    ``checkpoints`` receives resumable states and is looked into for one to go on from.
    """
    trainer.exam = exam
    resume = ask_main(lambda: find_checkpoint(checkpoints))
    if resume and is_main_process():
        step = resume.name.split("-")[1]
        console.print(f"  Going on from step {step} of {trainer.args.max_steps}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if trainer.state.best_global_step is not None:
        trainer.load_best()
    lines = ({k: line[k] for k in _LOGGED if k in line} for line in list_steps(trainer.state))
    return "".join(json.dumps(line) + "\n" for line in lines)
