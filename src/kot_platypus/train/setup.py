"""A training in the words of HF's Trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from kot_platypus.processes import count_processes, process_rank
from kot_platypus.recipe import TrainSection
from kot_platypus.schedule import count_eval_steps, count_examples, count_steps, count_warmup
from kot_platypus.train.items import Item
from kot_platypus.train.loss import unwrap
from kot_platypus.train.noise import EmbeddingNoise
from kot_platypus.train.packing import iter_packs, pack_batch
from kot_platypus.train.trainer import (
    FORWARD,
    KeepLog,
    PackingTrainer,
    SealCheckpoints,
    ShowProgress,
)
from kot_platypus.train.validation import Validate


def make_trainer(
    model: Any,
    encoded: Sequence[Item],
    section: TrainSection,
    arguments: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    validation: Sequence[Item] = (),
) -> PackingTrainer:
    """The trainer of what ``load_trainable`` gives; each process packs its share of each batch."""
    what = section.objective if section.takes_pairs else section.target
    watching: list[TrainerCallback] = [SealCheckpoints(), KeepLog()]
    if validation:  # first: the log follows from when it looks
        eval_steps = count_eval_steps(len(encoded), section)
        watching.insert(0, Validate(eval_steps, section.early_stopping_patience))

    how: dict[str, Any] = {
        "max_tokens": section.max_tokens_per_pass,
        "loss_weighting": section.loss_weighting,
        "rank": process_rank(),
        "num_processes": count_processes(),
    }

    def collate(batch: Sequence[Item]) -> dict[str, Any]:
        num_tokens = sum(example.num_tokens for example in batch)
        packs = pack_batch(batch, **how)
        return {"packs": packs, "num_examples": len(batch), "num_tokens": num_tokens}

    def count_tokens(steps: int) -> float:
        mean = sum(item.num_tokens for item in encoded) / len(encoded)
        looks = math.ceil(steps / count_eval_steps(len(encoded), section)) if validation else 0
        looked_at = sum(item.num_tokens for item in validation) * FORWARD
        return mean * count_examples(len(encoded), section, steps) + looks * looked_at

    trainer = PackingTrainer(
        model=model,
        args=arguments,
        train_dataset=list(encoded),
        data_collator=collate,
        callbacks=[*watching, ShowProgress(f"Training ({what})", count_tokens), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.iter_validation = partial(iter_packs, validation, **how)
    trainer.loraplus_lr_ratio = section.loraplus_lr_ratio
    if section.neftune_noise_alpha:
        embeddings = unwrap(model).get_input_embeddings()
        trainer.noise = EmbeddingNoise(embeddings, section.neftune_noise_alpha, arguments.seed)
    return trainer


def is_cast(dtype: str, device: str, **_: object) -> bool:
    """Whether a training computes in another dtype than that of its float32 weights."""
    return dtype == "bfloat16" or (dtype == "float16" and device == "cuda")


def make_arguments(
    section: TrainSection,
    num_examples: int,
    checkpoints: Path,
    *,
    seed: int,
    dtype: str,
    device: str,
) -> TrainingArguments:
    """The section in HF Trainer's words, but for evaluations, which ``Validate`` asks for."""
    keeps_best = section.validation is not None and section.load_best_model_at_end
    steps = count_steps(num_examples, section)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=min(section.batch_size, num_examples),
        num_train_epochs=section.num_epochs,
        max_steps=steps,
        learning_rate=section.learning_rate,
        # HF's own "constant" would leave the warm-up out without a word.
        lr_scheduler_type=section.lr_scheduler.replace("constant", "constant_with_warmup"),
        warmup_steps=count_warmup(steps, section),
        weight_decay=section.weight_decay,
        max_grad_norm=section.max_grad_norm,
        optim=section.optim,
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16" and is_cast(dtype, device),
        dataloader_drop_last=section.last_batch == "drop",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,  # every pass uses all that is trained
        logging_steps=section.logging_steps,
        logging_nan_inf_filter=False,  # it turns a loss that is no number into 0.0
        save_steps=section.save_steps,
        # One may be damaged; the best one is kept beside the last ones.
        save_total_limit=max(2, section.save_total_limit or 0) + keeps_best,
        # Not HF's own load_best_model_at_end, for which save_steps has to follow from eval_steps.
        metric_for_best_model="loss" if keeps_best else None,
        greater_is_better=False if keeps_best else None,
        report_to=list(section.report_to) or "none",
        disable_tqdm=True,
        seed=seed,
        use_cpu=device == "cpu",
    )
    # One process, one device: several GPUs take several processes, not torch's DataParallel,
    # which would hand a pack to each.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
