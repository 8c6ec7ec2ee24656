"""A window in the config counts where the model's class has one, in what is written too."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from kot_platypus.models import load_model

SIZES = {
    "vocab_size": 200,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
PROMPT = [[5 + i * 7 % 190 for i in range(60)]]


def write_plainly(model, num_tokens):
    """Without a cache: the whole text is read again for every token."""
    ids = torch.tensor(PROMPT)
    for _ in range(num_tokens):
        with torch.inference_mode():
            last = model(input_ids=ids, use_cache=False).logits[:, -1]
        ids = torch.cat([ids, last.argmax(-1, keepdim=True)], dim=1)
    return ids[0, len(PROMPT[0]) :].tolist()


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_cached_texts_are_the_plain_ones_beyond_the_window(kind, tmp_path):
    torch.manual_seed(0)
    made = (
        LlamaForCausalLM(LlamaConfig(**SIZES))
        if kind == "llama"
        else MistralForCausalLM(MistralConfig(**SIZES))
    )
    made.save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "sliding_window": 16}))
    model = load_model(tmp_path / "m", dtype="float32", device="cpu")
    assert model.config.sliding_window == (16 if kind == "mistral" else None)
    options = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": 199, "pad_token_id": 0}
    ids = torch.tensor(PROMPT)
    written = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    found = written[0, len(PROMPT[0]) :].tolist()
    assert found == write_plainly(model, 12)[: len(found)]
    assert len(found) > 3
    if kind == "llama":  # what the model says without the key
        shutil.rmtree(tmp_path / "m")
        made.save_pretrained(tmp_path / "m")
        assert found == write_plainly(load_model(tmp_path / "m", dtype="float32"), 12)[: len(found)]
