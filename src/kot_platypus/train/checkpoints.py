"""Checkpoints that can be trusted: sealed with hashes when written, verified before use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from kot_platypus.artifacts import hash_file, read_json, write_json
from kot_platypus.errors import DataError
from kot_platypus.processes import share_all
from kot_platypus.progress import console

_SEAL = "sealed.json"


class SealCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Writes each new checkpoint's file hashes last. A checkpoint without them is not one."""

    def on_save(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Flush and seal the checkpoint that the trainer has just written."""
        share_all(None)  # every process writes its random state
        if state.is_world_process_zero:
            seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")


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
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1]))
    for checkpoint in found:
        if _is_intact(checkpoint):
            return checkpoint
        console.print(f"  {checkpoint.name} is incomplete or damaged; going back to the one before")
        shutil.rmtree(checkpoint)
    return None


def _is_intact(checkpoint: Path) -> bool:
    try:
        hashes = read_json(checkpoint / _SEAL)
    except DataError:
        return False
    files = {name: checkpoint / name for name in hashes}
    return all(file.is_file() and hash_file(file) == hashes[name] for name, file in files.items())
