"""Tokenizers of several kinds, made here, against the ``tokenizers`` library reading their file."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from kot_platypus.errors import ModelError
from kot_platypus.models import load_tokenizer
from kot_platypus.models.tokens import encode_text, list_closing, list_opening

LINES = [
    "배송이 빠르고 품질도 좋아서 만족합니다. 긍부정: 긍정",
    "문장: 음식이 식어서 왔다. 긍부정: 부정",
    "질문: 두 문장에서 사과가 같은 뜻으로 쓰였나? 답변: 아니오",
    "그는 책을 읽다가 잠이 들었다. 왜냐하면 어젯밤에 늦게 잤다. 예",
    "The price is 2,159 won for 10 apples (about 30%).",
]
TEXTS = [
    *LINES,
    " 부정",
    " 예",
    "  두 칸",
    "끝 칸 ",
    "\n\n문장:\t값",
    unicodedata.normalize("NFD", "한글 예"),
    "없는 글자 뷁 漢字 😀🇰🇷",
    "１２ ＡＢ ﬁ",
    "",
    " ",
    "한 . 두 , 세 ? don 't",
    "줄\n바꿈\t탭 ㅋㅋ",
    "½ ② ﬁ",  # what NFKC changes
    "Great 사과 CASE",
]
SPECIAL_TEXT = "🙂 <s> </s> 긍정"
SPECIAL = ["<unk>", "<s>", "</s>"]


def make_bpe(**options) -> Tokenizer:
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *bytes_])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = options["normalizer"]
    tokenizer.pre_tokenizer = options["pre_tokenizer"]
    tokenizer.decoder = options["decoder"]
    tokenizer.train_from_iterator(LINES * 3, trainer)
    # As in Llama's file the bytes are plain entries of the vocabulary.
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [each for each in file["added_tokens"] if each["content"] in SPECIAL]
    return Tokenizer.from_str(json.dumps(file))


def llama_decoder():
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)])


def make_prepend() -> Tokenizer:
    """Llama 2 of 2023."""
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    return make_bpe(
        normalizer=normalizers.Sequence(steps), pre_tokenizer=None, decoder=llama_decoder()
    )


def make_metaspace(scheme: str, *, split: bool) -> Tokenizer:
    pre = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return make_bpe(normalizer=None, pre_tokenizer=pre, decoder=llama_decoder())


def make_gemma() -> Tokenizer:
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return make_bpe(
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
        decoder=decoders.Sequence(parts),
    )


def make_kogpt2() -> Tokenizer:
    """Characters with ▁ and an unknown token, no bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(LINES * 3, trainer)
    return tokenizer


def make_unigram(second: normalizers.Normalizer) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), second])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>")
    tokenizer.train_from_iterator(LINES * 3, trainer)
    return tokenizer


