"""NEFTune: noise on the embeddings of what is trained on (Jain et al. 2023, arXiv 2310.05914)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from kot_platypus.artifacts import hash_value
from kot_platypus.train.attention import Pack


class EmbeddingNoise:
    """Uniform noise of at most alpha / sqrt(L H) for an example of L tokens, H wide.

    It is drawn from the seed, the step and the example's number in its batch alone: however the
    examples are packed or shared among processes, and wherever a training goes on, it is the same.
    """

    def __init__(self, embeddings: Any, alpha: float, seed: int) -> None:
        self._alpha, self._seed = alpha, seed
        self._step = 0
        self._pack: Pack | None = None
        embeddings.register_forward_hook(self._add)

    @contextmanager
    def added_to(self, pack: Pack, step: int) -> Iterator[None]:
        """The block in which ``pack`` gets the noise of ``step``; all else never gets any."""
        self._pack, self._step = pack, step
        try:
            yield
        finally:
            self._pack = None

    def _add(self, _module: Any, _inputs: Any, output: Tensor) -> Tensor:
        """Shapes: output (1, T, H)."""
        if self._pack is None:
            return output
        bounds = pairwise(self._pack.starts.tolist())
        noise = [
            self._draw(number, end - start, output)
            for number, (start, end) in zip(self._pack.numbers, bounds, strict=True)
        ]
        return output + torch.cat(noise).to(output.dtype)

    def _draw(self, number: int, length: int, output: Tensor) -> Tensor:
        """An example's noise (length, H), float32."""
        key = int(hash_value([self._seed, self._step, number])[:15], 16)
        generator = torch.Generator(output.device).manual_seed(key)
        noise = torch.empty(length, output.shape[-1], device=output.device)
        return noise.uniform_(-1, 1, generator=generator) * (self._alpha / noise.numel() ** 0.5)
