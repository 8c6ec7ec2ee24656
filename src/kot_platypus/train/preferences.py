"""Losses of pairs: DPO and ORPO, in one forward pass of both halves.

DPO (Rafailov et al. 2023, arXiv 2305.18290) asks how much more the model prefers what is chosen
than the model did that the training began with, the reference. That one is read once, before the
first step. ORPO (Hong et al. 2024, arXiv 2403.07691) learns what is chosen, and its odds against
what is rejected, without a reference. Tests hold both to TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kot_platypus.artifacts import read_json, write_json
from kot_platypus.processes import count_processes, is_main_process, process_rank, share_all
from kot_platypus.progress import show_progress
from kot_platypus.recipe import TrainSection
from kot_platypus.train.attention import Pack
from kot_platypus.train.items import Pair
from kot_platypus.train.loss import label_logprobs, pack_loss, score_pack
from kot_platypus.train.packing import PairPack, build_pairs

REWARDS = ("rewards/accuracies", "rewards/margins")
"""Of a step's pairs the share whose chosen reply has the higher reward, and by how much. As TRL's:
beta times the log-probability, in DPO that over the reference's, in ORPO that of a token."""
_FILE = "reference.json"


def accept_packs(model: nn.Module, section: TrainSection) -> None:
    """From now on ``model(pack)`` is the pack's loss; every other call is answered as before.

    ``model(pack, scored=True)`` is what ``score_pack`` finds. Of a ``PairPack`` both are its loss
    with ``REWARDS``, shape (3,), all weighted.

    What spreads a model over processes (DDP, FSDP, DeepSpeed) wraps its forward and sees only
    what goes through it, so the loss has to.
    """
    answer = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        pack = args[0] if args else None
        if isinstance(pack, PairPack):
            return score_pairs(model, pack, section)
        if isinstance(pack, Pack):
            return (score_pack if kwargs.get("scored") else pack_loss)(model, pack)
        return answer(*args, **kwargs)

    model.forward = forward


def score_pairs(model: nn.Module, pack: PairPack, section: TrainSection) -> Tensor:
    """The loss of a pack's pairs, with gradient, and their rewards; shape (3,)."""
    logprobs = _compute_logprobs(model, pack)
    sums = _sum_each(logprobs, pack)
    if section.objective == "dpo":
        rewards = section.beta * (sums - pack.reference)
        losses = -F.logsigmoid(rewards[::2] - rewards[1::2])
        loss = (losses * pack.weights).sum()
    else:
        means = sums / torch.tensor(pack.counts, device=sums.device)
        rewards = section.beta * means
        odds = means - _log1mexp(means)
        losses = -F.logsigmoid(odds[::2] - odds[1::2])
        label_weights = torch.cat([each.weights for each in pack.passes])
        loss = section.beta * (losses * pack.weights).sum() - (logprobs * label_weights).sum()
    margins = (rewards[::2] - rewards[1::2]).detach()
    found = torch.stack([(margins > 0).float(), margins])
    return torch.cat([loss[None], (found * pack.weights).sum(1)])


def _compute_logprobs(model: nn.Module, pack: PairPack) -> Tensor:
    return torch.cat([label_logprobs(model, each) for each in pack.passes])


def _sum_each(logprobs: Tensor, pack: PairPack) -> Tensor:
    return torch.stack([part.sum() for part in logprobs.split(pack.counts)])


def _log1mexp(x: Tensor) -> Tensor:
    """``log(1 - exp(x))`` of x < 0, without cancellation; x of 0, a certainty, is next to it."""
    x = x.clamp(max=-1e-6)
    # Where a branch is not taken its gradient is 0 times its own, which has to be finite.
    near, far = x.clamp(min=-1), x.clamp(max=-0.5)
    return torch.where(x > -0.6931, (-near.expm1()).log(), (-far.exp()).log1p())


# --- the reference -----------------------------------------------------------------------------


@torch.no_grad()  # type: ignore[untyped-decorator]
def add_reference(
    model: nn.Module,
    pairs: Sequence[Pair],
    section: TrainSection,
    checkpoints: Path,
    autocast: AbstractContextManager[Any],
) -> list[Pair]:
    """``pairs`` with the log-probabilities that an untrained ``model`` gives them.

    They are read once: a training that is taken up finds them beside its ``checkpoints``. Each
    process computes its share. No random state is used.
    """
    file = checkpoints / _FILE
    found = share_all(read_json(file) if is_main_process() and file.is_file() else None)[0]
    if found is None:
        found = _compute_reference(model.eval(), pairs, section, autocast)
        if is_main_process():
            write_json(file, found)
    return [replace(pair, reference=tuple(both)) for pair, both in zip(pairs, found, strict=True)]


def _compute_reference(
    model: nn.Module,
    pairs: Sequence[Pair],
    section: TrainSection,
    autocast: AbstractContextManager[Any],
) -> list[tuple[float, float]]:
    device = next(model.parameters()).device
    own: dict[int, tuple[float, float]] = {}
    with autocast, show_progress("Reference", len(pairs), "pairs") as advance:
        for i in range(process_rank(), len(pairs), count_processes()):
            pack = build_pairs([pairs[i]], [0.0], 0.0, section.max_tokens_per_pass).to(device)
            chosen, rejected = _sum_each(_compute_logprobs(model, pack), pack).tolist()
            own[i] = chosen, rejected
            advance(count_processes())
    merged = {place: both for part in share_all(own) for place, both in part.items()}
    return [merged[i] for i in range(len(pairs))]
