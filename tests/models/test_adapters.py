"""Adapters: on the model in full, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from kot_platypus.errors import ModelError
from kot_platypus.models import fingerprint_model, load_model, load_tokenizer
from kot_platypus.train.merge import merge_adapter

# What transformers and PEFT say while an adapter is made, not while it is read.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing.*", "ignore::UserWarning"
)
WEIGHTS = "adapter_model.safetensors"
IDS = torch.arange(5, 25)[None]
LORA = {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
KINDS: dict[str, Callable[[], PeftConfig]] = {
    "lora": lambda: LoraConfig(**LORA),
    "dora": lambda: LoraConfig(**LORA, use_dora=True),
    "bias": lambda: LoraConfig(**LORA, lora_bias=True),
    "modules to save": lambda: LoraConfig(**LORA, modules_to_save=["lm_head", "norm"]),
    "embeddings": lambda: LoraConfig(**LORA | {"target_modules": ["q_proj", "embed_tokens"]}),
    "token indices": lambda: LoraConfig(**LORA, trainable_token_indices=[5, 6, 7]),
    "parameters": lambda: LoraConfig(**LORA, target_parameters=["k_proj.weight"]),
    "ia3": lambda: IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
}


@pytest.fixture(scope="session")
def base(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


def adapt(base: Path, config: PeftConfig, folder: Path, model: Any = None) -> torch.Tensor:
    """Save an adapter whose every tensor matters; the logits of the model it was saved from."""
    torch.manual_seed(0)
    model = model or AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, config).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    adapted.save_pretrained(folder)
    with torch.inference_mode():
        logits: torch.Tensor = adapted(IDS).logits
    return logits


def score(base: Path, adapter: Path | None = None) -> torch.Tensor:
    model = load_model(base, dtype="float32", device="cpu", adapter=adapter)
    with torch.inference_mode():
        logits: torch.Tensor = model(IDS).logits
    return logits


def rewrite(adapter: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    save_file(change(load_file(adapter / WEIGHTS)), adapter / WEIGHTS, {"format": "pt"})


@pytest.fixture
def lora(base: Path, tmp_path: Path) -> Path:
    adapt(base, LoraConfig(**LORA), tmp_path / "lora")
    return tmp_path / "lora"


# --- what fits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_computes_what_it_was_saved_from(base, tmp_path, kind):
    wanted = adapt(base, KINDS[kind](), tmp_path / "a")
    assert torch.allclose(score(base, tmp_path / "a"), wanted, atol=1e-5)
    assert not torch.allclose(score(base), wanted, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_each_tensor_is_needed(base, tmp_path, kind):
    adapt(base, KINDS[kind](), tmp_path / "a")
    state = load_file(tmp_path / "a" / WEIGHTS)
    # A table that is saved unchanged beside its LoRA is the base's own.
    names = sorted(name for name in state if "base_layer" not in name and "lm_head" not in name)
    for name in (names[0], names[-1]):
        less = Path(shutil.copytree(tmp_path / "a", tmp_path / "less", dirs_exist_ok=True))
        rewrite(less, lambda state, gone=name: {k: v for k, v in state.items() if k != gone})
        with pytest.raises(ModelError, match="does not fit this base") as raised:
            score(base, less)
        assert "\n" not in str(raised.value)


def test_trained_biases_of_the_base_are_needed(shared, tmp_path):
    base = shared / "models" / "tiny-polyglot-ko"
    settings = LoraConfig(**LORA | {"target_modules": ["query_key_value"]}, bias="all")
    wanted = adapt(base, settings, tmp_path / "a")
    assert torch.allclose(score(base, tmp_path / "a"), wanted, atol=1e-5)
    gone = "base_model.model.gpt_neox.layers.1.mlp.dense_h_to_4h.bias"
    rewrite(tmp_path / "a", lambda state: {k: v for k, v in state.items() if k != gone})
    with pytest.raises(ModelError, match=f"it lacks {gone}"):
        score(base, tmp_path / "a")


def test_of_experts_each_tensor_is_needed(shared, tmp_path):
    """target_parameters, as PEFT adapts a mixture of experts."""
    config = AutoConfig.for_model(
        "mixtral",
        vocab_size=4000,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=2,
        max_position_embeddings=64,
    )
    torch.manual_seed(1)
    experts = AutoModelForCausalLM.from_config(config)
    experts.save_pretrained(tmp_path / "base")
    names = [name for name, _ in experts.named_parameters() if name.endswith("experts.down_proj")]
    assert names
    settings = LoraConfig(r=2, target_modules=["q_proj"], target_parameters=["experts.down_proj"])
    wanted = adapt(tmp_path / "base", settings, tmp_path / "a")
    assert torch.allclose(score(tmp_path / "base", tmp_path / "a"), wanted, atol=1e-5)
    rewrite(tmp_path / "a", lambda s: {k: v for k, v in s.items() if "layers.1.mlp" not in k})
    with pytest.raises(ModelError, match="it lacks"):
        score(tmp_path / "base", tmp_path / "a")


# --- what does not -----------------------------------------------------------------------------


def rename(state: dict[str, Any]) -> dict[str, Any]:
    return {key.replace(".layers.", ".blocks."): value for key, value in state.items()}


def wrap(state: dict[str, Any]) -> dict[str, Any]:
    """As of a multimodal class."""
    return {key.replace(".layers.", ".language_model.layers."): state[key] for key in state}


def halve(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if "q_proj" in key}


def add(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(2, 96)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (rename, "the model has no base_model.model.model.blocks.0"),
        (wrap, "the model has no base_model.model.model.language_model.layers.0"),
        (halve, "v_proj"),
        (add, "up_proj.lora_A"),
        (lambda _: {"nothing": torch.ones(1)}, "nothing"),
    ],
)
def test_keys_that_do_not_fit_are_refused_by_name(base, lora, change, named):
    rewrite(lora, change)
    with pytest.raises(ModelError, match="does not fit this base") as raised:
        score(base, lora)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("num_layers", [2, 6])
def test_adapter_of_another_depth_is_refused(base, tmp_path, num_layers):
    config = AutoConfig.from_pretrained(base, num_hidden_layers=num_layers)
    adapt(base, LoraConfig(**LORA), tmp_path / "a", AutoModelForCausalLM.from_config(config))
    with pytest.raises(ModelError, match=r"does not fit this base \(.*layers\.\d"):
        score(base, tmp_path / "a")


def test_shapes_that_do_not_fit_are_named(base, lora):
    rewrite(lora, lambda state: {key: value[:1] for key, value in state.items()})
    with pytest.raises(ModelError, match=r"size mismatch for base_model\..*shape") as raised:
        score(base, lora)
    assert "\n" not in str(raised.value)


def test_prompt_tuning_is_refused(base, tmp_path):
    settings = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, settings).save_pretrained(tmp_path / "a")
    with pytest.raises(ModelError, match="adds virtual tokens"):
        score(base, tmp_path / "a")


def test_another_recorded_base_is_said(base, lora, capsys):
    score(base, lora)
    assert capsys.readouterr().err == ""
    config = json.loads((lora / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "upstage/SOLAR-10.7B-v1.0"
    (lora / "adapter_config.json").write_text(json.dumps(config))
    score(base, lora)
    said = capsys.readouterr().err
    assert "trained on upstage/SOLAR-10.7B-v1.0" in said
    assert said.count("\n") == 1


# --- added tokens ------------------------------------------------------------------------------

ADDED = ["[PAD]", "<|im_start|>", "<|im_end|>"]


def extend(base: Path, folder: Path, **settings: Any) -> torch.Tensor:
    """An adapter with tokens of its own, the embeddings resized for them."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"pad_token": ADDED[0], "additional_special_tokens": ADDED[1:]})
    torch.manual_seed(2)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    adapt(base, LoraConfig(**LORA, task_type="CAUSAL_LM", **settings), folder, model)
    tokenizer.save_pretrained(folder)
    with torch.inference_mode():
        logits: torch.Tensor = model(ids_of(tokenizer)).logits
    return logits


