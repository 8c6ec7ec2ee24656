"""Why a folder cannot be loaded, in one line: the real reason, and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import read_json
from kot_platypus.errors import DataError, KotError, ModelError
from kot_platypus.models.weights import MODEL, check_size, read_headers

_OTHER_WEIGHTS = (
    "*.gguf",
    "*.bin",
    "*.safetensors",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.h5",
    "*.msgpack",
)
_FLAG = "Read it, then pass --trust-remote-code (in a recipe model.trust_remote_code: true)."


@contextmanager
def explain_errors(folder: Path, what: str) -> Iterator[None]:
    """Have what a foreign folder or its code provokes in the block, of any kind, say what is wrong.

    ``what`` is the model, adapter or tokenizer that is loaded.
    """
    try:
        yield
    except KotError:
        raise
    except Exception as error:
        raise _load_error(folder, what, error) from error


def _load_error(folder: Path, what: str, error: Exception) -> ModelError:
    text = str(error).strip() or type(error).__name__
    if "trust_remote_code" in text or "custom code which must be executed" in text:
        code = ", ".join(sorted(file.name for file in folder.glob("*.py"))) or "code from the Hub"
        return ModelError(
            f"{folder}: the {what} brings code of its own ({code})",
            expected=f"a {what} that transformers knows, or your word for that code",
            hint=_FLAG,
        )
    if isinstance(error, AttributeError | NameError | SyntaxError) or "cannot import name" in text:
        return _code_error(folder, what, f"{type(error).__name__}: {text.partition(' (/')[0]}")
    if isinstance(error, ImportError):
        return _package_error(folder, what, text)
    if "Unrecognized configuration class" in text or "does not recognize this arch" in text:
        return _kind_error(folder)
    if isinstance(error, MemoryError) or "out of memory" in text:
        return ModelError(
            f"{folder}: not enough memory for the {what} ({_shorten(text)})",
            expected="a device that holds it",
            hint="Take --dtype bfloat16, another --device, or a smaller model.",
        )
    kind = "" if isinstance(error, OSError | ValueError | RuntimeError) else type(error).__name__
    return ModelError(
        f"{folder}: the {what} does not load ({kind + ': ' if kind else ''}{_shorten(text)})",
        expected=f"a complete {what} that this transformers reads",
        hint="Compare its files with where they came from.",
    )


def check_model_files(folder: Path) -> None:
    """Raise ModelError unless config.json reads and safetensors are there, whole."""
    config = read_config(folder)
    if not read_headers(folder, MODEL.safetensors):
        raise _weights_error(folder)
    if config.get("is_encoder_decoder"):
        raise _kind_error(folder)


def names_code(folder: Path) -> bool:
    """Whether a model's config or tokenizer names code of its own (``auto_map``)."""
    files = (folder / "config.json", folder / "tokenizer_config.json")
    found = (read_json(file) for file in files if file.is_file())
    return any(isinstance(values, dict) and values.get("auto_map") for values in found)


def read_config(folder: Path) -> dict[str, Any]:
    """The values of config.json. Raises ModelError when it is missing or torn."""
    path = folder / "config.json"
    try:
        if path.is_file():
            check_size(path)
        config = read_json(path)
        if isinstance(config, dict):
            return config
        found = f"{path} holds no object"
    except DataError as error:
        found = error.found
    raise ModelError(found, expected="the config.json of a model", hint="Download it again.")


def check_loaded(folder: Path, model: Any, report: Mapping[str, Iterable[Any]]) -> list[str]:
    """Raise ModelError unless files and config.json agree; return what of the files is left over.

    transformers would go on with random numbers where weights are missing, and without a word
    where the files hold more layers than config.json counts.
    """
    missing, left = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if report["mismatched_keys"]:
        name, found, wanted = min(report["mismatched_keys"])
        raise ModelError(
            f"{folder}: {name} is {list(found)} in the files and {list(wanted)} in config.json",
            expected="files and config.json of one model",
            hint="Download both from one place.",
        )
    if missing and (error := _head_error(folder, model, missing)):
        raise error
    if missing:
        others = (
            f"They hold {list_some(left)} instead: save it anew" if left else "Download it again"
        )
        raise ModelError(
            f"{folder}: the model does not load (no weights for {list_some(missing)})",
            expected=f"all that {type(model).__name__} has, as config.json describes it",
            hint=f"{others}, or correct config.json.",
        )
    known = {_strip_numbers(name) for name in model.state_dict()}
    config = model.config.get_text_config()
    uncounted = [name for name in left if _strip_numbers(name) in known]
    # Layers that only guess further tokens are left out on purpose.
    if uncounted and not getattr(config, "num_nextn_predict_layers", None):
        raise ModelError(
            f"{folder}: the files hold {list_some(uncounted)}, which config.json does not count",
            expected="files and config.json of one model",
            hint="Correct num_hidden_layers in config.json.",
        )
    if getattr(config, "is_decoder", None) is False and hasattr(config, "add_cross_attention"):
        raise _kind_error(folder)  # BERT and its kin, whose tokens see those after them
    return left


