"""How many tokens a scoring pass should have here, by dtype: where the defaults come from.

    pip install -e '.[bench]'
    OMP_NUM_THREADS=1 python bench/pass_sizes.py --kobest-dir DIR

Real KoBEST (protocol ``lm-eval``), the first questions of each task, in one process; the sizes take
turns, and the best round of each counts. On a CPU by processor seconds, which with one thread are
what an idle machine would have taken; on a GPU by the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluate import PROTOCOL, load_both, make_ours, train_tokenizer
from kot_platypus.evaluate.protocols import build_questions
from kot_platypus.evaluate.tasks import TASKS, load_task
from kot_platypus.models import resolve_device
from measuring import describe_machine


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokens a scoring pass against speed.")
    parser.add_argument("--kobest-dir", required=True, help="KoBEST's TSV files.")
    parser.add_argument("--models", default="llama,gemma-3-270m")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--num-fewshot", default="0,5")
    parser.add_argument("--sizes", default="256,512,1024,2048,4096")
    parser.add_argument("--limit", type=int, default=8, help="Questions a task.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default=resolve_device())
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    print(describe_machine())
    print(f"\nSeconds of {options.limit} questions a task by tokens a pass\n")
    print("| model | dtype | shots | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("|---" * (3 + len(sizes)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(Path(folder), options.kobest_dir)
        for name in options.models.split(","):
            for dtype in options.dtypes.split(","):
                model, tokenizer = load_both(name, Path(folder), dtype, options.device, 4096)
                for shots in map(int, options.num_fewshot.split(",")):
                    times = measure(options, model, tokenizer, sizes, shots)
                    cells = [f"**{t:.2f}**" if t == min(times) else f"{t:.2f}" for t in times]
                    print("| " + " | ".join([name, dtype, str(shots), *cells]) + " |", flush=True)


def measure(
    options: argparse.Namespace, model: Any, tokenizer: Any, sizes: list[int], shots: int
) -> list[float]:
    """The best seconds of each size."""
    clock: Callable[[], float] = time.perf_counter
    if options.device == "cpu":
        clock = time.process_time
    questions = [
        question
        for task in TASKS
        for question in build_questions(
            PROTOCOL, load_task(task, options.kobest_dir), shots, options.limit
        )
    ]
    scorers = [make_ours(model, tokenizer, size) for size in sizes]
    best = [float("inf")] * len(sizes)
    for _ in range(options.rounds):
        for place, score in enumerate(scorers):
            started = clock()
            score(questions)
            best[place] = min(best[place], clock() - started)
    return best


if __name__ == "__main__":
    main()
