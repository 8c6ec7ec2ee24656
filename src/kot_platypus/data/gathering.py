"""The rows of any source as one file, which every check of rows then reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.data.pipeline.drafts import ROWS
from kot_platypus.data.pipeline.sources import UNREADABLE, Unreadable, judge_unreadable
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import sift_rows, write_values
from kot_platypus.progress import show_progress
from kot_platypus.recipe import SourceSection
from kot_platypus.row_sources import list_inputs, open_parts
from kot_platypus.stages import GATHERED, open_stage


def gather_rows(source: SourceSection, out: Path) -> Path:
    """The source itself where it is one file that can be read whole, else ``out/rows/rows.jsonl``.

    Rows stand there as in the source, with its columns. What cannot be read is left out, listed in
    ``out/rows/unreadable.jsonl`` and said. Raises DataError where that is too much, or all, and
    RunError where ``out`` holds other rows.
    """
    if source.weight != 1:
        raise UsageError(
            f"{source.path} with a weight", expected="each row once", hint="Leave the weight out."
        )
    files = list_inputs(source)
    left_out: list[Unreadable] = []
    if len(files) == 1:
        num_read = sum(1 for _ in _iter_values(source, left_out))
        if num_read and not left_out:
            return next(iter(files.values()))
        _judge(source, left_out, num_read)
    config: dict[str, Any] = {"source": source.model_dump(mode="json", exclude={"path", "weight"})}
    config |= {} if files else {"hub": str(source.path)}
    inputs = {name: hash_file(file) for name, file in files.items()}
    with open_stage(out / GATHERED, "gather", config=config, inputs=inputs, whole=True) as stage:
        if not stage.is_done:
            left_out = []
            num_read = write_values(stage.folder / ROWS, _iter_values(source, left_out))
            write_jsonl(stage.folder / UNREADABLE, left_out)
            if len(files) != 1:
                _judge(source, left_out, num_read)
    return out / GATHERED / ROWS


def _judge(source: SourceSection, left_out: Sequence[Unreadable], num_read: int) -> None:
    if not num_read and not left_out:
        raise DataError(f"{source.path} holds no rows", expected="rows", hint="Check the path.")
    judge_unreadable(str(source.path), left_out, num_read)


def _iter_values(source: SourceSection, left_out: list[Unreadable]) -> Iterator[object]:
    name = ""

    def leave_out(place: str, error: DataError) -> None:
        left_out.append(Unreadable(source=name, id=place, detail=error.found))

    with show_progress("Reading rows", None, "rows") as advance:
        for name, values_of in open_parts(source, leave_out):
            for _, values, _ in sift_rows(values_of, name, source.columns, None, leave_out):
                yield values
                advance()
