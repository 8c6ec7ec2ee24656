"""The runs that a page shows, read again when their files change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kot_platypus.results.run import RunResults, load_results, require_run

_SHOWN = ("recipe.yaml", "evaluate/comparison.json", "evaluate/*/*/*.json*", "**/manifest.json")


@dataclass(frozen=True)
class Run:
    """A run folder and the models to talk to."""

    name: str
    folder: Path
    tuned: str
    """The trained model: a folder or a Hub id."""
    has_base: bool = True
    """Whether the base model that the recipe names can be had."""

    def read(self) -> RunResults:
        """What the folder says now. Raises DataError when a file is damaged."""
        found = (path for pattern in _SHOWN for path in self.folder.glob(pattern))
        times = tuple(sorted((str(path), path.stat().st_mtime_ns) for path in found))
        return _load(self.folder, times)


@lru_cache(maxsize=16)
def _load(folder: Path, _times: tuple[tuple[str, int], ...]) -> RunResults:
    return load_results(folder)


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in ``folders``, each with a name of its own. Raises RunError: a folder has none."""
    for folder in folders:
        require_run(folder)
    places = [folder.absolute() for folder in folders]
    names = [place.name for place in places]
    return [
        Run(
            name=place.name if names.count(place.name) == 1 else str(place),
            folder=place,
            tuned=str(place / "merged"),
        )
        for place in dict.fromkeys(places)
    ]
