"""What of a model is trained, and how it is saved: all weights, or an adapter beside them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils.other import ModulesToSaveWrapper, get_pattern_key
from safetensors.torch import load_file
from torch import Tensor

from kot_platypus.artifacts import new_folder, read_json, write_json, write_text
from kot_platypus.errors import ModelError, RecipeError
from kot_platypus.methods import METHODS
from kot_platypus.models import TRAINING_INFO, TrainingInfo, fingerprint_model, load_model
from kot_platypus.models.conversion import link_file
from kot_platypus.models.new_tokens import Vocabulary
from kot_platypus.models.parts import ties_embeddings
from kot_platypus.models.rows import add_rows
from kot_platypus.models.weights import ADAPTER
from kot_platypus.processes import ask_main, share_all, spreads_weights
from kot_platypus.progress import print_notice
from kot_platypus.recipe import TrainSection
from kot_platypus.stages import open_stage
from kot_platypus.train.companions import copy_companions, read_dtype, read_training, save_beside
from kot_platypus.train.fused import fuse_layers
from kot_platypus.train.isolation import isolate_examples, isolates_in_small
from kot_platypus.train.language_part import choose_layers, freeze_other_parts, tell_other_parts
from kot_platypus.train.new_rows import find_rows, look_up_rows
from kot_platypus.train.preferences import accept_packs
from kot_platypus.train.serving import CHAT_TEMPLATE, prepare_serving
from kot_platypus.train.trainer import overflow_error

_CONFIG = "adapter_config.json"


def load_trainable(
    base: Path,
    section: TrainSection,
    *,
    dtype: str,
    device: str,
    longest: int = 0,
    added: Collection[int] = (),
    trust_remote_code: bool = False,
) -> tuple[Any, int]:
    """The model with what ``section.method`` trains in float32; ``model(pack)`` is a pack's loss.

    With it comes how many tokens a pass may have: ``max_tokens_per_pass``, or 1 (each example
    alone) where the model does not keep a pack's examples apart. ``longest`` is the tokens of the
    longest example, ``added`` the new tokens, which get rows.

    Raises KotError where the method is not supported.
    """
    method = METHODS[section.method]
    if spreads_weights():
        _check_spread(section)
    model: Any = load_model(
        base,
        dtype=method.base_dtype(dtype),
        device=device,
        trust_remote_code=trust_remote_code,
        in_4_bits=method.quantization is not None,
    )
    max_tokens = section.max_tokens_per_pass
    if max_tokens > 1 and not _takes_packs(model, longest, trust_remote_code):
        max_tokens = 1
    if added:
        add_rows(model, added)
    trainable = make_trainable(model, section, added)
    tell_other_parts(model)
    if section.gradient_checkpointing:
        checkpoint_activations(model)
    if section.torch_compile:
        compile_layers(model)
    elif device == "cpu" and not spreads_weights():
        fuse_layers(trainable)
    accept_packs(trainable, section)
    return trainable, max_tokens


def _check_spread(section: TrainSection) -> None:
    """Raise RecipeError for what needs a model that is whole in each process."""
    for setting, wanted, value in (
        ("method", METHODS[section.method].quantization, "lora"),
        ("init_lora_weights", section.takes_from_base, "true"),
        ("new_tokens", section.new_tokens and section.method != "full", "[]"),
        ("modules_to_save", section.modules_to_save, "[]"),
        ("optim", section.optim != "adamw_torch", "adamw_torch"),
        ("objective", section.takes_pairs, "sft"),
    ):
        if wanted:
            raise RecipeError(
                f"train.{setting} {getattr(section, setting)} with FSDP or DeepSpeed",
                expected="a model that is whole in each process",
                hint=f"Start it with torchrun, or set train.{setting}={value}.",
            )


def _takes_packs(model: Any, longest: int, trust_remote_code: bool) -> bool:
    """Whether all processes find that ``model`` keeps a pack's examples apart; else a line says so.

    What is spread later may be too large to try out here: a small model of its kind is instead.
    """
    if spreads_weights():
        answer = ask_main(
            lambda: isolates_in_small(model, longest, trust_remote_code=trust_remote_code)
        )
    else:
        answer = all(share_all(isolate_examples(model, longest)))
    if not answer:
        print_notice(
            f"{type(model).__name__} lets the examples of one pass see each other, so each gets a "
            "pass of its own: slower, and right"
        )
    return answer


def describe_method(section: TrainSection) -> dict[str, str]:
    """What a trained model's ``kot.json`` says of its method."""
    method = METHODS[section.method]
    quantization = {"quantization": method.quantization} if method.quantization else {}
    objective = {"objective": section.objective} if section.takes_pairs else {}
    return {"method": method.name, **quantization, **objective}


