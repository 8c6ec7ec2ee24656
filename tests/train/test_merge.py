from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
)

from kot_platypus.artifacts import write_json
from kot_platypus.errors import ModelError
from kot_platypus.models import TRAINING_INFO, fingerprint_model, load_model
from kot_platypus.models.weights import MODEL, list_shards, read_header
from kot_platypus.train import merge as merge_module
from kot_platypus.train.companions import read_dtype
from kot_platypus.train.merge import copy_shard, merge_adapter

IDS = torch.arange(3, 43).view(1, -1)


@pytest.fixture
def base(any_model, shared: Path, tmp_path: Path) -> Path:
    """A folder of each architecture in several files, with a tokenizer and settings."""
    any_model.save_pretrained(tmp_path / "base", max_shard_size="500KB")
    source = shared / "models" / "tiny-llama-ko"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, tmp_path / "base" / name)
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages }}")
    return tmp_path / "base"


@pytest.fixture
def llama(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


def make_adapter(base: Path, folder: Path, **settings) -> Path:
    """An adapter with weights that change the outputs much, as if trained."""
    torch.manual_seed(0)
    options = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    model = load_model(base, dtype="float32", device="cpu")
    adapted = get_peft_model(model, LoraConfig(**{**options, **settings}))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if weight.requires_grad:
                changed = weight * (1 + 0.2 * torch.rand_like(weight))
                weight.copy_(changed if "magnitude" in name else torch.randn_like(weight) * 0.05)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits


def assert_merged(base: Path, adapter: Path, merged: Path) -> None:
    """The merged folder alone gives the logits of base with adapter, which are not the base's."""
    tuned = logits(load_model(base, dtype="float32", device="cpu", adapter=adapter))
    found = logits(AutoModelForCausalLM.from_pretrained(merged).eval())
    torch.testing.assert_close(found, tuned, atol=1e-4, rtol=1e-4)
    untouched = logits(load_model(base, dtype="float32", device="cpu"))
    assert (found - untouched).abs().max() > 0.05


def list_weights(folder: Path) -> list[Path]:
    return list_shards(folder, MODEL.safetensors)


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for shard in list_weights(folder) for name, t in load_file(shard).items()}


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(merge_module, name, refuse)


# --- merged equals base with adapter -----------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_dora": True},
        {
            "use_rslora": True,
            "alpha_pattern": {r"layers\.1\..*": 32},
            "rank_pattern": {r"layers\.0\..*": 2},
        },
    ],
    ids=["LoRA", "DoRA", "rsLoRA with patterns"],
)
def test_files_merged_one_by_one_equal_base_with_adapter(base, tmp_path, settings, monkeypatch):
    adapter = make_adapter(base, tmp_path / "adapter", **settings)
    forbid(monkeypatch, "_merge_in_memory")
    merge_adapter(base, adapter, tmp_path / "merged")
    assert_merged(base, adapter, tmp_path / "merged")


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("tiny-llama-ko", {"modules_to_save": ["lm_head"]}),
        ("tiny-llama-ko", {"target_modules": ["embed_tokens", "q_proj"]}),
        ("tiny-polyglot-ko", {"bias": "lora_only"}),
    ],
)
def test_what_is_more_than_lora_is_merged_in_memory(shared, tmp_path, model, settings, monkeypatch):
    base = shared / "models" / model
    adapter = make_adapter(base, tmp_path / "adapter", **settings)
    forbid(monkeypatch, "copy_shard")
    merge_adapter(base, adapter, tmp_path / "merged")
    assert_merged(base, adapter, tmp_path / "merged")


def test_output_layer_of_its_own_is_merged(llama, tmp_path, monkeypatch):
    adapter = make_adapter(llama, tmp_path / "adapter", target_modules=["lm_head", "q_proj"])
    forbid(monkeypatch, "_merge_in_memory")
    merge_adapter(llama, adapter, tmp_path / "merged")
    assert_merged(llama, adapter, tmp_path / "merged")


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    """A model whose two embeddings are one."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "tied")
    return tmp_path / "tied"


@pytest.mark.filterwarnings("ignore:Model has `tie_", "ignore:Input and output embeddings")
def test_output_layer_trained_in_full_is_untied(tied, tmp_path):
    adapter = make_adapter(tied, tmp_path / "adapter", modules_to_save=["lm_head"])
    merge_adapter(tied, adapter, tmp_path / "merged")
    assert_merged(tied, adapter, tmp_path / "merged")


@pytest.mark.filterwarnings("ignore:Model .*`tie_word_embeddings=True`")
def test_lora_on_one_of_two_tied_embeddings_is_refused(tied, tmp_path):
    adapter = make_adapter(tied, tmp_path / "adapter", target_modules=["lm_head"])
    with pytest.raises(ModelError, match="only one of the two embeddings"):
        merge_adapter(tied, adapter, tmp_path / "merged")


def test_base_saved_without_its_head_is_merged(llama, tmp_path, monkeypatch):
    """Files of a bare LlamaModel name their tensors without ``model.``."""
    LlamaModel.from_pretrained(llama).save_pretrained(tmp_path / "bare")
    assert "layers.0.self_attn.q_proj.weight" in read_tensors(tmp_path / "bare")
    adapter = make_adapter(llama, tmp_path / "adapter")
    merge_adapter(tmp_path / "bare", adapter, tmp_path / "merged")
    inner = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").model
    tuned = load_model(llama, dtype="float32", device="cpu", adapter=adapter).get_base_model()
    with torch.inference_mode():
        torch.testing.assert_close(
            inner(IDS).last_hidden_state, tuned.model(IDS).last_hidden_state, atol=1e-4, rtol=1e-4
        )


def test_base_with_other_names_is_left_to_transformers_which_refuses_what_it_cannot_place(
    llama, tmp_path, capsys
):
    adapter = make_adapter(llama, tmp_path / "adapter")
    odd = copy_with(
        llama, tmp_path / "odd", {f"other.{n}": t for n, t in read_tensors(llama).items()}
    )
    with pytest.raises(ModelError, match="no weights for"):
        merge_adapter(odd, adapter, tmp_path / "merged")
    assert "Merging in memory" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def copy_with(base: Path, folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A copy of a model folder with other tensors."""
    folder.mkdir()
    for file in base.glob("*.json"):
        shutil.copyfile(file, folder / file.name)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


