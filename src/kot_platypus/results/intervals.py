"""The interval of a share, without anything heavy to load."""

from __future__ import annotations

Z95 = 1.959963984540054
"""The normal distribution's quantile at 0.975."""


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927). (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = correct / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * ((p * (1 - p) / n + z2 / (4 * n * n)) ** 0.5)
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return low, high
