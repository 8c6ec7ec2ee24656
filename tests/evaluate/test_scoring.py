from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from kot_platypus.errors import DataError, ModelError
from kot_platypus.evaluate import forest, scoring
from kot_platypus.evaluate.choices import make_sample
from kot_platypus.evaluate.encoding import EncodedRequest, encode_question
from kot_platypus.evaluate.forest import build_forest, split_by_prefix
from kot_platypus.evaluate.protocols import build_questions, load_protocol
from kot_platypus.evaluate.scoring import (
    Scorer,
    find_obstacle,
    score_requests,
)
from kot_platypus.evaluate.store import QuestionScores
from kot_platypus.evaluate.tasks import load_task
from kot_platypus.records import Request
from kot_platypus.results.metrics import summarise_samples

SLOW = 10
"""Goldens with at least so many shots, or of the whole task, are marked slow."""


def score(model, tokenizer, questions, protocol, max_batch_tokens=1024):
    scorer = Scorer(model, max_batch_tokens=max_batch_tokens)
    protocol = load_protocol(protocol)
    encoded = (encode_question(tokenizer, protocol, q, scorer.max_length) for q in questions)
    samples = {}
    for batch in scorer.plan(encoded):
        for item, scores in zip(batch, scorer.score(batch), strict=True):
            found = QuestionScores(
                logprobs=tuple(score.logprob for score in scores),
                effective_shots=item.effective_shots,
            )
            samples[item.question.doc_id] = make_sample(item.question, found)
    return samples


def score_plainly(model, ids, start):
    """Independent of the scorer: one sequence, the model's own mask, log-softmax, sum."""
    ids = torch.tensor([ids])
    with torch.inference_mode():
        logprobs = model(input_ids=ids[:, :-1]).logits[0].double().log_softmax(-1)
    picked = logprobs[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
    return float(picked[start - 1 :].sum())


# --- goldens -----------------------------------------------------------------------------------


def check_golden(golden, load_tiny, load_real, limit):
    model, tokenizer = load_tiny(golden["model"])
    protocol = load_protocol(golden["protocol"])
    questions = build_questions(
        protocol, load_real(golden["task"]), golden["num_fewshot"], limit or golden["limit"]
    )
    samples = score(model, tokenizer, questions, golden["protocol"])
    found = [value for q in questions for value in samples[q.doc_id].logprobs]
    expected = golden["loglikelihoods"][: len(found)]
    assert found == pytest.approx(expected, rel=0, abs=1e-4)
    return [samples[q.doc_id] for q in questions]


GOLDENS = range(11)


def test_every_golden_is_tested(shared):
    assert len(json.loads((shared / "goldens" / "loglikelihoods.json").read_text())) == 11


@pytest.mark.one_in(3)
@pytest.mark.parametrize("index", GOLDENS)
def test_the_first_loglikelihoods_are_the_original_programs(index, shared, load_tiny, load_real):
    golden = json.loads((shared / "goldens" / "loglikelihoods.json").read_text())[index]
    check_golden(golden, load_tiny, load_real, limit=2 if golden["num_fewshot"] >= SLOW else 6)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("index", GOLDENS)
def test_all_loglikelihoods_and_metrics_are(index, shared, load_tiny, load_real):
    golden = json.loads((shared / "goldens" / "loglikelihoods.json").read_text())[index]
    summary = summarise_samples(check_golden(golden, load_tiny, load_real, limit=None))
    for metric, value in golden["metrics"].items():
        assert getattr(summary, metric).value == pytest.approx(value, abs=1e-12), metric


# --- invariants --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def questions():
    return build_questions(load_protocol("polyglot"), load_task("hellaswag", "mini"), 1, 12)


def assert_equal_scores(a, b):
    assert a.keys() == b.keys()
    for doc_id in a:
        assert a[doc_id].logprobs == pytest.approx(b[doc_id].logprobs, rel=1e-6, abs=1e-5)
        assert a[doc_id].pred == b[doc_id].pred


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["tiny-llama-ko", "tiny-polyglot-ko"])
@pytest.mark.parametrize("protocol", ["polyglot", "lm-eval"])
def test_packed_is_one_by_one(name, protocol, questions, load_tiny):
    model, tokenizer = load_tiny(name)
    samples = score(model, tokenizer, questions, protocol)
    for question in questions:
        encoded = encode_question(tokenizer, load_protocol(protocol), question, 2048)
        plain = [score_plainly(model, r.ids, r.start) for r in encoded.requests]
        assert samples[question.doc_id].logprobs == pytest.approx(plain, rel=1e-6, abs=1e-5)


