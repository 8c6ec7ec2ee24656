"""How text becomes tokens: as ``tokenizer.json`` describes it, and never another way unsaid.

transformers 5 builds most tokenizers from their class and takes no more than the vocabulary from
the file: Llama 2's then reads " 부정" as one token fewer than the program that made the published
scores, and a class that does not fit the file drops Korean without a word. So the file is loaded as
it stands, and a few texts are compared afterwards.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import read_json
from kot_platypus.errors import ModelError
from kot_platypus.models.adapters import count_rows
from kot_platypus.models.conversion import prepare_adapter
from kot_platypus.models.pieces import prepare_tokenizer
from kot_platypus.models.refusals import explain_errors, list_some, read_config
from kot_platypus.models.training_info import read_processor_template, read_training_info
from kot_platypus.models.weights import check_size
from kot_platypus.progress import print_notice, quieten

if TYPE_CHECKING:
    from tokenizers import Tokenizer
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
READING = 2
"""Counts up when texts become other tokens: what was trained on others is not what is asked for."""
_PROBES = (
    "배송이 빠르고 품질도 좋아요.",
    " 부정",
    "  예",
    "문장: 값이\n\n싸다 긍부정:",
    unicodedata.normalize("NFD", "한글 날"),
    "The 1st of 2,159 rows\t😀 漢字",
)
_OF_TWO_SETTINGS = ("LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer")
"""Classes that in transformers 4 put BOS and EOS as ``add_bos_token`` (by default true) and
``add_eos_token`` (false) say, whatever the post-processor of the file."""


def load_tokenizer(
    folder: Path,
    *,
    adapter: Path | None = None,
    trust_remote_code: bool = False,
    add_bos_token: bool | None = None,
) -> PreTrainedTokenizerBase:
    """The tokenizer of the model in ``folder``, or that which ``adapter`` brings with it.

    ``add_bos_token`` overrides its own setting unless None. Raises ModelError when the folder
    holds none that loads, or one with tokens that the model has no embedding for.
    """
    quieten()
    source = _find_tokenizer(folder, adapter)
    with explain_errors(source, "tokenizer"):
        tokenizer = build_tokenizer(
            prepare_tokenizer(source),
            trust_remote_code=trust_remote_code,
            add_bos_token=add_bos_token,
        )
        tokenizer.chat_template = tokenizer.chat_template or read_processor_template(source)
        _check_vocabulary(folder, adapter, tokenizer, source)
    if adapter is not None and (info := read_training_info(adapter)).date:
        tokenizer.chat_template = info.chat_template  # the base's shows today
    return tokenizer


def build_tokenizer(
    folder: Path, *, trust_remote_code: bool = False, add_bos_token: bool | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer that a folder's files describe.

    ``tokenizer.json`` decides the tokens; ``tokenizer_config.json`` the special ones around a text,
    as in transformers 4; ``add_bos_token`` overrides both. Without that file, or with code of its
    own, it is what transformers makes of the folder. Raises ModelError for a tokenizer that loses
    text, and whatever the libraries raise.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = _read_settings(folder / "tokenizer_config.json")
    file = folder / "tokenizer.json"
    tokenizer: PreTrainedTokenizerBase
    if not file.is_file() or _names_code(config):
        options = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=trust_remote_code, **options
        )
        if not file.is_file() or not type(tokenizer).__module__.startswith("transformers."):
            _check_text(folder, tokenizer)
            return tokenizer
    described = Tokenizer.from_file(str(file))
    described.no_truncation()
    described.no_padding()
    expected = [_read_probe(described, text) for text in _PROBES]
    _note_contradiction(folder, config, described)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        folder,
        clean_up_tokenization_spaces=False,
        tokenizer_object=_Uncopied(described),
        **_find_ends(folder, config, described),
    )
    _place_ends(tokenizer, config, add_bos_token)
    _check_tokens(folder, tokenizer, expected)
    return tokenizer


def _find_tokenizer(folder: Path, adapter: Path | None) -> Path:
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
    for pattern in TOKENIZER_FILES:
        for file in filter(Path.is_file, found.glob(pattern)):
            check_size(file)
    return found


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds tokens, not only settings of a tokenizer."""
    return any(file.is_file() for name in _WHOLE for file in folder.glob(name))


