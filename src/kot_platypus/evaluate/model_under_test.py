"""The model under test: one in this process, or one behind a server (``server.py``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.evaluate.keys import make_model_key
from kot_platypus.evaluate.texts import Generated, Prompt, Settings
from kot_platypus.models import (
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.results.wording import name_folders

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from kot_platypus.evaluate.decoding import TextGenerator


class ModelUnderTest(ABC):
    """A model that generates texts."""

    prefills_chats = True
    """Whether it can be given the beginning of its reply in a chat."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What people call it."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """A hash that no other model has: what a results folder remembers."""

    @property
    @abstractmethod
    def key(self) -> str:
        """A hash of that and of all else that decides its texts: the key of its stores."""

    @property
    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """What results say of it: JSON values, no secrets."""

    @abstractmethod
    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text, in the order in which they are done."""


@dataclass
class TransformersModel(ModelUnderTest):
    """A model folder, with or without an adapter. Nothing is loaded before it is needed.

    ``dtype``, ``device`` and ``trust_remote_code`` are as in ModelSection; ``max_rows`` is the
    most texts that are generated at a time.
    """

    folder: Path
    adapter: Path | None = None
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    max_rows: int = 32

    @property
    def name(self) -> str:
        """The folder's name, and the adapter's."""
        return name_folders(self.folder, self.adapter)

    @cached_property
    def identity(self) -> str:
        """The fingerprint of model and adapter."""
        trust = self.trust_remote_code
        return fingerprint_model(self.folder, self.adapter, trust_remote_code=trust)

    @cached_property
    def key(self) -> str:
        """Of identity, dtype, device and libraries; resolving device and dtype may load torch."""
        return make_model_key(self.identity, self.resolved_dtype, self.resolved_device)

    @cached_property
    def resolved_device(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return resolve_device(self.device)

    @cached_property
    def resolved_dtype(self) -> str:
        """What it computes in. Only for ``auto`` does this ask the device, which loads torch."""
        if self.dtype != "auto":
            return self.dtype
        return resolve_dtype(self.dtype, self.resolved_device, self.folder)

    @property
    def about(self) -> dict[str, Any]:
        """Its fingerprint, dtype and device."""
        return {
            "model": self.identity,
            "engine": "transformers",
            "dtype": self.resolved_dtype,
            "device": self.resolved_device,
        }

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text, in the order in which they are done."""
        return self._generator.generate(prompts, settings)

    @cached_property
    def _generator(self) -> TextGenerator:
        from kot_platypus.evaluate.decoding import TextGenerator  # loads torch

        return TextGenerator(self.model, self.tokenizer, max_rows=self.max_rows)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model itself."""
        return load_model(
            self.folder,
            dtype=self.resolved_dtype,
            device=self.resolved_device,
            adapter=self.adapter,
            trust_remote_code=self.trust_remote_code,
        )

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer, which needs no weights."""
        return load_tokenizer(
            self.folder, adapter=self.adapter, trust_remote_code=self.trust_remote_code
        )
