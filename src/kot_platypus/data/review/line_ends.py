"""What a browser's text field does to line ends, undone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile


def restore_line_ends(text: str, edited: str) -> str:
    r"""``edited`` with the line ends that ``text`` has where the two agree.

    A browser's text field makes ``\n`` of ``\r\n`` and ``\r``. Lines that are new get the kind
    that ``text`` begins with.
    """
    old, new = (_split_lines(each) for each in (text, edited))
    head = _count_equal(old, new)
    tail = _count_equal(old[head:][::-1], new[head:][::-1])
    usual = old[0][1] or "\n"
    middle = [(line, end and usual) for line, end in new[head : len(new) - tail]]
    lines = [*old[:head], *middle, *old[len(old) - tail :]]
    restored = ""
    for line, end in lines:
        # An empty line's "\n" behind a "\r" would make one line end of two.
        joins = restored.endswith("\r") and not line and end == "\n"
        restored += line + ("\r" if joins else end)
    return restored


def _split_lines(text: str) -> list[tuple[str, str]]:
    """Lines and their ends; the last line, which may be empty, has none."""
    parts = [*re.split("(\r\n|\r|\n)", text), ""]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _count_equal(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> int:
    """How many lines are equal from the first on, whatever the kind of their ends."""
    pairs = zip(old, new, strict=False)
    equal = (a[0] == b[0] and bool(a[1]) == bool(b[1]) for a, b in pairs)
    return sum(takewhile(bool, equal))
