"""Data sets on the Hub, as rows of values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kot_platypus.errors import DataError
from kot_platypus.formats import iter_values

_HINT = "Check the id and your connection, or use a local file (source `file`)."


def iter_hub(
    name: str,
    file: str | None = None,
    revision: str | None = None,
    *,
    config: str | None = None,
    split: str = "train",
    hint: str = _HINT,
) -> Iterator[tuple[str, object]]:
    """Each row of a data set and its place: of one ``file`` of it, or of a split.

    ``name`` may be a local copy of the data set, a folder. Raises DataError, with ``hint``, when it
    is not available.
    """
    if file is not None:
        return iter_values(_download(name, file, revision))
    import datasets

    try:
        dataset = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # the hub client raises many kinds; all mean "not available"
        raise explain(name, config, split, error, hint) from error
    return ((f"row {i}", values) for i, values in enumerate(dataset, start=1))


def _download(name: str, file: str, revision: str | None) -> Path:
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.hf_hub_download(name, file, repo_type="dataset", revision=revision)
        )
    except Exception as error:
        raise explain(name, None, file, error) from error


# --- why not -----------------------------------------------------------------------------------

_REASONS = (
    (
        r"GatedRepoError|gated dataset",
        "is gated: its owners give access to those who ask",
        "an account that has access",
        "Ask at https://huggingface.co/datasets/{name}, then run: hf auth login",
    ),
    (  # before "not found": what nobody was asked for may well be there
        r"Couldn't reach|ConnectionError|ConnectError|[Tt]ime(d )?out|LocalEntryNotFound",
        "cannot be had: the Hub is not reached ({said})",
        "a connection, or a copy in the cache",
        "{hint}",
    ),
    (
        r"RevisionNotFoundError|Revision '.*' doesn't exist",
        "has no such revision",
        "one that it has",
        "Check `revision`.",
    ),
    (r"EntryNotFoundError", "has no file {part!r}", "one that it has", "Check `hub_file`."),
    (
        r"RepositoryNotFoundError|doesn't exist on the Hub",
        "does not exist on the Hub, or is private",
        "one that does, and an account that may read it",
        "Check the id. For a private one run: hf auth login",
    ),
    (
        r"Dataset scripts are no longer supported",
        "is a program, which is not run",
        "a data set in files",
        "Name its converted files: `revision: refs/convert/parquet` and `hub_file`.",
    ),
    (r"", "cannot be read ({said})", "its rows", "{hint}"),
)
"""What the client's errors, by class and words, say of a data set; else what to do."""


def explain(
    name: str, config: str | None, part: str, error: Exception, hint: str = _HINT
) -> DataError:
    """Why the Hub's client could not give a data set's ``part`` (a split or a file), in one line.

    ``hint`` is what else to do where the Hub is not reached. Words of the client's that are not
    known here are passed on.
    """
    message = " ".join(str(error).split())
    listed = re.search(r"\[(.*?)\]", message)
    names = re.findall(r"'([^']*)'", listed[1]) if listed else []
    if "Config name is missing" in message or re.search("BuilderConfig .* not found", message):
        has = f"no config {config!r}" if config else "several configs, and none was named"
        return _list(f"the data set {name!r} has {has}", names, f"hub:{name}:", "config")
    if "Unknown split" in message:
        split = re.split(r"[\[+]", part)[0]
        within = f" in the config {config!r}" if config else ""
        found = f"the data set {name!r} has no split {split!r}{within}"
        return _list(found, names, f"hub:{name}{f':{config}' if config else ''}@", "split")
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    _, *words = next(each for each in _REASONS if re.search(each[0], f"{kinds}: {message}"))
    said = f"{type(error).__name__}: {message[:200]}"
    found, expected, advice = (
        each.format(name=name, part=part, said=said, hint=hint) for each in words
    )
    return DataError(f"the data set {name!r} {found}", expected=expected, hint=advice)


def _list(found: str, names: Sequence[str], start: str, key: str) -> DataError:
    """What there is, at most ten of them, and which was probably meant."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    first = names[0] if names else key.upper()
    return DataError(
        found,
        expected=f"one of {shown}" if names else f"a {key} that it has",
        hint=f"E.g. {start}{first} (in a recipe `{key}: {first}`).",
    )
