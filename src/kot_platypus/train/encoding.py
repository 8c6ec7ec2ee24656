"""From examples to token ids: what is shown, what is learnt, what is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kot_platypus.prompts import Template
from kot_platypus.recipe import Target
from kot_platypus.records import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """One example's token ids. ``ids[:prompt_len]`` is shown, ``ids[prompt_len:]`` is learnt."""

    ids: tuple[int, ...]
    prompt_len: int

    @property
    def num_targets(self) -> int:
        """How many tokens are learnt."""
        return len(self.ids) - self.prompt_len


def encode_example(
    example: Example,
    template: Template,
    target: Target,
    tokenizer: PreTrainedTokenizerBase,
    cutoff_len: int,
) -> Encoded | None:
    """Encode ``prompt + rationale + answer + EOS`` in at most ``cutoff_len`` tokens.

    Prompt, rationale and answer are tokenised apart, so no token spans two of them. Too long an
    example loses the end of its rationale, never its answer or EOS; a rationale that is all there
    is to learn (``target="rationale"``) loses EOS with its end. None when the prompt leaves room
    for nothing.
    """
    prompt = _encode(tokenizer, template.render_prompt(example.source), start=True)
    rationale = [] if target == "answer" else _encode(tokenizer, example.rationale)
    answer = [] if target == "rationale" else _encode_answer(example, template, target, tokenizer)
    eos = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    room = cutoff_len - len(prompt) - len(answer) - len(eos)
    if len(rationale) > room:
        if room < 0 or (room == 0 and target == "rationale"):
            return None
        rationale = rationale[:room]
        eos = eos if answer else []
    response = rationale + answer + eos
    return Encoded((*prompt, *response), len(prompt)) if len(response) > len(eos) else None


def _encode_answer(
    example: Example, template: Template, target: Target, tokenizer: PreTrainedTokenizerBase
) -> list[int]:
    line = template.render_answer(example.target)
    follows = target == "rationale_answer" and example.rationale
    return _encode(tokenizer, "\n" + line if follows else line)


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, *, start: bool = False) -> list[int]:
    """Token ids of ``text``; at the start with the tokenizer's own BOS, if it adds one."""
    ids: list[int] = tokenizer(text, add_special_tokens=start)["input_ids"]
    if start and ids and ids[-1] == tokenizer.eos_token_id:
        return ids[:-1]  # some tokenizers close every text; ours goes on
    return ids
