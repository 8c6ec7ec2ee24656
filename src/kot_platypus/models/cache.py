"""Where what was prepared once is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where prepared models are kept: ``$KOT_CACHE``, else ``~/.cache/kot``."""
    return Path(os.environ.get("KOT_CACHE") or Path.home() / ".cache" / "kot")
