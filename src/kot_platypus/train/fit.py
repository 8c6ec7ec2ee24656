"""The train stage: examples and a base model in; an adapter, or a trained model, out."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from kot_platypus.artifacts import hash_file, hash_files, write_text
from kot_platypus.errors import DataError
from kot_platypus.formats import read_rows
from kot_platypus.models import (
    TrainingInfo,
    build_empty_model,
    fingerprint_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.models.tokens import READING
from kot_platypus.processes import (
    ask_main,
    count_processes,
    is_main_process,
    process_rank,
    spreads_weights,
)
from kot_platypus.progress import console, print_notice
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, TrainSection, require_reporters
from kot_platypus.stages import open_stage
from kot_platypus.train.encoding import Encoded, check_fit, encode_rows, keep_encoded
from kot_platypus.train.loss import unwrap
from kot_platypus.train.methods import describe_method, load_trainable, save_trained
from kot_platypus.train.packing import pack_batch
from kot_platypus.train.trainer import (
    KeepLog,
    PackingTrainer,
    SealCheckpoints,
    ShowProgress,
    find_checkpoint,
)
from kot_platypus.verdicts import Verdict, read_verdict

# What changes neither the result nor what it means: an interrupted training goes on without it.
_NO_IDENTITY = {
    "allow_contaminated",
    "baseline_targets",
    "gradient_checkpointing",
    "report_to",
    "save_steps",
}

_CHECKPOINTS = "checkpoints"
_EVENTS = "runs"
"""Where HF's Trainer has TensorBoard write, below the folder of its checkpoints."""


