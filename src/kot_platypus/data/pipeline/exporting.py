"""The data set's own folder: the rows as Parquet and JSONL, what was dropped, and a card."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, read_jsonl, write_jsonl, write_text
from kot_platypus.data.dataset_recipe import DatasetRecipe
from kot_platypus.data.dedupe import Cluster
from kot_platypus.data.leaks import Leak
from kot_platypus.data.pipeline.card import render_card
from kot_platypus.data.pipeline.reviewing import DROPPED, Columns, Dropped
from kot_platypus.data.spool import iter_chunks
from kot_platypus.formats import iter_values, write_values
from kot_platypus.stages import open_stage
from kot_platypus.verdicts import Verdict, read_verdict, write_verdict

JSONL, PARQUET = "train.jsonl", "train.parquet"
CHUNK_ROWS = 4096
_TEXTS: dict[Columns, tuple[str, ...]] = {
    "kocot": ("source", "rationale", "target", "task", "type"),
    "alpaca": ("instruction", "input", "output", "data_source"),
}


def write_dataset(
    out: Path, recipe: DatasetRecipe, clean: Path, parts: Mapping[str, Path], facts: dict[str, Any]
) -> None:
    """Write the rows of ``clean``, those dropped on the way, and the card into ``out``.

    ``parts`` are the folders ``review``, ``duplicates`` and, where there is one, ``contamination``.
    """
    inputs = {name: hash_file(path) for name, path in _list_inputs(clean, parts).items()}
    config = {"recipe": recipe.model_dump(mode="json")}
    with open_stage(out, "publish", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        verdict = read_verdict(clean)
        write_values(out / JSONL, (values for _, values in iter_values(clean)))
        if verdict is not None:
            update = {"data_sha256": hash_file(out / JSONL)}
            write_verdict(out / JSONL, verdict.model_copy(update=update))
        write_parquet(clean, out / PARQUET, recipe.columns)
        write_jsonl(out / DROPPED, iter_dropped(parts))
        found = _read_found(parts)
        write_text(out / "README.md", render_card(recipe, facts, verdict, found))
        stage.facts = {"counts": facts["counts"]}


def _list_inputs(clean: Path, parts: Mapping[str, Path]) -> dict[str, Path]:
    files = {"rows": clean, "dropped": parts["review"] / DROPPED}
    files["clusters"] = parts["duplicates"] / "clusters.jsonl"
    if "contamination" in parts:
        files["leaks"] = parts["contamination"] / "leaks.jsonl"
    return files


def _read_found(parts: Mapping[str, Path]) -> Verdict | None:
    """What was found before the rows with leaks were left out."""
    if "contamination" not in parts:
        return None
    report = json.loads((parts["contamination"] / "report.json").read_text(encoding="utf-8"))
    return Verdict.model_validate(report["verdict"])


def iter_dropped(parts: Mapping[str, Path]) -> Iterator[Dropped]:
    """Every row that was left out after it was drawn, step by step."""
    for _, values in iter_values(parts["review"] / DROPPED):
        yield Dropped.model_validate(values)
    first_of = {
        row: cluster.kept
        for cluster in read_jsonl(parts["duplicates"] / "clusters.jsonl", Cluster)
        for row in cluster.dropped
    }
    kept = dict.fromkeys(first_of.values(), "")
    for number, (_, values) in enumerate(iter_values(parts["review"] / "rows.jsonl")):
        assert isinstance(values, dict)
        if number in kept:
            kept[number] = "{source} {id}".format(**values["origin"])
        if number in first_of:
            detail = f"of {kept[first_of[number]]}"
            yield Dropped(reason="duplicate", detail=detail, row=values)
    if "contamination" in parts:
        yield from _iter_contaminated(parts)


def _iter_contaminated(parts: Mapping[str, Path]) -> Iterator[Dropped]:
    leaks: dict[int, Leak] = {}
    for _, values in iter_values(parts["contamination"] / "leaks.jsonl"):
        leak = Leak.model_validate(values)
        leaks.setdefault(leak.row, leak)
    for number, (_, values) in enumerate(iter_values(parts["duplicates"] / "kept.jsonl")):
        if leak_of := leaks.get(number):
            assert isinstance(values, dict)
            where = ", ".join(f"{each.field} {each.start}-{each.end}" for each in leak_of.spans)
            detail = f"{leak_of.benchmark} item {leak_of.item}, {leak_of.how}: {where}"
            yield Dropped(reason="contaminated", detail=detail, row=values)


def write_parquet(rows: Path, path: Path, columns: Columns) -> None:
    """Write a file of rows as Parquet, atomically and in bounded memory."""
    import pyarrow as pa
    from pyarrow import parquet

    text, texts = pa.string(), pa.list_(pa.string())
    schema = pa.schema(
        [
            *((name, text) for name in _TEXTS[columns]),
            ("origin", pa.struct([(n, text) for n in ("source", "id", "sha256", "language")])),
            ("translation", pa.struct([(n, text) for n in ("service", "parameters", "retried")])),
            ("checks_passed", texts),
            ("edits", texts),
        ]
    )
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for chunk in iter_chunks(iter_values(rows), CHUNK_ROWS):
                values = [values for _, values in chunk]
                writer.write_table(pa.Table.from_pylist(values, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
