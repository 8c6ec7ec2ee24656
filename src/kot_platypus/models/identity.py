"""What decides a model's output, as one hash."""

from __future__ import annotations

from pathlib import Path

from kot_platypus.artifacts import hash_file, hash_files, hash_value, read_json
from kot_platypus.models.adapters import require_adapter
from kot_platypus.models.conversion import prepare_adapter, prepare_model
from kot_platypus.models.refusals import names_code
from kot_platypus.models.tokens import TOKENIZER_FILES, has_tokenizer
from kot_platypus.models.training_info import read_training_info
from kot_platypus.models.weights import ADAPTER

_CONTENT = ("*.safetensors", "config.json", "generation_config.json", "*.py", *TOKENIZER_FILES)


def fingerprint_model(
    folder: Path, adapter: Path | None = None, *, trust_remote_code: bool = False
) -> str:
    """SHA-256 of what decides a model's output: weights, config, tokenizer, adapter, code.

    Of weights that are converted to be read it is what they were converted to. A folder with code
    of its own is one model where that is trusted, and another where a class of transformers stands
    in for it. Raises ModelError when ``adapter`` is none.
    """
    parts = {"model": hash_files(prepare_model(folder), _CONTENT)}
    if trust_remote_code and names_code(folder):
        parts["code"] = "its own"
    if adapter is not None:
        adapter = prepare_adapter(adapter)
        require_adapter(adapter)
        parts["adapter"] = hash_file(adapter / ADAPTER.safetensors)
        config = read_json(adapter / "adapter_config.json")
        config.pop("base_model_name_or_path", None)
        # PEFT writes sets of module names in any order.
        config = {key: sorted(v) if isinstance(v, list) else v for key, v in config.items()}
        parts["adapter_config"] = hash_value(config)
        if has_tokenizer(adapter):
            parts["adapter_tokenizer"] = hash_files(adapter, TOKENIZER_FILES)
        if (info := read_training_info(adapter)).date:
            parts["adapter_chat_template"] = hash_value(info.chat_template)
    return hash_value(parts)
