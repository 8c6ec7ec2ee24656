"""Tokens that a training adds to its base's tokenizer, such as ``<think>``.

They are written into a copy of the base's own files, and the training's tokenizer is loaded from
that: what an adapter or a model brings along later is what it was trained with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import hash_files, hash_value, read_json, write_json
from kot_platypus.errors import ModelError
from kot_platypus.models.cache import cache_folder, keep_once
from kot_platypus.models.pieces import ADDED, PIECES, SETTINGS, TOKENIZER, prepare_tokenizer
from kot_platypus.models.tokens import (
    TOKENIZER_FILES,
    build_tokenizer,
    encode_text,
    load_tokenizer,
)
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FORMAT = 1
"""Counts up when the files are written otherwise."""
_DECODER = "added_tokens_decoder"


@dataclass(frozen=True)
class Vocabulary:
    """A base's tokenizer, and what was added to it."""

    tokenizer: PreTrainedTokenizerBase
    added: Mapping[str, int]
    """New tokens and their ids."""
    folder: Path | None = None
    """The tokenizer's files, where they are not the base's own."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of it: nothing where there is nothing new."""
        return {"new_tokens": dict(self.added)} if self.added else {}

    def copy_files(self, folder: Path) -> None:
        """Lay the tokenizer's files into ``folder``, unless they are the base's own."""
        if self.folder is not None:
            for file in _list_files(self.folder):
                shutil.copyfile(file, folder / file.name)


def load_vocabulary(
    base: Path, new_tokens: Sequence[str], *, trust_remote_code: bool = False
) -> Vocabulary:
    """The base's tokenizer with ``new_tokens``, each one token wherever a text has it.

    What the base reads as one token already is left as it is, which a line says. Raises ModelError
    where a token cannot be added.
    """
    tokenizer = load_tokenizer(base, trust_remote_code=trust_remote_code)
    known = {text: ids for text in new_tokens if (ids := _find_token(tokenizer, text))}
    if known:
        named = ", ".join(f"{text} ({ids[0]})" for text, ids in known.items())
        print_notice(f"One token of {base.name} already, so not new: {named}")
    made = [text for text in new_tokens if text not in known]
    if not made:
        return Vocabulary(tokenizer, {})
    source = prepare_tokenizer(base)
    if not (source / TOKENIZER).is_file():
        raise ModelError(
            f"{base} has no {TOKENIZER}, into which train.new_tokens are written",
            expected="a tokenizer of the library `tokenizers`",
            hint="Save its tokenizer anew with save_pretrained, or set train.new_tokens=[].",
        )
    # An adapter has no config.json, which may be what names them.
    ends = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token")}
    key = hash_value([_FORMAT, hash_files(source, TOKENIZER_FILES), made, ends])

    def write(part: Path) -> None:
        for file in _list_files(source):
            shutil.copyfile(file, part / file.name)
        _write_tokens(part, made, ends)

    folder = keep_once(cache_folder() / "tokenizers" / f"new-{key[:12]}", write)
    tokenizer = build_tokenizer(folder, trust_remote_code=trust_remote_code)
    added = {text: int(tokenizer.convert_tokens_to_ids(text)) for text in made}
    _check(base, tokenizer, added)
    return Vocabulary(tokenizer, added, folder)


def _find_token(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int] | None:
    """The one token of a text, in a list; None where there is none, or it is the unknown one."""
    ids = encode_text(tokenizer, text, opens=False)
    return ids if len(ids) == 1 and tokenizer.decode(ids) == text else None


def _list_files(folder: Path) -> Iterator[Path]:
    yield from {file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}


def _write_tokens(folder: Path, tokens: Sequence[str], ends: Mapping[str, Any]) -> None:
    """Add ``tokens`` to a tokenizer's files: to all that list such, for whoever reads one of them.

    They are ordinary tokens, not special ones: texts are read back with them.
    """
    from tokenizers import AddedToken, Tokenizer

    described = Tokenizer.from_file(str(folder / TOKENIZER))
    described.add_tokens([AddedToken(text, normalized=False, special=False) for text in tokens])
    listed = json.loads(described.to_str())["added_tokens"]
    write_json(folder / TOKENIZER, {**read_json(folder / TOKENIZER), "added_tokens": listed})
    file = folder / SETTINGS
    settings = read_json(file) if file.is_file() else {}
    settings |= {name: end for name, end in ends.items() if end and not settings.get(name)}
    if _DECODER in settings or (folder / PIECES).is_file():
        settings[_DECODER] = {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in listed
        }
    write_json(file, settings)
    if (file := folder / ADDED).is_file():
        numbers = {text: described.token_to_id(text) for text in tokens}
        write_json(file, {**read_json(file), **numbers})


def _check(base: Path, tokenizer: PreTrainedTokenizerBase, added: Mapping[str, int]) -> None:
    """Raise ModelError unless each new token is itself between letters, and read back."""
    for text, number in added.items():
        ids = encode_text(tokenizer, f"가{text}나", opens=False)
        if number not in ids or tokenizer.decode([number]).strip(" ") != text.strip(" "):
            raise ModelError(
                f"{base}: the new token {text!r} is read as {tokenizer.convert_ids_to_tokens(ids)} "
                f"and written as {tokenizer.decode([number])!r}",
                expected="one token that stands for itself",
                hint="Choose a text without spaces and signs of the tokenizer's own.",
            )
