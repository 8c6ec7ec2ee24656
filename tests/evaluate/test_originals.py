"""Every protocol, task and number of shots against the plain second copy in originals.py."""

from __future__ import annotations

import hashlib
import json

import pytest

from kot_platypus.evaluate.encoding import encode_question
from kot_platypus.evaluate.protocols import build_questions, list_protocols, load_protocol
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.tasks import TASKS
from tests.evaluate import originals

each_protocol = pytest.mark.parametrize("protocol", list_protocols())
each_task = pytest.mark.parametrize("task", TASKS)


def test_the_second_copy_makes_the_goldens_requests(shared, load_real):
    goldens = json.loads((shared / "goldens" / "requests.json").read_text(encoding="utf-8"))
    for golden in goldens:
        data = load_real(golden["task"])
        requests = originals.list_requests(
            golden["protocol"], golden["task"], data, golden["num_fewshot"]
        )
        lines = (json.dumps(list(request), ensure_ascii=False) + "\n" for request in requests)
        assert hashlib.sha256("".join(lines).encode()).hexdigest() == golden["sha256"], golden


@pytest.mark.one_in(11)
@each_protocol
@each_task
@pytest.mark.parametrize("num_fewshot", [0, 1, 10])
def test_requests_of_every_combination(protocol, task, num_fewshot, load_real):
    data = load_real(task)
    questions = build_questions(load_protocol(protocol), data, num_fewshot)
    requests = [(r.context, r.continuation) for q in questions for r in q.requests]
    assert requests == originals.list_requests(protocol, task, data, num_fewshot)


@pytest.mark.one_in(11)
@each_protocol
@each_task
@pytest.mark.parametrize("name", ["tiny-llama-ko", "tiny-polyglot-ko"])
@pytest.mark.parametrize("num_fewshot", [0, 3, pytest.param(50, marks=pytest.mark.slow)])
def test_loglikelihoods_of_every_combination(
    protocol, task, name, num_fewshot, load_real, load_tiny
):
    limit = 1 if num_fewshot == 50 else 3
    model, tokenizer = load_tiny(name)
    questions = build_questions(load_protocol(protocol), load_real(task), num_fewshot, limit)
    scorer = Scorer(model, max_batch_tokens=512)
    encoded = [
        encode_question(tokenizer, load_protocol(protocol), q, scorer.max_length) for q in questions
    ]
    batches = (scorer.score(batch) for batch in scorer.plan(encoded))
    found = [score.logprob for batch in batches for scores in batch for score in scores]
    expected = [
        originals.score(model, tokenizer, protocol, *request)
        for request in originals.list_requests(protocol, task, load_real(task), num_fewshot, limit)
    ]
    assert found == pytest.approx(expected, rel=0, abs=1e-4)
