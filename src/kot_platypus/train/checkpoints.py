"""Checkpoints that can be trusted: sealed with hashes, verified before use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from kot_platypus.artifacts import hash_file, read_json, write_json
from kot_platypus.errors import DataError, RunError
from kot_platypus.progress import console

_SEAL = "sealed.json"


def seal_checkpoint(folder: Path) -> None:
    """Flush every file to disk, then write their hashes."""
    hashes = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        hashes[file.relative_to(folder).as_posix()] = hash_file(file)
    write_json(folder / _SEAL, hashes)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest intact checkpoint below ``folder``; damaged ones are removed with a word."""
    for checkpoint in reversed(list_checkpoints(folder)):
        if is_intact(checkpoint):
            return checkpoint
        console.print(f"  {checkpoint.name} is incomplete or damaged; going back to the one before")
        shutil.rmtree(checkpoint)
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """Those below ``folder``, intact or not, the oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=_read_step)


def go_back(folder: Path, name: str) -> None:
    """Remove the checkpoints after ``name``, which is then the one that a training goes on from.

    ``name`` is ``checkpoint-50``, or the path of that folder. Raises RunError, and removes nothing,
    unless it is an intact one below ``folder``; one is not whose best was not kept for a later one.
    """
    found, path = list_checkpoints(folder), Path(name)
    chosen = folder / path.name
    is_here = path.parent in (Path(), folder) or path.resolve() == chosen.resolve()
    if not is_here or chosen not in found or not is_intact(chosen):
        intact = [each.name for each in found if is_intact(each)]
        raise RunError(
            f"{folder} has no intact checkpoint {name}",
            expected=f"one of {', '.join(intact)}" if intact else "a training that is under way",
            hint="Without --resume-from-checkpoint a training goes on from its newest.",
        )
    for later in found[found.index(chosen) + 1 :]:
        console.print(f"  Going back to {chosen.name}: {later.name} is removed")
        shutil.rmtree(later)


def _read_step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def is_intact(checkpoint: Path) -> bool:
    """Whether it is as it was written, and so is the one of the lowest validation loss up to it."""
    if not is_whole(checkpoint):
        return False
    state = checkpoint / TRAINER_STATE_NAME
    step = read_json(state).get("best_global_step") if state.is_file() else None
    return step is None or is_whole(checkpoint.with_name(f"checkpoint-{step}"))


def is_whole(checkpoint: Path) -> bool:
    """Whether the files of a sealed folder are those that were sealed."""
    try:
        hashes = read_json(checkpoint / _SEAL)
    except DataError:
        return False
    files = {name: checkpoint / name for name in hashes}
    return all(file.is_file() and hash_file(file) == hashes[name] for name, file in files.items())
