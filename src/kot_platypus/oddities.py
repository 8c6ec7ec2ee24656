"""What of rows is learnt as it stands and may not be meant so. Nothing is changed, all is said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kot_platypus.records import Dialogue, Row
from kot_platypus.row_texts import list_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KINDS = {
    "decomposed": "with letters in pieces (NFD), which are other and more tokens",
    "zero_width": "with characters of no width",
    "special_token": "with special tokens written out",
    "outer_spaces": "with spaces around the target",
    "blank_target": "with a target of spaces alone",
    "whole_float": "with a target such as 7.0, where all are whole numbers",
    "no_target": "without a target, beside rows that have one",
}
"""What is found in a row, and what is said of it."""
ZERO_WIDTH = re.compile(r"[\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff]|(?<=\w)\u200d|\u200d(?=\w)")
"""The joiner U+200D is none between emoji, which it makes one of."""
SPECIAL_TOKEN = re.compile(
    r"</?s>|<(bos|eos|pad|unk|(start|end)_of_turn)>|\[/?INST\]|"
    r"<[|｜][^\s|｜<>]{1,40}[|｜]>|\[\|[^\s|\[\]]{1,40}\|\]"
)
"""Those of today's tokenizers, where none is there to ask."""
_WHOLE_FLOAT, _FRACTION = re.compile(r"-?\d+\.0"), re.compile(r"-?\d*\.\d*[1-9]\d*")


class Oddities:
    """The rows, counted from 0, in which something odd stands; grows by one row at a time.

    ``special_tokens`` are the tokenizer's; without one, those that are known of others.
    """

    def __init__(self, special_tokens: Iterable[str] | None = None) -> None:
        self._special = SPECIAL_TOKEN if special_tokens is None else _compile(special_tokens)
        self._found: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self._num_rows = self._num_targets = 0
        self._has_fractions = False

    def add(self, row: Row) -> None:
        """Look at one more row."""
        for kind in self._find(row):
            self._found[kind].append(self._num_rows)
        self._num_rows += 1
        if not isinstance(row, Dialogue):
            self._num_targets += bool(row.target)
            self._has_fractions |= _FRACTION.fullmatch(row.target) is not None

    @property
    def found(self) -> dict[str, list[int]]:
        """The rows of each kind of which there are any."""
        # Each of these two is odd in some sets of rows alone.
        usual = {"no_target"} if not self._num_targets else set()
        usual |= {"whole_float"} if self._has_fractions else set()
        return {kind: rows for kind, rows in self._found.items() if rows and kind not in usual}

    def describe(self) -> str:
        """One line; empty where nothing is odd."""
        listed = ", ".join(f"{len(rows):,} {KINDS[kind]}" for kind, rows in self.found.items())
        if not listed:
            return ""
        said = f"Learnt as they stand, of {self._num_rows:,} rows: {listed}"
        return f"{said}. To find them: kot data check"

    def _find(self, row: Row) -> Iterator[str]:
        texts = list_texts(row, of_tools=True).values()
        if any(map(_is_decomposed, texts)):
            yield "decomposed"
        if any(map(ZERO_WIDTH.search, texts)):
            yield "zero_width"
        if any(map(self._special.search, texts)):
            yield "special_token"
        if isinstance(row, Dialogue):
            return
        if row.target and not row.target.strip():
            yield "blank_target"
        elif row.target != row.target.strip():
            yield "outer_spaces"
        if _WHOLE_FLOAT.fullmatch(row.target):
            yield "whole_float"
        if row.rationale.strip() and not row.target:
            yield "no_target"


def find_oddities(rows: Iterable[Row], special_tokens: Iterable[str] | None = None) -> Oddities:
    """What is odd in rows."""
    oddities = Oddities(special_tokens)
    for row in rows:
        oddities.add(row)
    return oddities


def list_special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The texts that a tokenizer reads as special tokens wherever they stand."""
    added = tokenizer.added_tokens_decoder.values()
    return {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}


def _compile(tokens: Iterable[str]) -> re.Pattern[str]:
    texts = sorted(filter(str.strip, tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def _is_decomposed(text: str) -> bool:
    """Whether composing makes it shorter: compatibility hanja, which NFC changes too, do not."""
    return not unicodedata.is_normalized("NFC", text) and len(
        unicodedata.normalize("NFC", text)
    ) < len(text)
