"""Generated texts: what a model is asked, and a store so that nothing is generated twice.

A model under test turns prompts into texts in any order. Each text is on disk before the next is
waited for, under a key of all that decides it, so a kill costs what was under way and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kot_platypus.evaluate.keys import make_text_key
from kot_platypus.evaluate.store import ScoredBatch, Store
from kot_platypus.processes import count_processes, process_rank
from kot_platypus.prompts import render_chat
from kot_platypus.records import Message, Record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from kot_platypus.evaluate.model_under_test import ModelUnderTest


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


class TextStore(Store[Generated]):
    """What one model wrote, keyed by ``keys.make_text_key``."""

    line = ScoredBatch[Generated]
    subfolder = "texts"


def render_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """All that the model reads. A chat's messages need the tokenizer, which frames them."""
    if not prompt.messages:
        return prompt.text
    assert tokenizer is not None
    return render_chat(tokenizer, prompt.messages, ask=True) + prompt.text


def make_seed(prompt: Prompt, settings: Settings) -> int:
    """The seed of one text's draws. No other text, batch or process has a part in it."""
    return int(make_text_key(prompt, settings), 16)


def cut_answer(text: str, stop_line: str) -> str | None:
    """The text up to the end of its first whole line that begins with ``stop_line``, or None."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        if text.startswith(stop_line, start):
            return text[: end + 1]
        start = end + 1
    return None


def generate_texts(
    model: ModelUnderTest,
    prompts: Sequence[Prompt],
    settings: Settings,
    *,
    store: TextStore | None = None,
    title: str = "Writing",
) -> list[Generated]:
    """A text for each prompt, in their order; what the model's store has is not generated again.

    Under torchrun every process calls this and generates its share; afterwards all know all. The
    model is loaded when a text is missing, and only then.
    """
    store = store or TextStore(model.key)
    keys = [make_text_key(prompt, settings) for prompt in prompts]
    wanted = dict(zip(keys, prompts, strict=True))

    def generate_my_share(missing: set[str]) -> Iterator[dict[str, Generated]]:
        # Long and short prompts for everyone.
        ordered = sorted(missing, key=lambda key: (len(wanted[key].text), key))
        mine = ordered[process_rank() :: count_processes()]
        if mine:
            for place, text in model.generate([wanted[key] for key in mine], settings):
                yield {mine[place]: text}

    store.complete(wanted, generate_my_share, title=title, unit="texts")
    return [store.known[key] for key in keys]
