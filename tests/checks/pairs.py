"""Pairs by pattern, right and wrong: ``pairs.txt``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A source and a translation of it; ``pattern`` is the section's title."""

    pattern: str
    source: str
    translation: str
    is_right: bool


def load_pairs() -> list[Pair]:
    """All pairs of ``pairs.txt``, in its order."""
    pairs: list[Pair] = []
    pattern = source = ""
    escapes = {r"\n": "\n", r"\u200b": "\u200b", r"\x00": "\x00", r"\ufeff": "\ufeff"}
    for line in (Path(__file__).parent / "pairs.txt").read_text(encoding="utf-8").splitlines():
        mark, text = line[:2], line
        for name, char in escapes.items():
            text = text.replace(name, char)
        if line.startswith("## "):
            pattern = line[3:]
        elif mark in ("+ ", "- ") and pattern:
            pairs.append(Pair(pattern, source, text[2:], mark == "+ "))
        elif pattern and line:
            source = text
    return pairs
