"""Why a folder cannot be loaded, in one line."""

from __future__ import annotations

from pathlib import Path

from kot_platypus.errors import ModelError


def does_not_load(folder: Path, what: str, error: Exception) -> ModelError:
    """The error of a folder whose ``what`` a library could not load."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(
        f"{folder}: the {what} does not load ({reason[0][:200]})",
        expected=f"a complete {what} with safetensors weights",
        hint="Download or write it again.",
    )
