from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli.dry_run import load_known
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import ModelError
from kot_platypus.models import build_empty_model, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.train.estimate import (
    Lengths,
    Measurement,
    count_activations,
    estimate_training,
    measure_pass,
    prepare_empty,
)
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.methods import make_trainable
from kot_platypus.train.packing import pack_batch

from .conftest import encode_example

SECTION = TrainSection(batch_size=4, num_epochs=3, max_tokens_per_pass=128, lora_r=4)
LENGTHS = Lengths((30,) * 30, (10,) * 30)


@pytest.fixture
def llama(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


def empty(folder: Path, section: TrainSection = SECTION, dtype: str = "float32") -> torch.nn.Module:
    return prepare_empty(build_empty_model(folder), section, dtype)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("EleutherAI/polyglot-ko-1.3b", 1_331_810_304),  # its card's count
        ("EleutherAI/polyglot-ko-12.8b", 12_893_603_840),  # its card's shape; the card says more
        ("beomi/llama-2-ko-7b", 6_738_415_616 + 2 * (46_336 - 32_000) * 4096),  # Llama 2's and rows
        ("kyujinpy/KO-platypus2-13B", 13_015_864_320 + 2 * (46_336 - 32_000) * 5120),
        ("gemma-3-270m", 268_098_176),
    ],
)
def test_shipped_architecture_has_the_published_parameters(model, parameters):
    built = build_empty_model(load_known().find_architecture(model).config)
    assert sum(p.numel() for p in built.parameters()) == parameters
    assert {p.device.type for p in built.parameters()} == {"meta"}


@pytest.mark.slow
@pytest.mark.parametrize("last_batch", ["drop", "keep"])
def test_estimate_is_what_a_training_then_reports(llama, tmp_path, last_batch):
    section = SECTION.model_copy(update={"last_batch": last_batch, "num_epochs": 2})
    rows = make_problems(30, 1, "train", ("change",))
    write_jsonl(tmp_path / "rows.jsonl", rows)
    model = ModelSection(device="cpu", dtype="float32")
    train_adapter(tmp_path / "rows.jsonl", llama, tmp_path / "out", section, model)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    template, tokenizer = load_template(section.template), load_tokenizer(llama)
    encoded = [encode_example(r, template, section.target, tokenizer, 2048) for r in rows]
    lengths = Lengths(
        tuple(len(item.ids) for item in encoded), tuple(item.num_labels for item in encoded)
    )
    estimate = estimate_training(empty(llama, section), section, lengths)
    expected = {
        "trainable_parameters": estimate.trainable_parameters,
        "optimizer_steps": estimate.optimizer_steps,
        "tokens_seen": estimate.tokens,
        "trained_tokens_seen": estimate.trained_tokens,
    }
    assert {key: manifest[key] for key in expected} == expected


def test_passes_are_the_packs_of_the_batches(llama, batch):
    lengths = Lengths(tuple(len(x.ids) for x in batch), tuple(x.num_labels for x in batch))
    estimate = estimate_training(empty(llama), SECTION, lengths)
    packs = [pack for i in range(0, 16, 4) for pack in pack_batch(batch[i : i + 4], 128, "example")]
    assert estimate.passes == SECTION.num_epochs * len(packs)
    assert estimate.largest_pass == max(pack.input_ids.numel() for pack in packs)
    longer = SECTION.model_copy(update={"max_steps": 5})
    first = len(pack_batch(batch[:4], 128, "example"))
    assert estimate_training(empty(llama), longer, lengths).passes == len(packs) + first


def test_memory_is_counted_by_kind(llama):
    parameters = empty(llama).get_base_model().num_parameters()
    estimate = estimate_training(empty(llama, dtype="bfloat16"), SECTION, LENGTHS)
    trained = estimate.trainable_parameters
    assert estimate.parameters == parameters - trained
    assert estimate.memory["base weights"] == 2 * estimate.parameters
    assert estimate.memory["adapter weights"] == estimate.memory["gradients"] == 4 * trained
    assert estimate.memory["optimizer states"] == 8 * trained
    assert estimate.memory["logits"] == estimate.largest_pass * 4000 * (4 + 2 + 2)


def with_settings(**settings: object) -> TrainSection:
    return SECTION.model_copy(update=settings)


def test_full_training_holds_and_trains_all_weights_in_float32(llama):
    section = with_settings(method="full")
    estimate = estimate_training(empty(llama, section, "bfloat16"), section, LENGTHS)
    memory = estimate.memory
    assert estimate.trainable_parameters == estimate.parameters
    assert memory["base weights"] == memory["gradients"] == 4 * estimate.parameters
    assert memory["adapter weights"] == 0


