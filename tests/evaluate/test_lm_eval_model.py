from __future__ import annotations

import random
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from lm_eval import evaluator, simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from kot_platypus.errors import DataError, UsageError
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.keys import make_request_key
from kot_platypus.evaluate.lm_eval_model import KotLM, group_requests
from kot_platypus.evaluate.scoring import Scorer, count_tokens
from kot_platypus.evaluate.store import RequestStore
from kot_platypus.models import load_model
from tests.evaluate.lm_eval_tasks import NUM_DOCUMENTS, TASKS, open_manager, write_tasks

MODELS = ["tiny-llama-ko", "tiny-polyglot-ko"]
FIXED = {"dtype": "float32", "device": "cpu"}
MAX_LENGTH = 48
"""So short that contexts with shots are cut and texts take several windows."""


def run_tasks(lm, folder, tasks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "add_env_info", lambda _: None)  # asks pip, for seconds
        manager = open_manager(folder)
        return simple_evaluate(model=lm, tasks=tasks, task_manager=manager, bootstrap_iters=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def run_both(shared, folder):
    """``run_both(model)`` -> lm-eval's results with our model class and with its own."""

    @cache
    def run(name):
        model = str(shared / "models" / name)
        ours = KotLM(model, **FIXED, max_length=MAX_LENGTH, batch_size=4, max_batch_tokens=256)
        theirs = HFLM(model, **FIXED, max_length=MAX_LENGTH, batch_size=4)
        return tuple(run_tasks(lm, folder, list(TASKS)) for lm in (ours, theirs))

    return run


def make_requests(*pairs):
    return [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]


def list_answers(lm, *pairs):
    return lm.loglikelihood(make_requests(*pairs), disable_tqdm=True)


# --- lm-eval's own backend ---------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_every_response_is_the_hf_backends(name, task, run_both):
    ours, theirs = (run["samples"][task] for run in run_both(name))
    assert len(ours) == len(theirs) == NUM_DOCUMENTS
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["arguments"] == other["arguments"]
        for a, b in zip(mine["filtered_resps"], other["filtered_resps"], strict=True):
            assert a == (b if isinstance(b, str) else pytest.approx(b, rel=0, abs=1e-4))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_every_metric_is_the_hf_backends(name, task, run_both):
    ours, theirs = (run["results"][task] for run in run_both(name))
    numbers = {key: value for key, value in theirs.items() if isinstance(value, float)}
    assert numbers
    assert {key: ours[key] for key in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_these_tasks_are_cut_on_the_left_and_take_several_windows(name, run_both, shared):
    """Else the comparison would say less than it seems to."""
    samples = run_both(name)[0]["samples"]
    tokenizer = KotLM(str(shared / "models" / name), **FIXED).tokenizer
    for task in ("choice_drawn", "choice_shared", "whole"):
        texts = ["".join(arguments) for s in samples[task] for arguments in s["arguments"]]
        assert max(len(tokenizer(text)["input_ids"]) for text in texts) > MAX_LENGTH + 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "options", [{"add_bos_token": True}, {"add_bos_token": False}, {"prefix_token_id": 7}]
)
def test_options_mean_what_they_mean_to_the_hf_backend(name, options, shared):
    model = str(shared / "models" / name)
    pairs = [("", " 눈이 온다"), ("길이 ", "막혔다"), ("<s>날이 더워서", " 물을 마셨다")]
    ours = list_answers(KotLM(model, **FIXED, **options), *pairs)
    theirs = list_answers(HFLM(model, **FIXED, **options), *pairs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=0, abs=1e-4)


@pytest.fixture(scope="module")
def tiny(shared):
    return KotLM(shared / "models" / MODELS[0], **FIXED)


@pytest.mark.parametrize("bos", [None, True, False])
def test_texts_encoded_ahead_have_the_tokens_of_texts_alone(bos, shared):
    lm = KotLM(shared / "models" / MODELS[0], **FIXED, add_bos_token=bos)
    texts = ["", "날이 더워서", "<s>날이 더워서", "  두 칸", "끝 "]
    assert lm._encode_all(texts) == {text: HFLM.tok_encode(lm, text) for text in texts}


def test_what_greedy_decoding_gives_is_said_to_be_greedy(tiny):
    context = "날이 더워서"
    logits = tiny.model(**tiny.tokenizer(context, return_tensors="pt")).logits[0, -1]
    order = logits.argsort(descending=True).tolist()
    tokens = [(None, tiny.tok_encode(context), [token]) for token in order[:2]]
    assert [greedy for _, greedy in tiny._loglikelihood_tokens(tokens)] == [True, False]


def test_a_loaded_model_is_taken_as_it_is(tiny, load_tiny):
    model, tokenizer = load_tiny(MODELS[0])
    loaded = KotLM(model, tokenizer)
    pair = ("날이 더워서", " 물을 마셨다")
    assert loaded.model is model
    assert list_answers(loaded, pair) == list_answers(tiny, pair)


def test_an_adapter_is_put_on_top(shared, tmp_path, tiny):
    model = shared / "models" / MODELS[0]
    torch.manual_seed(0)
    tuned = get_peft_model(load_model(model, **FIXED), LoraConfig(target_modules=["q_proj"]))
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            weights.data.fill_(2)
    tuned.save_pretrained(tmp_path)
    pair = ("날이 더워서", " 물을 마셨다")
    (ours,) = list_answers(KotLM(model, **FIXED, adapter=tmp_path), pair)
    (theirs,) = list_answers(HFLM(str(model), **FIXED, peft=str(tmp_path)), pair)
    assert ours == pytest.approx(theirs, rel=0, abs=1e-4)
    assert ours != pytest.approx(list_answers(tiny, pair)[0], rel=0, abs=1e-2)


def test_lm_eval_finds_the_class_by_name(shared):
    options = {"pretrained": str(shared / "models" / MODELS[0]), **FIXED}
    assert get_model("kot") is KotLM
    assert KotLM.create_from_arg_obj(options, {"batch_size": 2}).batch_size == 2


def test_the_order_of_requests_changes_nothing(tiny):
    pairs = [(f"{n} 더하기 {m}", f" {n + m}") for n in range(4) for m in range(4)]
    shuffled = random.Random(0).sample(pairs, len(pairs))
    first, second = (  # one model each: it remembers what it has scored
        dict(zip(order, list_answers(KotLM(tiny.model, tiny.tokenizer), *order), strict=True))
        for order in (pairs, shuffled)
    )
    assert {pair: first[pair] for pair in shuffled} == second


# --- what is refused ---------------------------------------------------------------------------


def test_an_option_that_would_have_no_effect_is_refused(load_tiny):
    with pytest.raises(UsageError, match="takes no parallelize"):
        KotLM(*load_tiny(MODELS[0]), parallelize=True)


def test_a_continuation_without_tokens_is_said(tiny):
    with pytest.raises(DataError, match="continuation '' has 0 tokens"):
        list_answers(tiny, ("날이", ""))


def test_a_context_without_tokens_is_said(tiny):
    with pytest.raises(DataError, match="context ' ' has no tokens"):
        tiny._loglikelihood_tokens([((" ", "날이"), [], [5])])


# --- nothing is scored twice -------------------------------------------------------------------


@pytest.fixture
def scored(monkeypatch):
    """The requests that the scorer is given, a batch after the other."""
    seen = []
    score = Scorer.score

    def watch(self, batch):
        seen.append([make_request_key(r) for group in batch for r in group.requests])
        return score(self, batch)

    monkeypatch.setattr(Scorer, "score", watch)
    return seen


def open_kept(model, tmp_path, **options):
    store = RequestStore(Path(model).name, tmp_path)
    return KotLM(model, **FIXED, store=store, max_batch_tokens=24, **options)


PAIRS = [
    (f"{n}번째 질문: 이 말은 맞는가?", answer) for n in range(9) for answer in (" 예", " 아니오")
]


def test_a_killed_run_keeps_its_scores_and_goes_on_to_the_same(
    shared, tmp_path, scored, monkeypatch
):
    model = shared / "models" / MODELS[0]
    whole = list_answers(KotLM(model, **FIXED, max_batch_tokens=24), *PAIRS)
    batches = scored.copy()
    assert len(batches) > 4
    scored.clear()
    watched, left = Scorer.score, iter(range(3))

    def die_at_the_fourth(self, batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return watched(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", die_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            list_answers(open_kept(model, tmp_path), *PAIRS)
    assert list_answers(open_kept(model, tmp_path), *PAIRS) == whole
    assert scored == batches


def test_equal_requests_are_scored_once(tiny, scored):
    fresh = KotLM(tiny.model, tiny.tokenizer)
    answers = list_answers(fresh, *PAIRS[:2], *PAIRS[:2])
    assert answers[:2] == answers[2:]
    assert sum(map(len, scored)) == 2


def test_another_model_never_gets_these_scores(shared, tmp_path, scored):
    one, two = shared / "models" / MODELS[0], tmp_path / "two"
    shutil.copytree(one, two)
    weights = load_file(two / "model.safetensors")
    weights["lm_head.weight"] *= 2
    save_file(weights, two / "model.safetensors", metadata={"format": "pt"})
    kept = [list_answers(open_kept(model, tmp_path / "kept"), *PAIRS) for model in (one, two)]
    assert kept == [
        list_answers(KotLM(m, **FIXED, max_batch_tokens=24), *PAIRS) for m in (one, two)
    ]
    assert kept[0] != kept[1]


def test_lm_evals_own_cache_is_told_of_each_batch(tiny, scored):
    told = []
    fresh = KotLM(tiny.model, tiny.tokenizer, max_batch_tokens=24)
    fresh.cache_hook.add_partial = lambda kind, texts, answer: told.append((texts, len(scored)))
    list_answers(fresh, *PAIRS)
    assert sorted(texts for texts, _ in told) == sorted(PAIRS)
    assert {after for _, after in told} == set(range(1, len(scored) + 1))


# --- grouping ----------------------------------------------------------------------------------


def make_group(context, *continuations):
    return [EncodedRequest([*context, *own], len(context)) for own in continuations]


def group(requests, max_tokens):
    keyed = {make_request_key(request): request for request in requests}
    return [g.requests for g in group_requests(keyed, max_tokens)]


def test_the_choices_of_a_document_meet_again_whatever_their_order():
    documents = [make_group([1, n, 7], [5, 6], [8, 9]) for n in range(9)]
    flat = [request for document in documents for request in document]
    shuffled = random.Random(1).sample(flat, len(flat))
    assert group(shuffled, 16) == documents


def test_a_context_of_very_many_requests_makes_groups_that_fit():
    requests = make_group([1], *([n, n, n] for n in range(100)))
    groups = group(requests, 16)
    assert sum(map(len, groups)) == 100
    assert max(map(count_tokens, groups)) <= 16


def test_choices_stay_together_where_their_context_is_longer_than_the_budget():
    requests = make_group(list(range(40)), *([n, n, n] for n in range(4)))
    assert group(requests, 16) == [requests]


def test_shots_that_documents_share_are_read_once_a_batch(tiny):
    shots = list(range(100, 200))
    requests = [r for n in range(20) for r in make_group([*shots, n], [5, 5], [6, 6])]
    keyed = {make_request_key(request): request for request in requests}
    scorer = Scorer(tiny.model, max_batch_tokens=64)
    plan = list(scorer.plan(group_requests(keyed, 64)))
    sizes = [count_tokens([r for g in batch for r in g.requests]) for batch in plan]
    assert len(plan) == 1
    assert sizes == [100 + 20 * 3]
