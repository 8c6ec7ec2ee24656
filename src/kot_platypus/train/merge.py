"""The merge stage: base + adapter -> a plain transformers folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from kot_platypus.artifacts import Stage, new_folder, read_json
from kot_platypus.errors import ModelError
from kot_platypus.models import ADAPTER_INFO, fingerprint_model, load_model, load_tokenizer
from kot_platypus.progress import show_progress


def merge_adapter(base: Path, adapter: Path, out: Path, *, trust_remote_code: bool = False) -> None:
    """Write base + adapter as sharded safetensors with the tokenizer, in the base's own dtype.

    The sums are made in float32 on the CPU. Raises ModelError when the adapter was trained on
    another base (by content, not by name).
    """
    base_fingerprint = fingerprint_model(base)
    inputs = {"base": base_fingerprint, "adapter": fingerprint_model(base, adapter)}
    if Stage(out, "merge", config={}, inputs=inputs).is_done:
        return
    info = adapter / ADAPTER_INFO
    trained_on = read_json(info).get("base") if info.is_file() else None
    if trained_on not in (None, base_fingerprint):
        raise ModelError(
            f"{adapter} was trained on another base than {base}",
            expected=f"the base with content {trained_on[:12]}",
            hint="Pass the base it was trained on with --model.",
        )
    with show_progress("Merging", 3, "parts") as advance, new_folder(out) as folder:
        stage = Stage(folder, "merge", config={}, inputs=inputs)
        stage.begin()
        model = load_model(
            base,
            dtype="float32",
            device="cpu",
            adapter=adapter,
            trust_remote_code=trust_remote_code,
        )
        advance(note="loaded")
        merged = _merge(model, adapter)
        advance(note="merged")
        dtype = read_dtype(base, trust_remote_code=trust_remote_code)
        merged.to(dtype=dtype).save_pretrained(folder)
        load_tokenizer(base, trust_remote_code=trust_remote_code).save_pretrained(folder)
        for extra in (info, base / "NOTICE"):
            if extra.is_file():
                shutil.copyfile(extra, folder / extra.name)
        stage.finish()
        advance(note="written")


def read_dtype(base: Path, *, trust_remote_code: bool = False) -> torch.dtype:
    """The dtype a model says it is kept in, also by 2023's ``torch_dtype``; else float32."""
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    return config.dtype or torch.float32


def _merge(model: Any, adapter: Path) -> Any:
    try:
        return model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # PEFT's safe merge found infinities or NaNs
        raise ModelError(
            f"{adapter} does not merge ({error})",
            expected="finite weights",
            hint="Train again with a lower train.learning_rate.",
        ) from error
