"""Many rows through the checks, duplicates and contamination: time and memory of each step.

    python bench/data_scale.py --rows 1000000 --kobest-dir DIR

Rows are random sentences of the planted set (tests/checks/planted) with their English originals, so
that no template fills a bucket. A quarter quotes a sentence of KoBEST's train split, which makes
the contamination check look closer; one in a hundred quotes an item of its dev or test split; 2 %
are copies and 5 % copies without one word. The same command makes the same rows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.checks.planted import make_clean
from tests.checks.planted.material import Pair, join, join_korean

from kot_platypus.artifacts import write_lines
from kot_platypus.data.contamination import Benchmarks, Item
from kot_platypus.data.dedupe import find_duplicates
from kot_platypus.data.executors import EXECUTORS, Executor, open_executor
from kot_platypus.data.leaks import check_contamination
from kot_platypus.data.pipeline.drafts import Draft, Origin, check_rows
from kot_platypus.records import Example

SEED = 7
SAMPLE_S = 0.1
POOL_ROWS = 4000
"""Of each part of the planted set; their sentences are what rows are made of."""


# --- rows --------------------------------------------------------------------------------------


def write_rows(folder: Path, kobest_dir: str, count: int) -> None:
    """``drafts.jsonl`` with originals, for the checks; ``rows.jsonl`` as they are checked on."""
    drafts = folder / "drafts.jsonl"
    write_lines(
        drafts, (draft.model_dump_json() + "\n" for draft in iter_drafts(kobest_dir, count))
    )
    with drafts.open(encoding="utf-8") as file:
        rows = (json.loads(line)["translated"] for line in file)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_lines(folder / "rows.jsonl", lines)


def iter_drafts(kobest_dir: str, count: int) -> Iterator[Draft]:
    rng = random.Random(SEED)
    pool = [
        pair
        for part in ("development", "heldout")
        for row in make_clean(part, POOL_ROWS)
        for pair in row.pairs
    ]
    harmless, items = load_quotes(kobest_dir)
    past: list[tuple[Example, Example]] = []
    for number in range(count):
        chance = rng.random()
        if past and chance < 0.07:
            original, translated = rng.choice(past)
            if chance < 0.05:
                words = translated.source.split(" ")
                del words[rng.randrange(len(words))]
                translated = translated.model_copy(update={"source": " ".join(words)})
        else:
            quote = ""
            if chance > 0.74:
                quote = rng.choice(items) if chance > 0.99 else rng.choice(harmless)
            original, translated = make_pair(rng.sample(pool, 7), quote, number)
        if len(past) < 10_000:
            past.append((original, translated))
        origin = Origin(source="synthetic", id=str(number), sha256="")
        yield Draft(origin=origin, original=original, translated=translated)


def make_pair(pairs: list[Pair], quote: str, number: int) -> tuple[Example, Example]:
    """A row in both languages: four sentences and a quotation ask, three explain."""
    english = [(pair.english, pair.verbatim) for pair in pairs]
    end = f"\n“{quote}”" if quote else ""
    return (
        Example(
            source=join(english[:4]) + end, rationale=join(english[4:]), target=f"No. {number}"
        ),
        Example(
            source=join_korean(pairs[:4]) + end,
            rationale=join_korean(pairs[4:]),
            target=f"{number}번",
        ),
    )


def load_quotes(kobest_dir: str) -> tuple[list[str], list[str]]:
    """Sentences of the train splits, and whole items of dev and test."""
    from kot_platypus.evaluate.tasks import COLUMNS, TASKS, load_task

    sentences = {
        part.strip()
        for task in TASKS
        for row in load_task(task, kobest_dir).train
        for name in COLUMNS[task]
        if name != "label"
        for part in str(row[name]).split(". ")
        if len(part) > 9
    }
    items = [
        Item(name, 0, cells).text
        for name, each in load_benchmarks(kobest_dir).items()
        for cells in each
    ]
    return sorted(sentences), items


def load_benchmarks(kobest_dir: str) -> Benchmarks:
    from kot_platypus.evaluate.tasks import load_texts

    return load_texts(kobest_dir)


# --- steps -------------------------------------------------------------------------------------


def run_checks(folder: Path, executor: Executor, options: argparse.Namespace) -> str:
    checked = check_rows(folder / "drafts.jsonl", folder / "checked", executor, options.rows)
    with checked.open(encoding="utf-8") as file:
        failing = sum('"severity":"error"' in line for line in file)
    return f"{failing:,} with an error"


def run_duplicates(folder: Path, executor: Executor, options: argparse.Namespace) -> str:
    report = find_duplicates(folder / "rows.jsonl", folder / "duplicates", executor=executor)
    return f"{report['dropped']:,} dropped"


def run_contamination(folder: Path, executor: Executor, options: argparse.Namespace) -> str:
    kept, out = folder / "duplicates" / "kept.jsonl", folder / "contamination"
    benchmarks = load_benchmarks(options.kobest_dir)
    verdict = check_contamination(kept, out, benchmarks, executor=executor)
    return f"{verdict.leaked_rows:,} leaked"


Step = Callable[[Path, Executor, argparse.Namespace], str]
STEPS: dict[str, Step] = {
    "checks": run_checks,
    "duplicates": run_duplicates,
    "contamination": run_contamination,
}


def run_alone(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a step in a process of its own, and watch that one and all it starts from here."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    started = time.perf_counter()
    process = context.Process(target=_run_step, args=(name, folder, options, there))
    process.start()
    there.close()
    peak, seconds = watch(psutil.Process(process.pid), here)
    found = {"seconds": time.perf_counter() - started, "cpu_s": seconds, "gib": peak / 2**30}
    result = here.recv()
    process.join()
    return {**found, "result": result}


def _run_step(name: str, folder: Path, options: argparse.Namespace, there: Connection) -> None:
    with open_executor(options.executor, options.workers) as executor:
        result = STEPS[name](folder, executor, options)
    there.send(result)


def watch(root: psutil.Process, until: Connection) -> tuple[int, float]:
    """The most bytes in resident sets at a time, and processor seconds, of a process and its own.

    Memory that processes share counts once for each of them.
    """
    peak, busy_s = 0, {}
    while not until.poll(SAMPLE_S):
        total = 0
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_info().rss
                times = process.cpu_times()
                busy_s[process.pid] = times.user + times.system
            except psutil.Error:  # it has just ended
                continue
        peak = max(peak, total)
    return peak, sum(busy_s.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kobest-dir", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--executor", choices=EXECUTORS, default="local")
    parser.add_argument("--workers", type=int, help="left out: one for each processor")
    parser.add_argument("--steps", default=",".join(STEPS))
    options = parser.parse_args()
    from measuring import describe_processor  # not above: each worker would load PyTorch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        write_rows(folder, options.kobest_dir, options.rows)
        size = (folder / "rows.jsonl").stat().st_size / options.rows
        print(
            f"{options.rows:,} rows of {size:.0f} bytes, made in "
            f"{time.perf_counter() - started:.0f} s; {describe_processor()}, "
            f"executor {options.executor}, "
            f"workers {options.workers or len(psutil.Process().cpu_affinity())}\n"
        )
        print(
            "| step | result | min | processor min | peak GiB |\n|---|---|---|---|---|", flush=True
        )
        total = {"seconds": 0.0, "cpu_s": 0.0, "gib": 0.0}
        for step in options.steps.split(","):
            found = run_alone(step, folder, options)
            print(describe(step, found), flush=True)
            for key in ("seconds", "cpu_s"):
                total[key] += found[key]
            total["gib"] = max(total["gib"], found["gib"])
        print(describe("together", {**total, "result": ""}))


def describe(step: str, found: dict[str, Any]) -> str:
    return (
        f"| {step} | {found['result']} | {found['seconds'] / 60:.1f} | {found['cpu_s'] / 60:.1f} "
        f"| {found['gib']:.2f} |"
    )


if __name__ == "__main__":
    main()