def test_dora_adds_a_magnitude_a_row_to_lora(llama):
    lora, dora = (
        estimate_training(empty(llama, section), section, LENGTHS)
        for section in (SECTION, with_settings(method="dora"))
    )
    linears = [m for m in build_empty_model(llama).model.modules() if hasattr(m, "out_features")]
    added = dora.trainable_parameters - lora.trainable_parameters
    assert added == sum(m.out_features for m in linears)


def test_qlora_holds_linear_layers_in_four_bits_and_the_rest_as_it_was(llama):
    section = with_settings(method="qlora")
    lora, qlora = (
        estimate_training(empty(llama, each, "bfloat16"), each, LENGTHS).memory
        for each in (SECTION, section)
    )
    model = build_empty_model(llama)
    linear = sum(m.weight.numel() for m in model.model.modules() if hasattr(m, "out_features"))
    saved = lora["base weights"] - qlora["base weights"]
    assert saved == pytest.approx(linear * (2 - 4.127 / 8), abs=100)


def test_checkpointing_keeps_one_layer_and_the_inputs_of_all(llama):
    section = with_settings(gradient_checkpointing=True)
    model = empty(llama, section)
    everything = count_activations(model, SECTION, 96)
    assert count_activations(model, section, 96) == everything // 3 + 3 * 96 * 96 * 4


def count_kept(real: torch.nn.Module, ids: torch.Tensor) -> int:
    """The bytes that autograd keeps of a pass that is computed."""
    weights = {p.untyped_storage().data_ptr() for p in real.parameters()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = real.get_base_model().base_model(ids, use_cache=False)
    del output
    return sum(kept.values())


def test_counted_activations_are_those_a_real_pass_keeps(any_model):
    """Every architecture, LoRA with dropout; the real pass adds a mask and attention's sums."""
    model = prepare_empty(build_empty_model(any_model.config.to_dict()), SECTION, "float32")
    kept = count_kept(make_trainable(any_model, SECTION).train(), torch.arange(3, 99)[None])
    assert count_activations(model, SECTION, 96) == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize("modules", ["all-linear", ("q_proj", "v_proj")])
@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_experts_are_counted_without_the_numbers_that_choose_them(kind, modules):
    own = {"num_experts": 4, "moe_intermediate_size": 32, "head_dim": 16}
    config = AutoConfig.for_model(
        kind, vocab_size=4000, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_experts_per_tok=2,
        **(own if kind == "qwen3_moe" else {"num_local_experts": 4}),
    )  # fmt: skip
    if modules == "all-linear":
        with pytest.raises(ModelError, match=r"Set train\.lora_dropout=0"):
            prepare_empty(build_empty_model(config.to_dict()), SECTION, "float32")
    section = with_settings(lora_dropout=0, lora_target_modules=modules)
    model = prepare_empty(build_empty_model(config.to_dict()), section, "float32")
    real = make_trainable(AutoModelForCausalLM.from_config(config), section).train()
    kept = count_kept(real, torch.arange(3, 99)[None])
    assert count_activations(model, section, 96) == pytest.approx(kept, rel=0.1)
    estimate = estimate_training(model, section, LENGTHS)
    trainable = sum(p.numel() for p in real.parameters() if p.requires_grad)
    assert estimate.trainable_parameters == trainable


def test_activations_grow_with_the_pass_and_not_with_its_square(llama):
    model = empty(llama)
    assert count_activations(model, SECTION, 400) == pytest.approx(
        4 * count_activations(model, SECTION, 100), 0.01
    )


def test_target_modules_that_fit_nothing_are_found_before_any_weights(shared):
    section = SECTION.model_copy(update={"lora_target_modules": ("gate_proj", "up_proj")})
    with pytest.raises(ModelError, match=r"no LoRA for .*gate_proj"):
        empty(shared / "models" / "tiny-polyglot-ko", section)


def test_measurement_times_a_layer_and_leaves_the_model_empty(any_model):
    model = prepare_empty(build_empty_model(any_model.config.to_dict()), SECTION, "float32")
    found = measure_pass(model, SECTION, LENGTHS, device="cpu", dtype="float32")
    assert 0 < found.layer_s < 10
    assert found.num_tokens == 120  # four examples of 30 in a pass of 128
    assert found.num_layers == 3
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_extrapolation_is_in_proportion_to_tokens_and_layers():
    found = Measurement(num_tokens=100, layer_s=0.5, head_s=1.0, num_layers=4)
    assert found.extrapolate(1000) == 10 * (4 * 0.5 + 1.0)
