"""The keys under which scores and texts are kept: SHA-256 of all that decides them.

A key that changes loses what is kept under it, so a test pins them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from kot_platypus.artifacts import hash_value

if TYPE_CHECKING:
    from kot_platypus.evaluate.encoding import EncodedRequest, Encoding
    from kot_platypus.evaluate.texts import Prompt, Settings

FORMAT = 2
"""Counts up when tokens or scores are corrected: what was kept before is never found again.

2: tokens as tokenizer.json describes them, special tokens before a context only, windows as the
model has them.
"""

ONE_BY_ONE_KEY = hash_value("reads one text at a time")
"""Under which a store keeps, as a question without choices, that the model was read so."""

_LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


def make_model_key(fingerprint: str, dtype: str, device: str) -> str:
    """The key of a model in this process: of all that decides what it says.

    ``fingerprint`` is that of its weights, config, tokenizer and adapter; ``cpu``, ``cuda`` and
    ``mps`` round differently.
    """
    libraries = {name: version(name) for name in _LIBRARIES}
    identity = {"model": fingerprint, "dtype": dtype, "device": device, "format": FORMAT}
    return hash_value({**identity, **libraries})


def make_server_key(base_url: str, model: str) -> str:
    """The key of a model behind a server. What the server loads under that name is not known."""
    return hash_value({"base_url": base_url, "model": model})


def make_question_key(
    prompt: str, num_fewshot: int, context: str, continuations: Sequence[str]
) -> str:
    """The key of a protocol's question; ``prompt`` is ``Protocol.fingerprint_task``."""
    return hash_value([prompt, num_fewshot, context, list(continuations)])


def make_choices_key(encoding: Encoding, context: str, choices: Sequence[str]) -> str:
    """The key of choices that follow an answer line's beginning."""
    return hash_value([encoding.model_dump(), context, list(choices)])


def make_request_key(request: EncodedRequest) -> str:
    """The key of a request without a question: its tokens, and which of them are scored."""
    values = np.array([request.start, *request.ids], dtype="<i8")
    return hashlib.sha256(values.tobytes()).hexdigest()


def make_text_key(prompt: Prompt, settings: Settings) -> str:
    """The key of a generated text. A greedy text has no seed and no sample."""
    drawn = settings.temperature > 0
    how = settings.model_dump()
    asked = prompt.model_dump()
    if not drawn:
        asked.pop("sample")
        for name in ("temperature", "seed", "top_p", "top_k", "min_p"):
            how.pop(name, None)
    # Texts of chats were once kept without the thoughts' opening tag.
    return hash_value([asked, how, *(["thoughts"] if prompt.messages else [])])


def make_seed(prompt: Prompt, settings: Settings) -> int:
    """The seed of one text's draws. No other text, batch or process has a part in it."""
    return int(make_text_key(prompt, settings), 16)


def make_bos_key(texts: Sequence[str]) -> str:
    """The key of what a model says of ``texts`` without BOS and with it."""
    return hash_value(["without BOS and with it", *texts])