# --- the folder --------------------------------------------------------------------------------


def test_untouched_tensors_and_headers_are_the_bases_byte_for_byte(base, tmp_path):
    adapter = make_adapter(
        base, tmp_path / "adapter", target_modules=r".*layers\.1\..*(dense|q_proj)"
    )
    merge_adapter(base, adapter, tmp_path / "merged")
    shards = list_weights(base)
    assert len(shards) > 1
    assert [s.name for s in list_weights(tmp_path / "merged")] == [s.name for s in shards]
    for shard in shards:
        assert read_header(tmp_path / "merged" / shard.name) == read_header(shard)
    before, after = read_tensors(base), read_tensors(tmp_path / "merged")
    assert {
        name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])
    } in (
        {"dense"},
        {"q_proj"},
    )


def test_tokenizer_template_and_settings_come_along_and_nothing_else(base, tmp_path):
    adapter = make_adapter(base, tmp_path / "adapter")
    write_json(adapter / TRAINING_INFO, {"base": fingerprint_model(base)})
    (base / "training_args.bin").write_bytes(b"")
    (base / "manifest.json").write_text("{}")
    merge_adapter(base, adapter, tmp_path / "merged")
    wanted = {p.name for p in base.iterdir()} - {"training_args.bin"} | {TRAINING_INFO}
    assert {p.name for p in (tmp_path / "merged").iterdir()} == wanted
    manifest = json.loads((tmp_path / "merged" / "manifest.json").read_text())
    assert manifest["stage"] == "merge"
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template == "{{ messages }}"


def test_index_that_names_one_file_comes_along(llama, tmp_path):
    base = copy_with(llama, tmp_path / "base", read_tensors(llama))
    (base / "model.safetensors").rename(base / "model-00001-of-00001.safetensors")
    names = dict.fromkeys(read_tensors(llama), "model-00001-of-00001.safetensors")
    write_json(base / "model.safetensors.index.json", {"metadata": {}, "weight_map": names})
    adapter = make_adapter(base, tmp_path / "adapter")
    merge_adapter(base, adapter, tmp_path / "merged")
    assert_merged(base, adapter, tmp_path / "merged")


