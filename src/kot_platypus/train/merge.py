"""The merge stage: base + adapter -> a plain transformers folder.

Each of the base's weight files is copied and the bytes of the tensors that the adapter changes are
written over, one tensor at a time. PEFT computes each sum, on a layer of its own: the model stands
on the meta device and holds no weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model
from peft.tuners.lora import LoraConfig, LoraLayer
from peft.tuners.lora.layer import Linear
from safetensors import safe_open
from torch import Tensor

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.errors import ModelError
from kot_platypus.models import (
    TOKENIZER_FILES,
    TRAINING_INFO,
    TrainingInfo,
    build_empty_model,
    fingerprint_model,
    has_tokenizer,
    load_model,
    name_on_hub,
    prepare_adapter,
    prepare_model,
    read_training_info,
)
from kot_platypus.models.adapters import misfit_error
from kot_platypus.models.parts import match_tensors, ties_embeddings
from kot_platypus.models.refusals import check_model_files
from kot_platypus.models.weights import ADAPTER, INDEX, MODEL, list_shards, read_header
from kot_platypus.progress import console, show_progress
from kot_platypus.stages import open_stage
from kot_platypus.train.companions import copy_companions, read_dtype, read_training, save_beside
from kot_platypus.train.serving import prepare_serving

FORMAT = 2
"""Counts up when merged folders are written otherwise: an older one is not taken for done."""
_ROOT = "base_model.model."  # what PEFT puts before a module's own name
_MORE_THAN_LORA = ("lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters")

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""The floating point types that a weight can be changed in, by their name in the format."""
_Change = Callable[[Tensor], Tensor]


class _InMemoryError(Exception):
    """Why an adapter cannot be merged file by file; its text completes ``since ...``."""


def merge_adapter(base: Path, adapter: Path, out: Path, *, trust_remote_code: bool = False) -> None:
    """Write base + adapter in the base's own files and dtypes, with tokenizer and settings.

    The sums are made in float32 on the CPU, in the memory of one tensor; what is more than LoRA or
    DoRA on linear layers is merged in memory. Raises ModelError when the adapter was trained on
    another base (by content, not by name), does not fit, or makes a weight infinite.
    """
    facts = {"base_model": name_on_hub(base), "training": read_training(adapter)}
    base, adapter = prepare_model(base), prepare_adapter(adapter)
    base_fingerprint = fingerprint_model(base)
    inputs = {"base": base_fingerprint, "adapter": fingerprint_model(base, adapter)}
    config = {"format": FORMAT}
    with open_stage(out, "merge", config=config, inputs=inputs, whole=True) as stage:
        if stage.is_done:
            return
        info = read_training_info(adapter)
        _check_base(base, adapter, info, base_fingerprint)
        folder = stage.folder
        _copy_companions(base, adapter, folder)
        try:
            _merge_files(base, adapter, folder, trust_remote_code=trust_remote_code)
        except _InMemoryError as reason:
            console.print(f"  Merging in memory, since {reason}")
            _merge_in_memory(base, adapter, folder, trust_remote_code=trust_remote_code)
        prepare_serving(folder, trust_remote_code=trust_remote_code)
        stage.facts = facts
    if _was_quantized(adapter, info):
        console.print(
            "  The adapter was trained on a quantised base and is now part of the unquantised one: "
            "the outputs differ from those in training by the base's rounding error. "
            f"Score what you will use: kot eval --model {out}",
            soft_wrap=True,
        )


def _check_base(base: Path, adapter: Path, info: TrainingInfo, fingerprint: str) -> None:
    if info.base is not None and info.base != fingerprint:
        raise ModelError(
            f"{adapter} was trained on another base than {base}",
            expected=f"the base with content {info.base[:12]}",
            hint="Pass the base it was trained on with --model.",
        )
    if read_json(base / "config.json").get("quantization_config"):
        raise ModelError(
            f"{base} holds quantised weights",
            expected="the model they were made from",
            hint="Pass that one with --model.",
        )


def _was_quantized(adapter: Path, info: TrainingInfo) -> bool:
    """Whether our training says so, or the name of the base in PEFT's own config does."""
    name = str(read_json(adapter / "adapter_config.json").get("base_model_name_or_path"))
    return bool(info.quantization) or "4bit" in name or "8bit" in name


