"""Whoever is examined: a model in this process, or one behind a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kot_platypus.artifacts import hash_value
from kot_platypus.evaluate.generation import Engine
from kot_platypus.evaluate.store import make_model_key
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


class ModelUnderTest(Protocol):
    """A model that writes."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def identity(self) -> str:
        """A hash that no other model has: what a results folder remembers."""

    @property
    def key(self) -> str:
        """The same, and all else that decides its texts: the key of its stores."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What results say of it: JSON values, no secrets."""

    def load(self) -> Engine:
        """The engine that generates its texts."""


@dataclass
class TransformersModel:
    """A model folder, with or without an adapter. Nothing is loaded before it is needed."""

    folder: Path
    adapter: Path | None = None
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    max_rows: int = 32
    """The most texts that are generated at a time."""

    @property
    def name(self) -> str:
        """The folder's name, and the adapter's."""
        return name_folders(self.folder, self.adapter)

    @cached_property
    def identity(self) -> str:
        """The fingerprint of model and adapter."""
        trust = self.trust_remote_code
        return fingerprint_model(self.folder, self.adapter, trust_remote_code=trust)

    @property
    def key(self) -> str:
        """The key of its stores; resolving device and dtype may load torch."""
        return make_model_key(self.identity, self.resolved_dtype, self.resolved_device)

    @cached_property
    def resolved_device(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return resolve_device(self.device)

    @cached_property
    def resolved_dtype(self) -> str:
        """What it computes in."""
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

    def load(self) -> Engine:
        """The engine, made once."""
        return self._engine

    @cached_property
    def _engine(self) -> Engine:
        from kot_platypus.evaluate.decoding import LocalEngine  # loads torch

        return LocalEngine(self.model, self.tokenizer, max_rows=self.max_rows)

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


@dataclass
class OpenAIModel:
    """A model behind a server that speaks OpenAI's protocol."""

    name: str
    """What the server calls it."""
    base_url: str
    max_requests: int = 8
    timeout_s: float = 600.0

    @property
    def identity(self) -> str:
        """Of address and name. What the server loads under that name is not known here."""
        return hash_value({"base_url": self.base_url, "model": self.name})

    @property
    def key(self) -> str:
        """The same."""
        return self.identity

    @property
    def about(self) -> dict[str, Any]:
        """Its name and address."""
        return {
            "model": self.identity,
            "engine": "openai",
            "name": self.name,
            "base_url": self.base_url,
        }

    def load(self) -> Engine:
        """The engine."""
        from kot_platypus.evaluate.server import ServerEngine

        return ServerEngine(
            self.name, self.base_url, max_requests=self.max_requests, timeout_s=self.timeout_s
        )
