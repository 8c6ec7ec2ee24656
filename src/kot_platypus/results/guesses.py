"""What guessing would score on problems: so that a model's figure can be told from luck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

_MOST_MENTIONED = 0.9
"""Of this share of a family's problems the question must mention the answer for chance to mean
anything: sums are not guessed from a list."""


_MOST_ANSWERS = 200
"""More different answers in a family are no list to guess from, and long to look for."""
CHANCE = "chance"


class Posed(Protocol):
    """A problem and its right answer."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102


class Guess(NamedTuple):
    """A way to answer without reasoning, and how often it is right."""

    name: str
    accuracy: float


def guess_problems(problems: Sequence[Posed]) -> list[Guess]:
    """Chance, where questions mention the possible answers, and the best of some simple rules.

    The possible answers of a problem are those of its family (``task``) that its question mentions;
    chance draws one of them. The rules: the first of them, the last, the one mentioned most often,
    and always the family's most frequent answer, whichever is best over all problems.
    """
    families: dict[str, list[Posed]] = {}
    for problem in problems:
        families.setdefault(problem.task, []).append(problem)
    shares: list[float] = []
    hits: Counter[str] = Counter()
    is_listed = bool(problems)
    for family in families.values():
        answers = Counter(problem.target for problem in family)
        constant = answers.most_common(1)[0][0]
        listed = answers if len(answers) <= _MOST_ANSWERS else ()
        mentioned = [[a for a in listed if a in problem.source] for problem in family]
        known = sum(p.target in some for p, some in zip(family, mentioned, strict=True))
        is_listed = is_listed and known >= _MOST_MENTIONED * len(family)
        for problem, some in zip(family, mentioned, strict=True):
            shares.append((problem.target in some) / max(len(some), 1))
            hits[f"always {constant}" if len(families) == 1 else "always the most frequent"] += (
                problem.target == constant
            )
            for name, choose in _RULES.items():
                hits[name] += bool(some) and choose(problem.source, some) == problem.target
    guesses = [Guess(CHANCE, sum(shares) / len(shares))] if is_listed else []
    if hits:
        name, count = hits.most_common(1)[0]
        guesses.append(Guess(name, count / len(problems)))
    return guesses


def find_chance(problems: Sequence[Posed]) -> float | None:
    """What chance solves; None where questions do not mention the possible answers."""
    return dict(guess_problems(problems)).get(CHANCE)


_RULES: dict[str, Callable[[str, list[str]], str]] = {
    "the first answer mentioned": lambda text, some: min(some, key=text.find),
    "the last answer mentioned": lambda text, some: max(some, key=text.rfind),
    "the answer mentioned most": lambda text, some: max(some, key=text.count),
}
