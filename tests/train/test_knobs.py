"""Settings of LoRA, of the optimizer and of the embeddings: each does what its name says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback

from kot_platypus.artifacts import hash_file
from kot_platypus.errors import MissingExtraError, ModelError, RecipeError
from kot_platypus.models import build_empty_model, load_model
from kot_platypus.recipe import ModelSection
from kot_platypus.train import merge as merge_module
from kot_platypus.train.estimate import Lengths, estimate_training, prepare_empty
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.methods import load_trainable, make_trainable
from kot_platypus.train.noise import EmbeddingNoise
from kot_platypus.train.packing import pack_batch
from tests.train.conftest import StopAfter, section, write_problems

MODEL = ModelSection(device="cpu", dtype="float32")
HALF = ModelSection(device="cpu", dtype="bfloat16")
IDS = torch.arange(5, 35)[None]


def adapter_hash(out: Path) -> str:
    return hash_file(out / "adapter" / "adapter_model.safetensors")


def read_config(out: Path) -> dict:
    return json.loads((out / "adapter" / "adapter_config.json").read_text())


def read_losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(IDS).logits.clone()


class KeepLogits(TrainerCallback):
    """The logits of the model in training at its end: what base with adapter has to give."""

    def on_train_end(self, args, state, control, model=None, **_: object) -> None:
        self.logits = logits(model)


# --- every one of them resumes -----------------------------------------------------------------

SETTINGS = {
    "rsLoRA with patterns": {
        "use_rslora": True,
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {r"layers\.1\..*": 32},
    },
    "gaussian": {"init_lora_weights": "gaussian"},
    "PiSSA": {"init_lora_weights": "pissa", "lora_alpha": 8},
    "fast PiSSA": {"init_lora_weights": "pissa_niter_16"},
    "OLoRA": {"init_lora_weights": "olora", "learning_rate": 1e-3},
    "LoRA+": {"loraplus_lr_ratio": 4, "weight_decay": 0.1},
    "8 bits": {"optim": "adamw_8bit", "lora_r": 64},  # smaller tensors stay in 32
    "LoRA+ in 8 bits": {"optim": "adamw_8bit", "lora_r": 64, "loraplus_lr_ratio": 2},
    "NEFTune": {"neftune_noise_alpha": 5, "lora_dropout": 0.1},
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", SETTINGS)
def test_each_resumes_to_the_same_adapter(base, tmp_path, name):
    data = write_problems(tmp_path, 12)
    one = section(save_steps=1, **SETTINGS[name])
    train_adapter(data, base, tmp_path / "whole", one, MODEL)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(data, base, tmp_path / "x", one, MODEL, callbacks=[StopAfter(2)])
    train_adapter(data, base, tmp_path / "x", one, MODEL)
    assert adapter_hash(tmp_path / "x") == adapter_hash(tmp_path / "whole")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["rsLoRA with patterns", "PiSSA", "fast PiSSA", "OLoRA"])
@pytest.mark.parametrize("model", [MODEL, HALF], ids=lambda model: model.dtype)
def test_untouched_base_with_adapter_and_merged_are_the_model_that_was_trained(
    data, base, tmp_path, name, model, monkeypatch
):
    kept = KeepLogits()
    train_adapter(data, base, tmp_path / "x", section(**SETTINGS[name]), model, callbacks=[kept])
    adapter = tmp_path / "x" / "adapter"
    tuned = logits(load_model(base, dtype="float32", device="cpu", adapter=adapter))
    # A residual in bfloat16 is rounded once more than its base.
    close = {"atol": 1e-4 if model is MODEL else 0.15, "rtol": 1e-4}
    torch.testing.assert_close(tuned, kept.logits.float(), **close)
    monkeypatch.setattr(merge_module, "_merge_in_memory", None)
    merge_adapter(base, adapter, tmp_path / "merged")
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"))
    torch.testing.assert_close(merged, tuned, atol=1e-4, rtol=1e-4)
    assert (tuned - logits(load_model(base, dtype="float32", device="cpu"))).abs().max() > 0.2


# --- LoRA --------------------------------------------------------------------------------------


def test_adapter_says_in_pefts_words_how_it_was_trained(few, base, tmp_path):
    train_adapter(few, base, tmp_path / "x", section(**SETTINGS["rsLoRA with patterns"]), MODEL)
    config = read_config(tmp_path / "x")
    assert config["use_rslora"]
    assert config["rank_pattern"] == {"q_proj": 2}
    weights = load_file(tmp_path / "x" / "adapter" / "adapter_model.safetensors")
    ranks = {name.split(".")[-3]: len(w) for name, w in weights.items() if "lora_A" in name}
    assert (ranks["q_proj"], ranks["v_proj"]) == (2, 4)


@pytest.mark.parametrize("name", ["PiSSA", "OLoRA"])
def test_what_is_taken_from_the_base_is_given_back_in_a_plain_adapter(few, base, tmp_path, name):
    train_adapter(few, base, tmp_path / "x", section(**SETTINGS[name]), MODEL)
    config = read_config(tmp_path / "x")
    assert (config["init_lora_weights"], config["r"]) == (True, 8)  # of r = 4
    assert not (tmp_path / "x" / "checkpoints").exists()


@pytest.mark.parametrize("name", ["PiSSA", "fast PiSSA", "OLoRA"])
def test_taking_an_adapter_from_the_base_changes_no_output_and_moves_the_base(base, name):
    plain = load_model(base, dtype="float32", device="cpu")
    expected = logits(plain)
    before = plain.model.layers[0].mlp.up_proj.weight.clone()
    adapted = make_trainable(plain, section(**SETTINGS[name]))
    torch.testing.assert_close(logits(adapted), expected, atol=1e-4, rtol=1e-4)
    layer = adapted.get_base_model().model.layers[0].mlp.up_proj
    assert (layer.base_layer.weight - before).norm() > 0.05 * before.norm()


@pytest.mark.parametrize("setting", ["rank_pattern", "alpha_pattern"])
def test_pattern_that_no_layer_goes_by_is_one_line(base, setting):
    model = load_model(base, dtype="float32", device="cpu")
    with pytest.raises(ModelError, match=rf"train\.{setting} names c_attn, which no layer"):
        make_trainable(model, section(**{setting: {"c_attn": 8}}))


@pytest.mark.slow
def test_loraplus_at_ratio_one_is_lora_and_at_four_only_b_learns_faster(few, base, tmp_path):
    class KeepRates(TrainerCallback):
        def on_step_end(self, args, state, control, optimizer=None, model=None, **_) -> None:
            names = {id(p): name for name, p in model.named_parameters()}
            self.rates = {
                names[id(p)]: group["initial_lr"]
                for group in optimizer.param_groups
                for p in group["params"]
            }

    for ratio in (None, 1, 4):
        kept = KeepRates()
        one = section(loraplus_lr_ratio=ratio, weight_decay=0.1)
        train_adapter(few, base, tmp_path / str(ratio), one, MODEL, callbacks=[kept])
    assert adapter_hash(tmp_path / "1") == adapter_hash(tmp_path / "None")
    assert adapter_hash(tmp_path / "4") != adapter_hash(tmp_path / "None")
    assert {rate for name, rate in kept.rates.items() if "lora_B" in name} == {4 * 5e-3}
    assert {rate for name, rate in kept.rates.items() if "lora_A" in name} == {5e-3}


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_taking_from_a_spread_base_is_refused_in_one_line(base, monkeypatch, init):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    one = section(init_lora_weights=init)
    with pytest.raises(RecipeError, match=rf"init_lora_weights {init} with FSDP"):
        load_trainable(base, one, dtype="float32", device="cpu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "full", "use_rslora": True}, "a method with an adapter beside `use_rslora`"),
        ({"method": "full", "rank_pattern": {"q": 2}}, "a method with an adapter"),
        ({"method": "dora", "init_lora_weights": "pissa"}, "method lora with init_lora_weights"),
        ({"method": "qlora", "init_lora_weights": "olora"}, "method lora with init_lora_weights"),
        (
            {"use_rslora": True, "rank_pattern": {"q": 2}, "init_lora_weights": "pissa"},
            "not both",
        ),
        ({"rank_pattern": {"q(": 2}}, "a regular expression"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        section(**changes)


# --- optimizers --------------------------------------------------------------------------------


class KeepMoments(TrainerCallback):
    """The tensors of Adam's moments, with the scales of those in 8 bits."""

    def on_step_end(self, args, state, control, optimizer=None, **_) -> None:
        self.tensors = [
            tensor
            for each in optimizer.state.values()
            for name, tensor in each.items()
            if name.startswith(("exp_avg", "state", "absmax"))
        ]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"lora_r": 64}, {"method": "full", "learning_rate": 1e-3}])
