"""Encoded rows: many together as one by one, and on disk as in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import hash_file
from kot_platypus.errors import KotError
from kot_platypus.formats import read_rows
from kot_platypus.models import load_tokenizer
from kot_platypus.models.tokens import encode_text
from kot_platypus.prompts import load_template, split_turns
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.records import Dialogue, Message, Row
from kot_platypus.train import kept_rows
from kot_platypus.train.encoding import Encoder, encode_rows
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.kept_rows import identify_rows, keep_rows, read_kept

from .chat_templates import ALL, SPECIAL
from .conftest import StopAfter, encode_example, section, write_problems

MODEL = ModelSection(device="cpu", dtype="float32")
CHAT = load_template("chat")
SAID = (
    ("  값이 얼마야?\n\n", "\n셋에 \t2,000원.  "),
    ("그럼\n여섯은?", " 4,000원</s>입니다."),
    ("▁고마워", "천만에요<|im_end|"),
    ("1 2 3", "끝 "),
)


def make_talk(num_turns: int) -> Dialogue:
    turns = []
    for question, answer in SAID[:num_turns]:
        turns += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return Dialogue(messages=tuple(turns))


def load_chat(shared: Path, name: str, template: str) -> Any:
    tokenizer = load_tokenizer(shared / "models" / name)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.chat_template = ALL[template]
    return tokenizer


def encode_each_prefix(pieces: list[str], tokenizer: Any) -> list[int]:
    """The tokens of pieces by their definition: each joint text from its very beginning."""
    found: list[int] = []
    text, before = "", list[int]()
    for piece in pieces:
        text += piece
        joint = encode_text(tokenizer, text, opens=False)
        is_same = joint[: len(before)] == before
        found += joint[len(before) :] if is_same else encode_text(tokenizer, piece, opens=False)
        before = joint
    return found


@pytest.mark.parametrize("template", ALL)
@pytest.mark.parametrize("name", ["tiny-llama-ko", "tiny-llama2-ko", "tiny-polyglot-ko"])
def test_a_dialogue_has_the_tokens_of_its_joint_text(shared, name, template):
    tokenizer = load_chat(shared, name, template)
    rows = [make_talk(turns) for turns in (1, 2, 4)]
    encoder = Encoder(CHAT, TrainSection(template="chat"), tokenizer)
    encoded = encode_rows(encoder, rows, source="rows", numbers=(1, 2, 3))
    for row, item in zip(rows, encoded, strict=True):
        assert item
        assert list(item.ids) == encode_each_prefix(split_turns(row.messages, tokenizer), tokenizer)
        assert item == encode_example(row, CHAT, "rationale_answer", tokenizer, 2048)


def encode_some(shared: Path, folder: Path) -> tuple[list[Row], Encoder, Any]:
    tokenizer = load_chat(shared, "tiny-llama-ko", "chatml")
    rows = [*map(make_talk, (1, 0, 4, 2)), *read_rows(write_problems(folder, 3))]
    encoder = Encoder(CHAT, section(template="chat"), tokenizer)
    return rows, encoder, encode_rows(encoder, rows, source="rows")


def test_what_is_read_is_what_was_kept(shared, tmp_path):
    rows, encoder, encoded = encode_some(shared, tmp_path)
    assert encoded[1] is None
    assert encoded[2].masked
    key = identify_rows(encoder, rows)
    keep_rows(tmp_path, {key: encoded, "another": encoded[:1]})
    assert read_kept(tmp_path, key) == encoded
    assert read_kept(tmp_path, "another") == encoded[:1]
    assert read_kept(tmp_path, "neither") is None


def test_a_damaged_file_is_not_read_and_is_written_anew(shared, tmp_path):
    _, _, encoded = encode_some(shared, tmp_path)
    keep_rows(tmp_path, {"key": encoded})
    (file,) = (tmp_path / "encoded").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert read_kept(tmp_path, "key") is None
    keep_rows(tmp_path, {"key": encoded})
    assert read_kept(tmp_path, "key") == encoded


def test_whatever_decides_the_tokens_is_in_the_key(shared, tmp_path):
    rows, encoder, _ = encode_some(shared, tmp_path)
    chat = encoder.section

    def identify(rows: list[Row] = rows, **changes: Any) -> str | None:
        return identify_rows(encoder._replace(**changes), rows)

    other = load_chat(shared, "tiny-llama-ko", "gemma")
    longer = load_chat(shared, "tiny-llama-ko", "chatml")
    longer.add_tokens(["<think>"])
    keys = {
        identify(),
        identify(rows=rows[::-1]),
        identify(template=load_template("kot")),
        identify(section=chat.model_copy(update={"cutoff_len": 100})),
        identify(section=chat.model_copy(update={"target": "answer"})),
        identify(tokenizer=other),
        identify(tokenizer=longer),
    }
    assert len(keys) == 7
    assert identify(section=chat.model_copy(update={"learning_rate": 0.1})) == identify()


@pytest.mark.parametrize("is_damaged", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_training_taken_up_again_does_not_encode_again(
    base, few, tmp_path, monkeypatch, is_damaged
):
    settings = section(num_epochs=2, save_steps=1)
    whole, out = tmp_path / "whole", tmp_path / "out"
    train_adapter(few, base, whole, settings, MODEL)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, out, settings, MODEL, callbacks=[StopAfter(3)])
    (file,) = out.glob("checkpoints/encoded/*.safetensors")
    if is_damaged:
        file.write_bytes(file.read_bytes()[:-4])
    asked = []

    def encode(*args: Any, **options: Any) -> Any:
        asked.append(True)
        return encode_rows(*args, **options)

    monkeypatch.setattr(kept_rows, "encode_rows", encode)
    train_adapter(few, base, out, settings, MODEL)
    assert bool(asked) == is_damaged
    adapters = (folder / "adapter/adapter_model.safetensors" for folder in (whole, out))
    assert len(set(map(hash_file, adapters))) == 1


def test_a_training_refused_leaves_no_rows_behind(base, few, tmp_path):
    with pytest.raises(KotError, match="no LoRA for"):
        train_adapter(few, base, tmp_path / "out", section(lora_target_modules=("nothing",)), MODEL)
    assert not (tmp_path / "out").exists()
