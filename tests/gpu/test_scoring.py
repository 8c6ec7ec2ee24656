"""Scores on the device: those of one sequence at a time, and the CPU's in float32."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, GPTNeoConfig, GPTNeoForCausalLM

from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.scoring import Scorer

from .models import (
    DTYPES,
    FAMILIES,
    SIZES,
    find_tolerance,
    make_exact,
    make_ids,
    make_model,
    place,
    read_logits,
    sharpen,
)

pytestmark = pytest.mark.gpu


@dataclass(frozen=True)
class Question:
    requests: tuple[EncodedRequest, ...]


def make_questions() -> list[Question]:
    """Ten questions of two to four choices, with contexts of 0 to 270 tokens after the first."""
    questions = []
    for number in range(10):
        context = make_ids(1 + 30 * number, number)
        choices = [make_ids(1 + i, 100 + number + i) for i in range(2 + number % 3)]
        requests = (EncodedRequest(context + choice, len(context)) for choice in choices)
        questions.append(Question(tuple(requests)))
    return questions


def score_together(model, questions, max_batch_tokens=700) -> list[float]:
    scorer = Scorer(model, max_batch_tokens=max_batch_tokens)
    batches = list(scorer.plan(questions))
    assert 1 < len(batches) < len(questions)
    return [s.logprob for batch in batches for group in scorer.score(batch) for s in group]


def score_plainly(model, questions) -> tuple[list[float], list[float], torch.Tensor]:
    """Each request alone: its score, its number of tokens, and the largest logits seen."""
    scores, lengths, largest = [], [], torch.zeros(1)
    for request in (r for question in questions for r in question.requests):
        logits = read_logits(model, request.ids[:-1])
        logprobs = logits.double().log_softmax(-1)
        targets = torch.tensor(request.ids[1:])
        picked = logprobs[torch.arange(len(targets)), targets][request.start - 1 :]
        scores.append(float(picked.sum()))
        lengths.append(float(len(picked)))
        largest = torch.maximum(largest, logits.abs().max()[None])
    return scores, lengths, largest


def assert_near(found, expected, lengths, tolerance) -> None:
    distances = [abs(a - b) / n for a, b, n in zip(found, expected, lengths, strict=True)]
    assert max(distances) < tolerance, f"{max(distances):.2e} nats a token of {tolerance:.2e}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_forest_is_its_sequences_one_by_one(family, dtype, device):
    model, questions = place(make_model(family), dtype, device), make_questions()
    alone, lengths, largest = score_plainly(model, questions)
    assert_near(score_together(model, questions), alone, lengths, find_tolerance(dtype, largest))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_cpus_in_float32(family, dtype, device, record_property):
    model, questions = make_model(family), make_questions()
    expected, lengths, largest = score_plainly(make_exact(model, dtype), questions)
    found = score_together(place(model, dtype, device), questions)
    distances = [abs(a - b) / n for a, b, n in zip(found, expected, lengths, strict=True)]
    record_property("nats a token off", f"{max(distances):.1e}")
    assert_near(found, expected, lengths, find_tolerance(dtype, largest))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tolerance_sees_a_token_too_many(dtype, device):
    """What the two tests above allow is less than what one wrong token does."""
    model, questions = place(make_model("llama"), dtype, device), make_questions()
    alone, lengths, largest = score_plainly(model, questions)
    spoilt = [
        Question(tuple(EncodedRequest([7, *r.ids], r.start + 1) for r in question.requests))
        for question in questions
    ]
    wrong, _, _ = score_plainly(model, spoilt)
    with pytest.raises(AssertionError, match="nats a token"):
        assert_near(wrong, alone, lengths, find_tolerance(dtype, largest))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_check_accepts_every_sound_model(family, dtype, device):
    assert Scorer(place(make_model(family), dtype, device)).obstacle is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["bloom", "gpt-neo"])
def test_the_check_refuses_what_cannot_read_a_forest(family, dtype, device):
    """ALiBi, and GPT-Neo's window, both counted in rows."""
    torch.manual_seed(0)
    sizes = {"vocab_size": SIZES["vocab_size"], "hidden_size": 64}
    if family == "bloom":
        model = BloomForCausalLM(BloomConfig(**sizes, n_layer=2, n_head=4))
    else:
        layers = {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}
        model = GPTNeoForCausalLM(GPTNeoConfig(**sizes, **layers, max_position_embeddings=1024))
    assert Scorer(place(sharpen(model), dtype, device)).obstacle