def make_byte_level(*, prefix: bool = False, digits: bool = False, normalizer=None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    if digits:
        parts = [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(LINES * 3, trainer)
    return tokenizer


def make_wordpiece(normalizer, pre_tokenizer) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(LINES * 3, trainer)
    return tokenizer


KINDS = {
    "prepend": make_prepend,
    "metaspace always": lambda: make_metaspace("always", split=False),
    "metaspace first": lambda: make_metaspace("first", split=False),
    "metaspace never": lambda: make_metaspace("never", split=False),
    "metaspace split": lambda: make_metaspace("always", split=True),
    "gemma": make_gemma,
    "kogpt2": make_kogpt2,
    "unigram": lambda: make_unigram(normalizers.Replace(" {2,}", " ")),
    "unigram, lower case": lambda: make_unigram(normalizers.Lowercase()),
    "byte level": make_byte_level,
    "byte level, space": lambda: make_byte_level(prefix=True),
    "byte level, NFKC": lambda: make_byte_level(normalizer=normalizers.NFKC()),
    "byte level, digits": lambda: make_byte_level(digits=True),
    "wordpiece": lambda: make_wordpiece(
        normalizers.BertNormalizer(strip_accents=False, lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
    ),
    "wordpiece, NFKC": lambda: make_wordpiece(normalizers.NFKC(), pre_tokenizers.Whitespace()),
}
CLASSES = {
    None: "gpt2",
    "LlamaTokenizer": "llama",
    "LlamaTokenizerFast": "mistral",
    "CodeLlamaTokenizer": "llama",
    "GPT2Tokenizer": "gpt2",
    "GPTNeoXTokenizerFast": "gpt_neox",
    "GemmaTokenizer": "gemma3_text",
    "Qwen2Tokenizer": "qwen2",
    "PreTrainedTokenizerFast": "llama",
    "BertTokenizer": "gpt2",
    "T5TokenizerFast": "llama",
}


@pytest.fixture(scope="module")
def made() -> dict[str, Tokenizer]:
    return {kind: make() for kind, make in KINDS.items()}


def write_folder(folder: Path, tokenizer: Tokenizer, settings=None, model=None) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(model or {"model_type": "llama"}))
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_and_texts_are_those_of_the_file(kind, name, made, tmp_path):
    settings = None if name is None else {"tokenizer_class": name, "model_max_length": 512}
    texts = TEXTS
    if name and kind.partition(",")[0] != "byte level":
        settings |= {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        texts = [*TEXTS, SPECIAL_TEXT]
    folder = write_folder(tmp_path, made[kind], settings, {"model_type": CLASSES[name]})
    tokenizer = load_tokenizer(folder)
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in texts:
        ids = file.encode(text, add_special_tokens=False).ids
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids, text
        assert tokenizer.decode(ids) == file.decode(ids, skip_special_tokens=False), text


@pytest.mark.parametrize("legacy", [None, True, False])
def test_llama_2_has_a_space_of_its_own_before_every_text(legacy, shared, tmp_path):
    source = shared / "models" / "tiny-llama2-ko"
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    settings = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["legacy"] = legacy
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = load_tokenizer(tmp_path)
    # transformers 4.33.3 and 4.57.1, SentencePiece
    assert tokenizer(" 부정", add_special_tokens=False)["input_ids"] == [1281, 356, 1361]
    assert tokenizer(" 예")["input_ids"] == [1, 1281, 582]


def test_saved_and_loaded_again_it_is_the_same(made, tmp_path):
    tokenizer = load_tokenizer(write_folder(tmp_path / "m", made["prepend"], LLAMA))
    tokenizer.save_pretrained(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    for text in TEXTS:
        assert again(text)["input_ids"] == tokenizer(text)["input_ids"]


# --- special tokens ----------------------------------------------------------------------------

LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
FAST = {**LLAMA, "tokenizer_class": "PreTrainedTokenizerFast"}


def with_template(tokenizer: Tokenizer, template: str | None) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    if template:
        ids = [(token, copy.token_to_id(token)) for token in ("<s>", "</s>")]
        copy.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return copy


# What transformers 4.57.6 (LlamaTokenizerFast, PreTrainedTokenizerFast) puts around a text; 1 and 2
# are <s> and </s>.
@pytest.mark.parametrize(
    ("template", "settings", "opening", "closing"),
    [
        (None, LLAMA, [1], []),
        ("$A", LLAMA, [1], []),
        ("<s> $A", LLAMA, [1], []),
        ("<s> $A", {**LLAMA, "add_bos_token": False}, [], []),
        ("<s> $A", {**LLAMA, "add_eos_token": True}, [1], [2]),
        ("<s> $A", {**LLAMA, "add_bos_token": True, "add_eos_token": True}, [1], [2]),
        ("<s> $A", {**LLAMA, "add_bos_token": False, "add_eos_token": True}, [], [2]),
        ("<s> $A </s>", {**LLAMA, "add_eos_token": False}, [1], []),
        ("$A", FAST, [], []),
        ("<s> $A", FAST, [1], []),
        ("$A </s>", FAST, [], [2]),
        ("<s> $A </s>", FAST, [1], [2]),
        ("$A", {**FAST, "add_bos_token": True}, [], []),
        # transformers 5 says what it means in the file.
        ("$A", {**LLAMA, "backend": "tokenizers"}, [], []),
        ("<s> $A", {**LLAMA, "backend": "tokenizers"}, [1], []),
    ],
)
def test_special_tokens_are_those_of_the_settings(
    template, settings, opening, closing, made, tmp_path
):
    folder = write_folder(tmp_path, with_template(made["prepend"], template), settings)
    tokenizer = load_tokenizer(folder)
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(
        LINES[0], add_special_tokens=False
    )
    assert tokenizer(LINES[0])["input_ids"] == [*opening, *ids.ids, *closing]
    assert (list_opening(tokenizer), list_closing(tokenizer)) == (opening, closing)
    assert encode_text(tokenizer, LINES[0]) == [*opening, *ids.ids]


@pytest.mark.parametrize("kind", ["prepend", "byte level"])
@pytest.mark.parametrize("bos", [True, False])
def test_bos_is_overridden(kind, bos, made, tmp_path):
    ends = {"bos_token": "<|endoftext|>"} if kind == "byte level" else LLAMA
    tokenizer = load_tokenizer(write_folder(tmp_path, made[kind], ends), add_bos_token=bos)
    ids = tokenizer("예")["input_ids"]
    assert (
        ids == [tokenizer.bos_token_id] * bos + tokenizer("예", add_special_tokens=False).input_ids
    )


def test_classifier_tokens_of_a_file_stay(made, tmp_path):
    tokenizer = Tokenizer.from_str(made["wordpiece"].to_str())
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ids
    )
    folder = write_folder(tmp_path, tokenizer, {"tokenizer_class": "BertTokenizer"})
    assert load_tokenizer(folder)("예")["input_ids"] == tokenizer.encode("예").ids


def test_bos_and_eos_come_from_the_models_config_where_no_other_file_says(made, tmp_path):
    ends = {"model_type": "gpt2", "bos_token_id": 1, "eos_token_id": 2}
    tokenizer = load_tokenizer(write_folder(tmp_path, made["kogpt2"], None, ends))
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)


def test_bos_that_is_said_to_be_none_stays_none(made, tmp_path):
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "bos_token": None,
        "eos_token": "<|endoftext|>",
    }
    model = {"model_type": "qwen2", "bos_token_id": 0, "eos_token_id": 0}
    tokenizer = load_tokenizer(write_folder(tmp_path, made["byte level"], settings, model))
    assert (tokenizer.bos_token, tokenizer.eos_token) == (None, "<|endoftext|>")


def test_settings_beside_the_file_are_kept(made, tmp_path):
    settings = {
        **LLAMA,
        "pad_token": "<unk>",
        "model_max_length": 77,
        "chat_template": "{{ messages[0].content }}",
        "clean_up_tokenization_spaces": True,
        "add_prefix_space": False,
        "legacy": False,
    }
    folder = write_folder(tmp_path, made["prepend"], settings)
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 77)
    assert (
        tokenizer.apply_chat_template([{"role": "user", "content": "예"}], tokenize=False) == "예"
    )
    assert set(tokenizer("예")) == {"input_ids", "attention_mask"}
    assert (
        tokenizer.decode(tokenizer("끝 . 예 ,", add_special_tokens=False).input_ids) == "끝 . 예 ,"
    )


