from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from kot_platypus.formats import read_rows
from kot_platypus.models import load_tokenizer
from kot_platypus.oddities import find_oddities, list_special_tokens
from kot_platypus.records import Dialogue, Example, Message

PLAIN = Example(source="3+4는?", rationale="셋에 넷을 더한다.", target="7")


def find(*rows: Example | Dialogue, tokens: list[str] | None = None) -> dict[str, list[int]]:
    return find_oddities(rows, tokens).found


def change(**texts: str) -> Example:
    return PLAIN.model_copy(update=texts)


def talk(text: str) -> Dialogue:
    turns = (Message(role="user", content="안녕?"), Message(role="assistant", content=text))
    return Dialogue(messages=turns)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (change(source=unicodedata.normalize("NFD", "셋에 넷을")), "decomposed"),
        (talk(unicodedata.normalize("NFD", "네.")), "decomposed"),
        (change(rationale="셋에\u200b 넷을"), "zero_width"),
        (change(target="\ufeff7"), "zero_width"),
        (talk("네\u200d요"), "zero_width"),
        (change(rationale="7이다.</s>"), "special_token"),
        (talk("네.<|im_end|>"), "special_token"),
        (change(target="7 "), "outer_spaces"),
        (change(target="7\n"), "outer_spaces"),
        (change(target="  "), "blank_target"),
        (change(target="-7.0"), "whole_float"),
        (change(target=""), "no_target"),
    ],
)
def test_what_is_odd_is_found_in_its_row(row, kind):
    assert find(PLAIN, row) == {kind: [1]}


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        talk(" 네.\n"),
        change(rationale="가족 👨\u200d👩\u200d👧, 불꽃 ❤\ufe0f\u200d🔥"),
        change(source="樂園과 é, a<b, 3|4, [예], <제목>"),
        change(source="\uf914園"),  # a compatibility hanja, which NFC replaces by another
        change(target="7.05"),
        change(target="1.0.2"),
        change(rationale="", target=""),
    ],
)
def test_what_is_not_odd_is_left_alone(row):
    assert find(PLAIN, row) == {}


def test_real_fractions_and_rows_without_any_target_are_usual():
    assert find(change(target="7.0"), change(target="7.5")) == {}
    assert find(change(target=""), change(target="")) == {}


def test_all_is_said_in_one_line():
    rows = [PLAIN, change(target=" 7"), change(target="7 "), change(source="<s>가")]
    assert find_oddities(rows).describe() == (
        "Learnt as they stand, of 4 rows: 1 with special tokens written out, "
        "2 with spaces around the target. To find them: kot data check"
    )
    assert find_oddities([PLAIN]).describe() == ""


@pytest.mark.parametrize(
    ("model", "own", "other"),
    [
        ("tiny-llama-ko", "</s>", "<|endoftext|>"),
        ("tiny-polyglot-ko", "<|endoftext|>", "</s>"),
    ],
)
def test_special_tokens_are_the_tokenizers_where_there_is_one(shared: Path, model, own, other):
    tokenizer = load_tokenizer(shared / "models" / model)
    tokens = list_special_tokens(tokenizer)
    assert tokenizer.convert_tokens_to_ids(own) in tokenizer(f"가{own}나")["input_ids"]
    assert find(change(source=f"가{own}나"), tokens=tokens) == {"special_token": [0]}
    assert find(change(source=f"가{other}나"), tokens=tokens) == {}


def test_whole_numbers_that_pandas_made_floats_are_said_of_parquet_and_csv(tmp_path):
    import pandas

    table = pandas.DataFrame({"source": ["3+4는?", "왜?", "2+2는?"], "target": [7, None, 4]})
    table["rationale"] = ["더한다.", "모른다.", "더한다."]
    table.to_parquet(tmp_path / "a.parquet")
    table.to_csv(tmp_path / "a.csv", index=False)
    parquet = table.fillna({"target": 0})
    parquet.to_parquet(tmp_path / "b.parquet")
    assert find(*read_rows(tmp_path / "a.csv")) == {"whole_float": [0, 2], "no_target": [1]}
    assert find(*read_rows(tmp_path / "b.parquet")) == {"whole_float": [0, 1, 2]}
