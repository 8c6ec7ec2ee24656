"""The self-checks accept every sound model in every dtype, and no unsound one."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
import torch
from bench.self_checks import SOUND, UNSOUND, build_model
from transformers import AutoModelForCausalLM, GPTNeoConfig, GPTNeoForCausalLM

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.decoding import BatchError, Decoder
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.scoring import Scorer, find_obstacle, score_requests
from kot_platypus.models.limits import find_max_length

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
QUICK_SOUND = ["llama", "gpt_neox", "gpt2", "falcon", "gemma3_text", "qwen3_moe", "gpt_oss"]
QUICK_UNSOUND = ["bloom", "mpt", "gpt_neo", "phi3, longrope", "mamba", "lfm2", "jamba"]


def score_exactly(model: Any, ids: list[int], start: int) -> float:
    """Independent of the scorer: one text, float64, the model's own mask, log-softmax, sum."""
    exact = copy.deepcopy(model).double()
    exact.set_experts_implementation("eager")  # of those that have experts: any dtype
    with torch.inference_mode():
        logprobs = exact(input_ids=torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    return float(sum(logprobs[t - 1, ids[t]] for t in range(start, len(ids))))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("family", QUICK_SOUND)
def test_a_sound_model_is_accepted_in_every_dtype(family, scale, dtype):
    model = build_model(family, scale).to(dtype)
    assert find_obstacle(model, 2048) is None
    Decoder(model, [])


@pytest.mark.one_in(7)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("family", QUICK_UNSOUND)
def test_an_unsound_model_reads_no_forest_in_any_dtype(family, scale, dtype):
    model = build_model(family, scale).to(dtype)
    if family == "mamba" and scale == 4 and dtype == torch.float16:
        with pytest.raises(ModelError, match=r"not finite in float16.*--dtype bfloat16"):
            find_obstacle(model, 2048)
    else:
        assert find_obstacle(model, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", [*SOUND, *UNSOUND])
def test_every_family(family, dtype):
    model = build_model(family, 2).to(dtype)
    assert (find_obstacle(model, 2048) is None) == (family in SOUND)


def test_a_window_in_rows_beyond_what_the_check_reads_is_not_trusted():
    """GPT-Neo with a window of 1,024: nothing of it shows in 300 rows."""
    config = GPTNeoConfig(
        vocab_size=128, hidden_size=32, num_layers=2, num_heads=2, window_size=1024,
        attention_types=[[["global", "local"], 1]], max_position_embeddings=2048,
    )  # fmt: skip
    assert "1024 tokens" in str(find_obstacle(GPTNeoForCausalLM(config).eval(), 2048))


def test_rows_of_a_recurrent_model_or_longrope_are_not_batched():
    for family in ("mamba", "lfm2", "phi3, longrope"):
        with pytest.raises(BatchError):
            Decoder(build_model(family), [])


def test_numbers_that_overflow_are_not_called_a_leak(load_tiny):
    broken = copy.deepcopy(load_tiny("tiny-llama-ko")[0]).half()
    broken.model.norm.weight.data.fill_(60000.0)
    for make in (Scorer, lambda model: Decoder(model, [])):
        with pytest.raises(ModelError, match=r"not finite in float16.*bfloat16 or.*float32"):
            make(broken)


def test_logits_of_many_nats_round_by_many_steps_and_are_accepted():
    """As Gemma 3's: in bfloat16 a token moves by more than half a nat, in any order of summing."""
    model = build_model("gemma3_text", 4)
    model.lm_head = copy.deepcopy(model.lm_head)
    model.lm_head.weight.data.mul_(400)
    half = copy.deepcopy(model).bfloat16()
    requests = make_requests(120)
    lengths = [len(r.ids) - r.start for r in requests]
    exact = [score_exactly(model, r.ids, r.start) for r in requests]
    found = [score.logprob for score in score_requests(half, requests)]
    assert max(abs(a - b) / n for a, b, n in zip(found, exact, lengths, strict=True)) > 0.5
    assert find_obstacle(half, 2048) is None
    Decoder(half, [])


# --- windows -----------------------------------------------------------------------------------


def make_requests(length: int, vocab_size: int = 500) -> list[EncodedRequest]:
    """Choices that part late and early, and another text, all beyond windows of 64."""
    draws = random.Random(1)
    base = [draws.randrange(5, vocab_size) for _ in range(length)]
    return [
        EncodedRequest([*base[:-4], 7, 8, 9], length - 4),
        EncodedRequest([*base[:-4], 10, 11], length - 4),
        EncodedRequest([*base[: length // 2], 33, 44, 55], length // 2),
        EncodedRequest([9, *base[: length // 3]], 3),
    ]


WINDOWED = [
    "llama, stray window", "mistral", "gemma2", "gemma3_text", "qwen2, window", "exaone4",
    "cohere2", "gpt_oss", "llama4_text",
]  # fmt: skip


@pytest.mark.one_in(2)
@pytest.mark.parametrize("family", WINDOWED)
def test_a_window_is_the_models_own(family):
    """Of 64 tokens, read far beyond: sliding, in chunks, of some layers, or a key left over."""
    model = build_model(family, 4)
    requests = make_requests(200)
    plain = [score_exactly(model, r.ids, r.start) for r in requests]
    assert find_obstacle(model, 2048) is None
    found = [score.logprob for score in score_requests(model, requests)]
    assert found == pytest.approx(plain, rel=1e-6, abs=2e-4)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["gpt_neox", "gpt2", "opt", "gemma", "falcon", "olmo2"])
def test_a_stray_window_changes_no_score(family, attention):
    model, requests = build_model(family, 4), make_requests(150)
    model.set_attn_implementation(attention)
    plain = [score_exactly(model, r.ids, r.start) for r in requests]
    model.config.sliding_window = 64
    scorer = Scorer(model, max_batch_tokens=512)
    found = [score.logprob for score in scorer._score_requests(requests)]
    assert found == pytest.approx(plain, rel=1e-6, abs=2e-4)


def test_the_case_of_a_llama_with_a_window_left_over(shared, tmp_path, load_tiny):
    """`sliding_window` in config.json of a Llama that was a Mistral."""
    folder = shared / "models" / "tiny-llama-ko"
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "sliding_window": 512}))
    stray = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert stray.config.sliding_window == 512
    requests = make_requests(900, 2000)
    found, expected = (
        [score.logprob for score in score_requests(model, requests)]
        for model in (stray, load_tiny("tiny-llama-ko")[0])
    )
    assert found == expected


# --- half precision ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_neox", "qwen3"])
def test_a_forest_in_half_precision_is_as_near_as_one_by_one(family, dtype):
    """Both round; the forest is no further from float64 than one by one, but for chance."""
    model, requests = build_model(family, 4), make_requests(120)
    exact = [score_exactly(model, r.ids, r.start) for r in requests]
    half = copy.deepcopy(model).to(dtype)
    together = [score.logprob for score in score_requests(half, requests)]
    alone = []
    for request in requests:
        with torch.inference_mode():
            logits = half(input_ids=torch.tensor([request.inputs])).logits[0].float()
        logprobs = logits.log_softmax(-1)[range(len(request.inputs)), request.ids[1:]]
        alone.append(float(logprobs[request.start - 1 :].sum()))
    lengths = torch.tensor([len(r.ids) - r.start for r in requests])
    errors = [
        float(((torch.tensor(scores) - torch.tensor(exact)) / lengths).abs().max())
        for scores in (together, alone)
    ]
    step = torch.finfo(dtype).eps * float(logprobs.abs().max())
    assert errors[0] < 3 * errors[1] + step


# --- lengths -----------------------------------------------------------------------------------


def test_the_longest_text_is_found_under_other_names(load_tiny):
    model, tokenizer = build_model("bloom"), copy.deepcopy(load_tiny("tiny-llama-ko")[1])
    tokenizer.model_max_length = 10**30
    assert find_max_length(model, tokenizer) == 2048
    tokenizer.model_max_length = 777
    assert find_max_length(model, tokenizer) == 777
    model.config.seq_length = 4096
    assert find_max_length(model, tokenizer) == 4096
    gpt2 = build_model("gpt2")
    gpt2.config.n_ctx = 4096  # as old files have it, with a table of n_positions
    assert find_max_length(gpt2) == 2048


def test_what_a_table_lacks_is_said():
    model = build_model("gpt2", n_positions=64)
    scorer = Scorer(model)
    assert scorer.max_length == 64
    group = type("Group", (), {"requests": [EncodedRequest([5, 6, 512], 1)]})()
    with pytest.raises(ModelError, match="token 512 for a gpt2 of 512 embeddings"):
        scorer.score([group])
    group.requests = [EncodedRequest([5] * 66, 60)]
    with pytest.raises(ModelError, match="a text of 65 tokens for a gpt2 of 64 positions"):
        scorer.score([group])
