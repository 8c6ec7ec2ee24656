"""Generation in this process: many texts at a time, a place that falls free given to the next.

A step of a batch reads the weights once for all its rows, so rows are nearly free until arithmetic
is the limit. What a batch wastes is kept small:

- a complete text leaves at once, and the next prompt takes its row (continuous batching);
- prompts are read one by one, without padding, and what a prompt shares with the one before (worked
  examples; everything, when several samples are drawn) is not read again;
- the last token of a prompt is read with the batch's next step, so no prompt pays for logits alone;
- keys and values are written in place (``kv_cache.py``).

The longest prompts come first: later ones then fit to the left of the current column.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from kot_platypus.errors import DataError
from kot_platypus.evaluate.keys import make_seed
from kot_platypus.evaluate.kv_cache import KVCache
from kot_platypus.evaluate.plain import read_logits, say_plain_way
from kot_platypus.evaluate.self_check import Margins, find_flaw, measure_margins
from kot_platypus.evaluate.texts import (
    GREEDY,
    Generated,
    Prompt,
    Sampling,
    Settings,
    render_text,
)
from kot_platypus.evaluate.workload import count_shared
from kot_platypus.evaluate.writing import Chooser, Job, PlainDecoder
from kot_platypus.models.limits import (
    check_room,
    draw_tokens,
    find_max_length,
    infinite_error,
)
from kot_platypus.models.parts import strip_head
from kot_platypus.models.tokens import encode_text
from kot_platypus.progress import count_work
from kot_platypus.prompts import ReplyDecoder, find_stop_tokens
from kot_platypus.thoughts import cut_answer, find_opening

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SPARE_COLUMNS = 64
"""Beyond the longest text: the rows are moved to the left every so many steps, not at each."""
_CHECKED = (8, 20, 20, 20)
"""Tokens of the check's texts: a short one, and what stands beside it or follows it."""


class BatchError(Exception):
    """Why a model cannot write many texts at a time."""


