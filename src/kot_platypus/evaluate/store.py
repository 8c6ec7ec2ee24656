"""The store: what one model once said is never computed again.

``$KOT_CACHE/scores/<model key>/`` holds a file for every process that ever added to it. A line is
a batch; a line that a kill has torn does not parse, and its batch is simply computed again. The key
covers weights, adapter, tokenizer, dtype, device and library versions, and stands in every line, so
that no model ever gets another's scores, not even from a file that lies in the wrong folder.
Generated texts and the scores of lm-eval's requests have folders of their own below.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from kot_platypus.errors import RunError
from kot_platypus.models import cache_folder
from kot_platypus.processes import check_agreement, count_processes, share_all
from kot_platypus.progress import Left, show_progress
from kot_platypus.records import Record


class QuestionScores(Record):
    """What a model says of one question: log-probabilities (nats) in label order."""

    logprobs: tuple[float, ...]
    effective_shots: int
    has_equal_requests: bool = False
    """Whether several of its choices are the same tokens."""


class RequestScore(Record):
    """What a model says of one continuation."""

    logprob: float
    """The sum of its tokens' log-probabilities, in nats."""
    is_greedy: bool
    """Whether each of its tokens was the likeliest."""


S = TypeVar("S", bound=Record)


class ScoredBatch(Record, Generic[S]):
    """A line of a store: what one pass scored, by its keys."""

    model: str
    scores: dict[str, S]


class Store(Generic[S]):
    """What one model said.

    Args:
        model_key: The model's; empty: nothing is written.
        folder: Where the stores of all models lie. [default: ``$KOT_CACHE/scores``]
    """

    line: type[ScoredBatch[S]]
    subfolder = ""

    def __init__(self, model_key: str, folder: Path | None = None) -> None:
        self.model_key = model_key
        self.known: dict[str, S] = {}
        if not model_key:
            return
        self._folder = (folder or cache_folder() / "scores") / self.model_key / self.subfolder
        # A file of its own: processes on several machines may share the folder.
        self._file = self._folder / f"{uuid.uuid4().hex}.jsonl"
        self._make_folder()
        for batch in self._read_batches():
            self.known.update(batch.scores)

    def complete(
        self,
        keys: Collection[str],
        compute: Callable[[set[str]], Iterable[Mapping[str, S]]],
        *settings: object,
        title: str,
        unit: str,
        sizes: Mapping[str, float] | None = None,
        left: Left | None = None,
    ) -> None:
        """Bring all ``keys`` into ``known``; ``compute`` is called with those that are missing.

        Under torchrun every process calls this with the same keys and ``settings``. ``compute``
        yields, batch by batch, the process's own share; afterwards all processes know all. How long
        it takes is told by the ``sizes`` of the keys, or by ``left`` of what ``compute`` counts.
        """
        check_agreement(self.model_key, sorted(keys), *settings)
        for known in share_all({key: self.known[key] for key in keys if key in self.known}):
            self.known |= known  # other machines may not share this one's disk
        missing = {key for key in keys if key not in self.known}
        mine: dict[str, S] = {}
        if missing:
            num_left, done = len(missing), len(keys) - len(missing)
            sizes = sizes or dict.fromkeys(missing, 1.0)
            size = sum(sizes[key] for key in missing)
            of = "tokens" if left else ""
            rest: Left = left or (lambda _, work, under_way: size - work)
            with show_progress(title, len(keys), unit, done=done, left=rest, of=of) as advance:
                for batch in compute(missing.copy()):
                    self.add(batch)
                    mine |= batch
                    step = min(len(batch) * count_processes(), num_left)
                    num_left -= step
                    work = 0 if of else sum(sizes.get(key, 0) for key in batch) * count_processes()
                    advance(step, work=work)
        for theirs in share_all(mine):
            self.known |= theirs

    def add(self, scores: Mapping[str, S]) -> None:
        """Keep a batch's scores; they are on disk when this returns."""
        self.known.update(scores)
        if not self.model_key:
            return
        batch = self.line(model=self.model_key, scores=dict(scores))
        with self._file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(batch.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

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
    """What one model says of questions with choices, keyed by ``keys.make_question_key``."""

    line = ScoredBatch[QuestionScores]


class RequestStore(Store[RequestScore]):
    """What one model says of single requests, keyed by ``keys.make_request_key``."""

    line = ScoredBatch[RequestScore]
    subfolder = "requests"
