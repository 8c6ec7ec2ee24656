"""How much work questions and texts are, to tell how long they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from kot_platypus.progress import Left


def size_texts(texts: Iterable[tuple[str, Sequence[object]]], per_pass: int) -> dict[str, float]:
    """What the texts of each key are to read, in characters or tokens, ``per_pass`` in a pass.

    It is what they add to the text before them, and their part in what the texts of a pass share:
    with ``Scorer.plan`` as large a part of each pass as there is room beside it.
    """
    sizes: dict[str, float] = {}
    before: Sequence[object] = ""
    for key, text in texts:
        shared = count_shared(before, text)
        read = max(1, len(text) - shared)
        again = read * shared / (max(per_pass, 2 * shared) - shared)
        sizes[key] = sizes.get(key, 0) + read + again
        before = text
    return sizes


def count_shared(one: Sequence[object], other: Sequence[object]) -> int:
    """The length of what two texts begin with in common."""
    if type(one) is not type(other):
        return 0
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def expect_steps(num_texts: int, max_new_tokens: int) -> Left:
    """The steps, a token for each text under way, of texts whose lengths show as they are written.

    A text under way is taken to be half done, so that short ones, which end first, do not stand for
    all; at first half of ``max_new_tokens`` is believed. Rows are filled up while texts wait; then
    the longest of the last decide, in steps of fewer and fewer rows.
    """
    rows = 1

    def left(done: int, tokens: float, under_way: int) -> float:
        nonlocal rows
        rows = max(rows, under_way)
        believed = rows / 4
        begun = done + under_way / 2 + believed
        expected = min(max_new_tokens, (tokens + believed * max_new_tokens / 2) / begun)
        waiting = max(0, num_texts - done - under_way)
        longest = expected * (0.5 + math.log(max(1, under_way)))
        return waiting * expected / rows + min(max_new_tokens, longest) / 2

    return left
