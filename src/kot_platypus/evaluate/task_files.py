"""The files that decide lm-eval's tasks: those of a folder, and those that its YAML files name.

What a task's Python opens elsewhere, and what lies on the Hub, is not known here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from kot_platypus.artifacts import MANIFEST, hash_file, hash_value

_CACHE = re.compile(r"\..*|__pycache__|[0-9a-f]{40,64}")
"""Folders that running a task leaves behind: Python's, and those of datasets by their hash."""
_NO_TASK = re.compile(r"\..*|cache-.*|.*\.(lock|part|pyc|safetensors|bin|pt|gguf)")
_YAML = (".yaml", ".yml")


class _Loader(yaml.SafeLoader):
    """Reads ``!function utils.fill`` as the text ``utils.fill``."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{node.value}")


def hash_task_files(include_path: Path | None, tasks: Iterable[str]) -> dict[str, str]:
    """Hashes of a folder of tasks (by ``tasks``) and of each task that is a file (by its path).

    Each covers what the YAML files name. What lies in a folder decides, not where it lies.
    """
    inputs = {}
    if include_path is not None:
        inputs["tasks"] = _hash_files(_list_files(include_path), include_path)
    for task in tasks:
        if Path(task).is_file():
            inputs[task] = _hash_files([Path(task)], Path(task).parent)
    return inputs


def _hash_files(files: Iterable[Path], folder: Path) -> str:
    found = _follow(path.resolve() for path in files)
    folder = folder.resolve()
    names = {
        file: str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name
        for file in found
    }
    return hash_value(sorted([name, hash_file(file)] for file, name in names.items()))


def _follow(files: Iterable[Path]) -> set[Path]:
    """Files, what the YAML files among them name, and so on."""
    found: set[Path] = set()
    pending = list(files)
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            if file.suffix in _YAML:
                pending += (each.resolve() for each in _list_named(file))
    return found


def _list_files(folder: Path) -> Iterator[Path]:
    """All files below a folder but caches, weights, and the results of a stage."""
    for parent, folders, files in os.walk(folder):
        if MANIFEST in files:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not _CACHE.fullmatch(name))
        yield from (Path(parent, name) for name in files if not _NO_TASK.fullmatch(name))


def _list_named(file: Path) -> Iterator[Path]:
    """The existing files that a task's YAML names: included ones, functions and data."""
    try:
        task = yaml.load(file.read_bytes(), _Loader)
    except yaml.YAMLError:
        return  # lm-eval says what is wrong with it
    if not isinstance(task, dict):
        return
    for name in _list_texts(task.get("include")):
        yield from _find(file.parent / name)
    for text in _list_texts(task):
        if text.startswith("!"):  # utils.fill is fill of the file utils.py
            module = text[1:].rpartition(".")[0].replace(".", "/")
            yield from _find(file.parent / f"{module}.py")
    options = task.get("dataset_kwargs")
    options = options if isinstance(options, dict) else {}
    base = Path(str(options.get("data_dir") or "")).expanduser()
    for data in (task.get("dataset_path"), options.get("data_dir")):
        yield from (found for name in _list_texts(data) for found in _find(Path(name)))
    for name in _list_texts(options.get("data_files")):
        yield from _find(base / name)


def _find(path: Path) -> Iterator[Path]:
    """A file, those of a folder, or those that a pattern such as ``*.parquet`` matches."""
    path = path.expanduser()
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from _list_files(path)
    elif any(sign in path.name for sign in "*?[") and path.parent.is_dir():
        yield from (each for each in path.parent.glob(path.name) if each.is_file())


def _list_texts(value: Any) -> Iterator[str]:
    """All texts in a value of YAML."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _list_texts(each)
