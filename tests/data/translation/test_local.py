from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kot_platypus.data.translation.local import LocalModel
from kot_platypus.data.translation.translate import estimate, translate_texts
from kot_platypus.errors import ModelError
from kot_platypus.models import load_tokenizer

CHAT = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TEXTS = ["a cat", "a much longer text of 7 dogs", "birds"]


@pytest.fixture(scope="module")
def chat_folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "chat"
    shutil.copytree(shared / "models" / "tiny-llama-ko", folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    return folder


@pytest.fixture(scope="module")
def seq2seq_folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=tokenizer.eos_token_id,
    )
    folder = tmp_path_factory.mktemp("models") / "seq2seq"
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_model(folder: Path, **settings) -> LocalModel:
    settings = {"dtype": "float32", "max_new_tokens": 8, **settings}
    return LocalModel(str(folder), device="cpu", **settings)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["chat_folder", "seq2seq_folder"])
def test_batch_of_texts_is_translated_like_each_alone(request, kind, dtype):
    folder = request.getfixturevalue(kind)
    together = make_model(folder, dtype=dtype).translate(TEXTS)
    alone = make_model(folder, dtype=dtype)
    assert together.texts == [alone.translate([text]).texts[0] for text in TEXTS]
    assert any(together.texts)


@pytest.mark.parametrize("kind", ["chat_folder", "seq2seq_folder"])
def test_what_did_not_end_within_the_limit_is_cut(request, ledger, kind):
    model = make_model(request.getfixturevalue(kind))  # of random weights: they never end
    (outcome,) = translate_texts(["a cat"], model, ledger)
    assert [problem.kind for problem in outcome.problems] == ["cut"]


def test_translations_are_kept_cost_nothing_and_go_by_the_model(chat_folder, ledger, monkeypatch):
    translate = LocalModel.translate  # random weights never end, which is another test
    whole = lambda self, batch: replace(translate(self, batch), flaws={})  # noqa: E731
    monkeypatch.setattr(LocalModel, "translate", whole)
    model = make_model(chat_folder)
    assert estimate(TEXTS, model, ledger).price == 0
    first = translate_texts(TEXTS, model, ledger)
    again = make_model(chat_folder)
    second = translate_texts(TEXTS, again, ledger)
    assert [outcome.text for outcome in second] == [outcome.text for outcome in first]
    assert "_loaded" not in vars(again)
    assert ledger.bill().total == 0


def test_request_of_a_killed_run_cost_nothing(chat_folder, ledger):
    ledger.begin("local", num_texts=1, characters=5, counter=0)
    translate_texts(["a cat"], make_model(chat_folder), ledger)
    assert ledger.bill().total == 0


def test_another_prompt_is_another_translation(chat_folder):
    assert (
        make_model(chat_folder).parameters != make_model(chat_folder, prompt="literal").parameters
    )


def test_model_without_a_chat_template_is_refused(shared, ledger):
    model = make_model(shared / "models" / "tiny-llama-ko")
    with pytest.raises(ModelError, match="no chat template"):
        translate_texts(["a cat"], model, ledger)


def test_languages_choose_the_first_token(seq2seq_folder):
    """As NLLB writes the language's token first."""
    tokenizer = load_tokenizer(seq2seq_folder)
    token = tokenizer.tokenize("한국")[0]
    answer = make_model(seq2seq_folder, languages=("eng_Latn", token)).translate(["a cat"])
    assert answer.texts[0].startswith(tokenizer.decode(tokenizer.convert_tokens_to_ids(token)))
