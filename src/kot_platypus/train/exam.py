"""What a model in training answers to validation rows, in its own words.

The training's result is the same with and without it: it takes no random number and changes no
weight. Who asks and reads the answers is handed in, since that is another stage's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kot_platypus.errors import RecipeError
from kot_platypus.processes import count_processes, process_rank, share_all, spreads_weights
from kot_platypus.progress import show_progress
from kot_platypus.prompts import Template
from kot_platypus.recipe import TrainSection
from kot_platypus.records import Example
from kot_platypus.schedule import count_epoch_steps, count_eval_steps
from kot_platypus.train.examples import Examples
from kot_platypus.train.loss import unwrap

Answer = Callable[[Any, Any, Template, Sequence[Example], int], tuple[int, int]]
"""Of a model, its tokenizer, a template, rows and ``max_new_tokens``: how many answers are right,
word for word and by what they mean."""


@dataclass(frozen=True)
class Exam:
    """Rows to answer, when, and by whom they are asked and read."""

    answer: Answer
    tokenizer: Any
    template: Template
    rows: Sequence[Example]
    max_new_tokens: int
    every_steps: int
    eval_steps: int

    def is_due(self, step: int, last: int) -> bool:
        """Whether the evaluation after ``step`` is the first since one was due, or the last."""
        before = (step - 1) // self.eval_steps * self.eval_steps
        return step >= last or step // self.every_steps > before // self.every_steps

    def take(self, model: Any) -> dict[str, float]:
        """The accuracies of this model, of all processes' rows. No random state is used."""
        mine = self.rows[process_rank() :: count_processes()]
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        with show_progress("Answering", len(mine), "rows"):
            found = (
                self.answer(unwrap(model), self.tokenizer, self.template, mine, self.max_new_tokens)
                if mine
                else (0, 0)
            )
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        right, equivalent = map(sum, zip(*share_all(found), strict=True))
        n = len(self.rows)
        return {"eval_accuracy": right / n, "eval_equivalent": equivalent / n}


def make_exam(
    section: TrainSection,
    template: Template,
    tokenizer: Any,
    examples: Examples,
    answer: Answer | None,
) -> Exam | None:
    """The exam that the section asks for, if it does. Raises RecipeError where none can be."""
    if section.eval_generate_epochs is None:
        return None
    num_examples, held = len(examples.train), examples.split.validation.values()
    rows = [row for row in held if isinstance(row, Example) and row.target]
    obstacles = {
        "no validation row with a target": not rows,
        "weights spread over processes": spreads_weights(),
        "torch_compile": section.torch_compile,
        "nobody to ask the questions (answer=...)": answer is None,
    }
    if found := next((what for what, is_there in obstacles.items() if is_there), None):
        raise RecipeError(
            f"train.eval_generate_epochs with {found}",
            expected="a whole, uncompiled model and validation rows with source and target",
            hint="Leave it out; afterwards kot reason answers questions.",
        )
    assert answer
    return Exam(
        answer,
        tokenizer,
        template,
        rows[: section.eval_generate_rows],
        section.eval_generate_tokens,
        section.eval_generate_epochs * count_epoch_steps(num_examples, section),
        count_eval_steps(num_examples, section),
    )


def describe_exam(metrics: dict[str, float]) -> str:
    """What was found, to stand behind a line; empty where no exam was taken."""
    if "eval_accuracy" not in metrics:
        return ""
    return (
        f", {metrics['eval_accuracy']:.1%} of answers right "
        f"({metrics['eval_equivalent']:.1%} by what they mean)"
    )