def make_trainable(model: Any, section: TrainSection, added: Collection[int] = ()) -> Any:
    """``model`` itself, or with fresh LoRA or DoRA weights in float32 beside its own.

    Of the tokens ``added``, whose rows it has, an adapter trains these rows alone. Raises
    ModelError when the model has none of ``lora_target_modules``, or one of them could not be
    merged.
    """
    others = freeze_other_parts(model)
    options = METHODS[section.method].lora
    if options is None:
        return model
    modules = choose_layers(model, section, others)
    config = LoraConfig(
        r=section.lora_r,
        lora_alpha=section.lora_alpha,
        lora_dropout=section.lora_dropout,
        target_modules=modules,
        rank_pattern={**section.rank_pattern},  # PEFT adds its own to them
        alpha_pattern={**section.alpha_pattern},
        use_rslora=section.use_rslora,
        init_lora_weights=section.init_lora_weights,
        modules_to_save=list(section.modules_to_save) or None,
        trainable_token_indices=find_rows(model, section, added) or None,
        **options,
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():  # PEFT's advice, of Conv1D layers and of tied embeddings
            warnings.simplefilter("ignore")
            adapted = get_peft_model(model, config)
    except ValueError as error:
        is_dropout = "lora_dropout" in str(error)  # of experts, whose weights are one tensor
        raise ModelError(
            f"no LoRA for {section.lora_target_modules} ({str(error).splitlines()[0][:200]})",
            expected="names of the model's linear layers, or all-linear",
            hint=f"Set train.{'lora_dropout=0' if is_dropout else 'lora_target_modules'}.",
        ) from error
    except TypeError as error:
        raise ModelError(
            f"train.lora_target_modules {modules} is on embeddings that train.new_tokens trains",
            expected="LoRA on other modules",
            hint="Take lm_head and embed_tokens out of it, or name them in train.modules_to_save.",
        ) from error
    _check_patterns(adapted, section)
    _check_tables(model, section)
    look_up_rows(model)
    for parameter in adapted.parameters():  # PEFT copies whole modules in the base's dtype
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # PEFT would write both tables in full where they have grown.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


def _check_tables(model: Any, section: TrainSection) -> None:
    """Raise ModelError for an adapter of embeddings that could not be merged, or PEFT leaves out.

    ``model`` has it already.
    """
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    is_tied = ties_embeddings(model.config)
    for kind, what in (
        (LoraLayer, "lora_target_modules"),
        (ModulesToSaveWrapper, "modules_to_save"),
    ):
        if is_tied and any(isinstance(table, kind) for table in tables):
            raise ModelError(
                f"train.{what} is on embeddings that {type(model).__name__} keeps as one",
                expected="names that leave both alone, or the adapter could not be merged",
                hint="Take lm_head and embed_tokens out of it. Tokens: train.new_tokens.",
            )
    saved = {
        name for name, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)
    }
    for name in section.modules_to_save:
        if not any(f".{each}".endswith(f".{name}") for each in saved):
            raise ModelError(
                f"train.modules_to_save names {name}, which {type(model).__name__} has not",
                expected="the end of a module's name, such as lm_head",
                hint="Correct train.modules_to_save.",
            )


def _check_patterns(adapted: Any, section: TrainSection) -> None:
    """Raise ModelError for a pattern of ranks or alphas that no adapted layer goes by."""
    layers = adapted.get_base_model().named_modules()
    names = [name for name, module in layers if isinstance(module, LoraLayer)]
    for setting in ("rank_pattern", "alpha_pattern"):
        for pattern in getattr(section, setting):
            if not any(get_pattern_key([pattern], name) == pattern for name in names):
                raise ModelError(
                    f"train.{setting} names {pattern}, which no layer with LoRA goes by",
                    expected=f"the end of a name such as {names[0]}",
                    hint=f"Correct train.{setting} or train.lora_target_modules.",
                )


def checkpoint_activations(model: Any) -> None:
    """Keep a layer's input only, and compute the rest again for the gradient."""
    # transformers is renaming it; both take the keywords of torch's checkpoint first.
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ModelError(
            f"{type(model).__name__} keeps all activations",
            expected="a model that transformers can checkpoint",
            hint="Set train.gradient_checkpointing=false and lower train.max_tokens_per_pass.",
        ) from error


