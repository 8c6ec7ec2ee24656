"""Licences of base models, as the Hub calls them."""

from __future__ import annotations

_BY_NAME = {"gemma": "gemma", "llama-2": "llama2", "polyglot-ko": "apache-2.0"}


def find_licence(model: str) -> str | None:
    """A model's licence where its name tells it; what is trained from it inherits it."""
    return next((licence for part, licence in _BY_NAME.items() if part in model.lower()), None)
