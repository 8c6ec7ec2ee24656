"""The texts of benchmarks, which no training row may hold: KoBEST's tasks, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kot_platypus.errors import UsageError

KOBEST = "kobest"


def load_benchmarks(
    against: Sequence[str], kobest_dir: str | None, columns: Sequence[str] = ()
) -> dict[str, list[tuple[str, ...]]]:
    """The cells of every item, by benchmark.

    Args:
        against: ``kobest`` (dev and test), or files.
        kobest_dir: A folder of KoBEST's files, ``mini``, or None for the Hub's.
        columns: Those of a file that are text; none: all.

    Raises:
        UsageError: ``kobest_dir`` without KoBEST.
        DataError: a file that is missing, malformed or empty.
    """
    from kot_platypus.data.leaks import load_benchmark
    from kot_platypus.evaluate.tasks import load_texts

    if kobest_dir is not None and KOBEST not in against:
        raise UsageError(
            "--kobest-dir without KoBEST", expected="--against kobest", hint="Leave one out."
        )
    benchmarks: dict[str, list[tuple[str, ...]]] = {}
    for name in against:
        if name == KOBEST:
            benchmarks |= load_texts(kobest_dir)
        else:
            benchmarks[Path(name).name] = load_benchmark(Path(name), columns)
    return benchmarks
