"""A card's metadata, checked without the Hub: its own check happens there, after the upload began.

``huggingface_hub``'s ``card.validate()`` asks the server. What it can refuse is checked here with
the library's own parser. Which licences the Hub has a name for only the Hub knows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from typing import Any

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK, DatasetCard, ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from huggingface_hub.utils import HFValidationError, validate_repo_id

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "n>10M")


def read_metadata(card: str) -> dict[str, Any]:
    """What stands between a card's first lines ``---``. Empty where there is nothing to read."""
    block = REGEX_YAML_BLOCK.search(card)
    try:
        metadata = yaml.safe_load(block[2]) if block else None
    except yaml.YAMLError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def check_card(card: str, kind: str, destinations: Collection[str]) -> tuple[list[str], list[str]]:
    """What the Hub would refuse in a card, and what it would take but a reader would miss."""
    metadata = read_metadata(card)
    if not metadata:
        return ["the card has no metadata between two lines ---"], []
    try:
        parsed = (ModelCard if kind == "model" else DatasetCard)(card)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return [f"the card's metadata cannot be read ({type(error).__name__})"], []
    problems = [*_check_license(metadata), *_check_lists(metadata), *_check_ids(metadata)]
    if kind == "model":
        problems += _check_results(parsed.data)
    else:
        problems += _check_dataset(metadata, destinations)
    notes = [] if metadata.get("license") else ["the card names no licence"]
    return problems, notes


def _check_license(metadata: dict[str, Any]) -> Iterator[str]:
    found = metadata.get("license") or []
    for name in found if isinstance(found, list) else [found]:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9.+-]+", name):
            yield f"license {name!r} is no name such as apache-2.0 (or other, with license_name)"
        elif name == "other" and not metadata.get("license_name"):
            yield "license other without a license_name"


def _check_lists(metadata: dict[str, Any]) -> Iterator[str]:
    for key in ("language", "tags", "datasets", "metrics", "size_categories", "task_categories"):
        values = metadata.get(key) or []
        values = values if isinstance(values, list) else [values]
        if not all(isinstance(value, str) and value.strip() for value in values):
            yield f"{key} holds something else than names"
        elif key == "language" and not all(re.fullmatch("[a-z]{2,3}|code|multilingual", v)
                                           for v in values):  # fmt: skip
            yield "language holds something else than codes such as ko"


def _check_ids(metadata: dict[str, Any]) -> Iterator[str]:
    for key in ("base_model", "datasets"):
        values = metadata.get(key) or []
        for value in values if isinstance(values, list) else [values]:
            try:
                validate_repo_id(value)
            except HFValidationError:
                yield f"{key} holds something else than the Hub's ids"


def _check_results(data: Any) -> Iterator[str]:
    """Whether the results come back from the Hub's form as they went into it."""
    results = data.eval_results or []
    if any(not isinstance(r.metric_value, int | float) or not math.isfinite(r.metric_value)
           for r in results):  # fmt: skip
        yield "a result in model-index is no finite number"
        return
    if results:
        name = data.model_name or ""
        again = model_index_to_eval_results(eval_results_to_model_index(name, results))
        if again[0] != name or sorted(map(repr, again[1])) != sorted(map(repr, results)):
            yield "model-index does not come back as it was written"


def _check_dataset(metadata: dict[str, Any], destinations: Collection[str]) -> Iterator[str]:
    sizes = metadata.get("size_categories") or []
    for size in sizes if isinstance(sizes, list) else [sizes]:
        if size not in _SIZES:
            yield f"size_categories {size!r} is none of the Hub's names"
    for config in metadata.get("configs") or []:
        files = config.get("data_files") if isinstance(config, dict) else None
        if not isinstance(files, str) or files not in destinations:
            yield f"configs names a file that is not uploaded: {files!r}"