@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_8bit"])
def test_memory_of_the_moments_is_counted_as_it_then_is(few, base, tmp_path, optim, changes):
    kept, one = KeepMoments(), section(optim=optim, **changes)
    train_adapter(few, base, tmp_path / "x", one, MODEL, callbacks=[kept])
    model = prepare_empty(build_empty_model(base), one, "float32")
    counted = estimate_training(model, one, Lengths((30,) * 8, (10,) * 8)).memory
    assert counted["optimizer states"] == sum(tensor.nbytes for tensor in kept.tensors)
    has_8_bits = torch.uint8 in {tensor.dtype for tensor in kept.tensors}
    assert has_8_bits == (optim == "adamw_8bit")


def test_8_bits_follow_32_closely(few, base, tmp_path):
    for optim in ("adamw_torch", "adamw_8bit"):
        train_adapter(few, base, tmp_path / optim, section(optim=optim, lora_r=64), MODEL)
    exact, found = read_losses(tmp_path / "adamw_torch"), read_losses(tmp_path / "adamw_8bit")
    assert found == pytest.approx(exact, rel=1e-3)
    assert adapter_hash(tmp_path / "adamw_torch") != adapter_hash(tmp_path / "adamw_8bit")


def test_optimizer_without_its_package_names_the_extra(few, base, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"train\.optim adamw_8bit.*kot-platypus\[qlora\]"):
        train_adapter(few, base, tmp_path / "x", section(optim="adamw_8bit"), MODEL)


