"""What a rationale is worth: whether it is Korean, gets anywhere, and ends in its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kot_platypus.checks.answers import agrees
from kot_platypus.checks.language import find_repetition
from kot_platypus.checks.segments import Text
from kot_platypus.records import Rationale

_LETTER = re.compile(r"[가-힣A-Za-z]")


def measure_korean(text: str) -> float:
    """The share of Hangul among the letters of ``text``; 1 where it has none."""
    letters = _LETTER.findall(text)
    return sum("가" <= letter <= "힣" for letter in letters) / len(letters) if letters else 1.0


def examine_rationale(
    text: str, answer: str | None, others: Sequence[str] = ()
) -> Rationale | None:
    """What the checks say of a rationale and the answer stated after it; None of an empty one.

    Of choices (``others``: those not taken) it contradicts its answer only when its last sentence
    says another and not that one.
    """
    if not text.strip():
        return None
    return Rationale(
        korean=round(measure_korean(text), 4),
        loops=any(find_repetition(Text(""), Text(text))),
        contradicts=answer is not None and _contradicts(text, answer, others),
    )


def _contradicts(text: str, answer: str, others: Sequence[str]) -> bool:
    said = agrees(answer, text)
    if others:
        return not said and any(agrees(other, text) for other in others)
    return said is False
