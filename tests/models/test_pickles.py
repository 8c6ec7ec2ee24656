"""PyTorch's own weight files: read without running them, and converted once."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kot_platypus.errors import ModelError
from kot_platypus.models import cache_folder, fingerprint_model, load_model, resolve_model
from kot_platypus.models.conversion import convert_pickle
from tests.models.folders import save_as_bin

pytestmark = pytest.mark.usefixtures("cache")
PLAIN = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2], dtype=torch.int64)}


def convert(state: object, folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    torch.save(state, folder / "x.bin", **options)
    convert_pickle(folder / "x.bin", folder / "x.safetensors")
    return load_file(folder / "x.safetensors")


# --- what is written ---------------------------------------------------------------------------


def assert_equal_states(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensors_keep_their_values_shapes_and_dtypes(tmp_path, zipped):
    state = OrderedDict(PLAIN)
    state |= {str(dtype): torch.ones(3, dtype=dtype) for dtype in (torch.bfloat16, torch.bool)}
    state["parameter"] = torch.nn.Parameter(torch.full((2,), 0.5))
    found = convert(state, tmp_path, _use_new_zipfile_serialization=zipped)
    assert_equal_states(found, {name: tensor.detach() for name, tensor in state.items()})


def test_a_masks_infinity_is_no_weight(tmp_path):
    """GPT-NeoX's files in float16 (Polyglot-Ko's) hold -1e9 as a scalar, which is -inf there."""
    state = {"attention.masked_bias": torch.tensor(-1e9).half()}
    assert convert(state, tmp_path)["attention.masked_bias"].isinf()


def test_tensors_that_share_memory_are_written_each_for_itself(tmp_path):
    table = torch.arange(12.0).view(3, 4)
    state = {
        "embed": table,
        "head": table,  # tied
        "rows": table[1:],  # a view of a larger storage
        "transposed": table.t(),
        "repeated": torch.tensor([7.0]).expand(5),
    }
    wanted = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    assert_equal_states(convert(state, tmp_path), wanted)


# --- what is refused ---------------------------------------------------------------------------


class Malicious:
    """What an attacker's pickle does: run a command of the shell while it is read."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.witness}",)


def write_zip(state: object, path: Path) -> None:
    torch.save(state, path)


def write_legacy(state: object, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def write_pickle(state: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(state, protocol=2))


def write_protocol_5(state: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(state, protocol=5))


def write_tar(state: object, path: Path) -> None:
    """The oldest format, whose members are pickles."""
    with tarfile.open(path, "w") as tar:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(state if name == "pickle" else 0)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "write", [write_zip, write_legacy, write_pickle, write_tar, write_protocol_5]
)
def test_malicious_file_is_refused_in_one_line_and_nothing_runs(tmp_path, write):
    witness, file = tmp_path / "witness", tmp_path / "pytorch_model.bin"
    write({"a": torch.ones(2), "b": Malicious(witness)}, file)
    with pytest.raises(ModelError) as raised:
        convert_pickle(file, tmp_path / "x.safetensors")
    assert "\n" not in str(raised.value)
    assert not witness.exists()
    assert not (tmp_path / "x.safetensors").exists()
    if write in (write_zip, write_legacy):
        assert "asks for posix.system" in str(raised.value)
        torch.load(file, weights_only=False)  # the file is a real one: read openly, it runs
        assert witness.exists()


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"a": np.float64(1.0)}, "numpy"),
        ({"a": np.ones(2)}, "numpy"),
        ({"a": 3}, "int"),
        ({"state_dict": dict(PLAIN)}, "state_dict"),
        ({1: torch.ones(2)}, "Tensor as 1"),
        ([torch.ones(2)], "list"),
        ({}, "no tensors"),
        ({"w": torch.tensor([1.0, float("nan")])}, "w that are not finite"),
        ({"w": torch.tensor([1.0, float("-inf")], dtype=torch.bfloat16)}, "not finite"),
        ({"w": torch.eye(3).to_sparse()}, "sparse"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "complex64"),
    ],
)
def test_anything_but_plain_finite_tensors_is_refused(tmp_path, state, named):
    with pytest.raises(ModelError) as raised:
        convert(state, tmp_path)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"garbage" * 99, b"PK\x03\x04" + b"\0" * 99, b"\x80\x02."])
def test_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        convert_pickle(tmp_path / "x.bin", tmp_path / "x.safetensors")


