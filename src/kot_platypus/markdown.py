"""Markdown that text of others cannot break."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def fence(text: str, language: str) -> Markup:
    """A fenced code block whose fence is longer than any run of backticks within."""
    bars = "`" * max(3, count_ticks(text) + 1)
    return Markup(f"{bars}{escape(language)}\n{text}\n{bars}")


def count_ticks(text: str) -> int:
    """The longest run of backticks in a text."""
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
