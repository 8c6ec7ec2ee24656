"""Which tokenizer belongs to a model, and whether the model has a row for each of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import ModelError
from kot_platypus.models.adapters import count_rows
from kot_platypus.models.conversion import prepare_adapter
from kot_platypus.models.refusals import list_some, read_config
from kot_platypus.models.weights import check_size

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER_FILES = (
    "tokenizer*",
    "*.model",
    "*.jinja",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_WHOLE = ("tokenizer.json", "*.model", "*vocab*", "*.tiktoken")
"""Any of these holds the tokens themselves."""


def find_tokenizer(folder: Path, adapter: Path | None = None) -> Path:
    """The folder whose tokenizer is used: the adapter's own where it brings one.

    Raises ModelError when there is none (transformers would make an empty one), or when a file of
    it is empty or a pointer of Git LFS.
    """
    found = adapter if adapter is not None and has_tokenizer(adapter) else folder
    if not has_tokenizer(found):
        raise ModelError(
            f"{found} has no tokenizer",
            expected="tokenizer.json, tokenizer.model or vocab.json beside config.json",
            hint="Download those files, too.",
        )
    for file in (file for pattern in TOKENIZER_FILES for file in found.glob(pattern)):
        if file.is_file():
            check_size(file)
    return found


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds tokens, not only settings of a tokenizer."""
    return any(file.is_file() for name in _WHOLE for file in folder.glob(name))


def check_vocabulary(
    folder: Path, adapter: Path | None, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Raise ModelError where a text can hold tokens that the model has no row for.

    Models come with tokens beyond their rows that no text holds (a padding token, Gemma's image
    token); those do no harm.
    """
    rows = _count_rows(folder, adapter)
    vocabulary = tokenizer.get_vocab()
    if rows is None or max(vocabulary.values(), default=0) < rows:
        return
    special = set(tokenizer.all_special_tokens)
    special |= {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    used = {str(tokenizer.bos_token), str(tokenizer.eos_token)}
    template = str(tokenizer.chat_template or "")
    beyond = [
        token
        for token, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if number >= rows and (token not in special or token in used or token in template)
    ]
    if beyond:
        count = max(vocabulary.values()) + 1
        raise ModelError(
            f"{find_tokenizer(folder, adapter)}: the tokenizer has {count:,} tokens and the "
            f"model {rows:,} rows, none for {list_some(beyond)}",
            expected="a row of the embedding for each token",
            hint="Pass the adapter that the tokens were added for, or take them out of the "
            "tokenizer again.",
        )


def _count_rows(folder: Path, adapter: Path | None) -> int | None:
    """The rows of the embedding: the adapter's if it brings one, else as config.json says."""
    rows = count_rows(prepare_adapter(adapter)) if adapter is not None else None
    if rows is not None or not (folder / "config.json").is_file():
        return rows
    config: dict[str, Any] = read_config(folder)
    size = config.get("vocab_size", (config.get("text_config") or {}).get("vocab_size"))
    return size if isinstance(size, int) else None
