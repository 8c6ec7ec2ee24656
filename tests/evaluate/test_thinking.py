"""Generation by models that think, and how tokens are drawn."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from kot_platypus.answers import read_answer
from kot_platypus.artifacts import write_json
from kot_platypus.errors import UsageError
from kot_platypus.evaluate.decoding import Decoder, TextGenerator
from kot_platypus.evaluate.prompting import Question, build_prompt, split_rationale
from kot_platypus.evaluate.texts import (
    Prompt,
    Sampling,
    Settings,
    choose_sampling,
    render_text,
)
from kot_platypus.evaluate.writing import Job, PlainDecoder
from kot_platypus.prompts import load_template
from kot_platypus.records import Message
from kot_platypus.thoughts import cut_answer

from ..train import chat_templates

KOT, CHAT, THINK = (load_template(name) for name in ("kot", "chat", "think"))
ASKED = (Message(role="user", content="3+4는?"),)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("<think>\n정답: 3\n", None),
        ("<think>\n정답: 3\n</think>\n\n정답: 5\n더", "<think>\n정답: 3\n</think>\n\n정답: 5\n"),
        ("정답: 3\n</think>\n정답: 5\n더", "정답: 3\n</think>\n정답: 5\n"),
        ("풀이\n정답: 5\n더", "풀이\n정답: 5\n"),
    ],
)
def test_nothing_stops_inside_the_thoughts(text, cut):
    assert cut_answer(text, "정답: ") == cut


@pytest.fixture(scope="module")
def tiny(load_tiny: Any) -> tuple[Any, Any]:
    model, tokenizer = load_tiny("tiny-llama-ko")
    return model, copy.deepcopy(tokenizer)


def test_text_holds_the_tag_that_the_prompt_opened(tiny):
    model, tokenizer = tiny
    tokenizer.chat_template = chat_templates.R1
    settings = Settings(max_new_tokens=12, stop_line="문장: ")
    ((_, text),) = TextGenerator(model, tokenizer).generate(
        [Prompt(text="", messages=ASKED)], settings
    )
    assert text.text.startswith("<think>\n")
    assert text.truncated  # the tiny model knows no closing tag
    assert read_answer(text.text, "정답: ").strict is None


def test_text_that_is_done_is_not_truncated(tiny):
    model, tokenizer = tiny
    tokenizer.chat_template = chat_templates.CHATML
    for stop_line, truncated in (("문장: ", False), ("없음", True)):
        settings = Settings(max_new_tokens=30, stop_line=stop_line)
        prompt = Prompt(text="질문: 사과는?\n답변:\n")
        ((_, text),) = TextGenerator(model, tokenizer).generate([prompt], settings)
        assert text.truncated is truncated


@pytest.mark.parametrize("name", chat_templates.THINKING)
def test_direct_answer_stands_after_closed_thoughts(tiny, name):
    _, tokenizer = tiny
    tokenizer.chat_template = chat_templates.THINKING[name]
    prompt = build_prompt(Question("", 0, "3+4는?", "7"), CHAT, way="prefilled")
    tag = "thought" if name == "exaone-deep" else "think"
    assert render_text(prompt, tokenizer).endswith(f"<{tag}>\n\n</{tag}>\n\n정답:")


def test_direct_answer_in_the_template_think_has_empty_thoughts():
    prompt = build_prompt(Question("", 0, "3+4는?", "7"), THINK, way="prefilled")
    assert prompt.text == "질문: 3+4는?\n답변:\n<think>\n\n</think>\n\n정답:"


@pytest.mark.parametrize(
    ("output", "rationale"),
    [
        ("<think>\n정답: 3\n</think>\n\n정답: 5", "<think>\n정답: 3\n</think>\n\n"),
        ("<think>\n셋", "<think>\n셋\n</think>\n\n"),
        ("셋\n정답: 3\n", "셋\n"),
    ],
)
def test_what_stands_before_the_answer(output, rationale):
    assert split_rationale(output, KOT) == rationale


# --- sampling ----------------------------------------------------------------------------------


def write(decoder: Any, sampling: Sampling, seed: int | None) -> list[int]:
    draws = None if seed is None else np.random.default_rng(seed)
    ids = [7, 30, 41, 12, 60, 33]
    (job,) = decoder.write([Job(0, ids, draws)], 16, sampling)
    return list(job.written)


@pytest.mark.parametrize("kind", [Decoder, PlainDecoder])
@pytest.mark.parametrize("one", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=str)
def test_drawing_from_one_token_is_greedy(tiny, kind, one):
    decoder = kind(tiny[0], [])
    greedy = write(decoder, Sampling(), None)
    assert write(decoder, Sampling(temperature=1.0, **one), 3) == greedy
    assert write(decoder, Sampling(temperature=1.0), 3) != greedy


@pytest.mark.parametrize("kind", [Decoder, PlainDecoder])
def test_repetition_penalty_is_that_of_transformers(tiny, kind):
    model = tiny[0]
    ids = torch.tensor([[7, 30, 41, 12, 60, 33]])
    whole = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False,
        repetition_penalty=1.4, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    found = write(kind(model, []), Sampling(repetition_penalty=1.4), None)
    assert found == whole[0, 6:].tolist() != write(kind(model, []), Sampling(), None)


def test_model_says_itself_how_to_sample(tmp_path):
    assert choose_sampling("model", tmp_path) == Sampling()
    stated = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "eos_token_id": 2}
    write_json(tmp_path / "generation_config.json", stated)
    own = Sampling(temperature=0.6, top_p=0.95, top_k=20)
    assert choose_sampling("model", tmp_path, is_drawn=True) == own
    assert choose_sampling("model", tmp_path, 1.0).temperature == 1.0
    write_json(tmp_path / "generation_config.json", {"temperature": 0.6, "repetition_penalty": 1.1})
    greedy = Sampling(repetition_penalty=1.1)  # without do_sample transformers does not draw
    assert choose_sampling("model", tmp_path) == greedy


def test_sampling_in_lm_evals_form():
    found = choose_sampling("top_p=0.9, top_k=20", is_drawn=True)
    assert found == Sampling(temperature=0.7, top_p=0.9, top_k=20)
    for text, said in (
        ("top_q=1", "top_q: Extra inputs"),
        ("top_p=2", "top_p: Input should be less"),
        ("top_p:0.9", "top_p:0.9: no setting"),
        ("modle", "modle: no setting"),
        ("top_k=20,", "ending in a comma: no setting"),
        ("model", "with a server"),
    ):
        with pytest.raises(UsageError, match=said):
            choose_sampling(text)
