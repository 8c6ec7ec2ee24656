"""KoT: turn a Korean base model into one that reasons step by step, and prove what it gained."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public names, loaded on first use: `import kot_platypus` must stay quick (no torch).
_EXPORTS = {
    "KotError": "errors",
    "Recipe": "recipe",
    "load_recipe": "recipe",
    "run_recipe": "run",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("kot-platypus")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'kot_platypus' has no attribute {name!r}")
    return getattr(import_module(f"kot_platypus.{_EXPORTS[name]}"), name)
