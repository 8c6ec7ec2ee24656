"""Figures of many files of results side by side, as a leaderboard shows them."""

from __future__ import annotations

from typing import Literal

from kot_platypus.results.schema import Part


class ScoreRow(Part):
    """One figure of a file of results: ours, lm-eval's, or an older harness's."""

    file: str
    """Relative to the folder that was searched."""
    model: str
    model_key: str
    """Equal for the same model alone, as far as the file tells."""
    dtype: str = ""
    protocol: str
    fingerprint: str
    """A hash of the prompts; empty where the file does not say what they were."""
    data: str
    """A hash of the questions; empty where the file does not say what they were."""
    task: str
    num_fewshot: int | None
    metric: str
    higher_is_better: bool = True
    value: float
    ci95: tuple[float, float] | None = None
    interval: Literal["wilson", "bootstrap", "stderr"] | None = None
    """How ``ci95`` came about; ``stderr``: value +- 1.96 of the file's standard errors."""
    n: int | None = None
    """Questions; None where the file does not say."""
    effective_shots: float | None = None
    date: str
    """``2026-11-22 23:50``, UTC."""
    is_file_date: bool
    """Whether the results do not say when they were made, so that the file's date stands in."""
    way: str = ""
    """Of ``kot reason``: direct, cot or cot_scored."""
    remarks: tuple[str, ...] = ()
    """What to know before trusting the figure: ties, a model that reads badly without BOS."""
    p_holm: float | None = None
    """Of the paired test against the best of its block with as many shots, where there is one."""

    @property
    def signed_value(self) -> float:
        """A value that is larger where the figure is better."""
        return self.value if self.higher_is_better else -self.value


class SkippedFile(Part):
    """A file that holds no figures that could be read, or only those of another file, and why."""

    file: str
    reason: str