def _head_error(folder: Path, model: Any, missing: list[str]) -> ModelError | None:
    """The error of a backbone or a classifier: only the output layer has no weights."""
    head = model.get_output_embeddings()
    own = {
        f"{name}.{key}" for name, m in model.named_modules() if m is head for key in m.state_dict()
    }
    named = (read_config(folder).get("architectures") or ["backbone"])[0]
    if not own.issuperset(missing) or named == type(model).__name__:
        return None
    return ModelError(
        f"{folder} is a {named}, without the layer that predicts tokens ({list_some(missing)})",
        expected=f"a causal language model ({type(model).__name__})",
        hint="Use the model that it was made from.",
    )


def holds_only_gguf(folder: Path) -> bool:
    """Whether a folder's only weights are llama.cpp's."""
    others = (file for pattern in _OTHER_WEIGHTS[1:] for file in folder.glob(pattern))
    return any(folder.glob("*.gguf")) and not any(others)


def gguf_error(path: Path) -> ModelError:
    """The error of a GGUF file, or of a folder of such."""
    names = sorted(file.name for file in path.glob("*.gguf"))
    return ModelError(
        f"{path} holds weights of llama.cpp" + (f" ({list_some(names)})" if names else ""),
        expected="safetensors, or PyTorch's .bin files",
        hint="Take the model that they were made from; its name is on the model's page.",
    )


def _weights_error(folder: Path) -> ModelError:
    others = sorted({f.name for pattern in _OTHER_WEIGHTS for f in folder.glob(pattern)})
    if holds_only_gguf(folder):
        return gguf_error(folder)
    return ModelError(
        f"{folder} holds {'no weights' if not others else 'as weights only ' + list_some(others)}",
        expected="model.safetensors or pytorch_model.bin, or the index of several",
        hint="Download them, or write them with save_pretrained.",
    )


def _package_error(folder: Path, what: str, text: str) -> ModelError:
    quantized = read_config(folder).get("quantization_config") if what == "model" else None
    if quantized:
        package = re.search(r"pip install ([\w.\[\],>=-]+)", text)
        needs = f"which needs {package[1].rstrip('.')}" if package else _shorten(text)
        return ModelError(
            f"{folder} is quantised by {quantized.get('quant_method')} ({needs})",
            expected="unquantised weights",
            hint="Take the model that it was made from; its name is on the model's page.",
        )
    return ModelError(
        f"{folder}: the {what} needs what is not installed here ({_shorten(text)})",
        expected="the packages that it names",
        hint="Install them with pip.",
    )


def _code_error(folder: Path, what: str, text: str) -> ModelError:
    """Of an error in the program itself: code that comes with the model, if it has some."""
    from transformers import __version__

    whose = "its own code" if any(folder.glob("*.py")) else f"reading the {what}"
    return ModelError(
        f"{folder}: {whose} fails with transformers {__version__} ({_shorten(text)})",
        expected="code for this version",
        hint="Take the model in a form that transformers knows itself, or a newer revision.",
    )


def _kind_error(folder: Path) -> ModelError:
    """Of an architecture that is no causal language model, or none that transformers knows."""
    config = read_config(folder)
    from transformers import CONFIG_MAPPING, __version__

    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING:
        return ModelError(
            f"{folder}: transformers {__version__} knows no model_type {kind!r}",
            expected="one that it knows, or code of the model's own",
            hint="Update transformers, or correct config.json.",
        )
    pair = config.get("is_encoder_decoder") or kind in ("t5", "mt5")
    what = "an encoder with a decoder" if pair else "no model that writes text from left to right"
    return ModelError(
        f"{folder} is {what} ({', '.join(config.get('architectures') or [str(kind)])})",
        expected="a causal language model",
        hint="Take another model.",
    )


def _strip_numbers(name: str) -> str:
    return re.sub(r"\.\d+\.", ".*.", name)


def list_some(names: list[str]) -> str:
    """The first two names, and how many more there are."""
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if names[2:] else "")


def _shorten(text: str) -> str:
    """The first line that says something: some libraries begin with a headline."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    headline = len(lines) > 1 and lines[0].endswith(":")
    return " ".join(lines[: 2 if headline else 1])[:240]
