from __future__ import annotations

import pytest

from kot_platypus.recipe import TrainSection
from kot_platypus.recipe_files import dump
from kot_platypus.schedule import count_examples, count_steps, count_warmup, describe_length


@pytest.mark.parametrize(
    ("changes", "steps", "examples"),
    [
        ({}, 7, 28),  # floor(30 / 4)
        ({"num_epochs": 2}, 14, 56),
        ({"num_epochs": 0.5}, 4, 16),  # ceil(3.5)
        ({"num_epochs": 1.5}, 11, 44),
        ({"num_epochs": 0.01}, 1, 4),
        ({"num_epochs": 0.5, "last_batch": "keep"}, 4, 16),
        ({"num_epochs": 1.5, "last_batch": "keep"}, 12, 30 + 16),
        ({"num_epochs": 2, "last_batch": "keep"}, 16, 60),
        ({"max_steps": 3}, 3, 12),
        ({"max_steps": 9, "last_batch": "keep"}, 9, 30 + 4),
        ({"max_steps": 20, "num_epochs": 1}, 20, 80),
        ({"batch_size": 64, "num_epochs": 3}, 3, 90),  # fewer examples than a batch
        ({"batch_size": 64, "num_epochs": 0.5}, 1, 30),
    ],
)
def test_steps_and_examples_of_thirty_rows(changes, steps, examples):
    section = TrainSection.model_validate({"batch_size": 4, **changes})
    assert (count_steps(30, section), count_examples(30, section)) == (steps, examples)


@pytest.mark.parametrize(
    ("ratio", "steps", "warmup"),
    [(0, 100, 0), (0.1, 30, 3), (0.07, 100, 7), (0.03, 14, 1), (1, 9, 9), (0.5, 1, 1)],
)
def test_a_ratios_warmup_is_its_part_of_all_steps_rounded_up(ratio, steps, warmup):
    assert count_warmup(steps, TrainSection(warmup_ratio=ratio)) == warmup


def test_a_part_of_an_epoch_is_counted_as_written():
    assert count_steps(40, TrainSection(batch_size=4, num_epochs=1.1)) == 11  # not 11.000000000002


def test_warmup_steps_are_at_most_all():
    assert count_warmup(5, TrainSection(warmup_steps=100)) == 5


@pytest.mark.parametrize("written", [2, 2.0])
def test_whole_epochs_are_written_as_they_always_were(written):
    section = TrainSection(num_epochs=written)
    assert dump(section).splitlines().count("num_epochs: 2") == 1
    assert describe_length(section) == "num_epochs 2"