def test_template_saved_with_the_adapter_goes_before_the_bases(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    (adapter / "chat_template.jinja").write_text("{{ trained_with }}")
    merge_adapter(llama, adapter, tmp_path / "merged")
    assert (tmp_path / "merged" / "chat_template.jinja").read_text() == "{{ trained_with }}"


def test_half_precision_base_is_summed_in_float32_and_rounded_once(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    halves = {name: tensor.bfloat16() for name, tensor in read_tensors(llama).items()}
    half = copy_with(llama, tmp_path / "half", halves)
    merge_adapter(half, adapter, tmp_path / "merged")
    tuned = load_model(half, dtype="float32", device="cpu", adapter=adapter).merge_and_unload()
    expected = tuned.model.layers[1].mlp.up_proj.weight.bfloat16()
    found = read_tensors(tmp_path / "merged")["model.layers.1.mlp.up_proj.weight"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("key", "dtype"), [("dtype", "float16"), ("torch_dtype", "bfloat16")])
def test_dtype_of_a_base_is_read_by_either_name(llama, tmp_path, key, dtype):
    config = json.loads((llama / "config.json").read_text())
    del config["dtype"]
    (tmp_path / "config.json").write_text(json.dumps(config | {key: dtype}))
    assert read_dtype(tmp_path) == getattr(torch, dtype)


# --- refusals ----------------------------------------------------------------------------------


def test_another_base_is_refused_by_content(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    write_json(adapter / TRAINING_INFO, {"base": fingerprint_model(llama)})
    tensors = read_tensors(llama)
    tensors["model.norm.weight"][0] += 1e-3
    other = copy_with(llama, tmp_path / "other", tensors)
    with pytest.raises(ModelError, match="trained on another base"):
        merge_adapter(other, adapter, tmp_path / "merged")


def test_adapter_that_names_no_base_must_still_fit(shared, llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    with pytest.raises(ModelError, match="does not fit this base"):
        merge_adapter(shared / "models" / "tiny-polyglot-ko", adapter, tmp_path / "merged")


@pytest.mark.parametrize("kept", [0.5, 1.5], ids=["lacks a layer", "has one too many"])
def test_adapter_tensor_without_counterpart_is_never_skipped(llama, tmp_path, kept):
    adapter = make_adapter(llama, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    if kept < 1:
        weights.pop(min(weights))
    else:
        weights[min(weights).replace("layers.0", "layers.9")] = torch.ones(4, 96)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="does not fit this base"):
        merge_adapter(llama, adapter, tmp_path / "merged")


def test_quantised_files_are_refused_as_a_base(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    quantised = copy_with(llama, tmp_path / "quantised", read_tensors(llama))
    config = json.loads((llama / "config.json").read_text())
    write_json(quantised / "config.json", config | {"quantization_config": {"bits": 4}})
    with pytest.raises(ModelError, match="holds quantised weights"):
        merge_adapter(quantised, adapter, tmp_path / "merged")


def test_weights_that_become_infinite_are_refused(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    halves = {name: tensor.half() for name, tensor in read_tensors(llama).items()}
    half = copy_with(llama, tmp_path / "half", halves)
    file = adapter / "adapter_model.safetensors"
    save_file({n: t * 1e4 for n, t in load_file(file).items()}, file)  # finite, beyond float16
    with pytest.raises(ModelError, match="expected finite weights"):
        merge_adapter(half, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_plain_adapter_is_merged_without_that_word(llama, tmp_path, capsys):
    merge_adapter(llama, make_adapter(llama, tmp_path / "adapter"), tmp_path / "merged")
    assert "quantised" not in capsys.readouterr().err


def test_adapter_of_a_quantised_training_is_merged_with_a_word_about_it(llama, tmp_path, capsys):
    adapter = make_adapter(llama, tmp_path / "adapter")
    facts = {"base": fingerprint_model(llama), "quantization": "nf4"}
    write_json(adapter / TRAINING_INFO, facts)
    merge_adapter(llama, adapter, tmp_path / "merged")
    assert "trained on a quantised base" in capsys.readouterr().err
    assert_merged(llama, adapter, tmp_path / "merged")


# --- killed, and large -------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from kot_platypus.train import merge
copy, calls = merge.copy_shard, []
def copy_then_die(*arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    copy(*arguments)
merge.copy_shard = copy_then_die
merge.merge_adapter(*map(Path, sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("any_model", ["tiny-llama-ko"], indirect=True)
def test_killed_between_two_files_it_leaves_nothing_half_written(base, tmp_path):
    adapter = make_adapter(base, tmp_path / "adapter")
    out = tmp_path / "merged"
    command = [sys.executable, "-c", KILLED, str(base), str(adapter), str(out)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    assert not out.exists()
    merge_adapter(base, adapter, out)
    assert_merged(base, adapter, out)


LARGE = """
import resource, sys
from pathlib import Path
from kot_platypus.train.merge import merge_adapter
small, large = (tuple(map(Path, sys.argv[i : i + 3])) for i in (1, 4))
merge_adapter(*small)  # whatever the libraries take is taken now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
merge_adapter(*large)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("shard_size", ["60MB", "1GB"])
def test_no_file_is_ever_in_memory_as_a_whole(llama, tmp_path, shard_size):
    """300 MB, in several files and in one, merge in less than three of its largest tensors."""
    config = LlamaConfig(
        vocab_size=4000,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=6,
        num_attention_heads=8,
    )
    large = tmp_path / "large"
    LlamaForCausalLM(config).save_pretrained(large, max_shard_size=shard_size)
    size_mb = sum(shard.stat().st_size for shard in list_weights(large)) / 2**20
    largest_mb = 4000 * 1024 * 4 / 2**20
    assert size_mb > 300
    folders = [
        *(llama, make_adapter(llama, tmp_path / "a"), tmp_path / "b"),
        *(large, make_adapter(large, tmp_path / "c"), tmp_path / "d"),
    ]
    command = [sys.executable, "-c", LARGE, *map(str, folders)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 3 * largest_mb
    assert_merged(large, folders[4], folders[5])


# --- one file ----------------------------------------------------------------------------------


def test_copied_file_differs_only_in_the_changed_tensor(tmp_path):
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3).half(), "c": torch.arange(4)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    copy_shard(tmp_path / "x.safetensors", tmp_path / "y.safetensors", {"b": lambda t: t * 2})
    copied = load_file(tmp_path / "y.safetensors")
    assert torch.equal(copied["b"], torch.full((3,), 2.0).half())
    assert all(torch.equal(copied[name], tensors[name]) for name in ("a", "c"))
    with safe_open(tmp_path / "y.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
