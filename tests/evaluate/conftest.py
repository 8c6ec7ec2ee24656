from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from kot_platypus.evaluate.tasks import TaskData, load_task
from kot_platypus.models import load_tokenizer


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Two threads on two busy cores wait for each other: tiny models run ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def load_tiny(shared: Path):
    """``load_tiny(name)`` -> (model, tokenizer) in float32."""
    loaded = {}

    def load(name: str):
        if name not in loaded:
            folder = shared / "models" / name
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            loaded[name] = model, load_tokenizer(folder)
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def load_real(shared: Path):
    """``load_real(task)``: the real KoBEST, read once."""
    loaded: dict[str, TaskData] = {}

    def load(task: str) -> TaskData:
        if task not in loaded:
            loaded[task] = load_task(task, shared / "kobest" / "v1.0")
        return loaded[task]

    return load