def _copy_companions(base: Path, adapter: Path, folder: Path) -> None:
    """Config, generation settings, tokenizer, template, licence.

    An adapter that brings a tokenizer brings all of it: files of two would not fit together.
    """
    copy_companions(base, folder)
    own = [file for pattern in TOKENIZER_FILES for file in adapter.glob(pattern)]
    if has_tokenizer(adapter):
        for old in [file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)]:
            old.unlink(missing_ok=True)
    for file in (*own, adapter / TRAINING_INFO):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    asked = ("template", "chat_template", "date")
    if not (folder / TRAINING_INFO).is_file() and (base / TRAINING_INFO).is_file():
        # Another trainer's adapter on a model of ours, which is asked as before.
        known = read_json(base / TRAINING_INFO)
        write_json(folder / TRAINING_INFO, {key: known[key] for key in asked if key in known})


# --- file by file ------------------------------------------------------------------------------


def _merge_files(base: Path, adapter: Path, folder: Path, *, trust_remote_code: bool) -> None:
    check_model_files(base)
    shards = list_shards(base, MODEL.safetensors)
    headers = {shard: read_header(shard) for shard in shards}
    tensors = {name: entry for header in headers.values() for name, entry in header.items()}
    with safe_open(adapter / ADAPTER.safetensors, "pt") as weights:
        changes = _find_changes(base, adapter, tensors, weights, trust_remote_code)
        with show_progress("Merging", len(shards), "files") as advance:
            for shard in shards:
                here = {name: changes[name] for name in headers[shard] if name in changes}
                try:
                    copy_shard(shard, folder / shard.name, here)
                except FloatingPointError as error:
                    raise _sum_error(adapter, str(error)) from error
                advance()
    if shards[0].name != MODEL.safetensors:  # an index may also name one file alone
        index = MODEL.safetensors + INDEX
        shutil.copyfile(base / index, folder / index)


def _find_changes(
    base: Path, adapter: Path, tensors: Mapping[str, Any], weights: Any, trust_remote_code: bool
) -> dict[str, _Change]:
    """Base tensor -> what merging does to it, for every layer of the adapter, each exactly once.

    Raises _InMemoryError when that is not all there is to do.
    """
    model = _build_adapted(base, adapter, trust_remote_code)
    inner = model.get_base_model()
    tied = {id(inner.get_input_embeddings()), id(inner.get_output_embeddings())}
    if not ties_embeddings(inner.config):
        tied = set()
    names = match_tensors(inner, tensors)
    left = set(weights.keys())
    changes: dict[str, _Change] = {}
    for path, layer in model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        if type(layer) is not Linear or id(layer) in tied:
            raise _InMemoryError(f"{path.removeprefix(_ROOT)} is not a linear layer of its own")
        keys = _list_adapter_keys(path, layer)
        _check_fit(adapter, layer, keys, weights)
        left -= set(keys.values())
        name = _find_tensor(path.removeprefix(_ROOT), layer, names, tensors)
        changes[name] = _make_change(name, layer, keys, weights)
    if left:
        raise _InMemoryError(f"the adapter holds more than LoRA weights ({min(left)})")
    return changes


def _build_adapted(base: Path, adapter: Path, trust_remote_code: bool) -> Any:
    """The adapter's layers on a model without weights. Raises _InMemoryError for other kinds."""
    settings = PeftConfig.from_pretrained(str(adapter))
    # Other ways to begin (PiSSA, LoftQ) change the base's weights too.
    plain_start = getattr(settings, "init_lora_weights", None) in (True, False, "gaussian")
    more = [option for option in _MORE_THAN_LORA if getattr(settings, option, None)]
    if not isinstance(settings, LoraConfig) or not plain_start or more:
        raise _InMemoryError(f"the adapter is more than LoRA or DoRA ({' '.join(more) or 'kind'})")
    settings.base_model_name_or_path = None  # a folder's name says nothing; its content was checked
    model = build_empty_model(base, trust_remote_code=trust_remote_code)
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        raise misfit_error(adapter, str(error).splitlines()[0][:200]) from error


def _list_adapter_keys(path: str, layer: Any) -> dict[str, str]:
    """A LoRA layer's own parameter names -> their names in the adapter's file."""
    names = (name for name, _ in layer.named_parameters() if name.startswith("lora_"))
    keys = {name: f"{path}.{name.replace('.default', '')}" for name in names}
    return {
        name: key.replace("magnitude_vector.weight", "magnitude_vector")
        for name, key in keys.items()
    }


