"""Text as files have it: UTF-8, with or without a byte order mark; any other is told by name."""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from kot_platypus.compression import open_bytes
from kot_platypus.errors import DataError, KotError

E = TypeVar("E", bound=KotError)
_MARKS = {
    BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    BOM_UTF32_BE: "UTF-32",
    BOM_UTF16_LE: "UTF-16",
    BOM_UTF16_BE: "UTF-16",
}
_LOOKED_AT = 4096
_HANGUL = re.compile("[가-힣]")
_NO_ASCII = re.compile(r"[^\x00-\x7f]")
_WESTERN = re.compile(r"[\x00-\x7fÀ-ÖØ-öø-ÿŠšŽžŒœ‘’“”–—…]*")
_NO_ASCII_WORD = re.compile(r"\b[^\W\x00-\x7f]{2,}\b")
"""No word of a western language, but any of another (CP1251, Russian) that is read as western."""


@contextmanager
def open_utf8(path: Path, error: type[KotError] = DataError) -> Iterator[BufferedReader]:
    """The bytes of a text file (see ``open_bytes``), behind its byte order mark.

    Raises ``error`` where it begins as UTF-16 or UTF-32. Any other encoding shows only where its
    bytes are decoded: see ``describe_bytes``.
    """
    with open_bytes(path) as file:
        start = file.peek(_LOOKED_AT)[:_LOOKED_AT]
        if start.startswith(BOM_UTF8):
            file.read(len(BOM_UTF8))
        elif wide := _find_wide(start):
            raise _describe(f"{path} line 1", wide, error)
        yield file


def describe_bytes(where: str, cause: UnicodeDecodeError, error: type[E]) -> E:
    """What is wrong with bytes that are not UTF-8, and which encoding they look like."""
    if other := _guess(cause.object, cause.start):
        return _describe(where, other, error)
    return error(
        f"{where} is not UTF-8 (byte {cause.object[cause.start]:#x})",
        expected="text in UTF-8",
        hint="Mend that line, or convert the file from its encoding with iconv.",
    )


def _describe(where: str, encoding: str, error: type[E]) -> E:
    return error(
        f"{where} is not UTF-8, but looks like {encoding}",
        expected="text in UTF-8",
        hint=f"Convert the file, e.g. with iconv -f {encoding} -t UTF-8.",
    )


def _find_wide(start: bytes) -> str | None:
    """The encoding of two or four bytes a letter that a file begins in.

    Without a mark it is told by its ASCII (spaces, commas, brackets): every other byte is 0.
    """
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    big, little = (start[parity::2].count(0) for parity in (0, 1))
    most = max(big, little)
    if marked or most < 3 + len(start) // 40 or 2 * min(big, little) >= most:
        return marked
    return "UTF-16LE" if little > big else "UTF-16BE"


def _guess(content: bytes, start: int) -> str | None:
    """Which encoding bytes look like, from the first that is not UTF-8 on, at ``start``."""
    rest = content[start : start + _LOOKED_AT]
    letters = _NO_ASCII.findall(rest.decode(errors="replace"))
    if 3 * letters.count("\ufffd") <= len(letters):
        return None  # it is UTF-8, but for some places
    korean = rest.decode("euc_kr", errors="replace")  # its rare letters, CP949's own, look western
    if 2 * len(_HANGUL.findall(korean)) > len(_NO_ASCII.findall(korean)):
        return "CP949"
    # With the letter before: what follows it is no word of its own.
    western = content[max(start - 1, 0) : start + _LOOKED_AT].decode("cp1252", errors="replace")
    is_western = _WESTERN.fullmatch(western) and not _NO_ASCII_WORD.search(western)
    return "WINDOWS-1252" if is_western else None
