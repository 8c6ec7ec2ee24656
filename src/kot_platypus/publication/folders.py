"""A trained model's folder outside of a run, and the card that says what the folder knows.

That is what ``kot merge`` wrote, or ``kot train`` with ``train.method=full``. A README.md of your
own in it is the card instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from markupsafe import Markup

from kot_platypus.artifacts import MANIFEST, read_manifest
from kot_platypus.errors import RunError
from kot_platypus.licences import find_licence
from kot_platypus.markdown import fence
from kot_platypus.methods import METHODS
from kot_platypus.models import TrainingInfo, read_training_info
from kot_platypus.models.parts import name_auto_class
from kot_platypus.results.templates import load_templates
from kot_platypus.verdicts import Verdict

_COUNTS = {
    "num_examples": "training rows",
    "optimizer_steps": "optimizer steps",
    "tokens_seen": "tokens seen",
    "trained_tokens_seen": "of them trained on",
}
_ONLY_LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
_SHOWN_BEFORE = ("method", "template", "target", "tokens")


@dataclass(frozen=True)
class Trained:
    """A model's folder and what is written of its making."""

    folder: Path
    info: TrainingInfo
    training: Mapping[str, Any]
    """The manifest of its training; empty where it is not known."""
    base_model: str | None
    """Its base's id on the Hub, where known."""
    stage: Path | None
    """The folder of the training itself, of a model that was trained whole."""


def find_trained(folder: Path, base_model: str | None = None) -> Trained:
    """The model in ``folder``; ``base_model`` is told by someone who knows.

    Raises RunError when there is none, or its making did not end.
    """
    for stage, model in ((folder, folder / "model"), (folder, folder), (folder.parent, folder)):
        if (stage / MANIFEST).is_file() and (model / "config.json").is_file():
            manifest = read_manifest(stage)
            break
    else:
        raise RunError(
            f"{folder} is neither a run nor a trained model",
            expected="a finished run, what kot merge wrote, or what kot train wrote of all weights",
            hint="Merge an adapter first: kot merge. A data set: --dataset",
        )
    is_whole = model != stage
    if manifest["status"] != "done" or manifest.get("stage") != ("train" if is_whole else "merge"):
        raise RunError(
            f"{folder} holds no finished model",
            expected="what a finished kot merge or kot train left",
            hint="Run the same command again.",
        )
    training = manifest if is_whole else manifest.get("training") or {}
    known = base_model or manifest.get("base_model")
    return Trained(model, read_training_info(model), training, known, stage if is_whole else None)


def write_card(trained: Trained, repo_id: str) -> str:
    """The card of a model as Markdown: what is known of it, and what is not."""
    info, verdict = trained.info, trained.training.get("contamination")
    method = METHODS.get(info.method or "")  # type: ignore[call-overload]
    kinds = [*([method.tag] if method else []), *filter(None, [info.objective])]
    metadata = ModelCardData(
        language=["ko"],
        license=find_licence(trained.base_model or ""),
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=trained.base_model,
        tags=["korean", "chain-of-thought", *kinds, "kot-platypus"],
    )
    environment = load_templates("kot_platypus.publication", code=_code, fence=fence)
    return environment.get_template("card.md.jinja").render(
        metadata=Markup(metadata.to_yaml().rstrip()),
        repo_id=repo_id,
        name=repo_id.rpartition("/")[2],
        base=trained.base_model,
        info=info,
        method=method,
        asks_in_chat=(trained.folder / "chat_template.jinja").is_file(),
        auto_class=name_auto_class(trained.folder),
        settings=_list_settings(trained),
        is_known=bool(trained.training.get("config")),
        data=(trained.training.get("inputs") or {}).get("data"),
        contamination=Verdict.model_validate(verdict).describe() if verdict else "",
    ) + "\n"  # fmt: skip


def _list_settings(trained: Trained) -> list[tuple[str, Any]]:
    """What is known of the training, under Platypus's names."""
    info, training = trained.info, trained.training
    validation = training.get("validation") or {}
    hidden = _SHOWN_BEFORE + (_ONLY_LORA if info.method == "full" else ())
    rows: list[tuple[str, Any]] = [
        ("method", info.method),
        ("base held as", info.quantization),
        ("template", info.template.name if info.template else None),
        ("target", info.target),
        *((key, v) for key, v in (training.get("config") or {}).items() if key not in hidden),
        *((name, training.get(key)) for key, name in _COUNTS.items()),
        ("weights of step", validation.get("step")),
        ("validation loss", validation.get("eval_loss")),
        ("validation rows", validation.get("num_rows")),
    ]
    return [(name, value) for name, value in rows if value not in (None, "", [])]


def _code(value: Any) -> Markup:
    """A value in code type, in one cell of a table."""
    parts: Iterable[Any] = value if isinstance(value, list) else [value]
    text = ", ".join(f"{part:,}" if type(part) is int else str(part) for part in parts)
    return Markup(f"`{' '.join(text.split()).translate({ord('`'): chr(39), ord('|'): '/'})}`")