def ids_of(tokenizer: Any) -> torch.Tensor:
    ids: torch.Tensor = tokenizer("<|im_start|>질문<|im_end|> 답", return_tensors="pt").input_ids
    return ids


@pytest.mark.parametrize(
    "settings", [{"modules_to_save": ["embed_tokens", "lm_head"]}, {}], ids=["trained", "saved"]
)
def test_added_tokens_are_evaluated_and_merged(base, tmp_path, settings):
    wanted = extend(base, tmp_path / "a", **settings)
    tokenizer = load_tokenizer(base, adapter=tmp_path / "a")
    assert ids_of(tokenizer)[0, 0] == 4001
    model = load_model(base, dtype="float32", device="cpu", adapter=tmp_path / "a")
    merge_adapter(base, tmp_path / "a", tmp_path / "merged")
    merged = load_model(tmp_path / "merged", dtype="float32", device="cpu")
    again = load_tokenizer(tmp_path / "merged")
    with torch.inference_mode():
        assert torch.allclose(model(ids_of(tokenizer)).logits, wanted, atol=1e-5)
        assert torch.allclose(merged(ids_of(again)).logits, wanted, atol=1e-4)


@pytest.mark.parametrize("from_adapter", [True, False])
def test_tokens_without_a_row_are_refused_with_both_numbers(base, lora, from_adapter):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["왜냐하면"])
    folder = lora if from_adapter else Path(shutil.copytree(base, lora.parent / "copy"))
    for file in folder.glob("*"):
        file.chmod(0o644)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"4,001 tokens.* 4,000 rows, none for 왜냐하면"):
        load_tokenizer(base, adapter=lora) if from_adapter else load_tokenizer(folder)


def test_padding_token_without_a_row_does_no_harm(base, lora):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(lora)
    assert load_tokenizer(base, adapter=lora).pad_token_id == 4000


def test_turns_end_without_a_row_is_refused(base, lora):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    tokenizer.chat_template = "{{ messages[0].content }}<|im_end|>"
    tokenizer.save_pretrained(lora)
    with pytest.raises(ModelError, match=r"none for <\|im_end\|>"):
        load_tokenizer(base, adapter=lora)


def test_tokenizer_of_an_adapter_is_part_of_its_identity(base, lora):
    plain = fingerprint_model(base, lora)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, lora)
        (lora / name).chmod(0o644)
    own = fingerprint_model(base, lora)
    assert own != plain
    with (lora / "tokenizer.json").open("a") as file:
        file.write(" ")
    assert fingerprint_model(base, lora) != own