def _check_fit(adapter: Path, layer: Any, keys: Mapping[str, str], weights: Any) -> None:
    present = set(weights.keys())
    for name, key in keys.items():
        if key not in present:
            raise misfit_error(adapter, f"{key} is missing")
        found, wanted = weights.get_slice(key).get_shape(), list(layer.get_parameter(name).shape)
        if found != wanted:
            raise misfit_error(adapter, f"{key} has shape {found}, not {wanted}")


def _find_tensor(
    path: str, layer: Any, names: Mapping[str, str], tensors: Mapping[str, Any]
) -> str:
    """The tensor of the base's files that is the layer's weight; ``names`` are the files' own."""
    name = names.get(f"{path}.weight")
    if name is None:
        raise _InMemoryError(f"the base's files have other names than its model ({path}.weight)")
    entry, shape = tensors[name], list(layer.get_base_layer().weight.shape)
    if entry["shape"] != shape or entry["dtype"] not in _DTYPES:
        raise _InMemoryError(f"{name} is {entry['dtype']} {entry['shape']} in the base's files")
    return name


def _make_change(name: str, layer: Any, keys: Mapping[str, str], weights: Any) -> _Change:
    """What merging does to one weight: PEFT's own sum, in float32, rounded once."""

    def change(weight: Tensor) -> Tensor:
        state = {own: weights.get_tensor(key).float() for own, key in keys.items()}
        # Copied even from float32: PEFT adds in place.
        state["base_layer.weight"] = weight.to(torch.float32, copy=True)
        layer.load_state_dict(state, strict=False, assign=True)
        with torch.no_grad():
            layer.merge()
        merged: Tensor = layer.get_base_layer().weight.detach().to(weight.dtype)
        layer.to_empty(device="meta")  # its memory goes to the next one
        if not merged.isfinite().all():
            raise FloatingPointError(name)
        return merged

    return change


def copy_shard(source: Path, target: Path, changes: Mapping[str, _Change]) -> None:
    """Copy a safetensors file; some of its tensors become a function of themselves.

    Names, shapes and dtypes stay, so the header and every other byte do too, and no more than one
    tensor is ever in memory. A change must keep shape and dtype.
    """
    header = read_header(source)
    shutil.copyfile(source, target)
    with source.open("rb") as old, target.open("r+b") as new:
        start = 8 + int.from_bytes(old.read(8), "little")  # the header's length, and the header
        for name, change in changes.items():
            entry = header[name]
            begin, end = entry["data_offsets"]
            content = bytearray(end - begin)
            old.seek(start + begin)
            old.readinto(content)
            weight = torch.frombuffer(content, dtype=_DTYPES[entry["dtype"]]).view(entry["shape"])
            changed = change(weight)
            assert (changed.dtype, changed.shape) == (weight.dtype, weight.shape)
            new.seek(start + begin)
            new.write(changed.contiguous().view(torch.uint8).numpy())


# --- in memory ---------------------------------------------------------------------------------


def _merge_in_memory(base: Path, adapter: Path, folder: Path, *, trust_remote_code: bool) -> None:
    """Merge what is more than LoRA on linear layers, as PEFT does it, in float32."""
    model: Any = load_model(
        base, dtype="float32", device="cpu", adapter=adapter, trust_remote_code=trust_remote_code
    )
    inner = model.get_base_model()
    tables = (inner.get_input_embeddings(), inner.get_output_embeddings())
    half_tied = any(isinstance(table, LoraLayer) for table in tables)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # PEFT's safe merge found infinities or NaNs
        raise _sum_error(adapter, str(error)) from error
    if ties_embeddings(merged.config) and (
        half_tied
        or not torch.equal(
            merged.get_input_embeddings().weight, merged.get_output_embeddings().weight
        )
    ):
        raise ModelError(
            f"{adapter} changes only one of the two embeddings, which {base} keeps as one",
            expected="an adapter that leaves both alone",
            hint="Train without lm_head and embed_tokens among the target modules.",
        )
    dtype = read_dtype(base, trust_remote_code=trust_remote_code)
    save_beside(merged.to(dtype=dtype), base, folder, trust_remote_code=trust_remote_code)


def _sum_error(adapter: Path, reason: str) -> ModelError:
    return ModelError(
        f"{adapter} does not merge ({reason})",
        expected="finite weights",
        hint="Train again with a lower train.learning_rate.",
    )