def test_neither_budget_nor_order_changes_a_score(questions, load_tiny, monkeypatch):
    model, tokenizer = load_tiny("tiny-llama-ko")
    samples = score(model, tokenizer, questions, "polyglot", 1024)
    for budget in (1, 300, 100_000):
        assert_equal_scores(score(model, tokenizer, questions, "polyglot", budget), samples)
    shuffled = random.Random(0).sample(questions, len(questions))
    assert_equal_scores(score(model, tokenizer, shuffled, "polyglot"), samples)
    monkeypatch.setattr(scoring, "_CHUNK_LOGITS", 1)
    assert_equal_scores(score(model, tokenizer, questions, "polyglot"), samples)


@pytest.mark.parametrize("budget", [64, 4096])
def test_choices_cut_differently_do_not_share(budget, load_tiny, monkeypatch):
    model, tokenizer = load_tiny("tiny-llama-ko")
    questions = build_questions(load_protocol("polyglot"), load_task("hellaswag", "mini"), 5, 3)
    monkeypatch.setattr(scoring, "find_max_length", lambda *_: 150)
    samples = score(model, tokenizer, questions, "polyglot", budget)
    for question in questions:
        encoded = encode_question(tokenizer, load_protocol("polyglot"), question, 150)
        assert len({tuple(r.ids[:3]) for r in encoded.requests}) > 1
        plain = [score_plainly(model, r.ids, r.start) for r in encoded.requests]
        sample = samples[question.doc_id]
        assert sample.logprobs == pytest.approx(plain, rel=1e-6, abs=1e-5)
        assert 0 <= sample.effective_shots < 5


@pytest.mark.parametrize("separator", ["\n", "", "\n\n"])
def test_effective_shots_with_the_separator_inside_a_shot(separator, load_tiny):
    _, tokenizer = load_tiny("tiny-llama-ko")
    protocol = load_protocol("ko-harness").model_copy(update={"separator": separator})
    question = build_questions(protocol, load_task("boolq", "mini"), 3, 1)[0]
    request = question.requests[0]
    starts = [request.context.index("내용: ")]
    for _ in range(2):
        starts.append(request.context.index("내용: ", starts[-1] + 1))
    assert list(question.shot_starts) == starts
    num_tokens = len(encode_question(tokenizer, protocol, question, 2048).requests[0].inputs)
    for max_length, whole in ((num_tokens, 3), (num_tokens - 8, 2)):
        assert encode_question(tokenizer, protocol, question, max_length).effective_shots == whole


def test_a_seam_inside_a_token_is_cut_as_in_lm_eval(load_tiny):
    model, tokenizer = load_tiny("tiny-llama-ko")
    harness = HFLM(pretrained=model, tokenizer=tokenizer)
    data = load_task("sentineg", "mini")
    question = build_questions(load_protocol("lm-eval"), data, 0, 1)[0]
    found = set()
    for context, continuation in (("나는 학", "교에 간다"), ("나는 ", " 간다"), ("밥을", " 먹")):
        requests = (Request(doc_id=0, choice=0, context=context, continuation=continuation),)
        asked = question.model_copy(update={"requests": requests})
        encoded = encode_question(tokenizer, load_protocol("lm-eval"), asked, 2048).requests[0]
        expected = harness._encode_pair(context, continuation)
        assert (encoded.ids[: encoded.start], encoded.ids[encoded.start :]) == expected
        whole = tokenizer(context + continuation)["input_ids"]
        found.add(whole == encoded.ids)
    assert found == {True, False}, "one seam at least lies inside a token"


