"""The score store: what one model once said of a question is never computed again.

``$KOT_CACHE/scores/<model key>/`` holds a file for every process that ever added to it. A line is
a batch; a line that a kill has torn does not parse, and its batch is simply scored again. The key
covers weights, adapter, tokenizer, dtype, device and library versions, and stands in every line, so
that no model ever gets another's scores, not even from a file that lies in the wrong folder.
Scores of lm-eval's requests, which belong to no question, lie in a folder of their own below.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from kot_platypus.artifacts import hash_value
from kot_platypus.errors import RunError
from kot_platypus.models import cache_folder
from kot_platypus.records import Record

FORMAT = 2
"""Counts up when tokens or scores are mended: what was said before is never found again.

2: tokens as tokenizer.json describes them, special tokens before a context only, windows as the
model has them.
"""

_LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


class QuestionScores(Record):
    """What a model says of one question: log-probabilities (nats) in label order."""

    logprobs: tuple[float, ...]
    effective_shots: int
    has_equal_requests: bool = False
    """Whether several of its choices are the same tokens."""


class RequestScore(Record):
    """What a model says of one continuation."""

    logprob: float
    is_greedy: bool
    """Whether each of its tokens was the likeliest."""


S = TypeVar("S", bound=Record)


class ScoredBatch(Record, Generic[S]):
    """A line of a store: what one pass scored, by its keys."""

    model: str
    scores: dict[str, S]


def make_model_key(fingerprint: str, dtype: str, device: str) -> str:
    """SHA-256 of all that decides what a model in this process says.

    ``fingerprint`` is that of its weights, config, tokenizer and adapter; ``cpu``, ``cuda`` and
    ``mps`` round differently.
    """
    libraries = {name: version(name) for name in _LIBRARIES}
    identity = {"model": fingerprint, "dtype": dtype, "device": device, "format": FORMAT}
    return hash_value({**identity, **libraries})


class Store(Generic[S]):
    """What one model said. ``folder`` is where the stores of all models lie."""

    line: type[ScoredBatch[S]]
    subfolder = ""

    def __init__(self, model_key: str, folder: Path | None = None) -> None:
        self.model_key = model_key
        self._folder = (folder or cache_folder() / "scores") / self.model_key / self.subfolder
        # A file of its own: processes on several machines may share the folder.
        self._file = self._folder / f"{uuid.uuid4().hex}.jsonl"
        self._make_folder()
        self.known: dict[str, S] = {}
        for batch in self._read_batches():
            self.known.update(batch.scores)

    def add(self, scores: Mapping[str, S]) -> None:
        """Keep a batch's scores; they are on disk when this returns."""
        batch = self.line(model=self.model_key, scores=dict(scores))
        with self._file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(batch.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.known.update(scores)

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"no scores can be kept in {self._folder} ({error.strerror})",
                expected="a folder that may be written",
                hint="Set the environment variable KOT_CACHE to one.",
            ) from error

    def _read_batches(self) -> Iterator[ScoredBatch[S]]:
        for path in sorted(self._folder.glob("*.jsonl")):
            for row in path.read_bytes().splitlines():
                try:
                    batch = self.line.model_validate_json(row)
                except ValidationError:
                    continue  # torn
                if batch.model == self.model_key:
                    yield batch


class ScoreStore(Store[QuestionScores]):
    """What one model says of the protocols' questions."""

    line = ScoredBatch[QuestionScores]


class RequestStore(Store[RequestScore]):
    """What one model says of single requests, keyed by their tokens."""

    line = ScoredBatch[RequestScore]
    subfolder = "requests"
