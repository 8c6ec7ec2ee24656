"""The plain way: models that cannot share a pass are scored and written with all the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench.self_checks import build_model
from lm_eval.models.huggingface import HFLM

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.choices import evaluate_choices, iter_requests
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.lm_eval_model import KotLM
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.plain import read_logits
from kot_platypus.evaluate.prompting import load_choices
from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.evaluate.reasoning import Reasoning, evaluate_reasoning
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.texts import Prompt, Sampling, Settings
from kot_platypus.evaluate.writing import Job, PlainDecoder, draw_token
from kot_platypus.prompts import Template
from kot_platypus.recipe import EvaluateSection
from kot_platypus.records import Request
from tests.evaluate.test_lm_eval_model import make_requests
from tests.evaluate.test_self_checks import score_exactly

PLAIN = [
    "bloom", "mpt", "falcon, alibi", "gpt_neo", "phi3, longrope", "mamba", "mamba2", "rwkv",
    "lfm2", "jamba",
]  # fmt: skip
NEW = 12


@pytest.fixture(scope="module")
def tokenizer(load_tiny: Any) -> Any:
    return load_tiny("tiny-llama-ko")[1]


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any):
    """``save(family)``: the folder of such a model with a Korean tokenizer."""
    folders: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp("plain")
            build_model(family, 3, vocab_size=len(tokenizer)).save_pretrained(folders[family])
            tokenizer.save_pretrained(folders[family])
        return folders[family]

    return make


def make_texts() -> list[EncodedRequest]:
    """Two questions of two choices, and a text beyond longrope's first 64 positions."""
    draws = np.random.default_rng(0)
    texts = []
    for length in (9, 30, 90):
        context = draws.integers(5, 500, length).tolist()
        texts += [
            EncodedRequest(context + draws.integers(5, 500, n).tolist(), length) for n in (1, 4)
        ]
    return texts


@pytest.mark.one_in(3)
@pytest.mark.parametrize("family", PLAIN)
def test_scores_are_those_of_independent_code(family, capsys):
    model, texts = build_model(family, 3), make_texts()
    scorer = Scorer(model, max_batch_tokens=64)
    said = capsys.readouterr().err
    assert f"{model.config.model_type} reads one text at a time here (" in said
    assert said.count("\n") == 1
    group = type("Group", (), {"requests": texts})()
    (scores,) = scorer.score([group])
    exact = model if family == "phi3, longrope" else None  # which computes float32 inside
    expected = [score_exactly(exact or model, r.ids, r.start) for r in texts]
    assert [s.logprob for s in scores] == pytest.approx(expected, rel=1e-5, abs=2e-4)
    for score, text in zip(scores, texts, strict=True):
        best = read_logits(model, text.inputs).argmax(-1)[text.start - 1 :].tolist()
        assert score.is_greedy == (best == text.ids[text.start :])


@pytest.mark.one_in(7)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", PLAIN)
def test_texts_are_those_of_the_cache_free_textbook(family, dtype):
    """Token by token the likeliest, each time from the whole text."""
    model = build_model(family, 3 if dtype == torch.float32 else 1).to(dtype)
    decoder = PlainDecoder(model, [])
    jobs = [Job(i, ids) for i, ids in enumerate(([7], [5, 6, 7, 8, 9, 300], [400, 5] * 9))]
    for job in decoder.write(jobs, NEW):
        assert len(job.written) == NEW
        for t, token in enumerate(job.written):
            with torch.inference_mode():
                logits = model(torch.tensor([job.ids + job.written[:t]]), use_cache=False).logits
            logits = logits[0, -1].float()
            # In half precision two tokens may be equally likely but for rounding.
            slack = 1e-4 if dtype == torch.float32 else 0.1
            assert logits.max() - logits[token] <= slack * float(logits.std())


def test_stops_draws_and_habits(monkeypatch):
    model = build_model("mamba", 3)
    ids = [5, 6, 7]
    (free,) = PlainDecoder(model, []).write([Job(0, ids)], NEW)
    decoder = PlainDecoder(model, [free.written[4]])
    (stopped,) = decoder.write([Job(0, ids)], NEW)
    assert stopped.written == free.written[: free.written.index(free.written[4])]
    (told,) = decoder.write([Job(0, ids)], NEW, is_complete=lambda written: len(written) == 2)
    nothing = PlainDecoder(model, [free.written[0]])
    (empty,) = nothing.write([Job(0, ids)], NEW, is_complete=lambda written: written[-1] == -1)
    assert empty.written == []
    assert told.written == free.written[:2]
    # What the model's own generation_config says of sampling and penalties has no say here.
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.do_sample = True
    assert next(PlainDecoder(model, []).write([Job(0, ids)], NEW)).written == free.written
    drawn = next(
        PlainDecoder(model, []).write(
            [Job(0, ids, np.random.default_rng(3))], NEW, Sampling(temperature=0.7)
        )
    ).written
    draws, expected = np.random.default_rng(3), list[int]()
    for _ in range(NEW):
        expected.append(draw_token(read_logits(model, ids + expected, 1)[0], 0.7, draws))
    assert drawn == expected
    # A cache that is not to be trusted, as of custom code made for another transformers.
    monkeypatch.setattr(PlainDecoder, "has_sound_cache", False)
    (again,) = PlainDecoder(model, []).write([Job(0, ids)], NEW)
    assert again.written == free.written
    (again,) = PlainDecoder(model, [free.written[4]]).write([Job(0, ids)], NEW)
    assert again.written == stopped.written