def compile_layers(model: Any) -> None:
    """Have each decoder layer compiled when first used, once for all lengths of packs.

    Layer by layer and not as a whole: equal layers share one compilation, and the mask that keeps
    a pack's examples apart is made outside, as tested.
    """
    for module in model.modules():
        if type(module).__name__ in (model._no_split_modules or ()):
            module.compile(dynamic=True)


def save_trained(
    model: Any,
    out: Path,
    base: Path,
    info: TrainingInfo,
    *,
    vocabulary: Vocabulary | None = None,
    weights: dict[str, Tensor] | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> None:
    """Write ``out/adapter`` (PEFT), or ``out/model``: all weights in the base's dtype, its files.

    With them goes the tokenizer of a ``vocabulary`` with new tokens. ``weights`` are those to write
    where the model's own lie spread over processes, ``options`` PEFT's for an adapter. Raises
    ModelError, and writes nothing, when a weight is not finite.
    """
    is_adapter = hasattr(model, "peft_config")
    if not is_adapter:
        dtype = read_dtype(base, trust_remote_code=trust_remote_code)
        if weights is None:
            model.to(dtype=dtype)
        else:
            model.config.dtype = dtype
            weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
    _require_finite(model, weights)
    with new_folder(out / ("adapter" if is_adapter else "model")) as folder:
        if is_adapter:
            _save_adapter(model, folder, state_dict=weights, **options)
        else:
            copy_companions(base, folder)
            trust = {"trust_remote_code": trust_remote_code}
            save_beside(model, base, folder, **trust, state_dict=weights)
        if vocabulary is not None:
            vocabulary.copy_files(folder)
        _write_info(info, folder)
        if not is_adapter:
            prepare_serving(folder, trust_remote_code=trust_remote_code)


def keep_adapters(
    model: Any,
    checkpoints: Sequence[Path],
    out: Path,
    info: TrainingInfo,
    vocabulary: Vocabulary,
    **options: Any,
) -> None:
    """Write the adapter of each checkpoint below ``out``, under the checkpoint's name.

    With ``options`` as of ``save_trained`` they go through ``model``, which is changed.
    """
    for checkpoint in checkpoints:
        with new_folder(out / checkpoint.name) as folder:
            if options:
                weights = load_file(checkpoint / ADAPTER.safetensors)
                set_peft_model_state_dict(model, weights)
                _save_adapter(model, folder, **options)
            else:
                for name in (ADAPTER.safetensors, _CONFIG, "README.md"):
                    shutil.copyfile(checkpoint / name, folder / name)
                _sort_modules(folder / _CONFIG)
            vocabulary.copy_files(folder)
            _write_info(info, folder)


def _write_info(info: TrainingInfo, folder: Path) -> None:
    values = info.model_dump(mode="json", include=info.model_fields_set)
    write_json(folder / TRAINING_INFO, values)
    if info.date:
        write_text(folder / CHAT_TEMPLATE, str(info.chat_template))


def _save_adapter(model: Any, folder: Path, **options: Any) -> None:
    with warnings.catch_warnings(action="ignore"):  # of the adapter that it takes off another
        model.save_pretrained(folder, **options)
    _sort_modules(folder / _CONFIG)


def _sort_modules(file: Path) -> None:
    """Put ``target_modules`` in order: PEFT writes a set, whose order differs by process."""
    config = read_json(file)
    if isinstance(config["target_modules"], list):
        write_json(file, {**config, "target_modules": sorted(config["target_modules"])})


def _require_finite(model: Any, weights: Mapping[str, Tensor] | None) -> None:
    """Raise ModelError when what was trained holds infinities or NaNs."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name, tensor in (weights or trained).items():
        if not tensor.isfinite().all():
            raise overflow_error(f"the trained {name} is", tensor.dtype)


def link_model(trained: Path, out: Path) -> None:
    """The merge stage of a model without an adapter: ``out`` with the same files."""
    inputs = {"model": fingerprint_model(trained)}
    with open_stage(out, "merge", config={}, inputs=inputs, whole=True) as stage:
        if not stage.is_done:
            for file in trained.iterdir():
                link_file(file, stage.folder / file.name)
            training = read_training(trained) or {}
            stage.facts = {"base_model": training.get("base_model"), "training": training}
