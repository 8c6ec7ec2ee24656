"""A stage's output folder: claimed, worked in, and marked done when everything else is on disk.

``manifest.json`` is written twice, atomically: when the stage begins (``status: running``) and
after its last file (``status: done``). Whatever lies between is a partial result that the same
stage may continue, and no other stage may read.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from kot_platypus.artifacts import (
    MANIFEST,
    describe_machine,
    holds_nothing,
    new_folder,
    read_manifest,
    refuse_file,
    write_json,
)
from kot_platypus.errors import KotError, OutdatedError, RunError
from kot_platypus.processes import ask_main, is_main_process

GATHERED = "rows"
"""In a stage's folder: that of the rows that were gathered for it, which is a stage of its own."""
ACCOUNT = "account.txt"
"""In the folder of paid work: the name of its account, which it keeps when it is moved."""
_NO_RESULT = (MANIFEST, GATHERED, ACCOUNT)


class Stage:
    """What a block of ``open_stage`` knows of its folder."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        """Where to write."""
        self._identity = json.loads(json.dumps(identity))
        self.is_done = ask_main(self._is_done)
        """Whether the folder held this stage's complete result when it was opened."""
        self.facts: dict[str, Any] = {}
        """What else the manifest tells of the result."""

    def claim(self) -> None:
        """Remove what a killed try left half-written and write the manifest of a running stage."""
        for part in list(self.folder.rglob("*.part")):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)
        manifest = {**self._identity, "status": "running", "machine": describe_machine()}
        write_json(self.folder / MANIFEST, manifest)

    def withdraw(self) -> None:
        """Remove the claim if nothing was made under it."""
        if is_main_process() and holds_nothing(self.folder, but=_NO_RESULT):
            (self.folder / MANIFEST).unlink(missing_ok=True)
            with suppress(OSError):  # the unfinished part of a write
                self.folder.rmdir()

    def finish(self, seconds: float) -> None:
        """Mark the result complete, listing every file below the folder with its size in bytes."""
        outputs = {
            file.relative_to(self.folder).as_posix(): file.stat().st_size
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and file.name != MANIFEST
        }
        manifest = {
            **self._identity,
            "status": "done",
            "seconds": round(seconds, 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.facts,
            "machine": describe_machine(),
            "outputs": outputs,
        }
        write_json(self.folder / MANIFEST, manifest)

    def _is_done(self) -> bool:
        manifest = self._read_manifest()
        return (
            manifest is not None
            and manifest["status"] == "done"
            and all(
                (self.folder / name).is_file() and (self.folder / name).stat().st_size == size
                for name, size in manifest["outputs"].items()
            )
        )

    def _read_manifest(self) -> dict[str, Any] | None:
        refuse_file(self.folder)
        if is_untouched(self.folder):
            return None
        if not (self.folder / MANIFEST).exists():
            raise RunError(
                f"{self.folder} holds files of something else",
                expected="an empty or a new folder",
                hint="Choose another folder with --out.",
            )
        manifest = read_manifest(self.folder)
        differing = _differences({key: manifest.get(key) for key in self._identity}, self._identity)
        if differing:
            is_outdated = manifest.get("stage") == self._identity["stage"]
            raise (OutdatedError if is_outdated else RunError)(
                f"{self.folder} holds another run: {'; '.join(differing[:3])}",
                expected="a new folder, or one of the same settings",
                hint="Choose another folder with --out, or delete this one.",
            )
        return manifest


@contextmanager
def open_stage(
    folder: Path,
    name: str,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    whole: bool = False,
) -> Iterator[Stage]:
    """The block in which a stage writes ``folder``.

    >>> with open_stage(out, "merge", config={...}, inputs={"base": "9f.."}) as stage:
    ...     if stage.is_done:  # nothing to do
    ...         return
    ...     write_things(stage.folder)
    ...     stage.facts = {"rows": 5}

    A block that ends without an error makes the result complete. Another leaves its files for the
    next try; one that ends in a KotError before it wrote anything leaves no claim. Under torchrun
    all processes open a stage together, and the main one claims and completes it.

    Args:
        folder: The stage's output folder.
        name: The stage.
        config: With ``inputs`` it decides identity.
        inputs: Name -> content hash.
        whole: Nothing of an interrupted try is kept: ``stage.folder`` is a new one, which becomes
            ``folder`` when the block has ended.

    Raises:
        RunError: ``folder`` holds another stage's work, finished or not, or other files; an
            OutdatedError where it is this stage's, of another ``config`` or ``inputs``.
    """
    stage = Stage(folder, {"stage": name, "config": dict(config), "inputs": dict(inputs)})
    if stage.is_done:
        yield stage
        return
    started_s = time.time()
    with new_folder(folder) if whole else nullcontext(folder) as stage.folder:
        ask_main(stage.claim)
        try:
            yield stage
        except KotError:  # something for a person to fix first
            stage.withdraw()
            raise
        ask_main(lambda: stage.finish(time.time() - started_s))


def is_untouched(folder: Path) -> bool:
    """Whether a stage's folder holds nothing that could be lost: at most a claim to it."""
    if not (folder / MANIFEST).exists():
        return holds_nothing(folder, but=_NO_RESULT)
    return holds_nothing(folder, but=_NO_RESULT) and read_manifest(folder)["status"] != "done"


def _differences(found: Any, wanted: Any, prefix: str = "") -> list[str]:
    """Where two JSON values differ, as ``key is 1, not 2`` with dotted keys."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = dict.fromkeys([*found, *wanted])
        return [
            line
            for key in keys
            for line in _differences(found.get(key), wanted.get(key), f"{prefix}{key}.")
        ]
    if found == wanted:
        return []
    if prefix.startswith("inputs.") and found and wanted:
        return [f"{prefix.rstrip('.')} is other data"]
    return [f"{prefix.rstrip('.')} is {_short(found)}, not {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


# --- one process per folder --------------------------------------------------------------------


@contextmanager
def lock_folder(
    folder: Path,
    *,
    wait_s: float = 0,
    hint: str = "Wait for it to end, or choose another folder with --out.",
) -> Iterator[None]:
    """Hold ``folder`` for this process through a hidden file beside it, gone at the end.

    Raises RunError, with ``hint``, where another process holds it for longer than ``wait_s``; -1
    waits as long as it takes.
    """
    folder = folder.absolute()
    refuse_file(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    lock = filelock.FileLock(path, timeout=wait_s)
    try:
        lock.acquire()
    except OSError as error:  # a Timeout is one, and is told of what cannot be written too
        _require_writable(folder.parent)
        if not isinstance(error, filelock.Timeout):
            raise
        raise RunError(
            f"another kot process{_name_holder(path)} is working in {folder}",
            expected="one process per folder",
            hint=hint,
        ) from error
    try:
        yield
    finally:
        # While still held: whoever waits for a removed file is told so by filelock (from 3.21 on),
        # and begins anew. Windows removes no open file, but filelock does later.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _name_holder(path: Path) -> str:
    """`` (PID 123)`` of the process that holds a lock, where the system tells it: on Linux."""
    try:
        inode, locks = path.stat().st_ino, Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return ""
    found = re.search(rf"FLOCK .* (\d+) \w+:\w+:{inode} ", locks)
    return f" (PID {found[1]})" if found else ""


def _require_writable(folder: Path) -> None:
    """Raise RunError where no file can be made: a newer filelock calls that a lock of another."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RunError(
            f"nothing can be written into {folder} ({error.strerror})",
            expected="a folder that may be written",
            hint="Choose another folder with --out.",
        ) from error
