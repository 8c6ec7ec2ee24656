"""Small trainings through `train_adapter`, as `kot train` does them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast, TrainerCallback

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded

from .models import VOCAB_SIZE, make_ids, make_model

NUM_ROWS, BATCH_SIZE = 16, 4
SPECIAL = ["<pad>", "<s>", "</s>"]


class StopAfter(TrainerCallback):
    """Ends the training as a kill does, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        if state.global_step == self._steps:
            raise KeyboardInterrupt


def write_base(folder: Path, family: str = "llama", **changes: Any) -> Path:
    """A model's folder, with a byte-level tokenizer of the model's vocabulary."""
    texts = [str(row.model_dump()) for row in make_problems(64, 3, "train", None)]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, VOCAB_SIZE, special_tokens=SPECIAL, show_progress=False)
    names = dict(zip(("pad_token", "bos_token", "eos_token"), SPECIAL, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, **names)
    tokenizer.save_pretrained(folder)
    make_model(family, **changes).save_pretrained(folder)
    return folder


def write_rows(file: Path) -> Path:
    write_jsonl(file, make_problems(NUM_ROWS, 1, "train", None))
    return file


def train(
    data: Path,
    base: Path,
    out: Path,
    device: str,
    dtype: str,
    *,
    callbacks: Sequence[TrainerCallback] = (),
    **changes: Any,
) -> Path:
    """Two epochs of four steps each; without dropout, whose numbers every device draws its own."""
    values = {
        "batch_size": BATCH_SIZE,
        "num_epochs": 2,
        "learning_rate": 2e-3,
        "max_tokens_per_pass": 600,
        "lora_r": 4,
        "lora_dropout": 0,
        "save_steps": 3,
    }
    section = TrainSection.model_validate(values | changes)
    model = ModelSection(device=device, dtype=dtype)
    train_adapter(data, base, out, section, model, callbacks=callbacks)
    return out


def read_losses(out: Path) -> torch.Tensor:
    lines = (out / "log.jsonl").read_text("utf-8").splitlines()
    return torch.tensor([json.loads(line)["loss"] for line in lines], dtype=torch.float64)


def read_weights(out: Path) -> torch.Tensor:
    (file,) = out.glob("*/*model.safetensors")
    weights = load_file(file)
    return torch.cat([weights[name].flatten().double() for name in sorted(weights)])


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def make_batch() -> list[Encoded]:
    """Twelve examples of very different lengths and shares of response."""
    lengths = [6 + 11 * i for i in range(12)]
    return [Encoded(tuple(make_ids(n, i)), 2 + (7 * i) % (n - 3)) for i, n in enumerate(lengths)]


if __name__ == "__main__":  # under torchrun: data, base, out, device
    train(*map(Path, sys.argv[1:4]), sys.argv[4], "float32")
