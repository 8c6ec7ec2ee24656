"""Encoded rows on disk: a training that is taken up again does not encode them a second time.

They lie with the checkpoints and go with them. A file's name is the hash of all that decides what
is in it; what is not as it was written is not read.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import kot_platypus
from kot_platypus.artifacts import hash_file, hash_value
from kot_platypus.processes import ask_all, count_processes, is_main_process, process_rank
from kot_platypus.records import Row
from kot_platypus.train.checkpoints import is_whole, seal_checkpoint
from kot_platypus.train.encoding import Encoder, encode_rows, shuffle_rationales
from kot_platypus.train.items import Encoded

_FOLDER = "encoded"
_CODE = (
    *("records.py", "thoughts.py", "models/tokens.py"),
    *("train/encoding.py", "train/items.py", "prompts/*"),
)
_LIBRARIES = ("transformers", "tokenizers", "jinja2")


def share_encoding(
    encoder: Encoder, rows: Sequence[Row], *, source: object, numbers: Iterable[int]
) -> list[Encoded | None]:
    """As ``encode_rows``; under torchrun each process encodes a share, and all know the whole."""
    if encoder.section.target == "shuffled_rationale":  # of all rows
        rows = shuffle_rationales(rows)
        plain = encoder.section.model_copy(update={"target": "rationale_answer"})
        encoder = encoder._replace(section=plain)
    at, total = process_rank(), count_processes()
    share = slice(len(rows) * at // total, len(rows) * (at + 1) // total)
    part, named = rows[share], list(numbers)[share]
    found = ask_all(lambda: encode_rows(encoder, part, source=source, numbers=named))
    return [item for share in found for item in share]


def identify_rows(encoder: Encoder, rows: Sequence[Row]) -> str | None:
    """The hash of all that decides how rows are encoded, our own code and the libraries included.

    None for a tokenizer of Python code, which cannot be hashed.
    """
    template, section, tokenizer = encoder
    if not tokenizer.is_fast:
        return None
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    for row in rows:
        digest.update(row.model_dump_json().encode() + b"\n")
    root = Path(kot_platypus.__file__).parent
    code = sorted(file for pattern in _CODE for file in root.glob(pattern) if file.is_file())
    return hash_value(
        {
            "rows and tokenizer": digest.hexdigest(),
            "special tokens": {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
            "chat template": tokenizer.chat_template,
            "template": template.model_dump(mode="json"),
            "target": section.target,
            "cutoff_len": section.cutoff_len,
            "code": [hash_file(file) for file in code],
            "libraries": [version(name) for name in _LIBRARIES],
        }
    )


def read_kept(checkpoints: Path, key: str | None) -> list[Encoded | None] | None:
    """What ``keep_rows`` wrote under ``key``; None where it is not there or no longer whole."""
    folder = checkpoints / _FOLDER
    file = folder / f"{key}.safetensors"
    if key is None or not file.is_file() or not is_whole(folder):
        return None
    arrays = {name: array.tolist() for name, array in load_file(file).items()}
    encoded: list[Encoded | None] = []
    ids_at = masked_at = 0
    rows = (arrays[n] for n in ("lengths", "prompts", "num_masked", "truncated", "only_shown"))
    for length, prompt_len, num_masked, num_truncated, num_only_shown in zip(*rows, strict=True):
        if length < 0:
            encoded.append(None)
            continue
        ids = tuple(arrays["ids"][ids_at : ids_at + length])
        masked = frozenset(arrays["masked"][masked_at : masked_at + num_masked])
        encoded.append(Encoded(ids, prompt_len, masked, num_truncated, num_only_shown))
        ids_at, masked_at = ids_at + length, masked_at + num_masked
    return encoded


def keep_rows(checkpoints: Path, parts: Mapping[str | None, Sequence[Encoded | None]]) -> None:
    """Have the main process write encoded rows, each part under its key."""
    folder = checkpoints / _FOLDER
    named = {folder / f"{key}.safetensors": encoded for key, encoded in parts.items() if key}
    if not is_main_process() or (all(map(Path.is_file, named)) and is_whole(folder)):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, encoded in named.items():
        save_file(_flatten(encoded), file)
    seal_checkpoint(folder)


def _flatten(encoded: Sequence[Encoded | None]) -> dict[str, np.ndarray]:
    nothing = Encoded((), 0)
    items = [item or nothing for item in encoded]
    columns: dict[str, Iterable[int]] = {
        "lengths": [-1 if item is None else len(item.ids) for item in encoded],
        "prompts": [item.prompt_len for item in items],
        "num_masked": [len(item.masked) for item in items],
        "truncated": [item.num_truncated for item in items],
        "only_shown": [item.num_only_shown for item in items],
        "ids": (id_ for item in items for id_ in item.ids),
        "masked": (position for item in items for position in sorted(item.masked)),
    }
    return {name: np.fromiter(values, dtype=np.int32) for name, values in columns.items()}
