"""One process per folder: a second one is refused, or waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from kot_platypus.artifacts import refuse_file
from kot_platypus.errors import RunError


@contextmanager
def lock_folder(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold ``folder`` for this process through a hidden file beside it, gone at the end.

    While another process holds it: wait, or raise RunError.
    """
    folder = folder.absolute()
    refuse_file(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    try:
        with filelock.FileLock(path, timeout=-1 if wait else 0):
            try:
                yield
            finally:
                # While still held: whoever waits for a removed file is told so by filelock (from
                # 3.21 on), and begins anew. Windows removes no open file, but filelock does later.
                with suppress(OSError):
                    path.unlink()
    except filelock.Timeout as error:
        raise RunError(
            f"another kot process is working in {folder}",
            expected="one process per folder",
            hint="Wait for it to end, or choose another folder with --out.",
        ) from error
