"""Finding models by name: the embedded one, a folder, or a download from the Hub."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path

from kot_platypus.errors import ModelError
from kot_platypus.models.embedded import EMBEDDED_MODEL, PACKAGE, embedded_folder, prepare_embedded

_HUB_FILES = ["*.safetensors", "*.json", "tokenizer.model", "*.txt", "*.jinja"]


def resolve_model(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The local folder of a model: the embedded one, a folder, or a download from the Hub.

    Only tokenizer files and, unless ``weights`` is off, safetensors are taken from the Hub. Raises
    ModelError when nothing of that name can be had.
    """
    if name == EMBEDDED_MODEL:
        return prepare_embedded()
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"{folder} has no config.json",
                expected="a transformers model folder",
                hint="Check the path; an adapter goes to --adapter, its base model to --model.",
            )
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ModelError(
            f"no model {name!r}",
            expected=f"{EMBEDDED_MODEL}, a local folder, or a Hub id like owner/name",
            hint="Check the spelling.",
        )
    return _download(name, revision, _HUB_FILES if weights else _HUB_FILES[1:])


def find_model(name: str, revision: str | None = None) -> Path | None:
    """The folder of a model that is at hand: nothing is downloaded or prepared. None without one.

    Of a model in the Hub's cache there may be no more than a config.json.
    """
    if name == EMBEDDED_MODEL:
        if find_spec(PACKAGE) is None:
            return None
        folder = embedded_folder(importlib.import_module(PACKAGE))
        return folder if folder.is_dir() else None
    is_path = name.startswith((".", "~", "/")) or name.count("/") != 1
    if Path(name).expanduser().is_dir() or is_path:
        return resolve_model(name)
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(config).parent if isinstance(config, str) else None


def _download(name: str, revision: str | None, files: list[str]) -> Path:
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=files)
        )
    except Exception as error:  # the hub client raises many kinds; all mean "not to be had"
        raise ModelError(
            f"cannot get {name!r} from the Hub ({type(error).__name__})",
            expected="a reachable Hub and an existing model",
            hint="Check the id, your connection and (for gated models) HF_TOKEN, "
            "or pass a local folder.",
        ) from error
