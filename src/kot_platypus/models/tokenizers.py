"""The tokenizer of a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kot_platypus.errors import KotError
from kot_platypus.models.pieces import prepare_tokenizer
from kot_platypus.models.quiet import quieten
from kot_platypus.models.refusals import does_not_load
from kot_platypus.models.tokens import build_tokenizer
from kot_platypus.models.vocabulary import check_vocabulary, find_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    source = find_tokenizer(folder, adapter)
    try:
        tokenizer = build_tokenizer(
            prepare_tokenizer(source),
            trust_remote_code=trust_remote_code,
            add_bos_token=add_bos_token,
        )
        check_vocabulary(folder, adapter, tokenizer)
        return tokenizer
    except KotError:
        raise
    except Exception as error:  # a foreign folder, or its code, can provoke any kind
        raise does_not_load(source, "tokenizer", error) from error
