"""A device that runs out of memory: passes are halved, and the scores stay what they were."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.scoring import Scorer

from .models import DTYPES, find_tolerance, make_ids, make_model, place
from .test_scoring import Question, assert_near

pytestmark = pytest.mark.gpu

QUESTION_TOKENS = 129
SHARE = 0.6
"""Of what a whole pass takes; a half takes a quarter of it, since its masks are square."""


@contextmanager
def limit_memory(device: str, whole_pass_bytes: int) -> Iterator[None]:
    """From now on no more than ``SHARE`` of a pass's bytes can be had: a real lack, no pretence."""
    extra = int(SHARE * whole_pass_bytes)
    if device == "cuda":
        torch.cuda.empty_cache()
        limit = torch.cuda.memory_reserved() + extra
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info()[1])
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    status = Path("/proc/self/status").read_text()
    used = int(status.partition("VmData:")[2].split()[0]) * 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def make_questions(count: int) -> list[Question]:
    requests = (EncodedRequest(make_ids(QUESTION_TOKENS, i), 100) for i in range(count))
    return [Question((request,)) for request in requests]


def measure_pass(model, scorer, batch, device: str) -> tuple[int, list[float]]:
    """Bytes that a pass takes beside the model, and its scores."""
    if device == "cpu":
        tokens = len(batch) * QUESTION_TOKENS
        return tokens**2 * model.dtype.itemsize, read(scorer.score(batch))
    scorer.score(batch)  # what libraries keep is there now
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    scores = read(scorer.score(batch))
    return torch.cuda.max_memory_allocated() - before, scores


def read(groups) -> list[float]:
    return [score.logprob for group in groups for score in group]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pass_that_does_not_fit_is_halved(dtype, device):
    if device == "cpu" and dtype != "float32":
        pytest.skip("a CPU computes halves through float32 and its libraries' own buffers")
    model = place(make_model("llama"), dtype, device)
    questions = make_questions(64 if device == "cuda" else 32)
    scorer = Scorer(model, max_batch_tokens=10**6)
    (batch,) = scorer.plan(questions)
    whole_bytes, expected = measure_pass(model, scorer, batch, device)
    passes: list[int] = []
    layer = model.get_decoder().layers[0]
    hook = layer.register_forward_hook(
        lambda module, args, kwargs, output: passes.append(
            (args or [kwargs["hidden_states"]])[0].shape[1]
        ),
        with_kwargs=True,
    )
    with limit_memory(device, whole_bytes):
        found = read(scorer.score(batch))
        again = read(scorer.score(batch))
    hook.remove()
    assert found == again
    assert len(passes) >= 4, "both times in two passes at least"
    assert max(passes[-2:]) <= sum(len(q.requests[0].inputs) for q in questions) / 2 + 1
    tolerance = find_tolerance(dtype, torch.tensor(8.0))
    assert_near(found, expected, [QUESTION_TOKENS - 100] * len(found), tolerance)
    assert_near(
        read(scorer.score(batch)), expected, [QUESTION_TOKENS - 100] * len(found), tolerance
    )


def test_one_request_too_many_says_so(device):
    model = place(make_model("llama"), "float32", device)
    scorer = Scorer(model)
    long = [Question((EncodedRequest(make_ids(6000, 0), 5900),))]
    with limit_memory(device, 2**25), pytest.raises(ModelError, match="does not fit into memory"):
        scorer.score(long)
    assert read(scorer.score(make_questions(1)))
