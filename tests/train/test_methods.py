from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, TrainerCallback

from kot_platypus.errors import MissingExtraError, ModelError, RecipeError
from kot_platypus.models import fingerprint_model, load_model, load_tokenizer
from kot_platypus.recipe import ModelSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded
from kot_platypus.train.loss import pack_loss
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.methods import (
    checkpoint_activations,
    compile_layers,
    link_model,
    load_trainable,
    make_trainable,
)
from kot_platypus.train.packing import pack_batch
from kot_platypus.train.preferences import accept_packs
from kot_platypus.train.trainer import describe_step
from tests.train.conftest import section
from tests.train.test_packing import gradients, reference, relative

MODEL = ModelSection(device="cpu", dtype="float32")
HALF = ModelSection(device="cpu", dtype="bfloat16")
both_dtypes = pytest.mark.parametrize("model", [MODEL, HALF], ids=lambda model: model.dtype)
SECTION = section()


def read_log(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def packed_gradient(model: torch.nn.Module, batch: list) -> torch.Tensor:
    for pack in pack_batch(batch, 300, "example"):
        model(pack).backward()
    return gradients(model)


# --- the gradient is the same ------------------------------------------------------------------


def test_model_called_with_a_pack_is_its_loss_and_answers_all_else_as_before(any_model, batch):
    (pack,) = pack_batch(batch, 100_000, "example")
    ids = torch.tensor([batch[0].ids])
    with torch.no_grad():
        loss, logits = pack_loss(any_model, pack), any_model(ids).logits
        accept_packs(any_model, section())
        assert torch.equal(any_model(pack), loss)
        assert torch.equal(any_model(input_ids=ids).logits, logits)


@pytest.mark.one_in(2)
def test_embeddings_that_are_the_head_too_get_both_gradients(any_model, batch):
    """With all weights trained the loss adds the head's gradient to that of the embeddings."""
    any_model.config.tie_word_embeddings = True
    any_model.tie_weights()
    head, embeddings = any_model.get_output_embeddings(), any_model.get_input_embeddings()
    assert head.weight is embeddings.weight
    _, expected = reference(any_model, batch, "example")
    accept_packs(any_model, section())
    assert relative(packed_gradient(any_model, batch), expected) < 1e-5


class CountSaved:
    """Adds up what autograd keeps between the forward and the backward pass."""

    def __init__(self) -> None:
        self.num_values = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        self.num_values += tensor.numel()
        return tensor

    def __enter__(self) -> CountSaved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)


@pytest.mark.one_in(2)
def test_gradient_checkpointing_keeps_less_and_changes_no_gradient(any_model, batch):
    any_model.train()
    _, expected = reference(any_model, batch, "example")
    accept_packs(any_model, section())
    (pack,) = pack_batch(batch, 100_000, "example")
    with CountSaved() as whole:
        any_model(pack)
    checkpoint_activations(any_model)
    with CountSaved() as checkpointed:
        any_model(pack)
    assert checkpointed.num_values < 0.7 * whole.num_values
    assert relative(packed_gradient(any_model, batch), expected) < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_layers_change_no_gradient(any_model, batch):
    _, expected = reference(any_model, batch, "example")
    compile_layers(any_model)
    accept_packs(any_model, section())
    assert relative(packed_gradient(any_model, batch), expected) < 1e-5


