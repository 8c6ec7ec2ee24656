"""What a model is asked to go on from, how it is to write, and what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from kot_platypus.artifacts import read_json
from kot_platypus.errors import UsageError
from kot_platypus.prompts import render_opening
from kot_platypus.records import Message, Record, Sparse

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Prompt(Sparse, Record):
    """What a model goes on from.

    ``text`` is all that it reads, or in a chat, after the ``messages``, how its answer begins.
    ``sample`` tells apart the draws of one prompt, from 0.
    """

    later = ("enable_thinking",)

    text: str
    messages: tuple[Message, ...] = ()
    sample: int = 0
    enable_thinking: bool | None = None
    """The switch of the chat templates that have one."""


class Sampling(Sparse, Record):
    """How a token is chosen, in transformers' and vLLM's terms and in their order.

    ``temperature`` 0 is greedy. The penalty divides what stands in prompt or text already.
    """

    later = ("top_p", "top_k", "min_p", "repetition_penalty")

    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0)


GREEDY = Sampling()


def choose_sampling(
    text: str | None,
    folder: Path | None = None,
    temperature: float | None = None,
    *,
    is_drawn: bool = False,
    otherwise: Sampling | None = None,
) -> Sampling:
    """How to sample: ``text`` in lm-eval's form, ``top_p=0.9,top_k=20``; greedily without.

    Or ``model``: as ``folder`` says itself. ``temperature`` comes before both; where nothing says
    it, what ``is_drawn`` is at 0.7. What settings leave out is as ``otherwise`` has it. Raises
    UsageError.
    """
    given: dict[str, Any] = {"temperature": 0.7} if is_drawn else {}
    given |= otherwise.model_dump() if otherwise and text != "model" else {}
    if text == "model":
        if folder is None:
            raise UsageError(
                "--gen-kwargs model with a server",
                expected="settings, e.g. temperature=0.6,top_p=0.95",
                hint="What the server's model says of itself is not known here.",
            )
        given |= read_sampling(folder)
    elif text is not None:
        given |= split_settings(text)
    if temperature is not None:
        given["temperature"] = temperature
    try:
        return Sampling.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"--gen-kwargs: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            expected=f"some of {', '.join(Sampling.model_fields)}, as top_p=0.95,top_k=20",
            hint="See kot reason --help.",
        ) from error


def split_settings(text: str) -> dict[str, str]:
    """``top_p=0.95,top_k=20`` by name. Raises UsageError for a part that is no such thing."""
    settings = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if not name or not value:
            raise UsageError(
                f"--gen-kwargs {part.strip() or 'ending in a comma'}: no setting",
                expected="NAME=VALUE,... with transformers' names",
                hint="E.g. temperature=0.7,top_p=0.95",
            )
        settings[name.strip()] = value
    return settings


def read_sampling(folder: Path) -> dict[str, float]:
    """What a model's ``generation_config.json`` says of sampling; nothing, if it has none."""
    path = folder / "generation_config.json"
    stated = read_json(path) if path.is_file() else {}
    found = {name: stated[name] for name in Sampling.model_fields if stated.get(name) is not None}
    if stated.get("do_sample"):
        return {"temperature": 1.0, **found}
    penalty = found.get("repetition_penalty")
    return {} if penalty is None else {"repetition_penalty": penalty}


class Settings(Sampling):
    """What decides a text beside model and prompt.

    A text ends after ``max_new_tokens``, at the model's end of text, or once a whole line that
    begins with ``stop_line`` stands in it, after its thoughts (with an empty one: at the first
    line's end; with None no line ends it). ``seed`` and the prompt decide the draws.
    """

    max_new_tokens: int
    stop_line: str | None
    seed: int = 42


class Generated(Sparse, Record):
    """A text that a model wrote, from its thoughts on, whether or not the prompt opened them.

    ``num_tokens`` counts what it generated, end of text apart; ``truncated``: it was not done.
    ``num_prompt_tokens`` is what a server says that it read; 0 where nothing is said.
    """

    later = ("truncated", "num_prompt_tokens")

    text: str
    num_tokens: int
    truncated: bool = False
    num_prompt_tokens: int = 0


def render_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """All that the model reads. A chat's messages need the tokenizer, which frames them."""
    if not prompt.messages:
        return prompt.text
    assert tokenizer is not None
    return render_opening(tokenizer, prompt.messages, prompt.text, prompt.enable_thinking)
