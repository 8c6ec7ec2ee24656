"""What a sentence says does not turn into another thing: its words and its numbers' direction."""

from __future__ import annotations

from kot_platypus.checks.alignment import pair_sentences
from kot_platypus.checks.contraries import CONTRARY_WORDS, find_contrary
from kot_platypus.checks.directions import DIRECTION_WORDS, find_turned_directions
from kot_platypus.checks.findings import Findings, make_finding
from kot_platypus.checks.opposites import OPPOSITE_WORDS, find_opposite
from kot_platypus.checks.segments import Text

_ALL_WORDS = CONTRARY_WORDS | DIRECTION_WORDS | OPPOSITE_WORDS


def find_meaning(source: Text, translation: Text) -> Findings:
    """Words keep from their opposites, calculations from one another, numbers their direction.

    Catches the product said as 합, left as 오른쪽, at least 5 as 최대 5, a lost "not". Look-alikes:
    a term said otherwise (add as 넣다), "more than" as 이상.
    """
    if source.lexicon.isdisjoint(_ALL_WORDS):
        return
    for left, right in pair_sentences(source, translation):
        if left.lexicon.isdisjoint(_ALL_WORDS):
            continue
        for find in (find_opposite, find_turned_directions, find_contrary):
            if detail := next(find(left, right), None):
                yield make_finding("meaning", detail)
                return
