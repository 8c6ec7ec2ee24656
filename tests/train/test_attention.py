"""Packed attention: the gradient of separate passes, chosen by a look at what it does."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    JambaConfig,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.mistral import modeling_mistral

from kot_platypus.errors import ModelError
from kot_platypus.models import load_model
from kot_platypus.recipe import TrainSection
from kot_platypus.train import attention
from kot_platypus.train.attention import PACKED, Pack, describe_pack
from kot_platypus.train.isolation import isolate_examples, isolates_in_small
from kot_platypus.train.items import Encoded
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


@pytest.mark.one_in(4)
@pytest.mark.parametrize("attention", [PACKED, "sdpa", "eager"])
def test_gradient_is_that_of_separate_passes_with_every_attention(any_model, batch, attention):
    _, expected = reference(any_model, batch, "example")
    any_model.set_attn_implementation(attention)
    assert relative(packed_gradient(any_model, batch), expected) < 1e-5


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_more_families_take_ours_with_the_same_gradient(name, batch):
    model = make_family(name)
    _, expected = reference(model, batch, "example")
    assert isolate_examples(model)
    assert model.config._attn_implementation == PACKED
    assert relative(packed_gradient(model, batch), expected) < 1e-5


def test_all_three_architectures_take_ours(any_model):
    assert isolate_examples(any_model)
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
    assert isolate_examples(model)
    assert model.config._attn_implementation == usual
    assert relative(packed_gradient(model, batch), expected) < 1e-5


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=str)
def test_under_autocast_the_kernel_is_taken_whatever_the_weights_are(weights, batch, monkeypatch):
    """Of float32 weights RoPE makes float32 queries, beside values in 16 bits."""
    dtypes = []

    def kernel(query, key, value, *_, **__):
        dtypes.extend((query.dtype, key.dtype, value.dtype))
        return torch.zeros_like(query)

    monkeypatch.setattr(attention, "_kernel", kernel)
    monkeypatch.setattr(attention, "_KERNEL_DEVICES", ("cpu",))
    model = make_family("llama").to(weights)
    model.set_attn_implementation(PACKED)
    (pack,) = pack_batch(batch, 10_000, "example")
    with torch.autocast("cpu", torch.bfloat16):
        pack_loss(model, pack).backward()
    assert dtypes == [torch.bfloat16] * 3 * 2  # layers
    dtypes.clear()
    pack_loss(model.float(), pack)
    assert dtypes == []


def test_an_older_pytorchs_kernel_is_not_called_with_what_it_does_not_know(monkeypatch):
    def varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False):
        raise AssertionError

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    assert attention.find_kernel() is None


@pytest.mark.one_in(5)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_packed_is_as_near_to_float32_as_separate_passes_are(any_model, batch, dtype):
    """In 16 bits two orders of the same sums differ: what counts is the distance from float32's."""
    batch = batch[:8]
    _, exact = reference(any_model, batch, "example")
    half = copy.deepcopy(any_model).to(dtype)
    separate = sum(loss_gradient(half, pack).float() for pack in pack_batch(batch, 1, "example"))
    assert isolate_examples(half)
    packed = sum(loss_gradient(half, pack).float() for pack in pack_batch(batch, 300, "example"))
    assert not torch.equal(packed, separate)
    assert relative(packed, exact) < 1.2 * relative(separate, exact) < 0.1


def loss_gradient(model: torch.nn.Module, pack: Pack) -> torch.Tensor:
    pack_loss(model, pack).backward()
    return gradients(model)


# --- what cannot be packed ---------------------------------------------------------------------

MIXING = {
    "bloom": {"vocab_size": 3000, "hidden_size": 64, "n_layer": 2, "n_head": 4},
    "falcon": {k: SMALL[k] for k in SMALL if k != "intermediate_size"} | {"alibi": True},
    "mpt": {"vocab_size": 3000, "d_model": 64, "n_layers": 2, "n_heads": 4},
    "mamba": {"vocab_size": 3000, "hidden_size": 64, "num_hidden_layers": 2},
    "lfm2": {**SHARED_HEADS, "layer_types": ["conv", "full_attention"], "pad_token_id": 0},
    "gpt_oss": {**SHARED_HEADS, "num_local_experts": 4, "pad_token_id": 0},
    "recurrent_gemma": {
        **SMALL,
        "num_hidden_layers": 3,
        "attention_window_size": 8,
        "lru_width": 64,
    },
}