def test_truncation_and_padding_of_a_file_cut_no_text(made, tmp_path):
    tokenizer = Tokenizer.from_str(made["prepend"].to_str())
    plain = tokenizer.encode(LINES[0]).ids
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    loaded = load_tokenizer(
        write_folder(tmp_path, tokenizer, {"tokenizer_class": "LlamaTokenizer"})
    )
    assert loaded(LINES[0], add_special_tokens=False)["input_ids"] == plain


def test_tokens_that_a_file_adds_are_found_in_a_text(made, tmp_path):
    tokenizer = Tokenizer.from_str(made["prepend"].to_str())
    tokenizer.add_tokens([AddedToken("긍부정", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<|im_end|>")])
    folder = write_folder(tmp_path, tokenizer, LLAMA)
    text = "문장 긍부정: <|im_end|>예"
    assert load_tokenizer(folder)(text, add_special_tokens=False)["input_ids"] == (
        tokenizer.encode(text, add_special_tokens=False).ids
    )


def test_tokens_that_the_settings_add_are_kept(made, tmp_path):
    size = made["prepend"].get_vocab_size()
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = {
        str(size + n): {"content": text, "special": True, **flags}
        for n, text in enumerate(("<|im_start|>", "<|im_end|>"))
    }
    settings = {**LLAMA, "added_tokens_decoder": added, "eos_token": "<|im_end|>"}
    tokenizer = load_tokenizer(write_folder(tmp_path, made["prepend"], settings))
    ids = tokenizer("긍정<|im_end|>", add_special_tokens=False)["input_ids"]
    assert ids == [*made["prepend"].encode("긍정", add_special_tokens=False).ids, size + 1]
    assert tokenizer.eos_token_id == size + 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == "긍정"


@pytest.mark.parametrize(
    ("kind", "file_says"),
    [
        ("byte level", False),
        ("byte level, space", True),
        ("metaspace first", True),
        ("metaspace never", False),
        ("prepend", True),
        ("gemma", None),
    ],
)
@pytest.mark.parametrize("asked", [True, False])
def test_space_that_the_settings_ask_for_in_vain_is_said(
    kind, file_says, asked, made, tmp_path, capsys
):
    folder = write_folder(tmp_path, made[kind], {"add_prefix_space": asked})
    tokenizer = load_tokenizer(folder)
    ids = made[kind].encode("예", add_special_tokens=False).ids
    assert tokenizer("예", add_special_tokens=False)["input_ids"] == ids
    said = f"add_prefix_space is {asked} in tokenizer_config.json and {file_says} in tokenizer.json"
    is_contradiction = file_says is not None and file_says != asked
    assert (said in capsys.readouterr().err) == is_contradiction
    load_tokenizer(folder)
    assert said not in capsys.readouterr().err  # once per process


def test_file_is_parsed_once(made, tmp_path, monkeypatch):
    read, parsed = Tokenizer.from_file, []

    class Counted:
        @staticmethod
        def from_file(path: str) -> Tokenizer:
            parsed.append(path)
            return read(path)

    folder = write_folder(tmp_path, made["gemma"], {"tokenizer_class": "GemmaTokenizer"})
    monkeypatch.setattr("tokenizers.Tokenizer", Counted)
    monkeypatch.setattr("transformers.tokenization_utils_tokenizers.TokenizerFast", Counted)
    load_tokenizer(folder)
    assert parsed == [str(folder / "tokenizer.json")]


# --- refusals ----------------------------------------------------------------------------------


def test_settings_that_change_the_files_tokens_are_refused(made, tmp_path):
    added = {"400": {"content": "배송", "special": False, "normalized": False}}
    settings = {**LLAMA, "added_tokens_decoder": added}
    folder = write_folder(tmp_path, made["prepend"], settings)
    with pytest.raises(ModelError, match=r"as tokenizer\.json says"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    "settings", [None, {"tokenizer_class": "GPT2Tokenizer", "unk_token": None}]
)
def test_class_that_loses_korean_is_refused(settings, made, tmp_path):
    """vocab.json and merges.txt of a ▁ tokenizer, read by GPT-2's class: bytes it does not know."""
    model = json.loads(made["kogpt2"].to_str())["model"]
    vocabulary = {k: v for k, v in model["vocab"].items() if k != "<unk>"}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    if settings:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"makes '.*' of '배송이"):
        load_tokenizer(tmp_path)
