"""The parts of a multimodal model: which class holds all of them, and which of them text needs.

Such a model is loaded whole, as it was published: an adapter's names are then those that PEFT finds
on the published class, and what is merged or trained keeps its eyes and ears.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from kot_platypus.models.refusals import read_config


def choose_class(config: Any, *, trust_remote_code: bool = False) -> Any:
    """The auto class of transformers for all parts of the model that a config describes.

    ``AutoModelForCausalLM`` knows many multimodal kinds not at all, and of others (Llama 4, Qwen
    3.5) leaves out all but the text, with names that the published files do not have.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto import modeling_auto

    # Older versions of transformers have no class for what hears and sees alike.
    whole = getattr(modeling_auto, "AutoModelForMultimodalLM", AutoModelForImageTextToText)
    is_own_code = trust_remote_code and "auto_map" in vars(config)
    if is_own_code or config.is_encoder_decoder or config.get_text_config() is config:
        return AutoModelForCausalLM
    if type(config) in AutoModelForCausalLM._model_mapping:
        text_class = AutoModelForCausalLM._model_mapping[type(config)].__name__
        if text_class in (config.architectures or ()):  # its files hold no more than that
            return AutoModelForCausalLM
    return whole if type(config) in whole._model_mapping else AutoModelForCausalLM


def name_auto_class(folder: Path) -> str:
    """The auto class that a folder's config.json asks for, told without loading anything."""
    config = read_config(folder)
    is_text = any(name.endswith("ForCausalLM") for name in config.get("architectures") or ())
    is_whole = isinstance(config.get("text_config"), dict) and not is_text
    return "AutoModelForImageTextToText" if is_whole else "AutoModelForCausalLM"


def find_decoder(model: Any) -> Any:
    """The module that makes hidden states of tokens: of a multimodal model its language part."""
    if model.config.get_text_config() is model.config:
        return model.base_model
    return strip_head(model.get_decoder())


def strip_head(decoder: Any) -> Any:
    """A decoder without its output layer: what Llama 4 calls so is a whole language model."""
    find_head = getattr(decoder, "get_output_embeddings", None)
    return decoder if find_head is None or find_head() is None else decoder.model


def ties_embeddings(config: Any) -> bool:
    """Whether the output layer is the table of embeddings.

    With a config of several parts the whole decides, whatever ``text_config`` says.
    """
    return bool(getattr(config, "tie_word_embeddings", False))


def list_other_parts(model: Any) -> list[str]:
    """The names of the modules that text does not pass through; none in a model of text alone.

    Those are what stands beside a multimodal model's decoder and output layer, models within that
    know no tokens, and layers that only look at images.
    """
    from transformers import PreTrainedModel

    decoder, embeddings = find_decoder(model), model.get_input_embeddings()
    is_composite = model.config.get_text_config() is not model.config
    kept = decoder if is_composite else model
    needed = {*map(id, kept.modules()), id(model.get_output_embeddings())}
    places = getattr(decoder.config, "cross_attention_layers", None) if is_composite else None
    skipped = {id(decoder.layers[place]) for place in places or ()}
    found: list[str] = []

    def visit(module: Any, name: str) -> None:
        for key, child in module.named_children():
            path, inside = f"{name}.{key}".lstrip("."), list(child.modules())
            is_foreign = isinstance(child, PreTrainedModel) and embeddings not in inside
            is_beside = needed.isdisjoint(map(id, inside)) and any(True for _ in child.parameters())
            if id(child) in skipped or is_foreign or is_beside:
                found.append(path)
            else:
                visit(child, path)

    visit(model, "")
    return found


def match_text_layers(model: Any, others: Iterable[str], names: Collection[str] | str) -> str:
    """A regular expression of PEFT's ``target_modules`` for the layers of the language part.

    ``names`` are ends of names, or ``all-linear``: all linear layers but the output layer. Raises
    LookupError for a name that no layer of the language part has.
    """
    outside = tuple(f"{name}." for name in others)
    layers = {
        name: module
        for name, module in model.named_modules()
        if not f"{name}.".startswith(outside) and not list(module.children())
    }
    if isinstance(names, str):
        head = model.get_output_embeddings()
        chosen = [n for n, m in layers.items() if _is_linear(m) and m is not head]
    else:
        chosen = []
        for name in names:
            of_it = [n for n in layers if f".{n}".endswith(f".{name}")]
            if not of_it:
                raise LookupError(name)
            chosen += of_it
    return _join(chosen, [name for name, _ in model.named_modules()])


def _is_linear(module: Any) -> bool:
    """Whether a module is a linear layer that gives one tensor; a router may be made of one."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if not isinstance(module, nn.Linear | Conv1D):
        return False
    return type(module).__module__.startswith(("torch.", "transformers.pytorch_utils", "bitsandb"))


def _join(chosen: Collection[str], names: Iterable[str]) -> str:
    """A regular expression of the chosen names, with any number for a layer's where that does."""
    exact = sorted(map(re.escape, set(chosen)))
    short = _group(dict.fromkeys(re.sub(r"\d+", r"\\d+", path) for path in exact))
    is_same = {name for name in names if re.fullmatch(short, name)} == {*chosen}
    return short if is_same else _group(exact)


def _group(patterns: Iterable[str]) -> str:
    """One of several patterns, with their common beginning written once."""
    parts = [pattern.split(r"\.") for pattern in patterns]
    same = sum(1 for _ in takewhile(lambda each: len({*each}) == 1, zip(*parts, strict=False)))
    ends = (r"\.".join(part[same:]) for part in parts)
    return r"\.".join([*parts[0][:same], f"({'|'.join(ends)})"])


def match_tensors(model: Any, tensors: Iterable[str]) -> dict[str, str]:
    """A model's tensor -> the tensor of its files that transformers would load into it.

    The files of many multimodal models have names of years ago. Tensors that it makes of several,
    or of a part of one, are left out. Names stay where this transformers does not tell.
    """
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming, rename_source_key

        steps = get_model_conversion_mapping(model)
        renamings = [step for step in steps if isinstance(step, WeightRenaming)]
        others = [step for step in steps if not isinstance(step, WeightRenaming)]
        state = {name.replace(".base_layer.", "."): True for name in model.state_dict()}
        found = {
            name: rename_source_key(name, renamings, others, model.base_model_prefix, state)
            for name in tensors
        }
    except (ImportError, AttributeError, TypeError):
        return {name: name for name in tensors}
    return {own: name for name, (own, made_of) in found.items() if made_of is None}
