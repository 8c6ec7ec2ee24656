"""Texts under way: how a token is chosen, and the plain way to write, one text after another.

``decoding.py`` writes many at a time. What it cannot batch (ALiBi, recurrent models, code of their
own) is written here by the model's own ``generate`` and cache; or, where that cache is not to be
trusted, by reading the whole text again for every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from kot_platypus.evaluate.plain import read_logits
from kot_platypus.evaluate.self_check import measure_margins
from kot_platypus.evaluate.texts import GREEDY, Sampling
from kot_platypus.models.limits import CANNOT, draw_tokens, infinite_error, is_out_of_memory
from kot_platypus.progress import count_work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IsComplete = Callable[[list[int]], bool]


@dataclass
class Job:
    """A text to write."""

    place: int
    """The caller's number for it."""
    ids: list[int]
    """The prompt's tokens, at least one."""
    draws: np.random.Generator | None = None
    """Of its own random numbers; None: always the likeliest token."""
    written: list[int] = field(default_factory=list)


class Chooser:
    """Chooses tokens as ``sampling`` says, in transformers' own processors where it is not plain.

    A job with draws of its own is drawn, another takes the likeliest token.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._processors = LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            penalty = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)
            self._processors.append(penalty)
        if sampling.temperature > 0 and (sampling.top_k or sampling.top_p < 1 or sampling.min_p):
            self._processors.append(TemperatureLogitsWarper(sampling.temperature))
            self._temperature = 1.0
            if sampling.top_k:
                self._processors.append(TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1:
                self._processors.append(TopPLogitsWarper(sampling.top_p))
            if sampling.min_p:
                self._processors.append(MinPLogitsWarper(sampling.min_p))

    @property
    def is_plain(self) -> bool:
        """Whether logits are taken as they are."""
        return not self._processors

    def choose(self, logits: torch.Tensor, job: Job) -> int:
        """The next token of ``job`` from its logits (V,)."""
        if self._processors:
            ids = torch.tensor([[*job.ids, *job.written]], device=logits.device)
            logits = self._processors(ids, logits[None].float())[0]
        if job.draws is not None:
            return draw_token(logits, self._temperature, job.draws)
        return int(logits.argmax())


def draw_token(logits: torch.Tensor, temperature: float, draws: np.random.Generator) -> int:
    """A token drawn from the softmax of ``logits / temperature``, (V,).

    The first arrival of a race: exponential times, one a token, divided by the probabilities. Who
    wins changes only if two tokens arrive together, so that the rounding of another batch changes
    next to no draw. (A number looked up in the sums of 262,144 probabilities would move with all
    the rounding before it.)
    """
    times = torch.from_numpy(draws.standard_exponential(len(logits))).to(
        logits.device, torch.float32
    )
    return int((logits.float() / temperature).softmax(-1).div(times).argmax())


class PlainDecoder:
    """Writes texts one after another; takes and gives what ``Decoder`` does.

    Raises ModelError when the model cannot even read a text.
    """

    def __init__(self, model: PreTrainedModel, stop_tokens: Sequence[int]) -> None:
        self.model = model
        self._stop_tokens = sorted(stop_tokens)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def write(
        self,
        jobs: Sequence[Job],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        is_complete: IsComplete = lambda written: False,
    ) -> Iterator[Job]:
        """Yield each job once its text is ``written``, without the token that stopped it."""

        def is_over(job: Job) -> bool:
            return len(job.written) == max_new_tokens or is_complete(job.written)

        chooser = Chooser(sampling)
        for job in jobs:
            if self.has_sound_cache:
                self._generate(job, max_new_tokens, chooser, is_over)
            else:
                self._read_again(job, chooser, is_over)
            yield job

    def forget(self) -> None:
        """Nothing is kept between texts."""

    def _choose(self, logits: torch.Tensor, job: Job, chooser: Chooser) -> int:
        if not logits.max().isfinite():
            raise infinite_error("a logit is", self.model.dtype)
        count_work(1, under_way=1)
        return chooser.choose(logits, job)

    def _read_again(self, job: Job, chooser: Chooser, is_over: Callable[[Job], bool]) -> None:
        while not job.written or not is_over(job):
            logits = read_logits(self.model, job.ids + job.written, 1)[0]
            token = self._choose(logits, job, chooser)
            if token in self._stop_tokens:
                return
            job.written.append(token)

    def _generate(
        self, job: Job, max_new_tokens: int, chooser: Chooser, is_over: Callable[[Job], bool]
    ) -> None:
        def choose(_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            token = self._choose(logits[0], job, chooser)
            if token not in self._stop_tokens:
                job.written.append(token)
            only = torch.full_like(logits, -torch.inf)
            only[0, token] = 0
            return only

        def stop(ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
            # Asked also when the very first token stopped the text.
            return torch.tensor([bool(job.written) and is_over(job)], device=ids.device)

        self._call_generate(
            job.ids,
            max_new_tokens,
            logits_processor=[choose],
            stopping_criteria=[stop],
            eos_token_id=self._stop_tokens or None,
        )

    def _call_generate(self, ids: list[int], max_new_tokens: int, **options: Any) -> Any:
        """The model's ``generate``, without the habits (penalties, sampling) of its own config."""
        model, habits = self.model, self.model.generation_config
        prompt = torch.tensor([ids], device=model.device)
        model.generation_config = GenerationConfig()
        try:
            return model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=0,
                **options,
            )
        finally:
            model.generation_config = habits

    @cached_property
    def has_sound_cache(self) -> bool:
        """Whether ``generate`` gives the logits of a text read whole; custom caches may not."""
        count, ids = 6, draw_tokens(self.model, 14, seed=7)
        try:
            written = self._call_generate(
                ids, count, use_cache=True, return_dict_in_generate=True, output_logits=True
            )
            cached = torch.cat(list(written.logits))
        except CANNOT as error:
            if is_out_of_memory(error):
                raise
            return False
        text = written.sequences[0, :-1].tolist()
        place = slice(len(text) - count, len(text))
        tails = (draw_tokens(self.model, 20, seed) for seed in (8, 9))
        margins = measure_margins(
            self.model,
            alone=read_logits(self.model, text, count),
            company=[cached, cached],
            tails=[read_logits(self.model, text + tail)[place] for tail in tails],
            other_beginning=read_logits(self.model, ids[::-1] + text[len(ids) :], count),
        )
        return margins.find_flaw(self.model.dtype) is None
