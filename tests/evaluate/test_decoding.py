"""Many texts at a time: each is what plain ``generate`` writes alone, whoever shares its batch."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from bench.self_checks import build_model
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from kot_platypus.errors import DataError
from kot_platypus.evaluate.decoding import Decoder, TextGenerator
from kot_platypus.evaluate.texts import Prompt, Sampling, Settings
from kot_platypus.evaluate.writing import Job

MODELS = ("tiny-llama-ko", "tiny-polyglot-ko")
NEW = 24


def make_prompts(vocab_size: int = 2000, *, count: int = 13) -> list[list[int]]:
    """Prompts of 1 to 60 tokens; some begin alike, two are the same."""
    rng = random.Random(3)
    prompts = [[rng.randrange(5, 90) for _ in range(n)] for n in (1, 2, 60, 7, 31, 18)]
    prompts += [prompts[2][:40] + [rng.randrange(5, 90)] * 9, prompts[4] + [11, 12], prompts[4]]
    prompts += [[rng.randrange(5, 90) for _ in range(n)] for n in (3, 44, 25, 12)]
    assert vocab_size > 90
    return prompts[:count]


def write(decoder: Decoder, prompts: list[list[int]], max_new_tokens: int = NEW, **options: Any):
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    done = {job.place: job.written for job in decoder.write(jobs, max_new_tokens, **options)}
    return [done[place] for place in range(len(prompts))]


def write_plainly(model: Any, prompts: list[list[int]], stops: list[int], new: int = NEW):
    """One prompt at a time, by transformers."""
    texts = []
    for ids in prompts:
        with torch.inference_mode():
            whole = model.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=new,
                do_sample=False,
                eos_token_id=stops or None,
                pad_token_id=0,
            )
        written = whole[0, len(ids) :].tolist()
        texts.append(written[:-1] if written[-1] in stops else written)
    return texts


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, load_tiny: Any) -> Any:
    return load_tiny(request.param)[0]


@pytest.fixture(scope="module")
def plain(model: Any) -> list[list[int]]:
    return write_plainly(model, make_prompts(), [])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("max_rows", [1, 3, 5, 32])
def test_texts_of_a_batch_are_those_written_alone(model, plain, max_rows):
    assert write(Decoder(model, [], max_rows=max_rows), make_prompts()) == plain


def test_order_of_prompts_changes_no_text(model, plain):
    assert write(Decoder(model, [], max_rows=4), make_prompts()[::-1]) == plain[::-1]


def test_rows_that_fall_free_are_given_to_the_next(model, plain):
    # Each token may be the one that stops a text, so they leave at different steps.
    stops = [token for text in plain[::3] for token in text[4:20:5]]
    decoder = Decoder(model, stops, max_rows=3)
    expected = write_plainly(model, make_prompts(), stops)
    assert write(decoder, make_prompts()) == expected
    assert len(set(map(len, expected))) > 1


@pytest.mark.one_in(2)
def test_long_texts_outlive_the_buffers_columns(model):
    """More steps than spare columns: the rows are moved to the left, several times."""
    prompts = make_prompts(count=5)
    stops = write_plainly(model, prompts[:1], [], 9)[0][-1:]
    expected = write_plainly(model, prompts, stops, 150)
    assert write(Decoder(model, stops, max_rows=2), prompts, 150) == expected


def test_cache_bounds_the_rows_and_not_the_texts(model, plain):
    decoder = Decoder(model, [], max_rows=32)
    step, most = decoder._step, 0

    def count_bytes() -> torch.Tensor:
        nonlocal most
        logits = step()
        buffers = [b for layer in decoder._rows.layers for b in (layer.keys, layer.values)]
        most = max(most, sum(b.numel() * b.element_size() for b in buffers))
        return logits

    decoder._step = count_bytes  # type: ignore[method-assign]
    decoder.max_cache_bytes = 4 * 150 * decoder._token_bytes
    assert write(decoder, make_prompts()) == plain
    assert 0 < most <= decoder.max_cache_bytes


def test_prompt_that_was_just_read_is_not_read_again(model):
    decoder, lengths = Decoder(model, [], max_rows=4), []
    inner = model.get_decoder()
    handle = inner.register_forward_pre_hook(
        lambda _m, args, kwargs: lengths.append((*args, kwargs.get("input_ids"))[0].shape),
        with_kwargs=True,
    )
    try:
        write(decoder, [[*range(5, 45), 50], [*range(5, 45), 51], [*range(5, 45), 50]], 1)
    finally:
        handle.remove()
    assert lengths == [(1, 40), (3, 1)]


def test_sliding_windows_and_grouped_heads_change_nothing():
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=4, head_dim=8,
        num_attention_heads=4, num_key_value_heads=1, sliding_window=16,
        max_position_embeddings=256, layer_types=["sliding_attention", "full_attention"] * 2,
    )  # fmt: skip
    model = Gemma3ForCausalLM(config).eval()
    prompts = make_prompts()
    expected = write_plainly(model, prompts, [])
    assert write(Decoder(model, [], max_rows=4), prompts) == expected


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("family", "window"),
    [
        ("mistral", "sliding_window"),
        ("exaone4", "sliding_window"),
        ("llama4_text", "attention_chunk_size"),
        ("gpt_neo", "window_size"),
        ("bloom", None),
        ("mpt", None),
        ("falcon, alibi", None),
    ],
)
def test_windows_and_biases_count_from_where_a_text_begins(family, window):
    """Texts longer than the window, padded on the left, of models with and without positions."""
    model = build_model(family, 3, **({window: 16} if window else {}))
    prompts = make_prompts()
    assert write(Decoder(model, [], max_rows=4), prompts) == write_plainly(model, prompts, [])


def test_a_stray_window_is_none_here_either():
    """transformers' ``generate`` forgets what lies beyond it; the model itself does not."""
    model = build_model("llama, stray window", 3, sliding_window=16)
    prompts = make_prompts(count=4)
    for ids, written in zip(prompts, write(Decoder(model, []), prompts), strict=True):
        for t, token in enumerate(written):
            with torch.inference_mode():
                assert token == model(torch.tensor([ids + written[:t]])).logits[0, -1].argmax()


