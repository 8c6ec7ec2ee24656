"""Tokens as a folder's tokenizer.json describes them.

transformers 5 takes vocabulary and merges out of the file and builds the rest as the tokenizer's
class has it: a Llama-2 tokenizer then gives ``부정`` with a space before it other tokens than
those the model was trained on, and one of another kind under GPT-2's class loses all Korean. So
the file's own way from text to tokens and back is put into its place. The class keeps what is
about special tokens: which there are, and which stand before and after a text.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "tokenizer.json"
PROBES = (
    "문장: 배송이 빨라요 긍부정:",
    " 부정",
    "  두 칸  띄고\n줄을 바꾼다.",
    "나는 3/4를 1,234개 샀다 (영수증 있음).",
    "The answer is 42.",
    unicodedata.normalize("NFD", "한글"),
)
"""Texts whose spaces, line ends, digits and decomposed letters a wrong way would change."""


def follow_file(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Make ``tokenizer`` read and write text as ``folder``'s tokenizer.json says, if there is one.

    Raises ModelError when it cannot be made to, or, without such a file, when what the class has
    built of others leaves out letters.
    """
    if not (folder / FILE).is_file():
        _check_text(tokenizer, folder)
        return
    if not hasattr(tokenizer, "_tokenizer"):
        return  # code of the model's own, which does not work with such files
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if type(tokenizer) is PreTrainedTokenizerFast:
        return  # which has read the file and nothing else
    described = Tokenizer.from_file(str(folder / FILE))
    described.no_truncation()
    described.no_padding()
    expected = [described.encode(probe, add_special_tokens=False).ids for probe in PROBES]
    tokenizer._tokenizer = _complete(described, tokenizer._tokenizer, folder)
    found = tokenizer(list(PROBES), add_special_tokens=False, verbose=False)["input_ids"]
    for probe, ids, wanted in zip(PROBES, found, expected, strict=True):
        if ids != wanted:
            raise _refuse(folder, probe, f"other tokens than its {FILE} describes")


def _complete(described: Any, built: Any, folder: Path) -> Any:
    """The file's tokenizer with what the folder's settings add to it: tokens, BOS and EOS."""
    known = {token.content for token in described.get_added_tokens_decoder().values()}
    for index, token in sorted(built.get_added_tokens_decoder().items()):
        if token.content in known:
            continue
        add = described.add_special_tokens if token.special else described.add_tokens
        add([token])
        if (found := described.token_to_id(token.content)) != index:
            raise ModelError(
                f"{folder}: the token {token.content!r} is {found} by its {FILE} and {index} by "
                "its settings",
                expected="files that belong together",
                hint="Take all of a model's tokenizer files from one place.",
            )
    described.post_processor = built.post_processor
    described.encode_special_tokens = built.encode_special_tokens
    return described


def _check_text(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    for probe in PROBES:
        ids = tokenizer(probe, add_special_tokens=False, verbose=False)["input_ids"]
        if tokenizer.unk_token_id in ids:
            continue  # said, not silent
        lost = _list_letters(probe) - _list_letters(tokenizer.decode(ids))
        if lost:
            raise _refuse(folder, probe, f"no token for {' '.join(sorted(lost)[:5])}")


def _list_letters(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return {letter for letter in plain if letter.isalnum()}


def _refuse(folder: Path, probe: str, what: str) -> ModelError:
    return ModelError(
        f"{folder}: its tokenizer has {what} in {probe.strip()!r}",
        expected="a tokenizer that reads Korean text as its files say",
        hint="Take all tokenizer files that the model came with.",
    )