@pytest.mark.one_in(5)
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT's
@pytest.mark.parametrize("method", ["full", "lora"])
def test_bfloat16_products_stay_near_the_gradient_of_float32(any_model, batch, method):
    if method == "lora":
        any_model = make_trainable(any_model, SECTION)
        for name, parameter in any_model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
    accept_packs(any_model, section())
    expected = packed_gradient(any_model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = packed_gradient(any_model, batch)
    assert found.dtype == torch.float32
    assert 1e-5 < relative(found, expected) < 0.05


# --- training ----------------------------------------------------------------------------------


@pytest.mark.slow
@both_dtypes
def test_full_training_writes_a_plain_model_whose_every_weight_has_learnt(
    data, base, tmp_path, model
):
    out = tmp_path / "full"
    train_adapter(data, base, out, section(method="full", learning_rate=1e-3, num_epochs=2), model)
    losses = read_log(out)
    assert losses[-1] < 0.8 * losses[0]
    before = AutoModelForCausalLM.from_pretrained(base)
    after = AutoModelForCausalLM.from_pretrained(out / "model")
    assert after.dtype == before.dtype
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    assert [name for (name, old), new in pairs if torch.equal(old, new)] == []
    assert load_tokenizer(out / "model").vocab_size == load_tokenizer(base).vocab_size
    assert json.loads((out / "model" / "kot.json").read_text())["method"] == "full"
    facts = json.loads((out / "manifest.json").read_text())
    assert facts["trainable_parameters"] == facts["parameters"]
    assert not (out / "adapter").exists()


def test_linked_model_is_the_trained_one_and_says_so(base, tmp_path):
    trained = tmp_path / "model"
    trained.mkdir()
    for file in base.iterdir():
        (trained / file.name).write_bytes(file.read_bytes())
    link_model(trained, tmp_path / "merged")
    link_model(trained, tmp_path / "merged")  # done before
    assert fingerprint_model(tmp_path / "merged") == fingerprint_model(trained)
    assert json.loads((tmp_path / "merged" / "manifest.json").read_text())["status"] == "done"


@pytest.mark.slow
@both_dtypes
def test_dora_trains_and_merges(data, base, tmp_path, model):
    out = tmp_path / "dora"
    train_adapter(data, base, out, section(method="dora"), model)
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["use_dora"]
    assert config["target_modules"] == sorted(config["target_modules"])  # the same in each process
    losses = read_log(out)
    assert losses[-1] < losses[0]
    merge_adapter(base, out / "adapter", tmp_path / "merged")
    merged = load_model(tmp_path / "merged", dtype="float32", device="cpu")
    tuned = load_model(base, dtype="float32", device="cpu", adapter=out / "adapter")
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        torch.testing.assert_close(merged(ids).logits, tuned(ids).logits, atol=1e-4, rtol=1e-4)


def test_bfloat16_trains_float32_adapters(few, base, tmp_path):
    train_adapter(few, base, tmp_path / "a", SECTION, HALF)
    train_adapter(few, base, tmp_path / "b", SECTION, MODEL)
    losses, exact = read_log(tmp_path / "a"), read_log(tmp_path / "b")
    assert losses == pytest.approx(exact, rel=0.02)
    assert losses != exact


@pytest.mark.slow
@both_dtypes
def test_qlora_trains_beside_a_base_in_four_bits(few, base, tmp_path, model):
    facts = {}
    for method in ("lora", "qlora"):
        train_adapter(few, base, tmp_path / method, section(method=method), model)
        facts[method] = json.loads((tmp_path / method / "manifest.json").read_text())
    exact, found = read_log(tmp_path / "lora"), read_log(tmp_path / "qlora")
    assert found != exact
    assert found == pytest.approx(exact, rel=0.05)
    assert facts["qlora"]["parameters"] == facts["lora"]["parameters"]
    assert facts["qlora"]["is_packed"]
    info = json.loads((tmp_path / "qlora" / "adapter" / "kot.json").read_text())
    assert (info["method"], info["quantization"]) == ("qlora", "nf4")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_qloras_gradient_is_that_of_the_base_it_holds(base, dtype):
    """On a CPU with AVX512-BF16 too, where bitsandbytes has a kernel without a gradient."""
    from bitsandbytes.functional import dequantize_4bit

    alone = section(method="qlora", max_tokens_per_pass=1)
    model, _ = load_trainable(base, alone, dtype=dtype, device="cpu")
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]))  # as a check before the training does
    plain = make_trainable(load_model(base, dtype=dtype, device="cpu"), section())
    held = {name: p for name, p in model.named_parameters() if hasattr(p, "quant_state")}
    for name, weight in plain.named_parameters():
        if name in held:
            weight.data = dequantize_4bit(held[name].data, held[name].quant_state).to(weight.dtype)
        elif "lora_" in name:
            torch.nn.init.normal_(weight, std=0.02)
            model.get_parameter(name).data.copy_(weight)
    assert held
    batch = [Encoded(tuple(range(5, 40)), 12), Encoded(tuple(range(50, 70)), 3)]
    found, expected = (read_lora_gradient(each.train(), batch) for each in (model, plain))
    assert (found - expected).norm() < (1e-3 if dtype == "float32" else 0.05) * expected.norm()


