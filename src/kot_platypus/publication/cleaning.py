"""Local paths become names: a model's on the Hub where it has one, else the last part alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from kot_platypus.errors import DataError

_LOCAL = re.compile(r"(?:/|~/|\.\.?/|[A-Za-z]:[\\/]|\\\\)[^\n]*[^\\/\n][\\/]*")
_BASE_KEYS = ("base_model_name_or_path", "_name_or_path")
_MAX_CHARS = 1000


def find_local_paths(files: Iterable[Path], hub_name: str | None) -> dict[str, str]:
    """Every value of a JSON or YAML file that is a path of this machine -> the name to show.

    Raises DataError for a file that cannot be read as what it is called.
    """
    found: dict[str, str] = {}
    for file in files:
        if file.suffix in (".json", ".yaml"):
            for keys, value in _iter_strings(_load(file)):
                if _is_local(value):
                    names_base = keys[-1:] in [(key,) for key in _BASE_KEYS] or keys == (
                        *("model", "name"),
                    )
                    shown = PurePath(value.rstrip("\\/").replace("\\", "/")).name
                    found[value] = hub_name or shown if names_base else found.get(value, shown)
    return found


def _is_local(value: str) -> bool:
    """Whether a whole value is a path of at least two parts, and no relative one below here."""
    depth = len(re.split(r"[\\/]+", value.strip("\\/")))
    is_path = len(value) < _MAX_CHARS and _LOCAL.fullmatch(value) is not None
    return is_path and (depth > 1 or value.startswith("~"))


def _load(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        return json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(
            f"{file} cannot be read ({type(error).__name__})",
            expected=f"a {file.suffix[1:].upper()} file",
            hint="Write it again with the kot command that made it.",
        ) from error


def _iter_strings(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _iter_strings(each, (*keys, str(key)))
    elif isinstance(value, list):
        for each in value:
            yield from _iter_strings(each, keys)


def clean_text(content: bytes, paths: Mapping[str, str]) -> bytes | None:
    """A file's bytes with names for ``paths``, as JSON and HTML spell them too.

    None where nothing changes.
    """
    text = content.decode("utf-8", errors="surrogateescape")
    cleaned = text
    for path in sorted(paths, key=len, reverse=True):  # a folder's name begins its files' names
        for spelled in (lambda t: t, _as_json, html.escape):
            cleaned = cleaned.replace(spelled(path), spelled(paths[path]))
    return None if cleaned == text else cleaned.encode("utf-8", errors="surrogateescape")


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