class Decoder:
    """Writes texts with one model.

    Args:
        model: A causal model with attention alone, whose rows may be padded on the left.
        stop_tokens: Tokens that end a text.
        max_rows: The most texts at a time.
        max_cache_bytes: Of keys and values; where texts are long, fewer of them at a time. None:
            2 GiB on a CPU, half of what is free on a GPU.

    Raises:
        BatchError: the model does not read rows of different lengths as it reads them alone.
        ModelError: its logits are not finite.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        stop_tokens: Sequence[int],
        *,
        max_rows: int = 32,
        max_cache_bytes: int | None = None,
    ) -> None:
        self.model = model
        self.max_rows = max_rows
        self.max_cache_bytes = max_cache_bytes or _find_cache_bytes(model)
        self._stop_tokens = frozenset(stop_tokens)
        self._token_bytes = 1
        self.forget()
        self._check()

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def write(
        self,
        jobs: Sequence[Job],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        is_complete: Callable[[list[int]], bool] = lambda written: False,
    ) -> Iterator[Job]:
        """Yield each job once its text is ``written``, without the token that stopped it."""
        chooser = Chooser(sampling)
        # Equal prompts stand together and are read once.
        waiting = deque(sorted(jobs, key=lambda job: (-len(job.ids), job.ids)))
        while waiting or self._jobs:
            while waiting and self._make_room(len(waiting), len(waiting[0].ids), max_new_tokens):
                self._admit(waiting.popleft())
            tokens = self._choose(self._step(), chooser)
            count_work(1, under_way=len(tokens))
            done = []
            for row, (job, token) in enumerate(zip(self._jobs, tokens, strict=True)):
                is_stop = token in self._stop_tokens
                if not is_stop:
                    job.written.append(token)
                if is_stop or len(job.written) == max_new_tokens or is_complete(job.written):
                    done.append(row)
            yield from [self._drop(row) for row in reversed(done)]
        self.forget()

    def forget(self) -> None:
        """Give texts under way up and their memory back."""
        self._jobs: list[Job] = []
        self._rows = KVCache()
        self._read: tuple[list[int], DynamicCache] = ([], DynamicCache())

    def _make_room(self, num_waiting: int, next_prompt: int, max_new_tokens: int) -> bool:
        """Whether there is a row for one more text, whose prompt has so many tokens."""
        rows, used = self._rows, len(self._jobs)
        if used < rows.num_rows and used:
            return True
        longest = max([next_prompt, *(len(job.ids) for job in self._jobs)])
        width = longest + max_new_tokens + _SPARE_COLUMNS
        fitting = min(self.max_rows, self.max_cache_bytes // (self._token_bytes * width))
        fitting = min(max(fitting, 1), used + num_waiting)
        # Once the long texts are done there may be more rows; but not one by one, each a copy.
        if used and fitting < 1.25 * rows.num_rows:
            return False
        rows.resize(fitting, width)
        return True

    def _admit(self, job: Job) -> None:
        """Read a prompt but for its last token, which the next step reads."""
        ids = job.ids[:-1]
        known, cache = self._read
        shared = count_shared(known, ids)
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys[:, :, :shared], layer.values[:, :, :shared]
        if shared < len(ids):
            device = self.model.device
            strip_head(self.model.get_decoder())(
                input_ids=torch.tensor([ids[shared:]], device=device),
                position_ids=torch.arange(shared, len(ids), device=device)[None],
                past_key_values=cache,
                use_cache=True,
            )
        self._read = (ids, cache)
        self._rows.put(cache.layers, len(ids))
        self._jobs.append(job)

    def _drop(self, row: int) -> Job:
        job = self._jobs[row]
        self._rows.drop(row)
        self._jobs[row] = self._jobs[-1]
        self._jobs.pop()
        return job

    def _step(self) -> torch.Tensor:
        """Every row's logits (rows, V) of its next token."""
        device = self.model.device
        last = [[(job.written or job.ids)[-1]] for job in self._jobs]
        logits: torch.Tensor = self.model(
            input_ids=torch.tensor(last, device=device),
            **self._rows.place_step(device),
            past_key_values=self._rows,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self._rows.advance()
        return logits

    def _choose(self, logits: torch.Tensor, chooser: Chooser) -> list[int]:
        highest, tokens = logits.max(-1)
        if not highest.isfinite().all():
            raise infinite_error("a logit is", self.model.dtype)
        chosen: list[int] = tokens.tolist()
        for row, job in enumerate(self._jobs):
            if job.draws is not None or not chooser.is_plain:
                chosen[row] = chooser.choose(logits[row], job)
        return chosen

    def _check(self) -> None:
        """Raise BatchError unless a row gives the logits that its text gives alone."""
        if flaw := find_flaw(self.model, self.measure_rows):
            raise BatchError(flaw)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def measure_rows(self) -> Margins:
        """What a longer row beside it, and the padding, do to a text's next token."""
        model = self.model
        short, long, *others = (draw_tokens(model, n, seed) for seed, n in enumerate(_CHECKED))
        last = len(short) - 1
        return measure_margins(
            model,
            alone=read_logits(model, short, 1),
            company=[self._read_rows([each, short]) for each in (long, others[0])],
            tails=[read_logits(model, short + tail)[last:][:1] for tail in others],
            other_beginning=read_logits(model, long[:last] + short[last:], 1),
        )

    def _read_rows(self, texts: Sequence[list[int]]) -> torch.Tensor:
        """The logits (1, V) after the last of the texts, read together."""
        self._rows.resize(len(texts), 2 * max(map(len, texts)))
        for ids in texts:
            self._admit(Job(0, ids))
        logits = self._step()[-1:]
        layers = self._read[1].layers
        sizes = (tensor for layer in layers for tensor in (layer.keys, layer.values))
        self._token_bytes = sum(t.numel() * t.element_size() // t.shape[2] for t in sizes)
        self.forget()
        return logits


def _find_cache_bytes(model: PreTrainedModel) -> int:
    if model.device.type == "cuda":
        return int(torch.cuda.mem_get_info(model.device)[0]) // 2
    return 2 * 2**30


# --- from texts to texts -----------------------------------------------------------------------


class TextGenerator:
    """Generates texts with a model in this process.

    Args:
        model: As in ``Decoder``.
        tokenizer: The model's.
        max_rows: The most texts at a time.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_rows: int = 32
    ) -> None:
        self.model, self.tokenizer, self.max_rows = model, tokenizer, max_rows
        self._decode = ReplyDecoder(tokenizer).decode
        self._breaks: dict[int, bool] = {}

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text as they are done.

        Raises DataError when a prompt leaves no room for ``max_new_tokens``.
        """
        is_chat = any(prompt.messages for prompt in prompts)
        decoder = self._chat_decoder if is_chat else self._decoder
        texts = [render_text(prompt, self.tokenizer) for prompt in prompts]
        # One tokenizer and template: all prompts of chats open thoughts, or none does.
        opening = find_opening(texts[0]) if is_chat else ""
        jobs = [
            Job(
                place,
                self._encode(text, settings.max_new_tokens, opens=not prompt.messages),
                np.random.Generator(np.random.SFC64(make_seed(prompt, settings)))
                if settings.temperature > 0
                else None,
            )
            for place, (text, prompt) in enumerate(zip(texts, prompts, strict=True))
        ]

        def is_complete(written: list[int]) -> bool:
            # Only a line break completes a line, and most tokens hold none.
            return self._has_break(written[-1]) and (
                cut_answer(opening + self._decode(written), settings.stop_line) is not None
            )

        try:
            limit = settings.max_new_tokens
            for job in decoder.write(jobs, limit, settings, is_complete):
                count = len(job.written)
                generated = Generated(
                    text=opening + self._decode(job.written),
                    num_tokens=count,
                    truncated=count == limit and not is_complete(job.written),
                )
                yield job.place, generated
        finally:
            decoder.forget()

    @cached_property
    def _decoder(self) -> Decoder | PlainDecoder:
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        stops = {end for end in (*ends, self.tokenizer.eos_token_id) if end is not None}
        return self._make_decoder(sorted(stops))

    @cached_property
    def _chat_decoder(self) -> Decoder | PlainDecoder:
        return self._make_decoder(find_stop_tokens(self.tokenizer))

    def _make_decoder(self, stops: Sequence[int]) -> Decoder | PlainDecoder:
        try:
            return Decoder(self.model, stops, max_rows=self.max_rows)
        except BatchError as error:
            say_plain_way(self.model, "writes", str(error))
            return PlainDecoder(self.model, stops)

    def _encode(self, text: str, max_new_tokens: int, *, opens: bool) -> list[int]:
        # A chat template writes its own special tokens.
        ids = encode_text(self.tokenizer, text, opens=opens)
        limit = find_max_length(self.model, self.tokenizer) - max_new_tokens
        if len(ids) > limit:
            raise DataError(
                f"the prompt {text[:40]!r}... has {len(ids)} tokens",
                expected=f"at most {limit}, which leaves {max_new_tokens} for the answer",
                hint="Use fewer worked examples, --max-new-tokens, or a model that reads more.",
            )
        check_room(self.model, [ids], hint="Use fewer worked examples.")
        starts = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return ids or [next((token for token in starts if token is not None), 0)]

    def _has_break(self, token: int) -> bool:
        if token not in self._breaks:
            self._breaks[token] = "\n" in self._decode([token])
        return self._breaks[token]