def read_lora_gradient(model, batch):
    """Of separate passes, flat."""
    for example in batch:
        ids = torch.tensor([example.ids])
        with torch.autocast("cpu", torch.bfloat16, enabled=model.dtype == torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits[0, example.prompt_len - 1 : -1]
        F.cross_entropy(logits.float(), ids[0, example.prompt_len :]).backward()
    named = sorted((n, p.grad) for n, p in model.named_parameters() if p.grad is not None)
    return torch.cat([gradient.flatten().float() for _, gradient in named])


def test_qlora_without_its_extra_names_it(data, base, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kot-platypus\[qlora\]'"):
        train_adapter(data, base, tmp_path / "x", section(method="qlora"), MODEL)


def test_qlora_spread_over_gpus_is_refused_in_one_line(base, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match="qlora with FSDP"):
        load_trainable(base, section(method="qlora"), dtype="float32", device="cpu")


def test_model_that_cannot_be_checkpointed_is_refused_in_one_line(any_model, monkeypatch):
    monkeypatch.setattr(type(any_model), "supports_gradient_checkpointing", False)
    with pytest.raises(ModelError, match="keeps all activations"):
        checkpoint_activations(any_model)


# --- what the trainer tells --------------------------------------------------------------------


class KeepLogs(TrainerCallback):
    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args, state, control, logs=None, **_: object) -> None:
        self.logs.append(logs)


def test_ones_own_callback_sees_every_steps_loss_and_speed(data, base, tmp_path):
    kept = KeepLogs()
    train_adapter(data, base, tmp_path / "x", SECTION, MODEL, callbacks=[kept])
    steps = [logs for logs in kept.logs if "loss" in logs]
    assert [logs["loss"] for logs in steps] == read_log(tmp_path / "x")
    for logs in steps:
        ids_per_example = logs["tokens_per_second"] / logs["examples_per_second"]
        assert 30 < ids_per_example < 256


def test_progress_line_tells_loss_rate_and_speed():
    logs = {
        "loss": 1.23456,
        "learning_rate": 1e-5,
        "examples_per_second": 12.34,
        "tokens_per_second": 3456.7,
    }
    assert describe_step(logs) == "loss 1.235  lr 1.0e-05  12.3 examples/s  3457 tokens/s"


def test_reporter_that_is_not_installed_is_refused_in_one_line(data, base, tmp_path, monkeypatch):
    monkeypatch.setattr("kot_platypus.packages.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="pip install wandb"):
        train_adapter(data, base, tmp_path / "x", section(report_to=("wandb",)), MODEL)
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_tensorboard_gets_the_losses(few, base, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    train_adapter(few, base, tmp_path / "x", section(report_to=("tensorboard",)), MODEL)
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    found = [event.value for event in events.Scalars("train/loss")]
    assert found == pytest.approx(read_log(tmp_path / "x"), rel=1e-5)


@pytest.mark.slow
def test_tensorboards_files_outlive_the_checkpoints_beside_which_it_writes(
    few, base, tmp_path, monkeypatch
):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    out = tmp_path / "x"
    train_adapter(few, base, out, section(report_to=("tensorboard",)), MODEL)
    assert len(list(out.glob("runs/*/events.out.tfevents.*"))) == 1
    assert not (out / "checkpoints").exists()
