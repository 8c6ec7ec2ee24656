from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from kot_platypus.models import load_tokenizer
from kot_platypus.prompts import load_template, load_templates
from kot_platypus.recipe import load_recipe
from kot_platypus.records import Example
from kot_platypus.train.encoding import Encoder, encode_rows, shuffle_rationales

from .conftest import encode_example

ALPACA = Example(source="옮겨라", input="Hello", rationale="안녕하세요.", target="")
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


@pytest.mark.parametrize("name", [t.name for t in load_templates().values() if not t.chat])
@pytest.mark.parametrize("target", ["rationale_answer", "rationale", "answer"])
def test_ids_are_those_of_the_joint_text_and_eos(tokenizer, name, target):
    """No tokenizer here has a token that spans a line break and a letter."""
    template = load_template(name)
    rationale = template.rationale.replace("{rationale}", EXAMPLE.rationale)
    response = {
        "rationale_answer": f"{rationale}\n{template.render_answer(EXAMPLE.target)}",
        "rationale": rationale,
        "answer": template.render_answer(EXAMPLE.target),
    }[target]
    joint = tokenizer(template.render_prompt(EXAMPLE.source) + response)["input_ids"]
    encoded = encode_example(EXAMPLE, template, target, tokenizer, 512)
    assert list(encoded.ids) == [*joint, tokenizer.eos_token_id]


def test_token_that_would_span_prompt_and_response_is_two(tokenizer):
    """A rationale that begins with a line break: with the prompt's it would be one token."""
    tokenizer.add_tokens(["\n\n"])
    prompt = TEMPLATE.render_prompt(EXAMPLE.source)
    row = EXAMPLE.model_copy(update={"rationale": "\n3+4=7개."})
    encoded = encode_example(row, TEMPLATE, "rationale", tokenizer, 512)
    shown, learnt = encoded.ids[: encoded.prompt_len], encoded.ids[encoded.prompt_len :]
    assert list(shown) == tokenizer(prompt)["input_ids"]
    assert decode(tokenizer, learnt) == "\n3+4=7개." + tokenizer.eos_token
    assert len(tokenizer(prompt + row.rationale)["input_ids"]) < len(encoded.ids) - 1


def test_no_space_comes_in_with_tokenizers_that_begin_every_text_with_one():
    """Llama 2's do: a response tokenised by itself would begin with a space."""
    tokenizer = make_metaspace_tokenizer()
    encoded = encode_example(EXAMPLE, TEMPLATE, "rationale_answer", tokenizer, 512)
    text = f"{TEMPLATE.render_prompt(EXAMPLE.source)}{EXAMPLE.rationale}\n정답: 7개"
    joint = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(encoded.ids) == [tokenizer.bos_token_id, *joint, tokenizer.eos_token_id]


def make_metaspace_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, a space before every text, BOS before and EOS after it."""
    texts = (TEMPLATE.render_prompt(EXAMPLE.source), EXAMPLE.rationale, "정답: 7개", "▁")
    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2}
    vocabulary |= {c: 3 + i for i, c in enumerate(sorted(set("".join(texts))))}
    inner = Tokenizer(BPE(vocabulary, [], unk_token="<unk>"))
    inner.pre_tokenizer = Metaspace(prepend_scheme="always", split=False)
    inner.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


# --- rows whose response is one piece ----------------------------------------------------------


@pytest.mark.parametrize("target", ["rationale_answer", "rationale"])
def test_alpaca_output_is_the_whole_response(tokenizer, target):
    template = load_template("alpaca")
    encoded = encode_example(ALPACA, template, target, tokenizer, 512)
    shown, learnt = encoded.ids[: encoded.prompt_len], encoded.ids[encoded.prompt_len :]
    assert decode(tokenizer, shown) == template.render_prompt("옮겨라", "Hello")
    assert decode(tokenizer, learnt) == "안녕하세요." + tokenizer.eos_token


def test_alpaca_row_has_no_answer_to_learn_alone(tokenizer):
    assert encode_example(ALPACA, TEMPLATE, "answer", tokenizer, 512) is None


@pytest.mark.parametrize("rationale", ["", " \n"])
@pytest.mark.parametrize("target", ["rationale_answer", "rationale", "answer"])
def test_row_that_says_nothing_is_dropped(tokenizer, target, rationale):
    row = Example(source="질문", rationale=rationale, target="")
    assert encode_example(row, TEMPLATE, target, tokenizer, 512) is None


def test_response_of_one_piece_is_cut_to_the_cutoff_and_loses_eos_first(tokenizer):
    """As Platypus's script cuts it: no room is kept for an EOS that will not be there."""
    whole = encode_example(ALPACA, TEMPLATE, "rationale", tokenizer, 512)
    assert whole.num_truncated == 0
    for num_truncated in range(1, whole.num_labels):
        cutoff_len = len(whole.ids) - num_truncated
        cut = encode_example(ALPACA, TEMPLATE, "rationale", tokenizer, cutoff_len)
        assert (cut.ids, cut.num_truncated) == (whole.ids[:cutoff_len], num_truncated)


@pytest.mark.parametrize("target", ["rationale_answer", "rationale", "answer"])
def test_no_cutoff_leaves_an_example_with_nothing_to_learn(tokenizer, target):
    """Such a one would make the mean of its losses 0 / 0."""
    lengths = range(1, 80)
    each = [encode_example(EXAMPLE, TEMPLATE, target, tokenizer, length) for length in lengths]
    assert all(
        item is None or 0 < item.num_labels <= len(item.ids) <= length
        for item, length in zip(each, lengths, strict=True)
    )


# --- shuffled rationales -----------------------------------------------------------------------

ROWS = [
    Example(source=f"q{i}", rationale=f"r{i}" if i != 4 else "", target=f"a{i}", task=task)
    for i, task in enumerate(["chain"] * 6 + ["sum"] * 2 + ["alone", "lonely"])
]


def test_every_row_has_the_rationale_of_another_of_its_task_and_its_own_answer():
    shuffled = shuffle_rationales(ROWS)
    assert [(row.source, row.target, row.task) for row in shuffled] == [
        (row.source, row.target, row.task) for row in ROWS
    ]
    assert all(
        a.rationale != b.rationale for a, b in zip(ROWS, shuffled, strict=True) if a.rationale
    )
    by_task = [
        [sorted(row.rationale for row in rows if row.task == task) for task in ("chain", "sum")]
        for rows in (ROWS, shuffled)
    ]
    assert by_task[0] == by_task[1]
    assert [row.rationale for row in shuffled[8:]] == ["r9", "r8"]  # alone in their tasks


def test_what_has_no_rationale_to_exchange_stays_as_it_is():
    assert shuffle_rationales([ALPACA, EXAMPLE]) == [ALPACA, EXAMPLE]
    assert shuffle_rationales(ROWS)[4] == ROWS[4]


def test_shuffled_rationales_are_learnt_as_rationales_are(tokenizer):
    section = load_recipe("self-taught", []).train.model_copy(
        update={"target": "shuffled_rationale"}
    )
    encoded = encode_rows(Encoder(TEMPLATE, section, tokenizer), ROWS[:2], source="rows")
    learnt = [decode(tokenizer, item.ids[item.prompt_len :]) for item in encoded if item]
    assert learnt == [f"r{1 - i}\n정답: a{i}{tokenizer.eos_token}" for i in (0, 1)]
