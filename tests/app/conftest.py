from __future__ import annotations

import pytest

from kot_platypus.app.speaker import Speaker
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import load_template


@pytest.fixture(scope="package")
def speaker(shared) -> Speaker:
    folder = shared / "models" / "tiny-llama-ko"
    model = load_model(folder, dtype="float32", device="cpu")
    return Speaker(model, load_tokenizer(folder), load_template("kot"))
