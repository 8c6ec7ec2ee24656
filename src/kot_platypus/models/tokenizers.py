"""The tokenizer of a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kot_platypus.errors import KotError
from kot_platypus.models.quiet import quieten
from kot_platypus.models.refusals import does_not_load
from kot_platypus.models.tokens import build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(
    folder: Path, *, trust_remote_code: bool = False, add_bos_token: bool | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises ModelError when the folder holds none that loads.

    ``add_bos_token`` overrides its own setting unless None.
    """
    quieten()
    try:
        return build_tokenizer(
            folder, trust_remote_code=trust_remote_code, add_bos_token=add_bos_token
        )
    except KotError:
        raise
    except Exception as error:  # a foreign folder can provoke any kind
        raise does_not_load(folder, "tokenizer", error) from error
