"""Multimodal models score and write texts as plain code has them do it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from kot_platypus.evaluate import scoring
from kot_platypus.evaluate.decoding import Decoder
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.writing import Job
from kot_platypus.models import load_model

from ..multimodal import KINDS, make_multimodal

_ONE_BY_ONE = {"qwen3_5"}  # linear attention
_NOT_TOGETHER = {"qwen3_5", "mllama"}


class Question:
    def __init__(self, requests: list[EncodedRequest]) -> None:
        self.requests = requests


def draw(count: int, seed: int) -> list[int]:
    numbers = random.Random(seed)
    return [numbers.randrange(5, 3900) for _ in range(count)]


def make_questions() -> list[Question]:
    contexts = [draw(length, length) for length in (30, 90)]
    return [
        Question([EncodedRequest(context + draw(n, n), len(context)) for n in (20, 12, 9)])
        for context in contexts
    ]


@torch.inference_mode()
def score_plainly(model: torch.nn.Module, request: EncodedRequest) -> float:
    ids = torch.tensor([request.ids])
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0].double()
    logprobs = logits.log_softmax(-1)[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
    return float(logprobs[request.start - 1 :].sum())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_published_class(kind, dtype, shared: Path, tmp_path, monkeypatch):
    # Logits in parts of the vocabulary: what the decoder said is asked for again and again.
    monkeypatch.setattr(scoring, "_CACHED_LOGITS", 1)
    monkeypatch.setattr(scoring, "_FEWEST_COLUMNS", 900)
    folder = make_multimodal(kind, tmp_path, shared / "models" / "tiny-llama-ko")
    plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    scorer = Scorer(load_model(folder, dtype=dtype, device="cpu"), max_batch_tokens=100_000)
    assert bool(scorer.obstacle) == (kind in _ONE_BY_ONE)
    questions = make_questions()
    batches = scorer.plan(questions)
    found = [score.logprob for batch in batches for group in scorer.score(batch) for score in group]
    expected = [score_plainly(plain, each) for question in questions for each in question.requests]
    tolerance = 1e-4 if dtype == "float32" else 0.6
    assert found == pytest.approx(expected, abs=tolerance)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - _NOT_TOGETHER))
def test_texts_are_those_of_generate(kind, shared: Path, tmp_path):
    folder = make_multimodal(kind, tmp_path, shared / "models" / "tiny-llama-ko")
    plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [draw(length, length) for length in (9, 40, 80)]
    decoder = Decoder(load_model(folder, dtype="float32", device="cpu"), [2])
    jobs = [Job(place, prompt) for place, prompt in enumerate(prompts)]
    written = {job.place: job.written for job in decoder.write(jobs, 8)}
    for place, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": 2, "pad_token_id": 0}
        text = plain.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        assert written[place] == [t for t in text[0, len(prompt) :].tolist() if t != 2]
