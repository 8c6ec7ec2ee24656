"""The train stage: examples and a base model in, a LoRA adapter out."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback

from kot_platypus.artifacts import Stage, hash_file, hash_files, new_folder, write_json, write_text
from kot_platypus.errors import DataError, ModelError
from kot_platypus.formats import read_rows
from kot_platypus.models import (
    ADAPTER_INFO,
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.progress import console, show_progress
from kot_platypus.prompts import Template, load_template
from kot_platypus.recipe import ModelSection, Target, TrainSection
from kot_platypus.train.checkpoints import SealCheckpoints, find_checkpoint
from kot_platypus.train.encoding import Encoded, encode_example
from kot_platypus.train.loss import pack_loss
from kot_platypus.train.packing import Pack, pack_batch


def train_adapter(
    data: Path,
    base: Path,
    out: Path,
    section: TrainSection,
    model_section: ModelSection,
    *,
    target: Target | None = None,
    seed: int = 42,
) -> None:
    """Train on ``data`` (rows as in ``formats``) and write ``out/adapter`` and ``out/log.jsonl``.

    ``target`` overrides the section's. A finished ``out`` is left alone; an interrupted one goes
    on from its last intact checkpoint with the same result, bit for bit on one CPU.
    """
    target = target or section.target
    device = resolve_device(model_section.device)
    dtype = resolve_dtype(model_section.dtype, device)
    base_fingerprint = fingerprint_model(base)
    template = load_template(section.template)
    stage = Stage(
        out,
        "train",
        config={
            **section.model_dump(mode="json", exclude={"baseline_targets", "report_to"}),
            "target": target,
            "seed": seed,
            "dtype": dtype,
        },
        inputs={"data": hash_file(data), "base": base_fingerprint, **_hash_chat(template, base)},
    )
    if stage.is_done:
        return
    tokenizer = load_tokenizer(base, trust_remote_code=model_section.trust_remote_code)
    encoded, num_dropped = _encode_rows(data, template, target, tokenizer, section.cutoff_len)
    stage.begin()  # only now: rows that had to be mended first leave no claim behind
    set_seed(seed)
    model = load_model(
        base, dtype=dtype, device=device, trust_remote_code=model_section.trust_remote_code
    )
    model = add_lora(model, section)
    history = fit_adapter(model, encoded, section, out / "checkpoints", seed=seed, title=target)
    info = {
        "base": base_fingerprint,
        "template": template.model_dump(),
        "chat_template": tokenizer.chat_template,
        "target": target,
    }
    with new_folder(out / "adapter") as folder:
        model.save_pretrained(folder)
        write_json(folder / ADAPTER_INFO, info)
    write_text(out / "log.jsonl", history)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    stage.finish(num_dropped=num_dropped, **_count_facts(model, encoded, section))


def _hash_chat(template: Template, base: Path) -> dict[str, str]:
    """The hash of the chat template's file, if it is used: the base's fingerprint leaves it out."""
    return {"chat_template": hash_files(base, ("*.jinja",))} if template.chat else {}


def _count_facts(model: Any, encoded: Sequence[Encoded], section: TrainSection) -> dict[str, int]:
    """The manifest's facts. Tokens seen are expected ones where an epoch drops its last batch."""
    steps = _num_steps(len(encoded), section)
    shown = section.num_epochs * len(encoded)
    if section.last_batch == "drop":
        shown = steps * min(section.batch_size, len(encoded))
    return {
        "num_examples": len(encoded),
        "optimizer_steps": steps,
        "tokens_seen": round(shown / len(encoded) * sum(len(item.ids) for item in encoded)),
        "trained_tokens_seen": round(
            shown / len(encoded) * sum(item.num_targets for item in encoded)
        ),
        "parameters": sum(p.numel() for p in model.get_base_model().parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def _encode_rows(
    data: Path, template: Template, target: Target, tokenizer: Any, cutoff_len: int
) -> tuple[list[Encoded], int]:
    """The examples that fit, and how many do not. Raises DataError when none does."""
    rows = read_rows(data)
    encoded = [
        item
        for row in rows
        if (item := encode_example(row, template, target, tokenizer, cutoff_len))
    ]
    if not encoded:
        raise DataError(
            f"none of the {len(rows)} rows of {data} has anything to learn with target {target!r} "
            f"and cutoff_len {cutoff_len}",
            expected="at least one",
            hint="Look at them with: kot train --preview" if rows else "The file holds no rows.",
        )
    return encoded, len(rows) - len(encoded)


def add_lora(model: Any, section: TrainSection) -> Any:
    """``model`` with fresh LoRA weights, in float32 whatever the base's dtype, ready to train.

    Raises ModelError when the model has none of ``lora_target_modules``.
    """
    modules = section.lora_target_modules
    config = LoraConfig(
        r=section.lora_r,
        lora_alpha=section.lora_alpha,
        lora_dropout=section.lora_dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"no LoRA for {modules} ({str(error).splitlines()[0][:200]})",
            expected="names of the model's linear layers, or all-linear",
            hint="Set train.lora_target_modules.",
        ) from error


def fit_adapter(
    model: Any,
    encoded: Sequence[Encoded],
    section: TrainSection,
    checkpoints: Path,
    *,
    seed: int,
    title: str = "",
) -> str:
    """Train ``model`` in place; return the log as JSONL text (step, loss, learning_rate, epoch).

    ``checkpoints`` receives resumable states and is looked into for one to go on from.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    arguments = _make_arguments(section, len(encoded), checkpoints, seed=seed, use_cpu=on_cpu)
    trainer = PackingTrainer(
        model=model,
        args=arguments,
        train_dataset=list(encoded),
        data_collator=lambda batch: {
            "packs": pack_batch(batch, section.max_tokens_per_pass, section.loss_weighting)
        },
        callbacks=[SealCheckpoints(), _ShowProgress(f"Training ({title})")],
    )
    trainer.remove_callback(PrinterCallback)
    resume = find_checkpoint(checkpoints)
    if resume:
        console.print(f"  Going on from step {resume.name.split('-')[1]} of {arguments.max_steps}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    keys = ("step", "loss", "learning_rate", "epoch")
    rows = [entry for entry in trainer.state.log_history if "loss" in entry]
    return "".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows)


def _make_arguments(
    section: TrainSection, num_examples: int, checkpoints: Path, *, seed: int, use_cpu: bool
) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=min(section.batch_size, num_examples),
        num_train_epochs=section.num_epochs,
        max_steps=_num_steps(num_examples, section),
        learning_rate=section.learning_rate,
        lr_scheduler_type=section.lr_scheduler,
        warmup_steps=section.warmup_steps,
        weight_decay=section.weight_decay,
        max_grad_norm=section.max_grad_norm,
        optim="adamw_torch",
        dataloader_drop_last=section.last_batch == "drop",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_steps=1,
        save_steps=section.save_steps,
        save_total_limit=2,
        report_to=list(section.report_to) or "none",
        disable_tqdm=True,
        seed=seed,
        use_cpu=use_cpu,
    )
    # One process, one device: several GPUs take several processes, not torch's DataParallel,
    # whose wrapper would hide the model from pack_loss.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class PackingTrainer(Trainer):  # type: ignore[misc]
    """HF's Trainer, whose batch is an optimizer step's examples and whose passes are packs."""

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, list[Pack]],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """One forward and backward pass for each pack; their losses sum to the step's loss."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        for pack in inputs["packs"]:
            loss = pack_loss(model, pack.to(self.args.device))
            self.accelerator.backward(loss)
            total += loss.detach()
        return total


class _ShowProgress(TrainerCallback):  # type: ignore[misc]
    """Our progress line in place of the trainer's."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._stack = ExitStack()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        steps = state.max_steps - state.global_step
        self._advance = self._stack.enter_context(show_progress(self._title, steps, "steps"))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if logs and "loss" in logs:
            self._advance(1, f"loss {logs['loss']:.3f}  lr {logs['learning_rate']:.1e}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._stack.close()


def _num_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of the whole training: full batches an epoch, and the rest if kept."""
    batch = min(section.batch_size, num_examples)
    full = num_examples // batch
    per_epoch = full if section.last_batch == "drop" else math.ceil(num_examples / batch)
    return per_epoch * section.num_epochs
