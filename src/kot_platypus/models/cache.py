"""Where what was prepared once is kept, how much of it there is, and how it is cleared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kot_platypus.artifacts import new_folder
from kot_platypus.stages import lock_folder


def cache_folder() -> Path:
    """Where prepared models are kept: ``$KOT_CACHE``, else ``~/.cache/kot``."""
    return Path(os.environ.get("KOT_CACHE") or Path.home() / ".cache" / "kot")


def keep_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """``folder`` itself; where it is not there yet, ``write`` fills it, in one process alone."""
    with lock_folder(folder, wait_s=-1):
        if not folder.is_dir():
            with new_folder(folder) as part:
                write(part)
    return folder


@dataclass(frozen=True)
class Kept:
    """A kind of thing in the cache: the files and folders that match ``pattern``."""

    description: str
    pattern: str
    without: str = ""
    """The name of what matches and is of another kind."""
    is_paid: bool = False
    """Whether it cost money, and so is cleared only by its name."""

    def list_paths(self) -> list[Path]:
        """The files and folders of this kind; a lock is none."""
        found = sorted(cache_folder().glob(self.pattern))
        return [p for p in found if p.name != self.without and not p.name.startswith(".")]


KEPT = {
    "scores": Kept("what models gave to questions", "scores/*/*", without="texts"),
    "texts": Kept("what models wrote", "scores/*/texts"),
    "models": Kept("models made into plain folders: the demo's, converted ones", "models/*"),
    "weights": Kept("weights converted to safetensors", "weights/*"),
    "tokenizers": Kept("tokenizers converted from sentencepiece", "tokenizers/*"),
    "translations": Kept("translations paid for, and their bill", "translations", is_paid=True),
}


def measure_cache() -> dict[str, int]:
    """Each kind's bytes. A file that two folders share counts once, for the first."""
    seen: set[tuple[int, int]] = set()
    return {name: sum(_iter_sizes(kept.list_paths(), seen)) for name, kept in KEPT.items()}


def _iter_sizes(paths: list[Path], seen: set[tuple[int, int]]) -> Iterator[int]:
    for path in paths:
        for file in (path, *path.rglob("*")):
            stat = file.lstat()
            if file.is_file() and (stat.st_dev, stat.st_ino) not in seen:
                seen.add((stat.st_dev, stat.st_ino))
                yield stat.st_size


def clear_cache(name: str) -> None:
    """Delete all of one kind."""
    for path in KEPT[name].list_paths():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for folder in cache_folder().glob("scores/*/"):
        if not any(folder.iterdir()):
            folder.rmdir()
