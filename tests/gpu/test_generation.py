"""Texts written many at a time: those of one at a time, and the CPU's in float32."""

from __future__ import annotations

import pytest
import torch

from kot_platypus.evaluate.decoding import Decoder
from kot_platypus.evaluate.writing import Job

from .models import (
    DTYPES,
    FAMILIES,
    find_tolerance,
    make_exact,
    make_ids,
    make_model,
    place,
    read_logits,
)

pytestmark = pytest.mark.gpu

NEW_TOKENS = 12
STOPS = (7, 11, 40)
PROMPTS = [make_ids(1 + 9 * i, i) for i in range(9)]


def write(model, prompts, max_rows) -> list[list[int]]:
    decoder = Decoder(model, STOPS, max_rows=max_rows)
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    done = {job.place: job.written for job in decoder.write(jobs, NEW_TOKENS)}
    return [done[place] for place in range(len(prompts))]


def write_plainly(model, ids) -> list[int]:
    """The textbook: all tokens read again for each new one."""
    written: list[int] = []
    while len(written) < NEW_TOKENS:
        token = int(read_logits(model, ids + written)[-1].argmax())
        if token in STOPS:
            break
        written.append(token)
    return written


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_texts_in_float32_are_the_cpus(family, device):
    model = make_model(family)
    together = write(place(model, "float32", device), PROMPTS, max_rows=4)
    assert together == [write_plainly(model, ids) for ids in PROMPTS]


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_together_are_those_alone(family, device):
    model = place(make_model(family), "float32", device)
    assert write(model, PROMPTS, max_rows=4) == write(model, PROMPTS, max_rows=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_token_is_the_likeliest_up_to_rounding(family, dtype, device):
    """In half precision two nearly equal tokens may change places, and the text then goes on
    elsewhere; but no token may be chosen that float32 holds for clearly less likely."""
    model = make_model(family)
    exact = make_exact(model, dtype)
    for ids, written in zip(PROMPTS, write(place(model, dtype, device), PROMPTS, 4), strict=True):
        logits = read_logits(exact, ids + written)[len(ids) - 1 :]
        # A difference of two logits, each of them off by a rounding.
        tolerance = 2 * find_tolerance(dtype, logits)
        ends = [] if len(written) == NEW_TOKENS else [max(STOPS, key=lambda t: logits[-1, t])]
        for row, token in zip(logits, [*written, *ends], strict=False):
            assert row.max() - row[token] < tolerance


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_full_set_of_rows_moves_on(dtype, device):
    """Rows fall free and are taken, and the buffers are used up and moved to the left."""
    model = place(make_model("llama"), dtype, device)
    prompts = [make_ids(3 + i % 5, i) for i in range(40)]
    decoder = Decoder(model, (), max_rows=5)
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    done = list(decoder.write(jobs, 40))
    assert sorted(job.place for job in done) == list(range(40))
    assert all(len(job.written) == 40 for job in done)


def test_memory_of_the_cache_is_given_back(device):
    if device != "cuda":
        pytest.skip("PyTorch counts a GPU's memory only")
    model = place(make_model("llama"), "bfloat16", device)
    write(model, PROMPTS, max_rows=4)  # what libraries keep is there now
    before = torch.cuda.memory_allocated()
    write(model, PROMPTS, max_rows=4)
    assert torch.cuda.memory_allocated() - before < 2**20
