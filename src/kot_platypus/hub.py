"""Data sets on the Hub, as rows of values."""

from __future__ import annotations

from collections.abc import Iterator
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
        what = f"{name}{f' {config}' if config else ''}"
        if Path(name).is_dir():
            raise DataError(
                f"{what}: no split {split} there ({' '.join(str(error).split())[:160]})",
                expected="a copy of the data set as it is on the Hub, with its README",
                hint="Or name the file of one task.",
            ) from error
        raise _explain(what, error, hint) from error
    return ((f"row {i}", values) for i, values in enumerate(dataset, start=1))


def _download(name: str, file: str, revision: str | None) -> Path:
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.hf_hub_download(name, file, repo_type="dataset", revision=revision)
        )
    except Exception as error:
        raise _explain(f"{name}/{file}", error) from error


def _explain(what: str, error: Exception, hint: str = _HINT) -> DataError:
    return DataError(
        f"cannot get the dataset {what!r} from the Hub ({type(error).__name__})",
        expected="a reachable Hub and an existing dataset",
        hint=hint,
    )