def test_the_first_of_equal_choices_wins():
    data = load_task("hellaswag", "mini")
    question = build_questions(load_protocol("polyglot"), data, 0, 1)[0]
    question = question.model_copy(update={"choice_chars": (10, 5, 20, 10)})
    scores = QuestionScores(logprobs=(-4.0, -2.0, -2.0, -8.0), effective_shots=0)
    sample = make_sample(question, scores)
    assert (sample.pred, sample.pred_norm) == (1, 2)
    tied = QuestionScores(logprobs=(-4.0, -2.0, -8.0, -8.0), effective_shots=0)
    assert make_sample(question, tied).pred_norm == 0


def test_effective_shots_are_those_left_in_the_text(load_tiny):
    _, tokenizer = load_tiny("tiny-llama-ko")
    protocol = load_protocol("polyglot")
    question = build_questions(protocol, load_task("sentineg", "mini"), 6, 1)[0]
    seen = set()
    for max_length in range(8, 200):
        encoded = encode_question(tokenizer, protocol, question, max_length)
        texts = [tokenizer.decode(r.ids[: r.start]) for r in encoded.requests]
        context = question.requests[0].context
        parts = context.split("\n\n")
        expected = min(
            max(n for n in range(7) if n == 0 or text.endswith("\n\n".join(parts[6 - n :])))
            for text in texts
        )
        assert encoded.effective_shots == expected
        seen.add(expected)
    assert seen == set(range(7))


def test_a_large_vocabulary_runs_the_decoder_once(questions, load_tiny, monkeypatch):
    model, tokenizer = load_tiny("tiny-llama-ko")
    passes, chunks = [], []
    hooks = [
        model.model.layers[0].register_forward_pre_hook(lambda *_: passes.append(1)),
        model.lm_head.register_forward_pre_hook(lambda _, args: chunks.append(args[0].shape[1])),
    ]
    encoded = encode_question(tokenizer, load_protocol("polyglot"), questions[0], 2048)
    whole = score_requests(model, encoded.requests)
    assert (len(passes), len(chunks)) == (1, 1)
    monkeypatch.setattr(scoring, "_CHUNK_LOGITS", 3 * 4000)
    assert_close(score_requests(model, encoded.requests), whole)
    assert len(passes) == 2
    assert max(chunks[1:]) == 3
    assert sum(chunks[1:]) == chunks[0]
    for hook in hooks:
        hook.remove()
    assert "forward" not in vars(model.get_decoder())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("capped", [False, True])
