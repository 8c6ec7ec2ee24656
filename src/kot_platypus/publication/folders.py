"""A trained model's folder outside of a run, and the card that says what the folder knows.

That is what ``kot merge`` wrote, or ``kot train`` with ``train.method=full``. A README.md of your
own in it is the card instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from kot_platypus.artifacts import MANIFEST, read_manifest
from kot_platypus.errors import RunError
from kot_platypus.licences import find_licence
from kot_platypus.markdown import fence
from kot_platypus.methods import METHODS
from kot_platypus.models import TrainingInfo, read_training_info
from kot_platypus.models.parts import name_auto_class
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
    parts = [
        f"---\n{_describe_model(trained).to_yaml().rstrip()}\n---",
        f"# {repo_id.rpartition('/')[2]}",
        _tell_origin(trained),
        *_tell_use(trained, repo_id),
        "# Training",
        *_tell_training(trained),
        "# Data and licences",
        "\n".join(_list_terms(trained)),
        "# Scores",
        "None: the model was published without an evaluation of KoT's. `kot eval` and `kot reason` "
        "score it.",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_model(trained: Trained) -> Any:
    method = METHODS.get(trained.info.method or "")  # type: ignore[call-overload]
    kinds = [*([method.tag] if method else []), *filter(None, [trained.info.objective])]
    tags = ["korean", "chain-of-thought", *kinds, "kot-platypus"]
    return ModelCardData(
        language=["ko"],
        license=find_licence(trained.base_model or ""),
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=trained.base_model,
        tags=tags,
    )


def _tell_origin(trained: Trained) -> str:
    base, fingerprint = trained.base_model, trained.info.base
    if base:
        origin = f"[{base}](https://huggingface.co/{base})"
    else:
        origin = "A base model that is not named here"
        origin += f" (KoT's fingerprint of it: `{fingerprint}`)" if fingerprint else ""
    method = METHODS.get(trained.info.method or "")  # type: ignore[call-overload]
    if method is None:
        return f"{origin}, trained by KoT."
    if method.makes_adapter:
        return f"{origin}, with a {method.title} adapter, trained and merged by KoT."
    return f"{origin}, with all its weights trained by KoT."


def _tell_use(trained: Trained, repo_id: str) -> Iterator[str]:
    """How to ask the model as it was trained."""
    template = trained.info.template
    if template is None:
        return
    yield "# Usage"
    if (trained.folder / "chat_template.jinja").is_file() or template.chat:
        snippet = _SNIPPET.replace("AUTO_CLASS", name_auto_class(trained.folder))
        yield fence(snippet.replace("USER/NAME", repo_id), "python")
    if not template.chat:
        yield "The chat template renders a question as the prompt of the training:"
        yield fence(template.prompt.rstrip("\n"), "text")
    if trained.info.date:
        yield f"The chat template shows a date: {trained.info.date}, as in training."


_SNIPPET = """from transformers import AUTO_CLASS, AutoTokenizer

name = "USER/NAME"
tokenizer = AutoTokenizer.from_pretrained(name)
model = AUTO_CLASS.from_pretrained(name)

question = "3 더하기 4는 얼마인가?"
inputs = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}],
    add_generation_prompt=True,
    return_dict=True,
    return_tensors="pt",
)
output = model.generate(**inputs, max_new_tokens=256, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""


def _tell_training(trained: Trained) -> Iterator[str]:
    info, training = trained.info, trained.training
    settings = dict(training.get("config") or {})
    validation = training.get("validation") or {}
    hidden = _SHOWN_BEFORE + (_ONLY_LORA if info.method == "full" else ())
    rows: list[tuple[str, Any]] = [
        ("method", info.method),
        ("base held as", info.quantization),
        ("template", info.template.name if info.template else None),
        ("target", info.target),
        *((key, value) for key, value in settings.items() if key not in hidden),
        *((name, training.get(key)) for key, name in _COUNTS.items()),
        ("weights of step", validation.get("step")),
        ("validation loss", validation.get("eval_loss")),
        ("validation rows", validation.get("num_rows")),
    ]
    known = [f"| {name} | {_code(value)} |" for name, value in rows if value not in (None, "", [])]
    if known:
        yield "\n".join(["| Setting | Value |", "| --- | --- |", *known])
    if not settings:
        yield "The other settings of the training are not known here."


def _list_terms(trained: Trained) -> Iterator[str]:
    data = (trained.training.get("inputs") or {}).get("data")
    named = f" (SHA-256 of their file: `{data}`)" if data else ""
    yield f"- The training rows are not part of this repository{named}; their owners' terms apply."
    verdict = trained.training.get("contamination")
    if verdict:
        found = Verdict.model_validate(verdict).describe()
        yield f"- Contamination: {found}."
    else:
        yield "- Contamination: nothing here says that the rows were checked against benchmarks."
    yield "- The base model's own terms apply to this model."


def _code(value: Any) -> str:
    """A value in code type, in one cell of a table."""
    parts: Iterable[Any] = value if isinstance(value, list) else [value]
    text = ", ".join(f"{part:,}" if type(part) is int else str(part) for part in parts)
    return f"`{' '.join(text.split()).translate({ord('`'): chr(39), ord('|'): '/'})}`"
