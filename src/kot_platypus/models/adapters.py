"""Adapters: PEFT folders put on top of a model, and checked to be on it in full."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import read_json
from kot_platypus.errors import ModelError
from kot_platypus.models.conversion import prepare_adapter
from kot_platypus.models.refusals import explain_errors, list_some
from kot_platypus.models.rows import count_embeddings, resize_rows
from kot_platypus.models.weights import ADAPTER, read_headers
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_EMBEDDINGS = {
    *("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings"),
    *("lm_head", "embed_out"),
}
"""What models call the tables that have a row for each token."""
_SAVED = ".modules_to_save."


def load_adapter(model: PreTrainedModel, adapter: Path, base: Path) -> Any:
    """``model`` of the folder ``base`` with the adapter on top, unmerged.

    Embeddings that were resized for the adapter are resized here. Raises ModelError unless every
    tensor of the adapter has its place in the model and every place its tensor.
    """
    adapter = prepare_adapter(adapter)
    require_adapter(adapter)
    _note_other_base(adapter, base)
    with explain_errors(adapter, "adapter"):
        _check_kind(adapter)
        rows = count_rows(adapter, count_embeddings(model))
        if rows is not None:
            resize_rows(model, rows)
        try:
            adapted, left, missing = _load(model, adapter)
        except KeyError as error:  # PEFT looks for a tensor by name
            raise misfit_error(adapter, f"it lacks {error.args[0]}") from error
    if left:
        raise misfit_error(adapter, f"the model has no {list_some(left)}")
    if missing:
        raise misfit_error(adapter, f"it lacks {list_some(missing)}")
    _place_rows(adapted.get_base_model())
    return adapted


def require_adapter(adapter: Path) -> None:
    """Raise ModelError unless ``adapter`` is a PEFT folder, in either form of its weights."""
    is_pickle = (adapter / ADAPTER.pickle).is_file()
    for name in ("adapter_config.json", ADAPTER.pickle if is_pickle else ADAPTER.safetensors):
        if not (adapter / name).is_file():
            raise ModelError(
                f"{adapter} has no {name}", expected="a PEFT adapter folder", hint="Check the path."
            )


def _place_rows(model: Any) -> None:
    """Write the rows of an adapter's new tokens into the tables, which PEFT copies at each use.

    The numbers are the same.
    """
    from peft.utils.other import TrainableTokensWrapper

    for path, module in list(model.named_modules()):
        if isinstance(module, TrainableTokensWrapper):
            parent, _, name = path.rpartition(".")
            table = module.unload_and_optionally_merge_module(True, False, None)
            setattr(model.get_submodule(parent), name, table)


def count_rows(adapter: Path, of_base: int = 0) -> int | None:
    """The rows of the embeddings that an adapter brings or changes; None where it has none.

    At least as many as its base has where it changes single ones.
    """
    rows = []
    for name, entry in read_headers(adapter, ADAPTER.safetensors).items():
        module, _, kind = name.removesuffix(".weight").removesuffix(".base_layer").rpartition(".")
        shape = entry["shape"]
        if kind in _EMBEDDINGS:
            rows.append(shape[0])
        elif module.rpartition(".")[2] in _EMBEDDINGS:
            rows += {"lora_embedding_A": shape[1:], "lora_B": shape[:1]}.get(kind, [])
    if not rows and (tokens := _list_tokens(adapter)):
        rows = [of_base, max(tokens) + 1]
    return max(rows, default=None)


def _list_tokens(adapter: Path) -> list[int]:
    """The tokens whose rows an adapter brings one by one."""
    found = read_json(adapter / "adapter_config.json").get("trainable_token_indices") or []
    tables = found.values() if isinstance(found, dict) else [found]
    return [token for tokens in tables for token in tokens]


def _load(model: PreTrainedModel, adapter: Path) -> tuple[Any, list[str], list[str]]:
    """The adapted model, the adapter's tensors without a place, and the places without one."""
    from peft import PeftModel, get_peft_model_state_dict

    with warnings.catch_warnings(action="ignore"):  # we say what PEFT only warns of
        # PEFT would take the GPU, whatever the model is on.
        place = {"torch_device": str(model.device)}
        adapted = PeftModel.from_pretrained(model, str(adapter), **place)
        # Loaded twice, since the first time PEFT keeps to itself what did not fit.
        found = adapted.load_adapter(str(adapter), "default", **place)
        places = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    names = read_headers(adapter, ADAPTER.safetensors).keys()
    biases = {name for name in places if name.endswith(".bias")}  # the base's, so none is missed
    # Of resized tables PEFT writes a second copy under the name it gives them in memory.
    copies = {name for name in names if name.replace(_SAVED, ".") in names - {name}}
    return (
        adapted,
        sorted({*found.unexpected_keys} - copies),
        sorted({*found.missing_keys} | (biases - names)),
    )


def _check_kind(adapter: Path) -> None:
    """Raise ModelError for adapters that put virtual tokens before a text."""
    from peft import PeftConfig

    with warnings.catch_warnings(action="ignore"):
        settings = PeftConfig.from_pretrained(str(adapter))
    if settings.is_prompt_learning or settings.is_adaption_prompt:
        raise ModelError(
            f"{adapter} adds virtual tokens ({settings.peft_type.value}) and changes no weights",
            expected="one that changes weights, such as LoRA, DoRA or IA3",
            hint="Train one with kot train.",
        )


def _note_other_base(adapter: Path, base: Path) -> None:
    """Say it in one line when the adapter names another base than this one.

    Names differ for equal models and agree for unequal ones, so nothing is refused for it.
    """
    recorded = str(read_json(adapter / "adapter_config.json").get("base_model_name_or_path") or "")
    name = recorded.rstrip("/").rpartition("/")[2]
    if name and not _is_known_as(base, name):
        print_notice(f"{adapter.name} was trained on {recorded}; here it is put on {base}")


def _is_known_as(base: Path, name: str) -> bool:
    """Whether a folder, or one of those above it in the Hub's cache, goes by that name."""
    config: Mapping[str, Any] = read_json(base / "config.json")
    own = str(config.get("_name_or_path", "")).rstrip("/").rpartition("/")[2]
    names = {own, base.name, base.resolve().name, base.name.rpartition("-")[0]}
    names |= {parent.name.rpartition("--")[2] for parent in base.parents}
    return name.lower() in {each.lower() for each in names}


def misfit_error(adapter: Path, reason: str) -> ModelError:
    """The error of an adapter that was trained on another base."""
    return ModelError(
        f"{adapter} does not fit this base ({reason})",
        expected="the adapter's tensors to be the model's, one for one",
        hint="Pass the base it was trained on with --model.",
    )
