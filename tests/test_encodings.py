"""Which encoding bytes are said to look like."""

from __future__ import annotations

import pytest

from kot_platypus.artifacts import read_text
from kot_platypus.encodings import describe_bytes
from kot_platypus.errors import DataError


def describe(content: bytes) -> str:
    with pytest.raises(UnicodeDecodeError) as raised:
        content.decode()
    return str(describe_bytes("line 1", raised.value, DataError))


@pytest.mark.parametrize("text", ["사과 3개를 샀다.", "①번 문항의 답은 ②이다.", "漢字를 쓴다"])
def test_korean_of_windows_is_told(text):
    assert "looks like CP949" in describe(text.encode("cp949"))


@pytest.mark.parametrize("text", ["It’s “fine”", "a café — open", "créé à Noël", "où", "Le café"])
def test_western_of_windows_is_told_though_cp949_has_letters_for_it(text):
    assert "looks like WINDOWS-1252" in describe(text.encode("cp1252"))


@pytest.mark.parametrize("text", ["Привет, мир", '{"source": "Да", "target": "Нет"}', "Это – тест"])
def test_russian_of_windows_is_not_told_as_western(text):
    assert "looks like" not in describe(text.encode("cp1251"))


@pytest.mark.parametrize("content", [b"\xff" + "한글이다".encode(), "한글".encode() + b"\xea\xb0"])
def test_a_damaged_place_of_utf8_is_no_other_encoding(content):
    assert "looks like" not in describe(content)
    assert "Mend that line" in describe(content)


@pytest.mark.parametrize("content", [b"a\0b", b"\0" * 100])
def test_zeros_alone_make_no_utf16(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt") == content.decode()


def test_a_text_file_in_utf16_without_its_mark_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes("name: 요리법\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="line 1 is not UTF-8, but looks like UTF-16LE"):
        read_text(tmp_path / "a.txt")
