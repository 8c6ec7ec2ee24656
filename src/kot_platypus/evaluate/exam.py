"""Answers of a model that is being trained to rows that it does not learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kot_platypus.evaluate.answers import judge_output
from kot_platypus.evaluate.prompting import build_prompt, complete_output, pose_row
from kot_platypus.evaluate.texts import Settings
from kot_platypus.prompts import Template
from kot_platypus.records import Example


def answer_rows(
    model: Any, tokenizer: Any, template: Template, rows: Sequence[Example], max_new_tokens: int
) -> tuple[int, int]:
    """How many of its greedy answers are right: word for word, and by what they mean."""
    from kot_platypus.evaluate.decoding import TextGenerator  # loads torch

    prompts = [build_prompt(pose_row(row, i), template) for i, row in enumerate(rows)]
    settings = Settings(max_new_tokens=max_new_tokens, stop_line=template.answer_prefix)
    right = equivalent = 0
    for place, text in TextGenerator(model, tokenizer).generate(prompts, settings):
        output = complete_output(text.text, template, "reason")
        answer = judge_output(
            place, rows[place], output, template, text.num_tokens, truncated=text.truncated
        )
        right += answer.correct
        equivalent += bool(answer.equivalent)
    return right, equivalent
