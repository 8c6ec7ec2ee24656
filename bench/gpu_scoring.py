"""Seconds of the published table's 16 cells: part of each measured, the rest extrapolated.

Questions have KoBEST's lengths (``gpu_lengths.json``) and random tokens, choices share their
context and nothing else, and nothing is shared between questions. Measured are whole batches as the
scorer plans them, tokenisation apart; a cell's speed in tokens/s gives the time of all its tokens.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpu_step import Skipped
from kot_platypus.evaluate.encoding import EncodedRequest, truncate_request
from kot_platypus.evaluate.forest import count_tokens
from kot_platypus.evaluate.scoring import Scorer
from measuring import make_llama, read_peak_gib

LENGTHS = json.loads(Path(__file__).with_name("gpu_lengths.json").read_text("utf-8"))
MAX_LENGTH = LENGTHS["max_length"]
WEIGHTS_GIB = {"llama-7b": 12.8, "llama-1b": 2.2, "llama-tiny": 0.1}


@dataclass(frozen=True)
class Question:
    """A group of the scorer's."""

    requests: tuple[EncodedRequest, ...]


def measure(options: SimpleNamespace, save: Callable[[dict[str, Any]], None]) -> None:
    require_memory(options, WEIGHTS_GIB[options.model] + 4)
    at = {"dtype": options.dtype, "device": options.device}
    model = make_llama(options.model, max_length=MAX_LENGTH, **at)
    scorer = Scorer(model)
    cells = LENGTHS["cells"]
    if options.tiny:  # the short ones: a rehearsal takes seconds
        cells = [cell for cell in cells if cell["shots"] == 0][:2]
    measured: list[dict[str, Any]] = []
    for cell in cells:
        measured.append(measure_cell(scorer, cell, options.cell_s))
        save(summarise(measured, options))


def require_memory(options: SimpleNamespace, least_gib: float) -> None:
    """Raise Skipped on a GPU with less free memory."""
    if options.device != "cuda":
        return
    import torch

    free_gib = torch.cuda.mem_get_info()[0] / 2**30
    if free_gib < least_gib:
        raise Skipped(f"needs {least_gib:.0f} GiB of GPU memory; {free_gib:.1f} are free")


def measure_cell(scorer: Scorer, cell: dict[str, Any], cell_s: float) -> dict[str, Any]:
    """Score batches for ``cell_s`` seconds, at most as many questions as the cell has."""
    questions = list(itertools.islice(iter_questions(cell), cell["questions"]))
    scorer.score(next(scorer.plan(questions)))  # warm
    batches, started = [], time.perf_counter()
    for batch in scorer.plan(questions):
        scorer.score(batch)
        batches.append(batch)
        if time.perf_counter() - started > cell_s:
            break
    seconds = time.perf_counter() - started
    tokens = sum(count_tokens(group.requests) for batch in batches for group in batch)
    return {
        "task": cell["task"],
        "shots": cell["shots"],
        "questions": cell["questions"],
        "measured questions": sum(map(len, batches)),
        "measured tokens": tokens,
        "measured s": seconds,
        "tokens/s": tokens / seconds,
        "extrapolated s": cell["tokens"] / tokens * seconds,
    }


def iter_questions(cell: dict[str, Any]) -> Iterator[Question]:
    """Questions of the cell's lengths without end; any 32 in a row are a fair sample."""
    rng = random.Random(f"{cell['task']} {cell['shots']}")
    while True:
        for context, choices in rng.sample(cell["kept"], len(cell["kept"])):
            yield make_question(rng, context, choices)


def make_question(rng: random.Random, context: int, choices: list[int]) -> Question:
    ids = [rng.randrange(3, 40_000) for _ in range(context)]
    return Question(
        tuple(
            truncate_request(
                ids, [rng.randrange(3, 40_000) for _ in range(n)], MAX_LENGTH, "random"
            )
            for n in choices
        )
    )


def summarise(cells: list[dict[str, Any]], options: SimpleNamespace) -> dict[str, Any]:
    return {
        "kind": "scoring",
        "model": options.model,
        "dtype": options.dtype,
        "cells": cells,
        "of cells": len(LENGTHS["cells"]),
        "measured s": sum(cell["measured s"] for cell in cells),
        "extrapolated s": sum(cell["extrapolated s"] for cell in cells),
        "peak GiB": read_peak_gib(options.device),
    }
