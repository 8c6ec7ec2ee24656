"""How long a training is: its steps, warm-up and evaluations, and the examples they see."""

from __future__ import annotations

import math
from decimal import Decimal

from kot_platypus.recipe import TrainSection


def count_epoch_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of an epoch: its full batches, and the rest if kept."""
    batch = min(section.batch_size, num_examples)
    full = num_examples // batch
    return full if section.last_batch == "drop" else math.ceil(num_examples / batch)


def count_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of the whole training; a part of an epoch is rounded up."""
    if section.max_steps is not None:
        return section.max_steps
    return _round_up(section.num_epochs, count_epoch_steps(num_examples, section))


def count_warmup(num_steps: int, section: TrainSection) -> int:
    """Steps of the warm-up, at most all; those of a ratio are rounded up."""
    return min(section.warmup_steps or _round_up(section.warmup_ratio, num_steps), num_steps)


def _round_up(share: float, steps: int) -> int:
    """``share`` as it is written: a product of floats makes 8 of 0.07 x 100."""
    return math.ceil(Decimal(str(share)) * steps)


def count_eval_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps between two evaluations: an epoch's, unless set otherwise."""
    return section.eval_steps or count_epoch_steps(num_examples, section)


def count_examples(num_examples: int, section: TrainSection, steps: int | None = None) -> int:
    """Examples that so many steps see (all when None), the last of an epoch smaller."""
    steps = count_steps(num_examples, section) if steps is None else steps
    per_epoch = count_epoch_steps(num_examples, section)
    epochs, rest = divmod(steps, per_epoch)
    batch = min(section.batch_size, num_examples)
    return epochs * min(per_epoch * batch, num_examples) + rest * batch


def describe_length(section: TrainSection) -> str:
    """What ends the training, in the recipe's words."""
    if section.max_steps is not None:
        return f"max_steps {section.max_steps}"
    return f"num_epochs {section.num_epochs:.12g}"
