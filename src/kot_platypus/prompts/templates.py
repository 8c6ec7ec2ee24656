"""Prompt templates, read from the YAML files beside this: how a row, or a translation, is put."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from kot_platypus.errors import UsageError
from kot_platypus.records import Example, Message

T = TypeVar("T")


class Template(BaseModel):
    """How an example becomes text: a prompt, and the line that states the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str
    prompt: str
    """Contains ``{source}``. Ends where the response begins, never with a space."""
    prompt_input: str = ""
    """The prompt of a row with an input: contains ``{source}`` and ``{input}``."""
    answer: str
    """Contains ``{target}``. Stands alone on the response's last line."""
    chat: bool = False
    """Whether prompt and response are messages, which the tokenizer's chat template frames."""

    def render_prompt(self, source: str, context: str = "") -> str:
        """The text the model is given (``context`` is an Alpaca row's input); in a chat, said."""
        if context and not self.prompt_input:
            source = f"{source}\n\n{context}"
        texts = {"{source}": source, "{input}": context}
        prompt = self.prompt_input if context and self.prompt_input else self.prompt
        return re.sub(r"\{source\}|\{input\}", lambda mark: texts[mark[0]], prompt)

    def render_answer(self, target: str) -> str:
        """The response's last line; empty for a row that states no answer apart."""
        return self.answer.replace("{target}", target) if target else ""

    def render_shot(self, example: Example) -> str:
        """A whole worked example: prompt, rationale, answer."""
        answer = self.render_answer(example.target)
        return f"{self.render_prompt(example.source, example.input)}{example.rationale}\n{answer}"

    def render_turns(self, example: Example) -> tuple[Message, Message]:
        """A whole worked example as what a user says and an assistant answers."""
        answer = self.render_answer(example.target)
        return (
            Message(role="user", content=self.render_prompt(example.source, example.input)),
            Message(role="assistant", content=f"{example.rationale}\n{answer}".strip()),
        )

    @property
    def answer_prefix(self) -> str:
        """What marks the answer line; empty when the template marks none."""
        return self.answer.partition("{target}")[0]

    def is_complete(self, output: str, *, direct: bool = False) -> bool:
        """Whether an output has stated its answer and closed that line; ``direct``: any line."""
        *closed, _open = output.split("\n")
        if direct:
            return any(line.strip() for line in closed)
        return self.parse_answer("\n".join(closed)) is not None

    def parse_answer(self, output: str) -> str | None:
        """The answer stated in a model's output, or None. Nothing is guessed.

        The first complete answer line counts: what a model writes after it is not its answer.
        """
        for line in output.splitlines():
            if self.answer_prefix and line.startswith(self.answer_prefix):
                return line.removeprefix(self.answer_prefix).strip().rstrip(".") or None
        return None


@cache
def load_templates() -> dict[str, Template]:
    """All prompt templates by name, from ``templates.yaml``."""
    return {name: Template(name=name, **fields) for name, fields in _read("templates.yaml")}


def load_template(name: str) -> Template:
    """One template by name. Raises UsageError naming those that exist."""
    return _choose(load_templates(), name, "template", hint="Set train.template, or --template.")


class TranslationPrompt(BaseModel):
    """How a language model is asked to translate one text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    user: str
    """Contains ``{text}``."""

    def render(self, text: str) -> tuple[Message, ...]:
        """The messages that ask for the translation of ``text``."""
        return (
            Message(role="system", content=self.system),
            Message(role="user", content=self.user.replace("{text}", text)),
        )


@cache
def load_translation_prompts() -> dict[str, TranslationPrompt]:
    """All ways of asking for a translation by name, from ``translation.yaml``."""
    return {name: TranslationPrompt(**fields) for name, fields in _read("translation.yaml")}


def load_translation_prompt(name: str) -> TranslationPrompt:
    """One way of asking for a translation. Raises UsageError naming those that exist."""
    return _choose(
        load_translation_prompts(), name, "translation prompt", hint="Choose one of them."
    )


def _read(file: str) -> ItemsView[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = yaml.safe_load(
        (files("kot_platypus.prompts") / file).read_text(encoding="utf-8")
    )
    return fields.items()


def _choose(known: Mapping[str, T], name: str, kind: str, *, hint: str) -> T:
    if name not in known:
        raise UsageError(f"no {kind} {name!r}", expected=f"one of {', '.join(known)}", hint=hint)
    return known[name]
