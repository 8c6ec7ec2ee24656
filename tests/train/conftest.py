from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    TrainerCallback,
)

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import Template
from kot_platypus.recipe import TrainSection
from kot_platypus.records import Row
from kot_platypus.train.encoding import Encoder, encode_rows
from kot_platypus.train.items import Encoded

ARCHITECTURES = ("tiny-llama-ko", "tiny-polyglot-ko", "gemma3")


class StopAfter(TrainerCallback):
    """Ends the training as a kill does, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_step_end(self, args, state, control, **_: object) -> None:
        if state.global_step == self._steps:
            raise KeyboardInterrupt


def section(**changes: object) -> TrainSection:
    """Settings that learn something of ``data`` in a few steps."""
    small = {"batch_size": 4, "learning_rate": 5e-3, "max_tokens_per_pass": 256, "lora_r": 4}
    return TrainSection.model_validate({**small, "lora_dropout": 0, **changes})


def encode_example(
    row: Row, template: Template, target: str, tokenizer: object, cutoff_len: int
) -> Encoded | None:
    """One row, as ``encode_rows`` has it."""
    how = section().model_copy(update={"target": target, "cutoff_len": cutoff_len})
    (encoded,) = encode_rows(Encoder(template, how, tokenizer), [row], source="rows")
    return encoded


@pytest.fixture(scope="session")
def base(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


def write_problems(folder: Path, num_rows: int = 30) -> Path:
    write_jsonl(folder / "train.jsonl", make_problems(num_rows, 1, "train", ("change",)))
    return folder / "train.jsonl"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_problems(tmp_path)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Rows for two steps, where how much is learnt is not the question."""
    return write_problems(tmp_path, 8)


@pytest.fixture(params=ARCHITECTURES)
def any_model(request: pytest.FixtureRequest, shared: Path) -> torch.nn.Module:
    """A tiny model of each architecture, in float32, without dropout."""
    if request.param == "gemma3":
        return make_gemma().eval()
    return AutoModelForCausalLM.from_pretrained(
        shared / "models" / request.param, dtype=torch.float32
    ).eval()


@pytest.fixture(params=ARCHITECTURES)
def any_base(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    """The same models as folders, with a tokenizer."""
    if request.param != "gemma3":
        return shared / "models" / request.param
    folder = tmp_path / "gemma3"
    make_gemma().save_pretrained(folder)
    load_tokenizer(shared / "models" / "tiny-llama-ko").save_pretrained(folder)
    return folder


def make_gemma() -> Gemma3ForCausalLM:
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=4000,  # tiny-llama-ko's
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        sliding_window=8,  # shorter than the examples
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    return Gemma3ForCausalLM(config)


@pytest.fixture
def batch() -> list[Encoded]:
    """Sixteen examples of very different lengths and shares of response."""
    generator = torch.Generator().manual_seed(1)
    examples = []
    for i in range(16):
        length = 12 + 5 * i
        ids = torch.randint(3, 2900, (length,), generator=generator).tolist()
        examples.append(Encoded(tuple(ids), prompt_len=3 + (i * 7) % (length - 4)))
    return examples