@pytest.mark.one_in(5)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["gemma3_text", "gpt_neox", "qwen3_moe"])
def test_texts_in_half_precision_are_the_likeliest_but_for_rounding(family, dtype):
    """Each token is, in float32 and from the whole text, nearly the likeliest."""
    exact = build_model(family, 3)
    model, prompts = copy.deepcopy(exact).to(dtype), make_prompts()
    for ids, written in zip(prompts, write(Decoder(model, []), prompts), strict=True):
        with torch.inference_mode():
            logits = exact(torch.tensor([ids + written])).logits[0, len(ids) - 1 : -1]
        picked = logits[range(NEW), written]
        assert ((logits.max(-1).values - picked) < 0.1 * logits.std(-1)).all()


# --- samples -----------------------------------------------------------------------------------


def draw(decoder: Decoder, prompts: list[list[int]], seeds: list[int], temperature: float = 1.0):
    jobs = [
        Job(i, ids, np.random.default_rng(seed))
        for i, (ids, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    done = {
        job.place: job.written
        for job in decoder.write(jobs, NEW, Sampling(temperature=temperature))
    }
    return [done[i] for i in range(len(prompts))]


@pytest.mark.one_in(2)
def test_company_changes_no_draw(model):
    prompts, seeds = make_prompts(), list(range(13))
    together = draw(Decoder(model, [], max_rows=32), prompts, seeds)
    assert draw(Decoder(model, [], max_rows=3), prompts[::-1], seeds[::-1])[::-1] == together
    alone = Decoder(model, [], max_rows=1)
    assert [draw(alone, [p], [s])[0] for p, s in zip(prompts, seeds, strict=True)] == together


def test_seeds_of_one_prompt_draw_different_texts(model):
    texts = draw(Decoder(model, [], max_rows=8), [make_prompts()[3]] * 6, list(range(6)))
    assert len({tuple(text) for text in texts}) == 6


@pytest.mark.one_in(2)
def test_draws_have_the_models_probabilities(model):
    """Of 4,000 first tokens, each likely one comes as often as it should: within 5 deviations."""
    ids, temperature = make_prompts()[4], 0.7
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    probs = (logits.double() / temperature).softmax(-1)
    decoder, rng, n = Decoder(model, [], max_rows=500), np.random.default_rng(0), 4000
    jobs = [Job(i, ids, rng) for i in range(n)]
    counts = torch.zeros(len(probs))
    for job in decoder.write(jobs, 1, Sampling(temperature=temperature)):
        counts[job.written[0]] += 1
    top = probs.topk(8).indices
    deviation = (probs[top] * (1 - probs[top]) / n).sqrt()
    assert ((counts[top] / n - probs[top]).abs() < 5 * deviation).all()


def test_almost_no_temperature_is_greedy(model, plain):
    prompts = make_prompts()
    assert draw(Decoder(model, []), prompts, list(range(13)), temperature=1e-4) == plain


# --- texts -------------------------------------------------------------------------------------

SETTINGS = Settings(max_new_tokens=30, stop_line="문장: ")


@pytest.fixture(scope="module", params=MODELS)
def engine(request: pytest.FixtureRequest, load_tiny: Any) -> TextGenerator:
    return TextGenerator(*load_tiny(request.param), max_rows=4)


def test_text_ends_after_a_whole_line_of_the_kind_that_stops(engine):
    # What the tiny models write begins with a line "문장: ...".
    free, stopped, opened = (
        next(engine.generate([Prompt(text=text)], settings))[1]
        for text, settings in (
            ("질문: 사과는?\n답변:\n", SETTINGS.model_copy(update={"stop_line": "없음"})),
            ("질문: 사과는?\n답변:\n", SETTINGS),
            ("질문: 사과는?\n답변:\n문장:", SETTINGS.model_copy(update={"stop_line": ""})),
        )
    )
    assert free.num_tokens == 30
    assert stopped.num_tokens < 30
    assert free.text.startswith(stopped.text)
    assert stopped.text.startswith("문장: ")
    assert stopped.text.endswith("\n")
    assert opened.text.count("\n") == 1
    assert opened.text.endswith("\n")


def test_text_ends_at_end_of_text_and_does_not_count_it(engine, monkeypatch):
    settings = SETTINGS.model_copy(update={"stop_line": "없음", "max_new_tokens": 8})
    free = next(engine.generate([Prompt(text="이")], settings))[1]
    third = engine.tokenizer(free.text, add_special_tokens=False)["input_ids"][2]
    monkeypatch.setattr(engine.model.generation_config, "eos_token_id", third)
    again = TextGenerator(engine.model, engine.tokenizer)
    text = next(again.generate([Prompt(text="이")], settings))[1]
    assert text.num_tokens == 2
    assert free.text.startswith(text.text)


def test_prompt_that_leaves_no_room_is_refused_and_not_cut(engine):
    with pytest.raises(DataError, match="at most"):
        list(engine.generate([Prompt(text="사과 " * 5000)], SETTINGS))
