"""Values that two sentences exchanged: take 2, at most 8, as take 8, at most 2."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from kot_platypus.checks.alignment import pair_sentences
from kot_platypus.checks.findings import Findings, make_finding
from kot_platypus.checks.segments import Text
from kot_platypus.numerals import Strength

_FEWEST = 2  # a word for less is often none


def find_exchanged(source: Text, translation: Text) -> Findings:
    """A value that one sentence lost to another, which lost one to it."""
    pieces = pair_sentences(source, translation)
    lost = [_list_lost(left, right) for left, right in pieces] if len(pieces) > 1 else []
    if sum(map(bool, lost)) < 2:
        return
    moved = [(one, _list_new(*pair)) for one, pair in zip(lost, pieces, strict=True) if one]
    gained: defaultdict[Decimal, list[int]] = defaultdict(list)
    for place, (_, new) in enumerate(moved):
        for value in new:
            gained[value].append(place)
    for lost_here, new_here in moved:
        for value in sorted(lost_here):
            for place in gained.get(value, ()):
                if back := moved[place][0] & new_here:
                    yield make_finding("order", f"{min(back):f} and {value:f} changed places")
                    return


def _list_lost(source: Text, translation: Text) -> set[Decimal]:
    """What a sentence says for certain, and its translation not in any way."""
    sure = {n.value for n in source.digits}
    sure |= {n.value for n in source.english if n.strength is not Strength.POSSIBLE}
    lost = sure - {n.value for n in translation.digits}
    return lost - {n.value for n in translation.korean} if lost else lost


def _list_new(source: Text, translation: Text) -> set[Decimal]:
    said = {n.value for n in (*source.digits, *source.english)}
    said |= {value for n in source.english for value in n.others}
    sure = {n.value for n in translation.digits}
    sure |= {
        n.value
        for n in translation.korean
        if n.strength is not Strength.POSSIBLE and n.value > _FEWEST
    }
    return sure - said
