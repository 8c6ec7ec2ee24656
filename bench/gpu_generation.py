"""Tokens a second with so many texts at a time: ours, and transformers' ``generate`` on a batch.

Random prompts of 64 to 256 tokens, one a row; every text is equally long. Seconds include the
reading of the prompts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from gpu_scoring import WEIGHTS_GIB, require_memory
from kot_platypus.evaluate.decoding import Decoder
from kot_platypus.evaluate.writing import Job
from measuring import make_llama, read_peak_gib

SHORTEST, LONGEST = 64, 256
MAX_LENGTH = 2048


def measure(options: SimpleNamespace, save: Callable[[dict[str, Any]], None]) -> None:
    require_memory(options, WEIGHTS_GIB[options.model] + 3)
    at = {"dtype": options.dtype, "device": options.device}
    model = make_llama(options.model, max_length=MAX_LENGTH, **at)
    lines: list[dict[str, Any]] = []
    found = {"kind": "generation", "model": options.model, "dtype": options.dtype}
    writers = {"ours": write_ours, "transformers": write_theirs}
    for write in writers.values():
        write(model, make_prompts(2), 2)  # warm
    for rows in options.rows:
        prompts = make_prompts(rows)
        line: dict[str, Any] = {"rows": rows}
        for name, write in writers.items():
            line[name] = time_writer(write, model, prompts, options)
        lines.append(line)
        save({**found, "rows": lines, "peak GiB": read_peak_gib(options.device)})


def make_prompts(count: int) -> list[list[int]]:
    rng = random.Random(0)
    lengths = [SHORTEST + i * (LONGEST - SHORTEST) // count for i in range(count)]
    return [[rng.randrange(3, 40_000) for _ in range(length)] for length in lengths]


def time_writer(
    write: Callable[[Any, list[list[int]], int], int],
    model: Any,
    prompts: list[list[int]],
    options: SimpleNamespace,
) -> float | None:
    """Written tokens a second; None where memory does not suffice."""
    started = time.perf_counter()
    try:
        written = write(model, prompts, options.new_tokens)
    except torch.OutOfMemoryError:
        return None
    return written / (time.perf_counter() - started)


def write_ours(model: Any, prompts: list[list[int]], new_tokens: int) -> int:
    decoder = Decoder(model, [], max_rows=len(prompts))
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    return sum(len(job.written) for job in decoder.write(jobs, new_tokens))


def write_theirs(model: Any, prompts: list[list[int]], new_tokens: int) -> int:
    longest = max(map(len, prompts))
    padded = [[0] * (longest - len(ids)) + ids for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    whole = model.generate(
        torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        min_new_tokens=new_tokens,
        max_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return int((whole.shape[1] - longest) * whole.shape[0])
