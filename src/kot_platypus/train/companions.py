"""What stands beside a model's weights: config, tokenizer, templates, licence.

A trained or merged model keeps its base's files as they were. Written again by today's libraries
they are misread by those of yesterday: transformers 4 takes a config of transformers 5 without a
word, with RoPE's defaults in place of what it says.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from kot_platypus.artifacts import MANIFEST, read_json, read_manifest, write_json
from kot_platypus.models import TRAINING_INFO
from kot_platypus.models.weights import list_companions

_NOT_COMPANIONS = ("manifest.json", TRAINING_INFO)
_SETTINGS = ("config.json", "generation_config.json")
_CHANGING = ("vocab_size", "tie_word_embeddings")
"""The values of a config that a training or an adapter can change."""


_OF_THE_WHOLE = ("tokens_seen", "trained_tokens_seen", "validation")


def copy_companions(base: Path, folder: Path) -> None:
    """Copy config, generation settings, tokenizer, template and licence."""
    for file in list_companions(base):
        if file.name not in _NOT_COMPANIONS:
            shutil.copyfile(file, folder / file.name)


def read_training(result: Path) -> dict[str, Any] | None:
    """The manifest of the training that left ``result``, where it still lies above it.

    Of a checkpoint's adapter without what is said of the whole training.
    """
    stage = result.absolute().parent
    if not (stage / MANIFEST).is_file():
        return None
    manifest = read_manifest(stage)
    left = any(name.startswith(f"{result.name}/") for name in manifest.get("outputs", ()))
    kept = {key: value for key, value in manifest.items() if key not in ("machine", "outputs")}
    if result.name.startswith("checkpoint-"):
        kept = {key: value for key, value in kept.items() if key not in _OF_THE_WHOLE}
        kept["optimizer_steps"] = int(result.name.removeprefix("checkpoint-"))
    return kept if left and manifest.get("stage") == "train" else None


def save_beside(
    model: Any, base: Path, folder: Path, *, trust_remote_code: bool = False, **options: Any
) -> None:
    """Write the weights into ``folder``, with the base's settings and of these what has changed."""
    model.save_pretrained(folder, **options)
    for name in _SETTINGS:
        (folder / name).unlink(missing_ok=True)
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    config = read_json(folder / "config.json")
    before = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    if _update(config, before, model.config) | _update(
        config.get("text_config") or {}, before.get_text_config(), model.config.get_text_config()
    ):
        write_json(folder / "config.json", config)


def _update(values: dict[str, Any], before: Any, after: Any) -> bool:
    """Take into a config file's ``values`` what differs; whether anything does."""
    changed = {
        key: getattr(after, key)
        for key in _CHANGING
        if getattr(after, key, None) != getattr(before, key, None)
    }
    values.update(changed)
    return bool(changed)


def read_dtype(base: Path, *, trust_remote_code: bool = False) -> torch.dtype:
    """The dtype a model says it is kept in, also by 2023's ``torch_dtype``; else float32."""
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    return config.dtype or torch.float32