def train_adapter(
    data: Path,
    base: Path,
    out: Path,
    section: TrainSection,
    model_section: ModelSection,
    *,
    seed: int = 42,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train on ``data`` (rows as in ``formats``); write ``out/adapter`` and ``out/log.jsonl``.

    ``method: full`` writes ``out/model`` instead of an adapter. A finished ``out`` is left alone;
    an interrupted one goes on from its last intact checkpoint with the same result, bit for bit on
    one CPU. Under torchrun every process calls this and computes its share of each step; the
    main one writes, on a disk that all machines see.

    Of ``model_section`` device and dtype are taken, not its name. ``seed`` is that of the order of
    examples, of fresh adapter weights and of dropout. Raises KotError for anything wrong with the
    rows, model, settings or folder.
    """
    device = resolve_device(model_section.device)
    dtype = resolve_dtype(model_section.dtype, device, base)
    trust: dict[str, Any] = {"trust_remote_code": model_section.trust_remote_code}
    base_fingerprint = ask_main(lambda: fingerprint_model(base))
    settings = section.model_dump(mode="json", exclude=_NO_IDENTITY)
    template = load_template(section.template)
    own = {"tokens": READING, **(trust if model_section.trust_remote_code else {})}
    config = {**settings, **own, "seed": seed, "dtype": dtype}
    inputs = {"data": hash_file(data), "base": base_fingerprint}
    if template.chat:
        inputs["chat_template"] = hash_files(base, ("*.jinja",))  # its change is said by name
    with open_stage(out, "train", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        require_reporters(section)
        verdict = _heed_verdict(data, allow_contaminated=section.allow_contaminated)
        tokenizer = load_tokenizer(base, **trust)
        rows = read_rows(data)
        encoded = encode_rows(rows, template, section, tokenizer, source=data)
        kept = keep_encoded(encoded, section)
        check_fit(build_empty_model(base, **trust), kept)
        set_seed(seed)
        at: dict[str, Any] = {"seed": seed, "dtype": dtype, "device": device}
        trainer, is_packed = _prepare(kept, base, out, section, at, callbacks, **trust)
        facts = _count_facts(trainer.model, kept, section)
        facts |= {"num_dropped": len(rows) - len(kept), "is_packed": is_packed}
        log = _fit(trainer, out / _CHECKPOINTS)
        info = TrainingInfo(
            base=base_fingerprint,
            target=section.target,
            **describe_method(section),
            template=template,
            chat_template=tokenizer.chat_template,
        )
        weights = trainer.gather_weights()
        ask_main(lambda: _save(trainer.model, out, base, info, log, weights=weights, **trust))
        stage.facts = {**facts, "contamination": verdict.model_dump() if verdict else None}


def _save(model: Any, out: Path, base: Path, info: TrainingInfo, log: str, **options: Any) -> None:
    """Write what a finished training leaves; of its checkpoints only TensorBoard's files stay."""
    save_trained(model, out, base, info, **options)
    write_text(out / "log.jsonl", log)
    if (events := out / _CHECKPOINTS / _EVENTS).is_dir():
        shutil.copytree(events, out / _EVENTS, dirs_exist_ok=True)
    shutil.rmtree(out / _CHECKPOINTS, ignore_errors=True)


def _prepare(
    encoded: Sequence[Encoded],
    base: Path,
    out: Path,
    section: TrainSection,
    at: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
    **trust: bool,
) -> tuple[PackingTrainer, bool]:
    """The trainer of ``base``, and whether it packs: not every model keeps examples apart."""
    place = "cpu" if spreads_weights() else at["device"]  # it may be too large for one GPU
    longest = max(len(item.ids) for item in encoded)
    model, max_tokens = load_trainable(
        base, section, dtype=at["dtype"], device=place, longest=longest, **trust
    )
    arguments = make_arguments(section, len(encoded), out / _CHECKPOINTS, **at)
    passes = section.model_copy(update={"max_tokens_per_pass": max_tokens})
    return make_trainer(model, encoded, passes, arguments, callbacks), max_tokens > 1


def _heed_verdict(data: Path, *, allow_contaminated: bool) -> Verdict | None:
    """What a check for contamination said of ``data``. Raises DataError for rows of benchmarks."""
    verdict = read_verdict(data)
    if verdict is None:
        print_notice(f"{data} was not checked for contamination: kot data contamination")
    elif not verdict.is_clean and not allow_contaminated:
        raise DataError(
            f"{data} is contaminated: {verdict.describe()}",
            expected="no text of a benchmark",
            hint="Train on the clean.jsonl that kot data contamination wrote, or all the same with "
            "--set train.allow_contaminated=true.",
        )
    return verdict


def _count_facts(model: Any, encoded: Sequence[Encoded], section: TrainSection) -> dict[str, Any]:
    """The manifest's facts. Tokens seen are expected ones where an epoch drops its last batch."""
    epochs = count_examples(len(encoded), section) / len(encoded)
    return {
        "num_examples": len(encoded),
        "num_cut": sum(item.num_truncated > 0 for item in encoded),
        "num_processes": count_processes(),
        "optimizer_steps": count_steps(len(encoded), section),
        "tokens_seen": round(epochs * sum(len(item.ids) for item in encoded)),
        "trained_tokens_seen": round(epochs * sum(item.num_labels for item in encoded)),
        "parameters": unwrap(model).num_parameters(),  # also counts a quantised model's right
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def make_trainer(
    model: Any,
    encoded: Sequence[Encoded],
    section: TrainSection,
    arguments: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
) -> PackingTrainer:
    """The trainer of what ``load_trainable`` gives; each process packs its share of each batch."""

    def collate(batch: Sequence[Encoded]) -> dict[str, Any]:
        packs = pack_batch(
            batch,
            section.max_tokens_per_pass,
            section.loss_weighting,
            rank=process_rank(),
            num_processes=count_processes(),
        )
        num_tokens = sum(len(example.ids) for example in batch)
        return {"packs": packs, "num_examples": len(batch), "num_tokens": num_tokens}

    trainer = PackingTrainer(
        model=model,
        args=arguments,
        train_dataset=list(encoded),
        data_collator=collate,
        callbacks=[
            SealCheckpoints(),
            KeepLog(),
            ShowProgress(f"Training ({section.target})"),
            *callbacks,
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _fit(trainer: PackingTrainer, checkpoints: Path) -> str:
    """Train in place; return the log as JSONL text (step, loss, learning_rate, epoch).

    ``checkpoints`` receives resumable states and is looked into for one to go on from.
    """
    resume = ask_main(lambda: find_checkpoint(checkpoints))
    if resume and is_main_process():
        step = resume.name.split("-")[1]
        console.print(f"  Going on from step {step} of {trainer.args.max_steps}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    keys = ("step", "loss", "learning_rate", "epoch")
    rows = [entry for entry in trainer.state.log_history if "loss" in entry]
    return "".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows)


def make_arguments(
    section: TrainSection,
    num_examples: int,
    checkpoints: Path,
    *,
    seed: int,
    dtype: str,
    device: str,
) -> TrainingArguments:
    """The section in HF Trainer's words."""
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=min(section.batch_size, num_examples),
        num_train_epochs=section.num_epochs,
        max_steps=count_steps(num_examples, section),
        learning_rate=section.learning_rate,
        # HF's own "constant" would leave the warm-up out without a word.
        lr_scheduler_type=section.lr_scheduler.replace("constant", "constant_with_warmup"),
        warmup_steps=section.warmup_steps,
        weight_decay=section.weight_decay,
        max_grad_norm=section.max_grad_norm,
        optim="adamw_torch",
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16" and device == "cuda",
        dataloader_drop_last=section.last_batch == "drop",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,  # every pass uses all that is trained
        logging_steps=1,
        logging_nan_inf_filter=False,  # it turns a loss that is no number into 0.0
        save_steps=section.save_steps,
        save_total_limit=2,
        report_to=list(section.report_to) or "none",
        disable_tqdm=True,
        seed=seed,
        use_cpu=device == "cpu",
    )
    # One process, one device: several GPUs take several processes, not torch's DataParallel,
    # which would hand a pack to each.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def count_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of the whole training: full batches an epoch, and the rest if kept."""
    batch = min(section.batch_size, num_examples)
    full = num_examples // batch
    per_epoch = full if section.last_batch == "drop" else math.ceil(num_examples / batch)
    return per_epoch * section.num_epochs


def count_examples(num_examples: int, section: TrainSection) -> int:
    """Examples that the whole training sees: those of its steps, the last of an epoch smaller."""
    full = count_steps(num_examples, section) * min(section.batch_size, num_examples)
    return min(full, section.num_epochs * num_examples)
