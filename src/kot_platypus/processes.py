"""The processes of one command under ``torchrun``: who this one is, and what all of them know.

Without torchrun there is one process, which is the main one, and torch is not even loaded.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from kot_platypus.artifacts import hash_value
from kot_platypus.errors import KotError, RunError

T = TypeVar("T")
_PATIENCE = timedelta(days=7)
"""How long to wait for the slowest process: its share of the work may take long."""


def count_processes() -> int:
    """How many processes work together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return process_rank() == 0


def spreads_weights() -> bool:
    """Whether accelerate's launcher has the processes hold a part of the model each."""
    options = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(option, "").lower() == "true" for option in options)


def share_all(value: Any) -> list[Any]:
    """Every process's ``value``, in the order of ranks. All processes must call it."""
    if count_processes() == 1:
        return [value]
    _join()
    import torch.distributed as dist

    values: list[Any] = [None] * count_processes()
    dist.all_gather_object(values, value)
    return values


def check_agreement(*facts: Any) -> None:
    """Raise RunError unless all processes know the same facts: model, questions, settings."""
    if len(set(share_all(hash_value(facts)))) > 1:
        raise RunError(
            "the processes of this command do not have the same model, data and settings",
            expected="the same files under the same paths on all machines",
            hint="Compare them, e.g. with sha256sum.",
        )


def ask_all(question: Callable[[], T]) -> list[T]:
    """Every process's answer, in the order of ranks. All must ask; one's KotError is everyone's."""
    if count_processes() == 1:
        return [question()]
    outcome: T | KotError
    try:
        outcome = question()
    except KotError as error:
        outcome = error
    outcomes = share_all(outcome)
    for each in outcomes:
        if isinstance(each, KotError):
            raise each
    return outcomes


def ask_main(question: Callable[[], T]) -> T:
    """The main process's answer, known to all, who must all ask. Its KotError is everyone's."""
    ask: Callable[[], Any] = question if is_main_process() else lambda: None
    answer: T = ask_all(ask)[0]
    return answer


@cache
def _join() -> None:
    """Meet the other processes, and take one of this machine's GPUs each."""
    import torch
    import torch.distributed as dist

    # Objects and a CPU's gradients travel by gloo, a GPU's gradients by NCCL.
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    if not dist.is_initialized():  # a caller of ours may have
        backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(_leave)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


def _leave() -> None:
    """End the talk while Python still runs.

    Gloo's threads may hold the last exchange's tensors; freed when the interpreter is half gone,
    these abort the process ("terminate called without an active exception"): every fourth to
    second process here, https://github.com/pytorch/pytorch/pull/179291.
    """
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
