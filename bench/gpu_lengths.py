"""How long KoBEST's questions are in tokens, measured once and kept as numbers without the texts.

    python bench/gpu_lengths.py --kobest-dir DIR         # writes bench/gpu_lengths.json

A machine with a GPU need not have KoBEST: `gpu_check.py` makes questions of these lengths out of
random tokens. Measured for the published table's 16 cells, protocol ``polyglot``, with a tokenizer
of 46,336 entries that ``evaluate.py`` trains on KoBEST's training texts, since Llama-2-Ko's own is
not at hand: its counts are others, its vocabulary is of the same size. A cell keeps what all its
questions take (tokens of one pass each, cut to 2,048) and the lengths of 32 of them, evenly spaced
by size: those of the context, uncut, and of each choice.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from evaluate import train_tokenizer
from kot_platypus.evaluate.encoding import encode_question
from kot_platypus.evaluate.forest import count_tokens
from kot_platypus.evaluate.protocols import build_questions, load_protocol
from kot_platypus.evaluate.tasks import load_task
from kot_platypus.models import load_tokenizer

LENGTHS_FILE = Path(__file__).with_suffix(".json")
TASKS = ("boolq", "copa", "hellaswag", "sentineg")
SHOTS = (0, 5, 10, 50)
MAX_LENGTH = 2048
NUM_KEPT = 32
NO_LIMIT = 10**9


def measure_cell(tokenizer: Any, task: str, shots: int, kobest_dir: str) -> dict[str, Any]:
    protocol = load_protocol("polyglot")
    questions = build_questions(protocol, load_task(task, kobest_dir), shots, None)
    measured = []
    for question in questions:
        whole = encode_question(tokenizer, protocol, question, NO_LIMIT).requests
        cut = encode_question(tokenizer, protocol, question, MAX_LENGTH).requests
        choices = [len(request.ids) - request.start for request in whole]
        measured.append((count_tokens(cut), whole[0].start, choices))
    measured.sort()
    kept = [measured[round((i + 0.5) * len(measured) / NUM_KEPT - 0.5)] for i in range(NUM_KEPT)]
    return {
        "task": task,
        "shots": shots,
        "questions": len(measured),
        "tokens": sum(tokens for tokens, _, _ in measured),
        "kept": [[context, choices] for _, context, choices in kept],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="KoBEST's lengths in tokens, as numbers.")
    parser.add_argument("--kobest-dir", required=True, help="KoBEST's TSV files.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(Path(folder), options.kobest_dir)
        tokenizer = load_tokenizer(Path(folder) / "tokenizer")
        cells = []
        for task in TASKS:
            for shots in SHOTS:
                cells.append(measure_cell(tokenizer, task, shots, options.kobest_dir))
                print(task, shots, cells[-1]["questions"], cells[-1]["tokens"], flush=True)
    lines = ",\n".join("  " + json.dumps(cell, separators=(",", ":")) for cell in cells)
    LENGTHS_FILE.write_text(f'{{"max_length": {MAX_LENGTH}, "cells": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