def test_a_cache_that_gives_other_logits_is_not_used():
    model = build_model("mamba", 3)
    assert PlainDecoder(model, []).has_sound_cache
    broken = copy.deepcopy(model)
    forward = broken.forward

    def forget(*args: Any, **options: Any) -> Any:
        options.pop("cache_params", None)
        return forward(*args, **options)

    broken.forward = forget
    assert not PlainDecoder(broken, []).has_sound_cache


@pytest.mark.parametrize("family", ["bloom", "mamba", "mpt"])
def test_lm_eval_gives_the_same(family, save, tokenizer):
    folder = str(save(family))
    pairs = [
        (request.context, request.continuation)
        for request in list(iter_requests("polyglot", "copa", 1, "mini", 6))
    ]
    ours = KotLM(folder, dtype="float32", device="cpu")
    theirs = HFLM(folder, dtype="float32", device="cpu", batch_size=1)
    mine, hers = (lm.loglikelihood(make_requests(*pairs)) for lm in (ours, theirs))
    assert ours.max_length == theirs.max_length
    assert [a for a, _ in mine] == pytest.approx([b for b, _ in hers], rel=1e-5, abs=2e-4)
    assert [a for _, a in mine] == [b for _, b in hers]
    assert len({a for a, _ in mine}) > 6


def test_the_stages_take_a_model_that_states_no_length(save, tokenizer, tmp_path, monkeypatch):
    """`kot eval` and `kot reason` of a BLOOM folder."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    section = EvaluateSection(tasks=("copa",), num_fewshot=(1,), limit=4, kobest_dir="mini")
    model = TransformersModel(save("bloom"), dtype="float32", device="cpu")
    evaluate_choices(tmp_path / "choices", model, section)
    rows = [json.loads(x) for x in (tmp_path / "choices/samples.jsonl").read_text().splitlines()]
    requests: dict[int, list[Request]] = {}
    for request in iter_requests("polyglot", "copa", 1, "mini", 4):
        requests.setdefault(request.doc_id, []).append(request)
    for row in rows:
        for request, logprob in zip(requests[row["doc_id"]], row["logprobs"], strict=True):
            context, own = (
                tokenizer(text, add_special_tokens=False)["input_ids"]
                for text in (request.context, request.continuation)
            )
            exact = score_exactly(model.model, context + own, len(context))
            assert logprob == pytest.approx(exact, rel=1e-5, abs=2e-4)
    template = Template(
        name="t", description="", prompt="질문: {source}\n답변:\n", answer="문장: {target}"
    )
    asked, _ = load_choices(load_protocol("polyglot"), "copa", "mini", 2)
    evaluate_reasoning(tmp_path / "cot", model, asked, Reasoning(template, max_new_tokens=6))
    assert len((tmp_path / "cot" / "answers.jsonl").read_text().splitlines()) == 2
    evaluate_choices(tmp_path / "again", model, section)  # of kept scores
    for name in ("choices", "cot", "again"):
        assert json.loads((tmp_path / name / "results.json").read_text())["one_by_one"] is True


def test_engine_writes_with_a_model_of_either_kind(save, tokenizer, capsys):
    model = TransformersModel(save("lfm2"), dtype="float32", device="cpu")
    settings = Settings(max_new_tokens=6, stop_line="없음")
    prompts = [Prompt(text="나는 밥을"), Prompt(text="하늘은")]
    texts = dict(model.generate(prompts, settings))
    assert "lfm2 writes one text at a time here (" in capsys.readouterr().err
    for place, prompt in enumerate(prompts):
        ids = tokenizer(prompt.text)["input_ids"]
        written: list[int] = []
        for _ in range(6):
            written.append(int(read_logits(model.model, ids + written, 1)[0].argmax()))
        assert texts[place].text == tokenizer.decode(written, skip_special_tokens=True)


def test_a_model_that_reads_nothing_is_refused_in_one_line():
    model = build_model("llama")
    model.forward = lambda *_, **__: {}["logits"]
    with pytest.raises(ModelError, match=r"llama does not read a text of .*KeyError"):
        Scorer(model)