class _Uncopied:
    """Makes transformers take a tokenizer instead of a copy of it, which parses the file again."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __deepcopy__(self, memo: object) -> Tokenizer:
        return self._tokenizer


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, *, opens: bool = True) -> list[int]:
    """The tokens of a text that goes on: nothing stands behind it, as some tokenizers put EOS.

    Before it stands what the tokenizer puts there, unless the text ``opens`` nothing: it goes on
    itself, or a chat template has written that already.
    """
    opening = list_opening(tokenizer) if opens else []
    return [*opening, *_encode(tokenizer, text)]


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, which opens nothing, as of ``encode_text``; on all processors."""
    if not texts:
        return []
    how = {"return_attention_mask": False, "return_token_type_ids": False}
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False, **how)[
        "input_ids"
    ]
    return ids


def is_seam(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    """Whether the text behind a special token becomes the same tokens whatever stands before it.

    It is so where a program of ``tokenizers`` cuts the text at special tokens before all else, and
    this one takes no space beside it and is a part of no other.
    """
    added = tokenizer.added_tokens_decoder
    if not tokenizer.is_fast or token not in added:
        return False
    found = added[token]
    takes_more = found.normalized or found.lstrip or found.rstrip or found.single_word
    others = (str(other) for number, other in added.items() if number != token)
    return not takes_more and not any(str(found) in other for other in others)


def list_opening(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special tokens that the tokenizer puts before a text: none, or BOS."""
    return _find_specials(tokenizer)[0]


def list_closing(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special tokens that the tokenizer puts behind a text: none, or EOS."""
    return _find_specials(tokenizer)[1]


def _find_specials(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    text = "가 1"
    whole, plain = _encode(tokenizer, text, special=True), _encode(tokenizer, text)
    starts = range(len(whole) - len(plain) + 1)
    at = next((i for i in starts if whole[i : i + len(plain)] == plain), 0)
    return whole[:at], whole[at + len(plain) :]


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = False) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    return ids


# --- special tokens ----------------------------------------------------------------------------


def _read_settings(path: Path) -> dict[str, Any]:
    settings = read_json(path) if path.is_file() else {}
    return settings if isinstance(settings, dict) else {}


def _names_code(config: dict[str, Any]) -> bool:
    named = config.get("auto_map")
    return bool(named.get("AutoTokenizer") if isinstance(named, dict) else named)


def _find_ends(folder: Path, config: dict[str, Any], described: Tokenizer) -> dict[str, str]:
    """BOS and EOS by their ids in config.json, where no file of the tokenizer speaks of them."""
    said = {**config, **_read_settings(folder / "special_tokens_map.json")}
    model = _read_settings(folder / "config.json")
    ends = {}
    for name in ("bos_token", "eos_token"):
        ids = model.get(f"{name}_id", (model.get("text_config") or {}).get(f"{name}_id"))
        first = ids[0] if isinstance(ids, list) and ids else ids
        token = described.id_to_token(first) if isinstance(first, int) and first >= 0 else None
        if name not in said and token is not None:
            ends[name] = token
    return ends


def _place_ends(
    tokenizer: PreTrainedTokenizerBase, config: dict[str, Any], add_bos_token: bool | None
) -> None:
    """Let the post-processor add BOS and EOS as the settings say, where it does otherwise."""
    from tokenizers.processors import TemplateProcessing

    opening, closing = map(bool, _find_specials(tokenizer))
    add_bos, add_eos = opening, closing
    kind = str(config.get("tokenizer_class")).removesuffix("Fast")
    # transformers 5 writes what it means into the file, and leaves the settings out.
    if kind in _OF_TWO_SETTINGS and "backend" not in config:
        add_bos = bool(config.get("add_bos_token", True))
        add_eos = bool(config.get("add_eos_token", False))
    if add_bos_token is not None:
        add_bos = add_bos_token
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    if (add_bos, add_eos) == (opening, closing) or (add_bos and not bos) or (add_eos and not eos):
        return
    first, last = [f"{bos}:0"] if add_bos else [], [f"{eos}:0"] if add_eos else []
    used = [(token, tokenizer.convert_tokens_to_ids(token)) for token in {bos, eos} if token]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=[*first, "$A:0", *last],
        pair=[*first, "$A:0", *last, *first, "$B:0", *last],
        special_tokens=used,
    )


# --- checks ------------------------------------------------------------------------------------


def _read_probe(described: Tokenizer, text: str) -> tuple[list[int], str]:
    """The tokens of a text as the file itself has them, and what they are read back as."""
    ids: list[int] = described.encode(text, add_special_tokens=False).ids
    return ids, described.decode(ids, skip_special_tokens=False)


def _note_contradiction(folder: Path, config: dict[str, Any], described: Tokenizer) -> None:
    """Say that tokenizer.json decides where the settings contradict its space before a text."""
    asked = config.get("add_prefix_space")
    parts = (described.normalizer, described.pre_tokenizer)
    written = b"".join(part.__getstate__() for part in parts if part is not None)
    signs = {
        True: (b'"add_prefix_space":true', b'_scheme":"always"', b'_scheme":"first"', b'"Prepend"'),
        False: (b'"add_prefix_space":false', b'_scheme":"never"'),
    }
    found = {said for said, marks in signs.items() if any(mark in written for mark in marks)}
    if isinstance(asked, bool) and found == {not asked}:
        _print_once(
            f"{folder}: add_prefix_space is {asked} in tokenizer_config.json and {not asked} in "
            "tokenizer.json, which decides"
        )


@cache
def _print_once(text: str) -> None:
    print_notice(text)  # a command may load one tokenizer several times


def _check_tokens(
    folder: Path, tokenizer: PreTrainedTokenizerBase, described: list[tuple[list[int], str]]
) -> None:
    """Raise ModelError unless tokens and texts are those of the file itself."""
    for text, (expected, expected_text) in zip(_PROBES, described, strict=True):
        ids = _encode(tokenizer, text)
        if ids != expected:
            raise ModelError(
                f"{folder}: {text!r} becomes the tokens {ids}",
                expected=f"{expected}, as tokenizer.json says",
                hint="tokenizer_config.json or added_tokens.json contradicts it: fix that file.",
            )
        written = tokenizer.decode(ids)
        if written != expected_text:
            raise ModelError(
                f"{folder}: the tokens of {text!r} are read back as {written!r}",
                expected="what the decoder in tokenizer.json makes of them",
                hint="Load this tokenizer with the library that wrote it, and save it again.",
            )


def _check_text(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ModelError when Korean text is lost, though no token says that it is unknown."""
    text = _PROBES[0]
    ids = _encode(tokenizer, text)
    written = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if tokenizer.unk_token_id in ids or _keep_letters(written) == _keep_letters(text):
        return
    raise ModelError(
        f"{folder}: the tokenizer {type(tokenizer).__name__} makes {written!r} of {text!r}",
        expected="the text itself, or tokens that mark it as unknown",
        hint="Add the model's tokenizer.json, or the tokenizer_config.json that names its class.",
    )


def _keep_letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _check_vocabulary(
    folder: Path, adapter: Path | None, tokenizer: PreTrainedTokenizerBase, source: Path
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
            f"{source}: the tokenizer has {count:,} tokens and the "
            f"model {rows:,} rows, none for {list_some(beyond)}",
            expected="a row of the embedding for each token",
            hint="Pass the adapter that the tokens were added for, or take them out of the "
            "tokenizer again.",
        )


def _count_rows(folder: Path, adapter: Path | None) -> int | None:
    """The rows of the embedding: the adapter's if it brings one, else as config.json says."""
    size = None
    if (folder / "config.json").is_file():
        config: dict[str, Any] = read_config(folder)
        size = config.get("vocab_size", (config.get("text_config") or {}).get("vocab_size"))
    own = size if isinstance(size, int) else None
    rows = count_rows(prepare_adapter(adapter), own or 0) if adapter is not None else None
    return own if rows is None else rows
