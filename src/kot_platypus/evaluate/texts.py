"""What a model is asked to go on from, how it is to write, and what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kot_platypus.prompts import render_chat
from kot_platypus.records import Message, Record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Prompt(Record):
    """What a model goes on from.

    ``text`` is all that it reads, or in a chat, after the ``messages``, how its answer begins.
    ``sample`` tells apart the draws of one prompt, from 0.
    """

    text: str
    messages: tuple[Message, ...] = ()
    sample: int = 0


class Settings(Record):
    """What decides a text beside model and prompt.

    A text ends after ``max_new_tokens``, at the model's end of text, or once a whole line that
    begins with ``stop_line`` stands in it (with an empty one: at the first line's end).
    ``temperature`` 0 is greedy; otherwise ``seed`` and the prompt decide the draws.
    """

    max_new_tokens: int
    stop_line: str
    temperature: float = 0.0
    seed: int = 42


class Generated(Record):
    """A text that a model wrote. ``num_tokens`` counts what it generated, end of text apart."""

    text: str
    num_tokens: int


def render_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """All that the model reads. A chat's messages need the tokenizer, which frames them."""
    if not prompt.messages:
        return prompt.text
    assert tokenizer is not None
    return render_chat(tokenizer, prompt.messages, ask=True) + prompt.text


def cut_answer(text: str, stop_line: str) -> str | None:
    """The text up to the end of its first whole line that begins with ``stop_line``, or None."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        if text.startswith(stop_line, start):
            return text[: end + 1]
        start = end + 1
    return None
