"""What ``auto`` picks. The processor's answers are the only thing made up here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.errors import ModelError, UsageError
from kot_platypus.models import resolve_device, resolve_dtype

T4, A100 = False, True  # whether the GPU computes bfloat16 natively


@pytest.fixture(autouse=True)
def _auto_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOT_DTYPE")


@pytest.fixture
def set_gpu(monkeypatch: pytest.MonkeyPatch):
    def set_gpu(kind: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: kind)

    return set_gpu


def set_cpu(monkeypatch: pytest.MonkeyPatch, *native: str) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda probe=probe: probe in native)


def test_absent_device_is_a_model_error():
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ModelError, match=f"no {absent} device here"):
        resolve_device(absent)


def test_auto_device_is_one_that_is_there():
    assert torch.ones(1, device=resolve_device("auto")).item() == 1.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_asked_for_is_taken(dtype, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "float32")
    assert resolve_dtype(dtype, "cpu", {}) == dtype


@pytest.mark.parametrize("native", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_processor_with_bfloat16_computes_in_it(native, monkeypatch):
    set_cpu(monkeypatch, native)
    assert resolve_dtype("auto", "cpu", {"dtype": "float16"}) == "bfloat16"


def test_processor_without_bfloat16_computes_in_float32(monkeypatch):
    set_cpu(monkeypatch)
    assert resolve_dtype("auto", "cpu", {"dtype": "float16"}) == "float32"


@pytest.mark.parametrize(
    ("gpu", "config", "expected"),
    [
        (A100, {"model_type": "gemma3_text", "dtype": "float32"}, "bfloat16"),
        (A100, {"model_type": "llama", "dtype": "float16"}, "bfloat16"),
        (T4, {"model_type": "llama", "dtype": "float16"}, "float16"),
        (T4, {"model_type": "llama", "torch_dtype": "float16"}, "float16"),
        (T4, {"model_type": "llama", "torch_dtype": "bfloat16"}, "float32"),
        (T4, {"model_type": "llama"}, "float32"),
        (T4, {"model_type": "gemma3_text", "dtype": "bfloat16"}, "float32"),
        # A Gemma fine-tuned on such a GPU: files in float16, activations that do not fit.
        (T4, {"model_type": "gemma3_text", "dtype": "float16"}, "float32"),
        (T4, {"model_type": "gemma2", "torch_dtype": "float16"}, "float32"),
    ],
)
def test_gpu_without_bfloat16_takes_float16_only_where_a_model_bears_it(
    gpu, config, expected, set_gpu, tmp_path
):
    set_gpu(gpu)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert resolve_dtype("auto", "cuda", config) == expected
    assert resolve_dtype("auto", "cuda", tmp_path) == expected


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_folder_without_a_readable_config_is_left_to_whoever_loads_it(content, set_gpu, tmp_path):
    set_gpu(T4)
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert resolve_dtype("auto", "cuda", tmp_path) == "float32"


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_environment_says_what_auto_means(dtype, device, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", dtype)
    assert resolve_dtype("auto", device, {}) == dtype


def test_environment_that_names_no_dtype_is_refused(monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "fp16")
    with pytest.raises(UsageError, match=r"KOT_DTYPE is 'fp16'; expected one of float32, bfloat16"):
        resolve_dtype("auto", "cpu", {})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_command_computes_in_what_the_environment_says(dtype, shared: Path, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", dtype)
    command = f"eval --out {tmp_path} --kobest-dir mini --num-fewshot 0 --tasks copa --limit 2"
    model = ["--model", str(shared / "models" / "tiny-llama-ko"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*command.split(), *model])
    assert result.exit_code == 0
    assert json.loads((tmp_path / "results.json").read_text())["dtype"] == dtype