def make_mixing(kind: str) -> torch.nn.Module:
    """A model in which packed examples see each other, as far from nothing as trained ones."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **MIXING[kind]))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", MIXING)
def test_what_cannot_be_packed_is_trained_one_by_one_with_the_gradient_of_separate_passes(
    kind, batch, tmp_path, capsys
):
    model, batch = make_mixing(kind), batch[:6]
    _, expected = reference(model, batch, "example")
    assert relative(packed_gradient(model, batch), expected) > 0.01, "it can be packed"
    model.save_pretrained(tmp_path)
    loaded, max_tokens = load_trainable(
        tmp_path, TrainSection(method="full"), dtype="float32", device="cpu"
    )
    assert max_tokens == 1
    assert "each gets a pass of its own" in " ".join(capsys.readouterr().err.split())
    for pack in pack_batch(batch, max_tokens, "example"):
        loaded.eval()(pack).backward()
    assert relative(gradients(loaded), expected) < 1e-5


@pytest.mark.one_in(5)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", MIXING)
def test_a_mix_is_found_out_in_every_dtype(kind, dtype):
    assert not isolate_examples(make_mixing(kind).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_rounding_is_taken_for_no_leak(any_model, dtype):
    assert isolate_examples(any_model.to(dtype))
    assert any_model.config._attn_implementation == PACKED


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_four_bits_are_taken_for_no_leak(shared, dtype):
    base = shared / "models" / "tiny-llama-ko"
    model = load_model(base, dtype=dtype, device="cpu", in_4_bits=True)
    before = model.model.layers[0].mlp.up_proj.weight.clone()
    assert isolate_examples(model)
    assert model.config._attn_implementation == PACKED
    assert torch.equal(model.model.layers[0].mlp.up_proj.weight, before)


def test_positions_that_change_how_all_is_read_are_found_out():
    """Longrope takes other frequencies for the whole pass once one example is long."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0}
    rope |= {"short_factor": [1.0] * 8, "long_factor": [8.0] * 8}
    sizes = {**SHARED_HEADS, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    config = Phi3Config(
        **sizes,
        rope_parameters=rope,
        original_max_position_embeddings=4096,
        max_position_embeddings=16384,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert isolate_examples(model, longest=4096)
    assert not isolate_examples(model, longest=4097)


def test_attention_that_leaks_is_found_out():
    def leak(module, query, key, value, attention_mask, **others):
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True)

    AttentionInterface.register("leaky", leak)
    model = make_family("llama")
    model.set_attn_implementation("leaky")
    assert not isolate_examples(model)


def test_values_that_are_no_numbers_are_no_leak(any_model):
    weight = next(iter(any_model.parameters()))
    with torch.no_grad():
        weight *= 1e30
    with pytest.raises(ModelError, match="not finite in float16"):
        isolate_examples(any_model.half())


def test_what_is_spread_later_is_tried_out_in_small(monkeypatch, tmp_path):
    make_mixing("bloom").save_pretrained(tmp_path / "bloom")
    make_family("mistral").save_pretrained(tmp_path / "mistral")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    section = TrainSection(method="full")
    for name, tokens in (("bloom", 1), ("mistral", section.max_tokens_per_pass)):
        where = {"dtype": "float32", "device": "cpu"}
        model, max_tokens = load_trainable(tmp_path / name, section, **where)
        assert max_tokens == tokens
        assert model.config._attn_implementation in ("eager", "sdpa")


def test_a_model_without_weights_is_tried_out_in_small():
    with torch.device("meta"):
        gemma = AutoModelForCausalLM.from_config(Gemma3TextConfig(**SHARED_HEADS, pad_token_id=0))
    assert isolates_in_small(gemma)


def test_a_model_that_cannot_be_made_small_takes_no_packs():
    """Its layers follow from several values, so their number cannot simply be changed."""
    with torch.device("meta"):
        jamba = AutoModelForCausalLM.from_config(
            JambaConfig(**SMALL, num_key_value_heads=2, num_experts=2, use_mamba_kernels=False)
        )
    assert not isolates_in_small(jamba)


# --- windows -----------------------------------------------------------------------------------


def test_a_left_over_window_that_a_model_ignores_is_ignored(batch):
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**SHARED_HEADS)).eval()
    _, expected = reference(plain, batch, "example")
    left_over = LlamaForCausalLM(LlamaConfig(**SHARED_HEADS, sliding_window=8)).eval()
    left_over.load_state_dict(plain.state_dict())
    assert isolate_examples(left_over)
    assert left_over.config._attn_implementation == PACKED
    assert relative(packed_gradient(left_over, batch), expected) < 1e-5


@pytest.mark.parametrize("window", [8, 4096])
def test_a_window_that_ours_is_not_told_of_keeps_transformers_masks(window, batch, monkeypatch):
    """4,096 tokens are never run, so a look at hidden states cannot tell."""
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHARED_HEADS, sliding_window=window)).eval()
    _, expected = reference(model, batch, "example")
    hide = {"sliding_window": None}
    monkeypatch.setattr(
        modeling_mistral,
        "getattr",
        lambda at, name, *default: hide.get(name, getattr(at, name, *default)),
        raising=False,
    )
    assert isolate_examples(model)
    assert model.config._attn_implementation == "sdpa"
    assert relative(packed_gradient(model, batch), expected) < 1e-5


@pytest.mark.parametrize("window", [4096, 100_000])
def test_a_window_that_ours_is_told_of_is_ours_at_any_length(window):
    model = MistralForCausalLM(MistralConfig(**SHARED_HEADS, sliding_window=window)).eval()
    assert isolate_examples(model)
    assert model.config._attn_implementation == PACKED


def test_the_check_changes_nothing(any_model):
    any_model.train()
    state = torch.get_rng_state()
    isolate_examples(any_model)
    assert any_model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_trained_model_is_saved_without_our_attention(shared: Path, tmp_path: Path):
    base = shared / "models" / "tiny-llama-ko"
    model, _ = load_trainable(base, TrainSection(method="full"), dtype="float32", device="cpu")
    model.save_pretrained(tmp_path)
    assert PACKED not in (tmp_path / "config.json").read_text()
    assert load_model(tmp_path, dtype="float32", device="cpu").config._attn_implementation == "sdpa"
