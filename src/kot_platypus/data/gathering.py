"""The rows of any source as one file, which every check of rows then reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kot_platypus.artifacts import write_jsonl
from kot_platypus.data.pipeline.sources import UNREADABLE, Unreadable, judge_unreadable
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import sift_rows, write_values
from kot_platypus.progress import show_progress
from kot_platypus.recipe import SourceSection
from kot_platypus.row_sources import list_inputs, open_parts

GATHERED = "rows.jsonl"


def gather_rows(source: SourceSection, out: Path) -> Path:
    """The source itself where it is one file that can be read whole, else ``out/rows.jsonl``.

    Rows stand there as in the source, with its columns. What cannot be read is left out, listed in
    ``out/unreadable.jsonl`` and said. Raises DataError where that is too much, or all.
    """
    if source.weight != 1:
        raise UsageError(
            f"{source.path} with a weight", expected="each row once", hint="Leave the weight out."
        )
    files = list(list_inputs(source).values())
    left_out: list[Unreadable] = []
    num_read = sum(1 for _ in _iter_values(source, left_out))
    judge_unreadable(str(source.path), left_out, num_read)
    if len(files) == 1 and not left_out:
        return files[0]
    write_jsonl(out / UNREADABLE, left_out)
    write_values(out / GATHERED, _iter_values(source, []))
    return out / GATHERED


def _iter_values(source: SourceSection, left_out: list[Unreadable]) -> Iterator[object]:
    name = ""

    def leave_out(place: str, error: DataError) -> None:
        left_out.append(Unreadable(source=name, id=place, detail=error.found))

    with show_progress("Reading rows", None, "rows") as advance:
        for name, values_of in open_parts(source, leave_out):
            for _, values, _ in sift_rows(values_of, name, source.columns, None, leave_out):
                yield values
                advance()
