"""The data set's own folder: the rows as Parquet and JSONL, what was dropped, and a card."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import (
    hash_file,
    iter_jsonl,
    read_json,
    write_jsonl,
    write_text,
)
from kot_platypus.data.dataset_recipe import DatasetRecipe
from kot_platypus.data.dedupe import Cluster
from kot_platypus.data.leaks import Leak
from kot_platypus.data.pipeline.card import render_card
from kot_platypus.data.pipeline.drafts import ROWS
from kot_platypus.data.pipeline.parquet import write_parquet
from kot_platypus.data.pipeline.reviewing import COLUMNS, DROPPED, Dropped
from kot_platypus.formats import iter_values, write_values
from kot_platypus.stages import open_stage
from kot_platypus.verdicts import Verdict, read_verdict, write_verdict


def write_dataset(out: Path, recipe: DatasetRecipe, clean: Path, facts: dict[str, Any]) -> None:
    """Write ``out/dataset``: the rows of ``clean``, those dropped on the way, and the card.

    ``out`` holds the steps' folders.
    """
    inputs = {"rows": clean, "dropped": out / "reviewed" / DROPPED}
    inputs["clusters"] = out / "duplicates" / "clusters.jsonl"
    found = None
    if recipe.decontaminate.against:
        inputs["leaks"] = out / "contamination" / "leaks.jsonl"
        report = read_json(out / "contamination" / "report.json")
        found = Verdict.model_validate(report["verdict"])
    hashes = {name: hash_file(path) for name, path in inputs.items()}
    config = {"recipe": recipe.model_dump(mode="json")}
    with open_stage(out / "dataset", "publish", config=config, inputs=hashes) as stage:
        if stage.is_done:
            return
        rows, verdict = stage.folder / "train.jsonl", read_verdict(clean)
        write_values(rows, (values for _, values in iter_values(clean)))
        if verdict is not None:
            write_verdict(rows, verdict.model_copy(update={"data_sha256": hash_file(rows)}))
        write_parquet(clean, stage.folder / "train.parquet", COLUMNS[recipe.columns])
        dropped = [iter_jsonl(out / "reviewed" / DROPPED, Dropped), _iter_duplicates(out)]
        if found is not None:
            dropped.append(_iter_contaminated(out))
        write_jsonl(stage.folder / DROPPED, chain.from_iterable(dropped))
        write_text(stage.folder / "README.md", render_card(recipe, facts, verdict, found))
        stage.facts = {"counts": facts["counts"]}


# --- what was left out after it was drawn, step by step ----------------------------------------


def _iter_duplicates(out: Path) -> Iterator[Dropped]:
    first_of = {
        row: cluster.kept
        for cluster in iter_jsonl(out / "duplicates" / "clusters.jsonl", Cluster)
        for row in cluster.dropped
    }
    kept = dict.fromkeys(first_of.values(), "")
    for number, (_, values) in enumerate(iter_values(out / "reviewed" / ROWS)):
        assert isinstance(values, dict)
        if number in kept:
            kept[number] = "{source} {id}".format(**values["origin"])
        if number in first_of:
            detail = f"of {kept[first_of[number]]}"
            yield Dropped(reason="duplicate", detail=detail, row=values)


def _iter_contaminated(out: Path) -> Iterator[Dropped]:
    leaks: dict[int, Leak] = {}
    for leak in iter_jsonl(out / "contamination" / "leaks.jsonl", Leak):
        leaks.setdefault(leak.row, leak)
    for number, (_, values) in enumerate(iter_values(out / "duplicates" / "kept.jsonl")):
        if leak_of := leaks.get(number):
            assert isinstance(values, dict)
            where = ", ".join(f"{each.field} {each.start}-{each.end}" for each in leak_of.spans)
            detail = f"{leak_of.benchmark} item {leak_of.item}, {leak_of.how}: {where}"
            yield Dropped(reason="contaminated", detail=detail, row=values)
