"""A tokenizer.model alone: held to SentencePiece itself."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from kot_platypus.errors import ModelError
from kot_platypus.models import load_tokenizer
from tests.models.folders import TEXTS, keep_pieces_only

LLAMA: dict[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "gemma": {**LLAMA, "add_dummy_prefix": False, "split_digits": True},
    "plain bpe": {"model_type": "bpe"},
    "unigram": {"model_type": "unigram"},
    "unigram, bytes": {**LLAMA, "model_type": "unigram"},
    "user's symbols": {**LLAMA, "user_defined_symbols": ["[입력]", "<|x|>"]},
}


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return keep_pieces_only(base, tmp_path / "model")


def write_settings(folder: Path, **settings: Any) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def test_tokens_are_those_of_sentencepiece(base, folder):
    original = sentencepiece.SentencePieceProcessor(model_file=str(base / "tokenizer.model"))
    tokenizer = load_tokenizer(folder)
    assert tokenizer(" 부정", add_special_tokens=False)["input_ids"] == [1281, 356, 1361]
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == original.encode(text)
        assert tokenizer(text)["input_ids"] == [1, *original.encode(text)]


def test_goldens_of_2023_hold(shared, folder):
    """The first tokens of continuations as transformers 4.33.3 made them."""
    from kot_platypus.evaluate.choices import iter_requests

    tokenizer = load_tokenizer(folder)
    kobest = str(shared / "kobest" / "v1.0")
    for cell in json.loads((shared / "goldens" / "llama2_tokens.json").read_text()):
        asked = (cell[key] for key in ("protocol", "task", "num_fewshot"))
        requests = iter_requests(*asked, kobest, cell["limit"])
        texts = [request.continuation for request in requests]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
        if cell["protocol"] != "lm-eval":  # which cuts a whole text, not its parts
            assert [each[:6] for each in ids] == cell["continuation_tokens"]


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        ({}, [1], []),
        ({"add_bos_token": False}, [], []),
        ({"add_bos_token": True, "add_eos_token": True}, [1], [2]),
        ({"bos_token": {"content": "</s>", "lstrip": False}}, [2], []),
    ],
)
def test_bos_and_eos_are_put_as_the_settings_say(folder, settings, before, after):
    write_settings(folder, tokenizer_class="LlamaTokenizer", **settings)
    tokenizer = load_tokenizer(folder)
    assert tokenizer(" 부정")["input_ids"] == [*before, 1281, 356, 1361, *after]
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id) == (2, 0)


def test_a_token_without_a_name_is_none(folder):
    write_settings(folder, tokenizer_class="LlamaTokenizer", bos_token="", eos_token="")
    assert load_tokenizer(folder)(" 부정")["input_ids"] == [1281, 356, 1361]


def test_a_start_that_no_piece_stands_for_is_refused(folder):
    write_settings(folder, tokenizer_class="LlamaTokenizer", bos_token="<new>")
    with pytest.raises(ModelError, match="2,001 tokens and the model 2,000 rows, none for <new>"):
        load_tokenizer(folder)


def test_code_that_is_not_trusted_is_not_taken_for_llamas(folder):
    write_settings(folder, auto_map={"AutoTokenizer": ["mine.MineTokenizer", None]})
    with pytest.raises(ModelError, match="the tokenizer brings code of its own"):
        load_tokenizer(folder)


def test_folder_without_settings_is_llamas(folder):
    (folder / "tokenizer_config.json").unlink()
    tokenizer = load_tokenizer(folder)
    assert tokenizer(" 부정")["input_ids"] == [1, 1281, 356, 1361]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")


def test_bos_can_be_left_out_by_the_caller(folder):
    ids = load_tokenizer(folder, add_bos_token=False)(" 부정")["input_ids"]
    assert ids == [1281, 356, 1361]


def test_added_tokens_keep_their_numbers(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 2010}))
    (folder / "added_tokens.json").write_text(json.dumps({"<b>": 2001, "[PAD]": 2000}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer("<b>", add_special_tokens=False)["input_ids"][-1] == 2001
    assert tokenizer.pad_token_id == 2000
    (folder / "added_tokens.json").write_text(json.dumps({"<b>": 2007}))
    with pytest.raises(ModelError, match="numbers the token '<b>' 2007"):
        load_tokenizer(folder)


def test_prefix_after_a_special_token_is_as_the_settings_say(folder):
    """transformers 4 put SentencePiece's prefix there too, but for `legacy: false`."""
    for legacy, ids in ((None, [2, 1281, 356, 1361]), (False, [2, 356, 1361])):
        write_settings(folder, legacy=legacy)
        tokenizer = load_tokenizer(folder)
        assert tokenizer("</s> 부정", add_special_tokens=False)["input_ids"] == ids
        assert tokenizer(" 부정", add_special_tokens=False)["input_ids"] == [1281, 356, 1361]
        assert tokenizer("", add_special_tokens=False)["input_ids"] == []


def test_chat_template_of_the_folder_is_kept(folder):
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}!")
    asked = [{"role": "user", "content": "질문"}]
    text = load_tokenizer(folder).apply_chat_template(asked, tokenize=False)
    assert text == "질문!"


def test_text_comes_back(folder):
    tokenizer = load_tokenizer(folder)
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text


def train(folder: Path, options: dict[str, Any]) -> sentencepiece.SentencePieceProcessor:
    folder.mkdir()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 3),
        model_writer=model,
        vocab_size=420,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_followed(tmp_path, kind):
    original = train(tmp_path / "m", KINDS[kind])
    tokenizer = load_tokenizer(tmp_path / "m")
    for text in (*TEXTS, "없던 글자 뷁 😀 ﬁ"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == original.encode(text)


def test_users_symbols_stay_whole(tmp_path):
    train(tmp_path / "m", KINDS["user's symbols"])
    ids = load_tokenizer(tmp_path / "m")("입력:[입력]<|x|>", add_special_tokens=False)["input_ids"]
    assert ids[-2:] == [3, 4]


def test_what_cannot_be_followed_is_refused(tmp_path):
    train(tmp_path / "m", {**LLAMA, "treat_whitespace_as_suffix": True})
    with pytest.raises(ModelError, match="follow exactly") as raised:
        load_tokenizer(tmp_path / "m")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 20, b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_damaged_file_is_refused_in_one_line(folder, content):
    (folder / "tokenizer.model").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.model is") as raised:
        load_tokenizer(folder)
    assert "\n" not in str(raised.value)


def test_conversion_is_done_once(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    load_tokenizer(folder)
    (made,) = (f for f in (tmp_path / "cache" / "tokenizers").iterdir() if f.is_dir())
    before = (made / "tokenizer.json").stat().st_mtime_ns
    load_tokenizer(Path(shutil.copytree(folder, tmp_path / "again")))
    assert (made / "tokenizer.json").stat().st_mtime_ns == before