@pytest.mark.parametrize("optim", ["paged_adamw_8bit", "paged_adamw_32bit"])
def test_paging_without_a_gpu_is_one_line(few, base, tmp_path, optim):
    with pytest.raises(RecipeError, match=f"{optim} on cpu; expected a CUDA device"):
        train_adapter(few, base, tmp_path / "x", section(optim=optim), MODEL)
    assert not (tmp_path / "x").exists()


# --- NEFTune -----------------------------------------------------------------------------------


class Noised:
    """An embedding of zeros with noise: what comes out is the noise."""

    def __init__(self, alpha: float = 5.0, seed: int = 1) -> None:
        self._table = torch.nn.Embedding(4000, 32)
        torch.nn.init.zeros_(self._table.weight)
        self._noise = EmbeddingNoise(self._table, alpha, seed)

    def plain(self, pack) -> torch.Tensor:
        return self._table(pack.input_ids)

    def of(self, pack, step: int) -> torch.Tensor:
        """(T, H)."""
        with self._noise.added_to(pack, step):
            return self._table(pack.input_ids)[0].detach()


def split(noised: Noised, batch: list, step: int, max_tokens: int, **share) -> dict:
    """Example -> its noise, however the batch is packed."""
    found = {}
    for pack in pack_batch(batch, max_tokens, "example", **share):
        noise, starts = noised.of(pack, step), pack.starts.tolist()
        for number, start, end in zip(pack.numbers, starts, starts[1:], strict=False):
            found[number] = noise[start:end]
    return found


def test_noise_is_uniform_and_as_large_as_the_paper_has_it(batch):
    noise = split(Noised(), batch, 3, 100_000)
    for number, example in enumerate(batch):
        bound = 5.0 / (len(example.ids) * 32) ** 0.5
        assert 0.95 * bound < noise[number].abs().max() <= bound
        assert noise[number].std() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_noise_differs_by_step_seed_and_example_and_by_nothing_else(batch):
    expected = split(Noised(), batch, 3, 100_000)
    alone = split(Noised(), batch, 3, 1)
    shared = {}
    for rank in (0, 1):
        shared |= split(Noised(), batch, 3, 300, rank=rank, num_processes=2)
    for number in range(len(batch)):
        assert torch.equal(alone[number], expected[number])
        assert torch.equal(shared[number], expected[number])
    twice = split(Noised(), [batch[0]] * 2, 3, 100_000)
    assert not torch.equal(twice[0], twice[1])
    for other in (split(Noised(), batch, 4, 1), split(Noised(seed=2), batch, 3, 1)):
        assert not torch.equal(other[0], expected[0])


def test_what_is_no_pack_of_a_step_gets_no_noise(batch):
    noised = Noised()
    (pack,) = pack_batch(batch, 100_000, "example")
    assert noised.of(pack, 1).abs().max() > 0
    assert noised.plain(pack).abs().max() == 0


@pytest.mark.slow
def test_noise_reaches_the_training_and_packs_change_nothing(few, base, tmp_path):
    for name, changes in {
        "without": {},
        "noise": {"neftune_noise_alpha": 5},
        "one by one": {"neftune_noise_alpha": 5, "max_tokens_per_pass": 1},
    }.items():
        train_adapter(few, base, tmp_path / name, section(**changes), MODEL)
    found = {name: read_losses(tmp_path / name) for name in ("without", "noise", "one by one")}
    assert found["noise"] == pytest.approx(found["one by one"], rel=1e-5)
    assert found["noise"] != pytest.approx(found["without"], rel=1e-3)
