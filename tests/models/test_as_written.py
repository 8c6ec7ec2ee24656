"""Tokens are those that tokenizer.json describes, whatever class the folder names.

The other side of every comparison is the ``tokenizers`` library reading the file by itself.
"""

from __future__ import annotations

import json
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

LINES = [
    "문장: 배송이 빨라요 긍부정: 긍정",
    "나는 사과를 3개 샀다. 값은 1,234원이다.",
    "The answer is 42. 정답: 서울\n\n다음 질문",
] * 3
TEXTS = [
    *LINES[:3],
    " 부정",
    "  두 칸  띄고",
    "줄\n바꿈\t탭 ㅋㅋ",
    "½ ② ＡＢ ﬁ",  # what NFKC changes
    "Great 사과 CASE",
    "한글",  # NFD
    "🙂 <s> </s> <|im_end|>",
    "",
]
SPECIAL = ["<unk>", "<s>", "</s>"]


def train(model, trainer_class, **options):
    tokenizer = Tokenizer(model)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if part in options:
            setattr(tokenizer, part, options.pop(part))
    trainer = trainer_class(vocab_size=400, special_tokens=SPECIAL, show_progress=False, **options)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def make_llama() -> Tokenizer:
    """As Llama-2's: the space before a text comes from the normalizer."""
    tokenizer = train(
        models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        trainers.BpeTrainer,
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        decoder=decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def make_metaspace(scheme: str, split: bool) -> Tokenizer:
    space = {"replacement": "▁", "prepend_scheme": scheme}
    return train(
        models.BPE(unk_token="<unk>"),
        trainers.BpeTrainer,
        pre_tokenizer=pre_tokenizers.Metaspace(**space, split=split),
        decoder=decoders.Metaspace(**space),
    )


def make_unigram() -> Tokenizer:
    return train(
        models.Unigram(),
        trainers.UnigramTrainer,
        unk_token="<unk>",
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
        pre_tokenizer=pre_tokenizers.Metaspace(),
        decoder=decoders.Metaspace(),
    )


def make_byte_level(normalizer=None, prefix_space=False) -> Tokenizer:
    parts = {"normalizer": normalizer} if normalizer else {}
    return train(
        models.BPE(),
        trainers.BpeTrainer,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True),
             pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)]
        ),
        decoder=decoders.ByteLevel(),
        **parts,
    )  # fmt: skip


def make_words() -> Tokenizer:
    return train(
        models.WordPiece(unk_token="<unk>"),
        trainers.WordPieceTrainer,
        normalizer=normalizers.NFKC(),
        pre_tokenizer=pre_tokenizers.Whitespace(),
        decoder=decoders.WordPiece(),
    )


