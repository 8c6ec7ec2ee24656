"""How many steps a training makes, how many examples they see, and how often it is validated."""

from __future__ import annotations

import math

from kot_platypus.recipe import TrainSection


def count_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of the whole training: full batches an epoch, and the rest if kept."""
    return _count_epoch(num_examples, section) * section.num_epochs


def count_eval_steps(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps between two evaluations: an epoch's, unless set otherwise."""
    return section.eval_steps or _count_epoch(num_examples, section)


def count_examples(num_examples: int, section: TrainSection, steps: int | None = None) -> int:
    """Examples that so many steps see (all when None), the last of an epoch smaller."""
    batch = min(section.batch_size, num_examples)
    steps = count_steps(num_examples, section) if steps is None else steps
    epochs, rest = divmod(steps, _count_epoch(num_examples, section))
    per_epoch = min(_count_epoch(num_examples, section) * batch, num_examples)
    return epochs * per_epoch + rest * batch


def _count_epoch(num_examples: int, section: TrainSection) -> int:
    """Optimizer steps of an epoch."""
    batch = min(section.batch_size, num_examples)
    return (
        num_examples // batch if section.last_batch == "drop" else math.ceil(num_examples / batch)
    )
