"""Drawing rows of a file as large as CoT-Collection's: how long it takes, and how much memory.

    python bench/data_source.py --rows 1837928

Writes one JSON object of that many rows (CoT-Collection's have 1,284 bytes on average: 2.36 GB),
and draws 2,000 rows of its 1,060 tasks in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

from kot_platypus.artifacts import read_manifest
from kot_platypus.data.dataset_recipe import DatasetRecipe
from kot_platypus.data.pipeline.sources import draw_rows

ROW_BYTES = 1284
NUM_TASKS = 1060


def write_source(path: Path, count: int) -> None:
    rng = random.Random(0)
    words = [f"word{i}" for i in range(3000)]
    filler = " ".join(rng.choices(words, k=4000))
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            start = rng.randrange(len(filler) - ROW_BYTES)
            row = {
                "source": f"Question {number}: {filler[start : start + ROW_BYTES // 2]}",
                "target": str(number),
                "rationale": f"Because\\n{filler[start : start + ROW_BYTES // 3]}.",
                "task": f"task{int(NUM_TASKS * rng.random() ** 2)}",
                "type": "CoT",
            }
            file.write(("{" if number == 0 else ", ") + f'"{number}": {json.dumps(row)}')
        file.write("}")


def draw(source: Path, out: Path) -> tuple[float, float, float]:
    """Seconds of the wall clock, of the processor, and the most memory in MiB."""
    recipe = DatasetRecipe.model_validate(
        {
            "kind": "dataset",
            "name": "bench",
            "description": "bench",
            "license": "other",
            "sources": [{"file": str(source), "language": "ko", "unescape_newlines": True}],
            "sample": {"rows": 2000},
        }
    )
    started = time.monotonic()
    draw_rows(out, recipe)
    wall_s = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_837_928)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.json", Path(folder) / "drawn"
        write_source(source, count)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            wall_s, cpu_s, peak_mib = pool.apply(draw, (source, out))
        counts = read_manifest(out)["counts"]
        print(
            f"{count:,} rows of {counts['available_tasks']:,} tasks, "
            f"{source.stat().st_size / 1e9:.2f} GB: {counts['rows']:,} rows of "
            f"{counts['tasks']:,} tasks drawn in {wall_s:.0f} s ({cpu_s:.0f} s of processor time), "
            f"peak memory {peak_mib:.0f} MiB"
        )


if __name__ == "__main__":
    main()