def test_truncated_file_is_refused(tmp_path):
    torch.save(PLAIN, tmp_path / "x.bin")
    content = (tmp_path / "x.bin").read_bytes()
    for size in (len(content) // 2, len(content) - 30):
        (tmp_path / "x.bin").write_bytes(content[:size])
        with pytest.raises(ModelError, match="cannot be read"):
            convert_pickle(tmp_path / "x.bin", tmp_path / "x.safetensors")


# --- whole folders -----------------------------------------------------------------------------


@pytest.mark.parametrize("num_files", [1, 3])
def test_model_of_bin_files_computes_what_its_safetensors_compute(base, tmp_path, num_files):
    folder = save_as_bin(base, tmp_path / "model", num_files)
    found = resolve_model(str(folder))
    assert found.is_relative_to(cache_folder())
    assert len(list(found.glob("*.safetensors"))) == num_files
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        logits = [
            load_model(each, device="cpu", dtype="float32")(ids).logits
            for each in (base, found, folder)
        ]
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_conversion_is_said_and_done_once(base, tmp_path, capsys):
    folder = save_as_bin(base, tmp_path / "model", 2)
    found = resolve_model(str(folder))
    assert "Converting model to safetensors (once" in capsys.readouterr().err
    inodes = {file: file.stat().st_ino for file in found.iterdir()}
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere" / "model")
    assert resolve_model(str(folder)) == resolve_model(str(elsewhere)) == found
    assert {file: file.stat().st_ino for file in found.iterdir()} == inodes
    assert capsys.readouterr().err == ""


def test_another_config_is_another_model_but_converts_no_weights(base, tmp_path, capsys):
    folder = save_as_bin(base, tmp_path / "model")
    found = resolve_model(str(folder))
    capsys.readouterr()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    other = resolve_model(str(folder))
    assert other != found
    assert capsys.readouterr().err == ""
    assert (other / "model.safetensors").samefile(found / "model.safetensors")


def test_fingerprint_is_of_the_content_converted_or_not(base, tmp_path, cache):
    folder = save_as_bin(base, tmp_path / "model", 2)
    before = fingerprint_model(folder)
    assert fingerprint_model(resolve_model(str(folder))) == before
    shutil.rmtree(cache)  # what is converted anew has the same bytes
    assert fingerprint_model(folder) == before


def test_fingerprint_tells_two_bin_models_apart(base, tmp_path):
    one = save_as_bin(base, tmp_path / "one")
    other = Path(shutil.copytree(one, tmp_path / "other"))
    state = torch.load(other / "pytorch_model.bin", weights_only=True)
    state["model.norm.weight"][0] += 1
    torch.save(state, other / "pytorch_model.bin")
    assert fingerprint_model(one) != fingerprint_model(other)


def test_safetensors_come_before_bin_files(base, tmp_path):
    folder = save_as_bin(base, tmp_path / "model")
    shutil.copy(base / "model.safetensors", folder)
    (folder / "pytorch_model.bin").write_bytes(b"never looked at")
    assert resolve_model(str(folder)) == folder


def test_index_that_names_what_is_not_there_is_refused(base, tmp_path):
    folder = save_as_bin(base, tmp_path / "model", 2)
    index = folder / "pytorch_model.bin.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["no.such.tensor"] = "pytorch_model-00001-of-00002.bin"
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"no file holds no\.such\.tensor"):
        resolve_model(str(folder))
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelError, match=r"lacks pytorch_model-00002-of-00002\.bin"):
        resolve_model(str(folder))
    content["weight_map"] = {"w": "../../secret.bin"}
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"names \.\./\.\./secret\.bin"):
        resolve_model(str(folder))


def test_tensor_of_two_files_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    files = {"a": "pytorch_model-1-of-2.bin", "b": "pytorch_model-2-of-2.bin"}
    for name in files.values():
        torch.save(PLAIN, tmp_path / "model" / name)
    index = {"weight_map": files}
    (tmp_path / "model" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="lies in two files"):
        resolve_model(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "LFS")],
)
def test_file_without_content_is_refused(base, tmp_path, content, named):
    folder = save_as_bin(base, tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match=named):
        resolve_model(str(folder))


# --- killed, and two at once -------------------------------------------------------------------

RESOLVE = """
import sys
from kot_platypus.models import fingerprint_model, resolve_model
print(fingerprint_model(resolve_model(sys.argv[1])))
"""
DIE = """
import os, signal, sys
from kot_platypus.models import conversion, resolve_model
real = conversion.convert_pickle
def convert(source, target):
    if source.name.startswith("pytorch_model-00002"):
        target.write_bytes(b"half a file")
        os.kill(os.getpid(), signal.SIGKILL)
    return real(source, target)
conversion.convert_pickle = convert
resolve_model(sys.argv[1])
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.slow
def test_killed_conversion_leaves_nothing_that_is_taken_for_a_model(base, tmp_path, cache):
    folder = save_as_bin(base, tmp_path / "model", 2)
    killed = start(DIE, folder)
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert list(cache.rglob("*.part"))
    found = resolve_model(str(folder))
    assert not list(cache.rglob("*.part"))
    states = [load_file(file) for file in found.glob("*.safetensors")]
    whole = {name: tensor for state in states for name, tensor in state.items()}
    assert_equal_states(whole, load_file(base / "model.safetensors"))


@pytest.mark.slow
def test_two_processes_at_once_get_one_conversion(base, tmp_path, cache):
    folder = save_as_bin(base, tmp_path / "model", 2)
    both = [start(RESOLVE, folder) for _ in range(2)]
    prints = {process.communicate(timeout=60)[0] for process in both}
    assert prints == {fingerprint_model(folder) + "\n"}
    assert len([f for f in (cache / "weights").iterdir() if f.is_dir()]) == 1


def test_adapter_of_2023_is_converted_as_well(base, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapter = tmp_path / "adapter"
    model = load_model(base, device="cpu", dtype="float32")
    get_peft_model(model, config).save_pretrained(adapter)
    old = Path(shutil.copytree(adapter, tmp_path / "old"))
    torch.save(load_file(old / "adapter_model.safetensors"), old / "adapter_model.bin")
    (old / "adapter_model.safetensors").unlink()
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        logits = [
            load_model(base, device="cpu", dtype="float32", adapter=each)(ids).logits
            for each in (adapter, old)
        ]
    assert torch.equal(*logits)
    assert fingerprint_model(base, old) != fingerprint_model(base)