KINDS = {
    "llama": make_llama,
    "metaspace": lambda: make_metaspace("always", split=True),
    "metaspace_first": lambda: make_metaspace("first", split=False),
    "metaspace_never": lambda: make_metaspace("never", split=False),
    "unigram": make_unigram,
    "byte_level": make_byte_level,
    "byte_level_nfkc": lambda: make_byte_level(normalizers.NFKC()),
    "byte_level_prefix": lambda: make_byte_level(prefix_space=True),
    "words": make_words,
}
CLASSES = (
    "LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "GPT2Tokenizer",
    "GPTNeoXTokenizerFast", "Qwen2Tokenizer", "PreTrainedTokenizerFast", "CodeLlamaTokenizer",
    None,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> dict[str, str]:
    return {name: make().to_str() for name, make in KINDS.items()}


def write_folder(folder: Path, file: str, kind: str | None, **settings: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(file, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    if kind:
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        settings = {"tokenizer_class": kind, **names, **settings}
        text = json.dumps(settings, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return folder


def read_alone(folder: Path, text: str) -> list[int]:
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return file.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", KINDS)
def test_tokens_and_texts_are_the_files(name, kind, trained, tmp_path):
    folder = write_folder(tmp_path / "m", trained[name], kind)
    tokenizer = load_tokenizer(folder)
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [text.replace("<|im_end|>", "") for text in TEXTS]
    if kind is None:  # GPT-2's own end of text is added by its class
        texts = [text for text in texts if "<s>" not in text]
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == file.encode(text, add_special_tokens=False).ids, text
        cleanup = {"clean_up_tokenization_spaces": False}
        assert tokenizer.decode(ids, **cleanup) == file.decode(ids, skip_special_tokens=False)


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


def test_tokens_that_the_settings_add_are_kept(trained, tmp_path):
    added = {
        str(400 + n): {**vars_of(AddedToken(text, special=True, normalized=False)), "content": text}
        for n, text in enumerate(("<|im_start|>", "<|im_end|>"))
    }
    size = Tokenizer.from_str(trained["llama"]).get_vocab_size()
    added = {str(size + n): value for n, value in enumerate(added.values())}
    folder = write_folder(
        tmp_path / "m", trained["llama"], "LlamaTokenizer", added_tokens_decoder=added,
        eos_token="<|im_end|>",
    )  # fmt: skip
    tokenizer = load_tokenizer(folder)
    ids = tokenizer("긍정<|im_end|>", add_special_tokens=False)["input_ids"]
    assert ids == [*read_alone(folder, "긍정"), size + 1]
    assert tokenizer.eos_token_id == size + 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == "긍정"


def vars_of(token: AddedToken) -> dict[str, object]:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {name: getattr(token, name) for name in names}


@pytest.mark.parametrize("template", ["$A", "<s> $A", "$A </s>", "<s> $A </s>"])
def test_bos_and_eos_are_as_the_file_says(template, trained, tmp_path):
    described = Tokenizer.from_str(trained["llama"])
    described.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    folder = write_folder(tmp_path / "m", described.to_str(), "PreTrainedTokenizerFast")
    text = read_alone(folder, " 부정")
    expected = [1] * ("<s>" in template) + text + [2] * ("</s>" in template)
    assert load_tokenizer(folder)(" 부정")["input_ids"] == expected


@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("add_eos", [True, False])
def test_bos_and_eos_of_llama_are_as_its_settings_say(add_bos, add_eos, trained, tmp_path):
    """As in transformers 4, whose classes heeded them whatever the file says."""
    settings = {"add_bos_token": add_bos, "add_eos_token": add_eos}
    folder = write_folder(tmp_path / "m", trained["llama"], "LlamaTokenizer", **settings)
    text = read_alone(folder, " 부정")
    expected = [1] * add_bos + text + [2] * add_eos
    assert load_tokenizer(folder)(" 부정")["input_ids"] == expected


def test_override_of_bos_is_heeded(trained, tmp_path):
    folder = write_folder(tmp_path / "m", trained["llama"], "LlamaTokenizer")
    text = read_alone(folder, " 부정")
    assert load_tokenizer(folder, add_bos_token=False)(" 부정")["input_ids"] == text
    assert load_tokenizer(folder, add_bos_token=True)(" 부정")["input_ids"] == [1, *text]


def test_saved_and_loaded_again_it_is_the_same(trained, tmp_path):
    folder = write_folder(tmp_path / "m", trained["llama"], "LlamaTokenizer")
    tokenizer = load_tokenizer(folder)
    tokenizer.save_pretrained(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    for text in TEXTS:
        assert again(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_vocabulary_that_its_class_would_read_wrong_is_refused(trained, tmp_path):
    """KoGPT2's ``▁`` vocabulary under GPT-2's class, whose bytes it does not have."""
    model = json.loads(trained["metaspace"])["model"]
    merges = [" ".join(merge) for merge in model["merges"] if "\n" not in "".join(merge)]
    files = {
        "vocab.json": json.dumps(model["vocab"], ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges]),
        "config.json": json.dumps({"model_type": "gpt2"}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"the tokenizer GPT2Tokenizer makes"):
        load_tokenizer(tmp_path)
