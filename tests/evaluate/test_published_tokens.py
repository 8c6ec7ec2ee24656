"""Tokens and scores of a Llama-2 model as the programs of 2023 had them (transformers 4.33.3)."""

from __future__ import annotations

import json

import pytest

from kot_platypus.evaluate.encoding import encode_question
from kot_platypus.evaluate.protocols import build_questions, load_protocol
from kot_platypus.evaluate.scoring import Scorer

CELLS = range(5)


@pytest.fixture(scope="module")
def goldens(shared):
    found = json.loads((shared / "goldens" / "llama2_tokens.json").read_text(encoding="utf-8"))
    assert len(found) == len(CELLS)
    return found


@pytest.mark.parametrize("cell", CELLS)
def test_tokens_and_scores_are_those_of_2023(cell, goldens, load_tiny, load_real):
    golden = goldens[cell]
    model, tokenizer = load_tiny("tiny-llama2-ko")
    protocol = load_protocol(golden["protocol"])
    questions = build_questions(
        protocol, load_real(golden["task"]), golden["num_fewshot"], golden["limit"]
    )
    scorer = Scorer(model)
    encoded = [encode_question(tokenizer, protocol, q, scorer.max_length) for q in questions]
    tokens = [r.ids[r.start :][:6] for q in encoded for r in q.requests]
    assert tokens == golden["continuation_tokens"]
    assert [r.start for q in encoded for r in q.requests] == golden["context_tokens"]
    scores = [s for batch in scorer.plan(encoded) for group in scorer.score(batch) for s in group]
    found = [score.logprob for score in scores]
    assert found == pytest.approx(golden["loglikelihoods"], rel=0, abs=1e-4)
