"""Training: seconds of an optimizer step, and its peak memory against what ``--dry-run`` says.

KoT-platypus2-7B's own recipe with random tokens of KoCoT's lengths (``train.py``). Its 2,159 rows x
15 epochs are extrapolated from the steps that were timed. The 7B model is built where it trains;
the others go through files and ``load_trainable``, as with ``kot train``.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import TrainerCallback

from gpu_scoring import require_memory
from gpu_step import Skipped
from kot_platypus.models import build_empty_model
from kot_platypus.recipe import TrainSection, load_recipe
from kot_platypus.train.estimate import Estimate, Lengths, estimate_training, prepare_empty
from kot_platypus.train.fit import make_arguments, make_trainer
from kot_platypus.train.isolation import isolate_examples
from kot_platypus.train.items import Encoded
from kot_platypus.train.methods import checkpoint_activations, load_trainable, make_trainable
from kot_platypus.train.preferences import accept_packs
from measuring import make_llama, read_peak_gib
from train import make_examples

MAX_LENGTH = 4096
RECIPE_ROWS = 2_159
SPARE_GIB = 3.0
"""Beside what is predicted: CUDA's context, libraries and the allocator's seams."""
MAX_STEPS = 40


class Watch(TrainerCallback):
    """Seconds of each step after the first, until there are enough of them."""

    def __init__(self, device: str, train_s: float, on_step: Callable[[list[float]], None]) -> None:
        self._device, self._train_s, self._on_step = device, train_s, on_step
        self._seconds: list[float] = []
        self.losses: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if state.global_step > 1:
            self._seconds.append(now - self._started)
            self._on_step(self._seconds)
        self._started = now
        control.should_training_stop |= sum(self._seconds) > self._train_s

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.losses += [logs["loss"]] if "loss" in logs else []


def measure(options: SimpleNamespace, save: Callable[[dict[str, Any]], None]) -> None:
    if options.method == "qlora" and find_spec("bitsandbytes") is None:
        raise Skipped("bitsandbytes is not installed")
    examples = make_examples(options.batch * MAX_STEPS)
    section, predicted = choose_section(options, examples)
    at = {"dtype": options.dtype, "device": options.device}
    found = {
        "kind": "training",
        "model": options.model,
        "method": options.method,
        "dtype": options.dtype,
        "pack": options.pack,
        "gradient_checkpointing": section.gradient_checkpointing,
        "predicted GiB": {k: v / 2**30 for k, v in predicted.memory.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        model = hold_model(options, section, Path(folder))
        num_labels = sum(e.num_labels for e in examples) / len(examples)
        num_tokens = sum(len(e.ids) for e in examples) / len(examples)

        def tell(seconds: list[float]) -> None:
            step_s = sum(seconds) / len(seconds)
            steps = RECIPE_ROWS // section.batch_size * 15
            save(
                {
                    **found,
                    "steps": len(seconds),
                    "s/step": step_s,
                    "examples/s": section.batch_size / step_s,
                    "tokens/s": section.batch_size * num_tokens / step_s,
                    "tokens an example": num_tokens,
                    "targets an example": num_labels,
                    "losses": watch.losses,
                    "extrapolated s": steps * step_s,
                    "peak GiB": read_peak_gib(options.device),
                    "reserved GiB": read_reserved_gib(options.device),
                }
            )

        watch = Watch(options.device, options.train_s, tell)
        arguments = make_arguments(section, len(examples), Path(folder) / "out", seed=0, **at)
        make_trainer(model, examples, section, arguments, [watch]).train()


def choose_section(
    options: SimpleNamespace, examples: Sequence[Encoded]
) -> tuple[TrainSection, Estimate]:
    """The recipe's settings, with activations checkpointed if else they would not fit, and what
    they are predicted to take. Raises Skipped if they do not fit then either."""
    section = load_recipe("kot-platypus2-7b").train.model_copy(
        update={
            "method": options.method,
            "batch_size": options.batch,
            "num_epochs": 1,
            "max_tokens_per_pass": options.pack,
            "save_steps": 10**6,
        }
    )
    lengths = Lengths(tuple(len(e.ids) for e in examples), tuple(e.num_labels for e in examples))
    for is_checkpointed in (False, True):
        section = section.model_copy(update={"gradient_checkpointing": is_checkpointed})
        config = make_llama(
            options.model, dtype="float32", device="meta", max_length=MAX_LENGTH
        ).config
        empty = prepare_empty(build_empty_model(config.to_dict()), section, options.dtype)
        predicted = estimate_training(empty, section, lengths)
        gib = sum(predicted.memory.values()) / 2**30 + SPARE_GIB
        try:
            require_memory(options, gib)
            break
        except Skipped:
            if is_checkpointed:
                raise
    return section, predicted


def hold_model(options: SimpleNamespace, section: TrainSection, folder: Path) -> Any:
    at = {"dtype": options.dtype, "device": options.device}
    if options.model != "llama-7b":
        make_llama(options.model, max_length=MAX_LENGTH, **at).save_pretrained(folder / "base")
        gc.collect()
        if options.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        return load_trainable(folder / "base", section, **at)[0]
    model = make_llama(options.model, max_length=MAX_LENGTH, **at)
    if not isolate_examples(model):
        raise SystemExit("this Llama cannot be packed here")
    model = make_trainable(model, section)
    if section.gradient_checkpointing:
        checkpoint_activations(model)
    accept_packs(model, section)
    return model


def read_reserved_gib(device: str) -> float | None:
    """What the allocator took from the GPU, its seams included."""
    return torch.cuda.max_memory_reserved() / 2**30 if device == "cuda" else None
