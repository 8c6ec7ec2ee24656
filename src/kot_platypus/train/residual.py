"""PiSSA and OLoRA: adapters that begin with a part of the base's weights, and leave it the rest.

Adapter and rest are no adapter of the base itself. PEFT can say the one that is: it has twice the
rank, and takes off what the adapter began with. So what a training began with is kept beside its
checkpoints until it is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kot_platypus.artifacts import new_folder
from kot_platypus.processes import ask_main

_START = "start"


def keep_start(model: Any, folder: Path) -> None:
    """Write the untrained adapter of a ``model`` that has taken it from its base."""
    if _takes_from_base(model):
        ask_main(lambda: _write(model, folder / _START))


def conversion(model: Any, folder: Path) -> dict[str, Any]:
    """PEFT's option of saving that makes ``model``'s adapter one of the untouched base."""
    if not _takes_from_base(model):
        return {}
    return {"path_initial_model_for_weight_conversion": str(folder / _START)}


def _takes_from_base(model: Any) -> bool:
    config = getattr(model, "peft_config", {}).get("default")
    return str(getattr(config, "init_lora_weights", "")).startswith(("pissa", "olora"))


def _write(model: Any, folder: Path) -> None:
    with new_folder(folder) as new:
        model.save_pretrained(new, save_embedding_layers=False)
