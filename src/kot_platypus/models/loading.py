"""Loading models: weights, dtype, device, adapter."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import ModelError, require_extra
from kot_platypus.models.adapters import load_adapter
from kot_platypus.models.conversion import prepare_model
from kot_platypus.models.devices import resolve_device, resolve_dtype
from kot_platypus.models.parts import choose_class
from kot_platypus.models.refusals import (
    check_loaded,
    check_model_files,
    explain_errors,
    list_some,
    read_config,
)
from kot_platypus.progress import print_notice, quieten

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(
    folder: Path,
    *,
    dtype: str = "auto",
    device: str = "auto",
    adapter: Path | None = None,
    trust_remote_code: bool = False,
    in_4_bits: bool = False,
) -> PreTrainedModel:
    """A causal language model from ``folder``, in evaluation mode.

    ``adapter`` is a PEFT folder, put on top and left unmerged. ``in_4_bits`` holds the linear
    layers as NF4 (QLoRA) and computes in ``dtype``. Raises ModelError.
    """
    quieten()
    folder = prepare_model(folder)
    check_model_files(folder)
    import torch
    from transformers import AutoConfig

    device = resolve_device(device)
    torch_dtype = getattr(torch, resolve_dtype(dtype, device, folder))
    quantized = _quantize_to_4_bits(device, torch_dtype) if in_4_bits else {}
    model: Any
    with explain_errors(folder, "model"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        auto_class = choose_class(config, trust_remote_code=trust_remote_code)
        model, report = auto_class.from_pretrained(
            folder,
            dtype=torch_dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # we say which
            **quantized,
        )
        left = check_loaded(folder, model, report)
        _forget_stray_window(model)
        if quantized:  # it is already where it belongs
            _keep_differentiable(model)
        else:
            model = model.to(device)
    if not trust_remote_code and "auto_map" in vars(model.config):
        print_notice(
            f"{folder} has code of its own; without --trust-remote-code it is read as "
            f"transformers' {type(model).__name__}"
        )
    if left:
        print_notice(f"Left out of the model: {list_some(left)}")
    if adapter is not None:
        model = load_adapter(model, adapter, folder)
    return model.eval()


def _forget_stray_window(model: Any) -> None:
    """Take ``sliding_window`` out of the config of a class whose code knows none.

    The class attends to all there is, but transformers' cache keeps no more than the window: texts
    written beyond it would be others.
    """
    config = model.config.get_text_config()
    if getattr(config, "sliding_window", None) is not None:
        code = inspect.getsource(sys.modules[type(model).__module__])
        if "sliding_window" not in code:
            config.sliding_window = None


def build_empty_model(
    architecture: Path | Mapping[str, Any], *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """A model without weights, on the meta device, of a folder's config.json or of such values.

    Raises ModelError when there is no such architecture.
    """
    quieten()
    import torch
    from transformers import AutoConfig

    explained = (
        explain_errors(architecture, "model") if isinstance(architecture, Path) else nullcontext()
    )
    with explained:
        if isinstance(architecture, Path):
            read_config(architecture)
            config = AutoConfig.from_pretrained(architecture, trust_remote_code=trust_remote_code)
        else:
            config = AutoConfig.for_model(**architecture)
        with torch.device("meta"):
            model: PreTrainedModel = choose_class(
                config, trust_remote_code=trust_remote_code
            ).from_config(config, trust_remote_code=trust_remote_code)
    return model


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


def _keep_differentiable(model: Any) -> None:
    """Keep bitsandbytes from its kernel for CPUs with AVX512-BF16, which has no gradient.

    It takes it once a layer has run in evaluation mode, and stays with it when training begins:
    adapters would learn from a gradient that lacks what came through the base, with a warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
