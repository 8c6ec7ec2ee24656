"""Adapters: PEFT folders put on top of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import ModelError
from kot_platypus.models.conversion import prepare_adapter
from kot_platypus.models.refusals import does_not_load

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_INFO = "kot.json"
"""Beside an adapter and a merged model: base fingerprint, template and target of the training."""


def load_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    """``model`` with the adapter on top, unmerged. Raises ModelError."""
    from peft import PeftModel
    from safetensors import SafetensorError

    adapter = prepare_adapter(adapter)
    require_adapter(adapter)
    try:
        return PeftModel.from_pretrained(model, str(adapter))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise does_not_load(adapter, "adapter", error) from error


def require_adapter(adapter: Path) -> None:
    """Raise ModelError unless ``adapter`` is a PEFT folder."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise ModelError(
                f"{adapter} has no {name}", expected="a PEFT adapter folder", hint="Check the path."
            )
