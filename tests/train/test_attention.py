"""Packed attention: the gradient of separate passes, chosen by a look at what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from kot_platypus.errors import ModelError
from kot_platypus.models import load_model
from kot_platypus.recipe import TrainSection
from kot_platypus.train.attention import PACKED, describe_pack, isolate_examples
from kot_platypus.train.encoding import Encoded
from kot_platypus.train.loss import pack_loss
from kot_platypus.train.methods import load_trainable
from kot_platypus.train.packing import pack_batch
from tests.train.test_packing import gradients, reference, relative

SMALL = {
    "vocab_size": 3000,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SHARED_HEADS = {**SMALL, "num_key_value_heads": 2, "head_dim": 16}


def make_family(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**SHARED_HEADS)).eval()
    if name == "mistral":  # a window shorter than the examples
        return MistralForCausalLM(MistralConfig(**SHARED_HEADS, sliding_window=8)).eval()
    return Qwen3ForCausalLM(Qwen3Config(**SHARED_HEADS)).eval()


def packed_gradient(model: torch.nn.Module, batch: list[Encoded]) -> torch.Tensor:
    for pack in pack_batch(batch, 300, "example"):
        pack_loss(model, pack).backward()
    return gradients(model)


@pytest.mark.parametrize("attention", [PACKED, "sdpa", "eager"])
def test_gradient_is_that_of_separate_passes_with_every_attention(any_model, batch, attention):
    _, expected = reference(any_model, batch, "example")
    any_model.set_attn_implementation(attention)
    assert relative(packed_gradient(any_model, batch), expected) < 1e-5


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_more_families_take_ours_with_the_same_gradient(name, batch):
    model = make_family(name)
    _, expected = reference(model, batch, "example")
    isolate_examples(model)
    assert model.config._attn_implementation == PACKED
    assert relative(packed_gradient(model, batch), expected) < 1e-5


def test_all_three_architectures_take_ours(any_model):
    isolate_examples(any_model)
    assert any_model.config._attn_implementation == PACKED


def test_no_mask_is_made_for_a_pack(any_model, batch, monkeypatch):
    """It would be T x T, and all of it computed."""
    any_model.set_attn_implementation(PACKED)
    (pack,) = pack_batch(batch, 10_000, "example")
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, PACKED, None)
    any_model.base_model(**describe_pack(any_model.config, pack))
    with pytest.raises(TypeError):
        any_model.base_model(input_ids=pack.input_ids)


def test_a_call_that_is_no_pack_is_answered_as_before(any_model):
    ids = torch.randint(3, 2900, (2, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    arguments = {"input_ids": ids, "attention_mask": mask}
    with torch.no_grad():
        before = any_model(**arguments).logits[mask.bool()]
        any_model.set_attn_implementation(PACKED)
        torch.testing.assert_close(any_model(**arguments).logits[mask.bool()], before)
        any_model.generate(ids[1:], max_new_tokens=3, do_sample=False)


@pytest.mark.parametrize("name", ["gemma2", "llama4"])
def test_what_ours_does_not_know_keeps_transformers_masks(name, batch):
    """Gemma 2 caps its scores, Llama 4 attends in chunks of its own."""
    torch.manual_seed(0)
    if name == "gemma2":
        config = Gemma2Config(**SHARED_HEADS, sliding_window=8)
    else:
        experts = {"intermediate_size_mlp": 96, "num_local_experts": 2}
        config = Llama4TextConfig(**SHARED_HEADS, **experts, attention_chunk_size=32)
    model = AutoModelForCausalLM.from_config(config).eval()
    usual = model.config._attn_implementation
    _, expected = reference(model, batch, "example")
    isolate_examples(model)
    assert model.config._attn_implementation == usual
    assert relative(packed_gradient(model, batch), expected) < 1e-5


@pytest.mark.parametrize(
    "config",
    [
        BloomConfig(vocab_size=3000, hidden_size=64, n_layer=2, n_head=4),
        FalconConfig(vocab_size=3000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4),
    ],
    ids=lambda config: config.model_type,
)
def test_a_family_that_mixes_packed_examples_is_refused_unless_each_is_alone(config, tmp_path):
    """transformers packs these two too, and lets their examples see each other."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    section = TrainSection(method="full")
    with pytest.raises(ModelError, match="max_tokens_per_pass=1"):
        load_trainable(tmp_path, section, dtype="float32", device="cpu")
    alone = section.model_copy(update={"max_tokens_per_pass": 1})
    load_trainable(tmp_path, alone, dtype="float32", device="cpu")


def test_attention_that_leaks_is_found_out():
    def leak(module, query, key, value, attention_mask, **others):
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True)

    AttentionInterface.register("leaky", leak)
    model = make_family("llama")
    model.set_attn_implementation("leaky")
    with pytest.raises(ModelError, match="LlamaForCausalLM lets the examples of one pass see"):
        isolate_examples(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("mamba", {}), ("lfm2", {"layer_types": ["conv"]})],
)
def test_what_a_state_or_a_convolution_carries_over_is_found_out_in_16_bits_too(
    kind, options, dtype
):
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "pad_token_id": 0}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **options)).eval()
    for parameter in model.parameters():  # as far from nothing as trained ones
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    with pytest.raises(ModelError, match="lets the examples of one pass see"):
        isolate_examples(model.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_rounding_to_16_bits_is_taken_for_no_leak(any_model, dtype):
    isolate_examples(any_model.to(dtype))
    assert any_model.config._attn_implementation == PACKED


def test_the_check_changes_nothing(any_model):
    any_model.train()
    state = torch.get_rng_state()
    isolate_examples(any_model)
    assert any_model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_trained_model_is_saved_without_our_attention(shared: Path, tmp_path: Path):
    base = shared / "models" / "tiny-llama-ko"
    model = load_trainable(base, TrainSection(method="full"), dtype="float32", device="cpu")
    model.save_pretrained(tmp_path)
    assert PACKED not in (tmp_path / "config.json").read_text()
    assert load_model(tmp_path, dtype="float32", device="cpu").config._attn_implementation == "sdpa"