def test_a_vocabulary_in_chunks_is_the_whole_one(capped, dtype, monkeypatch):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 999}
    capping = {"final_logit_softcapping": 2.0 if capped else None}
    model = Gemma3ForCausalLM(Gemma3TextConfig(**sizes, **heads, **capping)).eval().to(dtype)
    requests = [
        EncodedRequest([1, 2, 3, *torch.randint(999, (9,)).tolist()], n) for n in range(2, 9)
    ]
    whole = score_requests(model, requests)
    seen = set()
    count_logits = scoring._logsumexp
    monkeypatch.setattr(
        scoring, "_logsumexp", lambda *args: seen.add(args[0].shape[1]) or count_logits(*args)
    )
    monkeypatch.setattr(scoring, "_FEWEST_COLUMNS", 100)
    monkeypatch.setattr(scoring, "_CACHED_LOGITS", 100)
    assert_close(score_requests(model, requests), whole)
    assert seen == {100, 99}
    with torch.inference_mode():
        for request, score in zip(requests, whole, strict=True):
            logits = model(torch.tensor([request.inputs])).logits[0, request.start - 1 :].float()
            tops = logits.argmax(-1) == torch.tensor(request.ids[request.start :])
            assert score.is_greedy == bool(tops.all())
    model.lm_head.weight.data.zero_()  # all tokens are equal, in all chunks
    equals = [EncodedRequest([1, 2, 3, token], 3) for token in (0, 1, 150, 998)]
    assert [s.is_greedy for s in score_requests(model, equals)] == [True, False, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_tree_by_tree_is_attention_of_all(dtype, load_tiny, monkeypatch):
    model, tokenizer = load_tiny("tiny-llama-ko")
    model = copy.deepcopy(model).to(dtype)
    texts = ["오늘은 비가 온다", "오늘은 눈이 온다", "밥을 먹었다", "새가 날아간다", "길이 막혔다"]
    requests = [EncodedRequest(tokenizer(text)["input_ids"], 2) for text in texts]
    scores, rows = {}, {}
    usual = ALL_ATTENTION_FUNCTIONS["sdpa"]
    for fewest in (1, 1000):
        monkeypatch.setattr(forest, "_FEWEST_ATTENDING", fewest)
        rows[fewest] = []
        monkeypatch.setitem(
            ALL_ATTENTION_FUNCTIONS._local_mapping,
            "sdpa",
            lambda *args, n=fewest, **options: (
                rows[n].append(args[1].shape[2]) or usual(*args, **options)
            ),
        )
        scores[fewest] = [score.logprob for score in score_requests(model, requests)]
        monkeypatch.undo()
    assert scores[1] == pytest.approx(scores[1000], rel=1e-5 if dtype == torch.float32 else 0.02)
    assert len(set(rows[1000])) == 1
    assert max(rows[1]) < rows[1000][0] / 2
    assert sum(rows[1]) == sum(rows[1000])


def assert_close(a, b):
    assert [x.logprob for x in a] == pytest.approx([x.logprob for x in b], rel=1e-6, abs=1e-5)
    assert [x.is_greedy for x in a] == [x.is_greedy for x in b]


def test_greedy_is_the_likeliest_token_at_every_place(load_tiny):
    model, tokenizer = load_tiny("tiny-llama-ko")
    prompt = tokenizer("질문: 밥은 먹었니? 답변:")["input_ids"]
    ids = prompt
    for _ in range(3):
        with torch.inference_mode():
            ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
    other = [*ids[:-1], ids[-1] + 1]
    requests = [EncodedRequest(each, len(prompt)) for each in (ids, other)]
    assert [score.is_greedy for score in score_requests(model, requests)] == [True, False]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_as_alone(dtype, questions, load_tiny):
    model, tokenizer = load_tiny("tiny-llama-ko")
    half = copy.deepcopy(model).to(dtype)
    samples = score(half, tokenizer, questions, "polyglot")
    exact = score(model, tokenizer, questions, "polyglot")
    for question in questions:
        encoded = encode_question(tokenizer, load_protocol("polyglot"), question, 2048)
        plain = [score_plainly(half, r.ids, r.start) for r in encoded.requests]
        logprobs = samples[question.doc_id].logprobs
        # All round, each in its own way; none may be off by more than that.
        assert logprobs == pytest.approx(plain, rel=0.01)
        assert logprobs == pytest.approx(exact[question.doc_id].logprobs, rel=0.02)


# --- the forest --------------------------------------------------------------------------------


def test_the_docstrings_forest():
    forest, paths = build_forest([[1, 2, 5, 6], [1, 2, 3, 4], [7, 8], [1, 2, 3]])
    assert forest.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert forest.positions.tolist() == [0, 1, 2, 3, 2, 3, 0, 1]
    assert forest.ends.tolist() == [6, 6, 4, 4, 6, 6, 8, 8]
    assert [path.tolist() for path in paths] == [[0, 1, 4, 5], [0, 1, 2, 3], [6, 7], [0, 1, 2]]


def test_random_forests_see_their_ancestors_and_nothing_else():
    rng = random.Random(0)
    for _ in range(50):
        sequences = [rng.choices(range(3), k=rng.randint(1, 7)) for _ in range(9)]
        forest, paths = build_forest(sequences)
        for sequence, path in zip(sequences, paths, strict=True):
            assert forest.tokens[path].tolist() == sequence
            row = path[-1]
            nodes = np.arange(len(forest.ends))
            seen = np.flatnonzero((nodes <= row) & (row < forest.ends))
            assert seen.tolist() == path.tolist()
            assert forest.positions[path].tolist() == list(range(len(path)))


def test_a_question_too_long_splits_where_its_choices_part():
    requests = [EncodedRequest(ids, 1) for ids in ([1, 2, 3, 4, 5], [1, 2, 3, 9, 5], [2, 3, 4])]
    assert list(split_by_prefix(requests)) == [requests[:2], requests[2:]]


# --- architectures -----------------------------------------------------------------------------

SMALL = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MIXED = ["sliding_attention", "full_attention"] * 2


def make_random_model(name):
    torch.manual_seed(0)
    if name == "gemma3":
        config = Gemma3TextConfig(**SMALL, head_dim=16, sliding_window=6, layer_types=MIXED)
        return Gemma3ForCausalLM(config).eval()
    if name == "mistral":
        return MistralForCausalLM(MistralConfig(**SMALL, sliding_window=6)).eval()
    if name == "qwen2-sliding":
        extra = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2}
        return Qwen2ForCausalLM(Qwen2Config(**SMALL, **extra)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**SMALL)).eval()


