from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.records import Example
from kot_platypus.train.encoding import encode_example

EXAMPLE = Example(source="사과 3개와 배 4개는 모두 몇 개인가?", rationale="3+4=7개.", target="7개")
TEMPLATE = load_template("kot")


@pytest.fixture(params=["tiny-llama-ko", "tiny-polyglot-ko"])
def tokenizer(request: pytest.FixtureRequest, shared: Path):
    return load_tokenizer(shared / "models" / request.param)


def decode(tokenizer, ids) -> str:
    return tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("target", "response"),
    [
        ("rationale_answer", "3+4=7개.\n정답: 7개"),
        ("rationale", "3+4=7개."),
        ("answer", "정답: 7개"),
    ],
)
def test_the_response_is_the_target_and_eos(tokenizer, target, response):
    encoded = encode_example(EXAMPLE, TEMPLATE, target, tokenizer, 512)
    shown, learnt = encoded.ids[: encoded.prompt_len], encoded.ids[encoded.prompt_len :]
    assert decode(tokenizer, shown) == TEMPLATE.render_prompt(EXAMPLE.source)
    assert decode(tokenizer, learnt) == response + tokenizer.eos_token


def test_truncation_cuts_the_rationale_and_never_the_answer(tokenizer):
    long = EXAMPLE.model_copy(update={"rationale": "하나 둘 셋 넷 다섯. " * 50})
    whole = encode_example(EXAMPLE, TEMPLATE, "rationale_answer", tokenizer, 512)
    cut = encode_example(long, TEMPLATE, "rationale_answer", tokenizer, len(whole.ids))
    assert len(cut.ids) == len(whole.ids)
    assert decode(tokenizer, cut.ids).endswith("\n정답: 7개" + tokenizer.eos_token)


def test_a_cut_rationale_alone_has_no_eos_it_did_not_reach(tokenizer):
    long = EXAMPLE.model_copy(update={"rationale": "하나 둘 셋 넷 다섯. " * 50})
    cut = encode_example(long, TEMPLATE, "rationale", tokenizer, 64)
    assert len(cut.ids) <= 64
    assert cut.ids[-1] != tokenizer.eos_token_id


def test_an_example_with_nothing_left_to_learn_is_dropped(tokenizer):
    prompt_len = encode_example(EXAMPLE, TEMPLATE, "answer", tokenizer, 512).prompt_len
    for target in ("rationale_answer", "rationale", "answer"):
        assert encode_example(EXAMPLE, TEMPLATE, target, tokenizer, prompt_len) is None


def test_prompt_tokens_are_those_of_the_prompt_alone(tokenizer):
    encoded = encode_example(EXAMPLE, TEMPLATE, "rationale_answer", tokenizer, 512)
    alone = tokenizer(TEMPLATE.render_prompt(EXAMPLE.source))["input_ids"]
    assert list(encoded.ids[: encoded.prompt_len]) == alone
