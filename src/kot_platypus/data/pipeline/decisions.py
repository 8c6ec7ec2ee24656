"""What people decided about drafts: the last word of each, what follows, how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from kot_platypus.artifacts import read_log
from kot_platypus.records import Record
from kot_platypus.results.intervals import wilson_interval

DECISIONS = "decisions.jsonl"
"""In the folder ``review``: what was decided, one line each time."""
SETTLED = ""
"""In the place of a reviewer's name: what holds for all."""
Reason = Literal[
    "",
    "false_alarm",
    "meaning",
    "incomplete",
    "unnatural",
    "original",
    "untranslatable",
    "unsuitable",
    "other",
]
"""Why a person decided as they did; empty: they did not say."""


class Decision(Record):
    """What a person decided about a Draft: a line of ``decisions.jsonl``; their last one counts."""

    key: str
    action: Literal["accept", "edit", "drop", "undo"]
    """``undo``: as if nothing had been decided."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Of ``edit``: the changed texts by the field's name (source, input, rationale, target)."""
    decided_at: str
    """ISO 8601, UTC."""
    reason: Reason = ""
    note: str = ""
    """In the person's words."""
    reviewer: str = ""
    """Who decided. Empty in a log of before there were several: then it holds for all."""
    settles: bool = False
    """Whether it holds for all, as reviewers disagreed. Otherwise it is its reviewer's vote."""


@dataclass
class Votes:
    """What was said about one row."""

    by: dict[str, Decision] = field(default_factory=dict)
    """By reviewer, or by ``SETTLED``."""
    lines: dict[str, int] = field(default_factory=dict)
    """Which line of the log, from 1, last spoke by that name, be it to undo."""
    unseeing: dict[str, Decision] = field(default_factory=dict)
    """By reviewer, as it was before they could see another's: what agreement is measured on."""
    _seeing: set[str] = field(default_factory=set)
    """Who could: whose own vote stood beside another's; all (SETTLED), once it was settled."""

    def take(self, decision: Decision, line: int) -> None:
        """Add a decision of the log. The last one of each name counts."""
        who = SETTLED if decision.settles else decision.reviewer
        self.lines[who] = line
        if who == SETTLED:
            self._seeing.add(SETTLED)
        has_seen = bool(self._seeing & {SETTLED, who})
        for said in (self.by,) if has_seen else (self.by, self.unseeing):
            if decision.action == "undo":
                said.pop(who, None)
            else:
                said[who] = decision
        if len(self.by) > 1:
            self._seeing.update(self.by)

    @property
    def actions(self) -> dict[str, str]:
        """What each reviewer with a vote would have done before they could see another's."""
        return {who: each.action for who, each in self.unseeing.items() if who in self.by}

    @property
    def is_disputed(self) -> bool:
        """Whether reviewers disagree, in what to do or in the text, and nobody has settled it."""
        said = [(each.action, each.fields) for each in self.by.values()]
        return SETTLED not in self.by and any(each != said[0] for each in said)

    @property
    def verdict(self) -> Decision | None:
        """What was settled, else what all say. None while they disagree."""
        if SETTLED in self.by:
            return self.by[SETTLED]
        return None if self.is_disputed else next(iter(self.by.values()), None)


def gather_votes(decisions: Iterable[Decision]) -> dict[str, Votes]:
    """What a log says of each draft, by its key."""
    gathered: dict[str, Votes] = {}
    for line, decision in enumerate(decisions, start=1):
        gathered.setdefault(decision.key, Votes()).take(decision, line)
    return gathered


def read_votes(review: Path) -> dict[str, Votes]:
    """What was decided so far in a review folder, by the draft's key."""
    gathered = gather_votes(read_log(review / DECISIONS, Decision))
    return {key: votes for key, votes in gathered.items() if votes.by}


# --- how far they agree, and what a spot check says --------------------------------------------


class Agreement(Record):
    """How far reviewers agree on what to do with a row, each before they saw another's vote."""

    reviewers: dict[str, int]
    """How many rows each has decided on."""
    rows: int
    """That two or more have decided on unseeing."""
    disputed: int
    """Of these, where they disagree and nobody has settled it."""
    share: float | None
    """Of pairs of decisions on one row, how many agree; None without such a row."""
    alpha: float | None
    """Krippendorff's alpha; None where it is undefined."""

    def __str__(self) -> str:
        several = f"{len(self.reviewers)} reviewers, {self.rows:,} rows decided on by two or more"
        if self.share is None:
            return f"{several}: nothing to compare yet."
        alpha = "undefined, all say the same" if self.alpha is None else f"{self.alpha:.3f}"
        return (
            f"{several}: {self.share:.1%} of their decisions agree (Krippendorff's alpha {alpha}); "
            f"{self.disputed:,} disputed."
        )


def measure_agreement(gathered: Mapping[str, Votes]) -> Agreement | None:
    """Compare what reviewers decided, each unseeing. None where there is only one.

    Two edits agree here, also if they differ in the text.
    """
    said = [votes.actions for votes in gathered.values()]
    reviewers = Counter(who for votes in gathered.values() for who in votes.by if who != SETTLED)
    if len(reviewers) < 2:
        return None
    share, alpha = compute_alpha([list(actions.values()) for actions in said])
    return Agreement(
        reviewers=dict(sorted(reviewers.items())),
        rows=sum(len(actions) > 1 for actions in said),
        disputed=sum(votes.is_disputed for votes in gathered.values()),
        share=share,
        alpha=alpha,
    )


def compute_alpha(units: Iterable[Collection[str]]) -> tuple[float | None, float | None]:
    """The share of agreeing pairs, and Krippendorff's alpha for nominal values.

    A unit's values are by different coders; one that has a single value says nothing. None:
    there is no other, or all values are the same (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability, C).
    """
    counts = [Counter(values) for values in units if len(values) > 1]
    totals = sum(counts, Counter[str]())
    n = totals.total()
    if not n:
        return None, None
    agreeing = sum(c * (c - 1) / (unit.total() - 1) for unit in counts for c in unit.values())
    by_chance = sum(c * (c - 1) for c in totals.values()) / (n - 1)
    return agreeing / n, None if len(totals) < 2 else 1 - (n - agreeing) / (n - by_chance)


class SpotCheck(Record):
    """What people decided about a sample of the rows that passed all checks."""

    total: int
    accept: int = 0
    edit: int = 0
    drop: int = 0
    disputed: int = 0
    """Not decided: no figure below takes them in."""

    @property
    def decided(self) -> int:
        """Rows with a decision."""
        return self.accept + self.edit + self.drop

    @property
    def interval(self) -> tuple[float, float]:
        """Of all rows that passed, the share that would be dropped: 95 %, Wilson."""
        return wilson_interval(self.drop, self.decided)

    def __str__(self) -> str:
        if not self.decided:
            none = f"none of {self.total:,} rows that passed is decided on yet"
            if self.total == 1:
                none = "the one row that passed is not decided on yet"
            return f"Spot check: {none}" + self._mention_disputed()
        low, high = (100 * each for each in self.interval)
        return (
            f"Spot check of {self.decided:,} of {self.total:,} drawn rows that passed: "
            f"{self.drop:,} dropped ({low:.1f}-{high:.1f}%, 95% interval), {self.edit:,} edited"
        ) + self._mention_disputed()

    def _mention_disputed(self) -> str:
        return f"; {self.disputed:,} disputed, and not counted." if self.disputed else "."