@pytest.mark.parametrize("name", ["gemma3", "mistral", "qwen2", "qwen2-sliding"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_other_architectures_score_as_alone(name, attention):
    model = make_random_model(name)
    model.set_attn_implementation(attention)
    rng = random.Random(1)
    requests = []
    for _ in range(4):
        context = rng.choices(range(3, 128), k=rng.randint(5, 25))
        for _ in range(3):
            choice = rng.choices(range(3, 128), k=rng.randint(1, 12))
            requests.append(EncodedRequest(context + choice, len(context)))
    assert find_obstacle(model, 256) is None
    plain = [score_plainly(model, r.ids, r.start) for r in requests]
    found = [score.logprob for score in score_requests(model, requests)]
    assert found == pytest.approx(plain, rel=1e-6, abs=1e-5)


def test_scores_that_are_no_numbers_are_refused(load_tiny):
    model, _ = load_tiny("tiny-llama-ko")
    broken = copy.deepcopy(model)
    broken.model.norm.weight.data.fill_(float("inf"))
    with pytest.raises(ModelError, match="a score is not finite in"):
        score_requests(broken, [EncodedRequest([5, 6, 7], 1)])


# --- limits ------------------------------------------------------------------------------------


def test_out_of_memory_halves_the_batch(questions, load_tiny, monkeypatch):
    model, tokenizer = load_tiny("tiny-llama-ko")
    samples = score(model, tokenizer, questions, "polyglot", 4096)
    sizes = []

    def fail_when_large(model, requests):
        sizes.append(len(requests))
        if len(requests) > 8:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return score_requests(model, requests)

    monkeypatch.setattr(scoring, "score_requests", fail_when_large)
    monkeypatch.setattr(scoring, "find_obstacle", lambda *_: None)
    assert_equal_scores(score(model, tokenizer, questions, "polyglot", 4096), samples)
    assert max(sizes) > 8 >= min(sizes)
    too_large = [size for size in sizes if size > 8]
    assert sizes[: len(too_large)] == too_large, "no later pass tries what did not fit"


def test_one_question_out_of_memory_is_said(questions, load_tiny, monkeypatch):
    def fail(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(scoring, "score_requests", fail)
    monkeypatch.setattr(scoring, "find_obstacle", lambda *_: None)
    with pytest.raises(ModelError, match="does not fit"):
        score(*load_tiny("tiny-llama-ko"), questions, "polyglot")


def test_a_continuation_longer_than_the_model_is_said(questions, load_tiny):
    _, tokenizer = load_tiny("tiny-llama-ko")
    with pytest.raises(DataError, match="expected 1 to 3"):
        encode_question(tokenizer, load_protocol("polyglot"), questions[0], 3)
