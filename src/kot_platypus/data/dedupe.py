"""The duplicates stage: a file's pairs, found once; then its clusters, at any threshold."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import (
    hash_file,
    iter_jsonl,
    write_json,
    write_jsonl,
)
from kot_platypus.columns import Columns
from kot_platypus.data.duplicates import (
    FLOORS,
    KINDS,
    THRESHOLDS,
    Kind,
    Pair,
    cluster,
    count_kinds,
    iter_pairs,
    list_dropped,
)
from kot_platypus.data.executors import IN_PROCESS, Executor
from kot_platypus.data.semantic import OFFLINE, load_encoder
from kot_platypus.errors import UsageError
from kot_platypus.formats import iter_rows, iter_values, write_values
from kot_platypus.records import Dialogue, Record, Row
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import open_stage

PAIRS = "pairs.jsonl"


class Cluster(Record):
    """Rows that count as one, a line of ``clusters.jsonl``: the first is kept."""

    kept: int
    dropped: tuple[int, ...]


def find_duplicates(
    data: Path,
    out: Path,
    kinds: Sequence[Kind] = ("exact", "near"),
    thresholds: Mapping[Kind, float] = THRESHOLDS,
    *,
    encoder: str = OFFLINE,
    executor: Executor = IN_PROCESS,
    columns: Columns | None = None,
) -> dict[str, Any]:
    """Compare what the rows of ``data`` ask; write those that stay, and return the report.

    ``out/pairs/`` holds the pairs: with other thresholds they are not looked for again.
    ``out/kept.jsonl``, ``out/clusters.jsonl`` and ``out/report.json`` are those of this call.

    ``columns`` names the file's where they are others.

    Raises:
        UsageError: a threshold below the similarity from which pairs are kept.
    """
    for kind, threshold in thresholds.items():
        if not FLOORS[kind] <= threshold <= 1:
            raise UsageError(
                f"the threshold {threshold} of {kind} pairs",
                expected=f"{FLOORS[kind]} to 1",
                hint="Pairs less alike are not kept.",
            )
    chosen = {kind: thresholds[kind] for kind in KINDS if kind in kinds or kind == "exact"}
    _save_pairs(data, out / "pairs", tuple(chosen), encoder, executor, columns)
    pairs = out / "pairs" / PAIRS  # of which there may be more than rows
    clusters = cluster(iter_jsonl(pairs, Pair), chosen)
    dropped = list_dropped(clusters)
    write_jsonl(
        out / "clusters.jsonl",
        [Cluster(kept=first, dropped=tuple(others)) for first, *others in clusters],
    )
    num_rows = 0

    def iter_kept() -> Iterator[object]:
        nonlocal num_rows
        for row, (_, values) in enumerate(iter_values(data)):
            num_rows += 1
            if row not in dropped:
                yield values

    write_values(out / "kept.jsonl", iter_kept())
    report = {
        "data": data.name,
        "data_sha256": hash_file(data),
        "rows": num_rows,
        "kept": num_rows - len(dropped),
        "dropped": len(dropped),
        "clusters": len(clusters),
        "largest_cluster": max(map(len, clusters), default=0),
        "thresholds": chosen,
        "pairs": count_kinds(iter_jsonl(pairs, Pair)),
    }
    write_json(out / "report.json", report)
    return report


def _save_pairs(
    data: Path,
    out: Path,
    kinds: tuple[Kind, ...],
    encoder: str,
    executor: Executor,
    columns: Columns | None,
) -> None:
    semantic = "semantic" in kinds
    config = {"kinds": kinds, "floors": FLOORS, **({"encoder": encoder} if semantic else {})}
    config |= {"columns": columns} if columns else {}
    inputs = {"data": hash_file(data)}
    with open_stage(out, "duplicates", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        encode = load_encoder(encoder) if semantic else None
        texts = (find_question(row) for row in iter_rows(data, columns))
        pairs = iter_pairs(texts, kinds, encode=encode, folder=out, executor=executor)
        write_jsonl(out / PAIRS, pairs)


def find_question(row: Row) -> str:
    """What a row asks: its source and input, or all that is said by others than the assistant.

    Where nothing is asked, what it answers, so that such rows are not all the same.
    """
    if isinstance(row, Dialogue):
        asked = "\n".join(turn.content for turn in row.messages if turn.role != "assistant")
    else:
        asked = f"{row.source}\n{row.input}" if row.input else row.source
    return asked if asked.strip() else "\n".join(list_texts(row).values())


def list_clusters(out: Path) -> list[tuple[int, ...]]:
    """The clusters that ``find_duplicates`` wrote into ``out``, the largest first."""
    clusters = [(each.kept, *each.dropped) for each in iter_jsonl(out / "clusters.jsonl", Cluster)]
    return sorted(clusters, key=lambda rows: (-len(rows), rows))


def read_questions(data: Path, wanted: Container[int], columns: Columns | None) -> dict[int, str]:
    """What the rows of those numbers ask, each in one line."""
    return {
        number: " ".join(find_question(row).split())
        for number, row in enumerate(iter_rows(data, columns))
        if number in wanted
    }


def describe_clusters(data: Path, out: Path, count: int, columns: Columns | None = None) -> str:
    """The ``count`` largest clusters with what their rows ask, as text."""
    largest = list_clusters(out)[:count]
    wanted = {row for rows in largest for row in rows}
    texts = read_questions(data, wanted, columns)
    best: dict[int, Pair] = {}
    for pair in iter_jsonl(out / "pairs" / PAIRS, Pair):
        for row in wanted & {pair.first, pair.second}:
            if row not in best or pair.similarity > best[row].similarity:
                best[row] = pair
    lines = []
    for first, *others in largest:
        lines.append(f"row {first}  {texts[first]}")
        lines += [f"  {_describe_pair(row, best[row])}  {texts[row]}" for row in others]
    return "\n".join(lines)


def _describe_pair(row: int, pair: Pair) -> str:
    """A row and the one that it is most like."""
    other = pair.first if row == pair.second else pair.second
    return f"row {row}, {pair.kind} {pair.similarity:.2f} to {other}"
