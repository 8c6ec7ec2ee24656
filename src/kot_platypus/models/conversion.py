"""Folders as people have them made into folders as everything here reads them: safetensors.

What has been converted lies in the cache under the hash of its content, so it is done once for
equal files, wherever they lie, and a changed file is another model.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kot_platypus.artifacts import hash_file, hash_value, new_folder, write_json
from kot_platypus.errors import ModelError
from kot_platypus.locks import lock_folder
from kot_platypus.models.cache import cache_folder
from kot_platypus.models.pickles import convert_pickle
from kot_platypus.models.weights import (
    ADAPTER,
    MODEL,
    Names,
    check_size,
    list_companions,
    list_shards,
    read_weight_map,
)
from kot_platypus.progress import show_status


def prepare_model(folder: Path) -> Path:
    """``folder`` itself if it holds safetensors, else one in the cache that does.

    A folder without any weights is returned as it is. Raises ModelError for ``.bin`` files that
    are incomplete, damaged or hold anything but tensors.
    """
    return _prepare(folder, MODEL)


def prepare_adapter(adapter: Path) -> Path:
    """The same of a PEFT folder, whose older form is ``adapter_model.bin``."""
    return _prepare(adapter, ADAPTER)


def _prepare(folder: Path, names: Names) -> Path:
    if list_shards(folder, names.safetensors):
        return folder
    pickles = list_shards(folder, names.pickle)
    if not pickles:
        return folder
    for file in pickles:
        check_size(file)
    weights = _convert_weights(folder, pickles, names)
    companions = list_companions(folder)
    content = {file.name: hash_file(file) for file in (*companions, *weights)}
    whole = cache_folder() / "models" / f"{_find_name(folder)}-{hash_value(content)[:12]}"
    with lock_folder(whole, wait=True):
        if not whole.is_dir():
            with new_folder(whole) as part:
                for file in companions:
                    shutil.copyfile(file, part / file.name)
                for file in weights:
                    link_file(file, part / file.name)
    return whole


def _convert_weights(folder: Path, pickles: list[Path], names: Names) -> list[Path]:
    """The same tensors in the cache, a safetensors file for each file, and an index of several."""
    key = hash_value([names.pickle.single, *map(hash_file, pickles)])
    weights = cache_folder() / "weights" / key[:12]
    with lock_folder(weights, wait=True):
        if not weights.is_dir():
            size = sum(file.stat().st_size for file in pickles) / 2**30
            title = f"Converting {_find_name(folder)} to safetensors (once, {size:,.1f} GiB)"
            with show_status(title), new_folder(weights) as part:
                _write_weights(folder, pickles, names, part)
    return sorted(weights.iterdir())


def _write_weights(folder: Path, pickles: list[Path], names: Names, part: Path) -> None:
    promised = read_weight_map(folder, names.pickle)
    where: dict[str, str] = {}
    for file in pickles:
        stem = file.name.replace(
            Path(names.pickle.single).stem, Path(names.safetensors.single).stem
        )
        target = Path(stem).with_suffix(".safetensors").name
        for tensor in convert_pickle(file, part / target):
            if tensor in where:
                raise _index_error(folder, f"{tensor} lies in two files")
            where[tensor] = target
    absent = promised.keys() - where.keys()
    if absent:
        raise _index_error(folder, f"no file holds {min(absent)}, which the index names")
    if names.safetensors.index and promised:
        index = {"metadata": {}, "weight_map": dict(sorted(where.items()))}
        write_json(part / names.safetensors.index, index)


def _index_error(folder: Path, found: str) -> ModelError:
    return ModelError(
        f"{folder}: {found}",
        expected="weight files that agree with their index",
        hint="Download the model again.",
    )


def _find_name(folder: Path) -> str:
    """What the model is called: in the Hub's cache folders go by a commit."""
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.rpartition("--")[2]
    return folder.name


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there are no links (another disk)."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
