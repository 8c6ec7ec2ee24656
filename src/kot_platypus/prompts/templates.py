"""Prompt templates, read from the YAML files beside this: how a row, or a translation, is put."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import (
    ValidationError,
    model_validator,
)

from kot_platypus.artifacts import read_text
from kot_platypus.errors import UsageError
from kot_platypus.recipe_files import Section
from kot_platypus.records import Example, Message, Sparse
from kot_platypus.yaml_files import YamlError, parse_yaml

T = TypeVar("T")
_MARKS = {
    "prompt": ("{source}",),
    "prompt_input": ("{source}", "{input}"),
    "rationale": ("{rationale}",),
    "answer": ("{target}",),
}
"""What a template's fields must hold, once."""


class Template(Sparse, Section):
    """How an example becomes text: a prompt, and the line that states the answer."""

    later = ("rationale", "enable_thinking")

    name: str
    description: str
    prompt: str
    """Contains ``{source}``. Ends where the response begins, never with a space."""
    prompt_input: str = ""
    """The prompt of a row with an input: contains ``{source}`` and ``{input}``."""
    rationale: str = "{rationale}"
    """Contains ``{rationale}``, e.g. between thinking tags. Stands before the answer's line."""
    answer: str
    """Contains ``{target}``. Stands alone on the response's last line."""
    chat: bool = False
    """Whether prompt and response are messages, which the tokenizer's chat template frames."""
    enable_thinking: bool | None = None
    """Of chat templates that have this switch; None leaves it to them."""

    @model_validator(mode="after")
    def _check(self) -> Template:
        for field, marks in _MARKS.items():
            text = getattr(self, field)
            missing = [mark for mark in marks if text.count(mark) != 1]
            if missing and (text or field != "prompt_input"):
                raise ValueError(f"{field} with one {missing[0]}")
        return self

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

    def frame_rationale(self, rationale: str) -> tuple[str, str]:
        """What comes of a rationale: up to its end, and what closes it. Nothing of an empty one."""
        if not rationale.strip():
            return "", ""
        before, _, after = self.rationale.partition("{rationale}")
        return before + rationale, after

    @property
    def no_thoughts(self) -> str:
        """What stands before an answer without a rationale: closed, empty thoughts, if any."""
        before, _, after = self.rationale.partition("{rationale}")
        return f"{before}{after}\n" if before + after else ""

    def render_shot(self, example: Example) -> str:
        """A whole worked example: prompt, rationale, answer."""
        answer = self.render_answer(example.target)
        prompt = self.render_prompt(example.source, example.input)
        return f"{prompt}{''.join(self.frame_rationale(example.rationale))}\n{answer}"

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


@cache
def load_templates() -> dict[str, Template]:
    """All prompt templates by name, from ``templates.yaml``."""
    return {name: Template(name=name, **fields) for name, fields in _read("templates.yaml")}


def load_template(name: str, enable_thinking: bool | None = None) -> Template:
    """A shipped template by name, or one of your own by its YAML file.

    Raises UsageError naming the templates that exist, or what is wrong in the file; or for
    ``enable_thinking`` where no chat template could heed it.
    """
    template = _load_template(name)
    return template if enable_thinking is None else switch_thinking(template, enable_thinking)


def switch_thinking(template: Template, enable_thinking: bool) -> Template:
    """A chat template with its thinking on or off. Raises UsageError for another."""
    if not template.chat:
        raise UsageError(
            f"enable_thinking with the template {template.name!r}",
            expected="the template chat, whose tokenizer may have that switch",
            hint="Leave it out, or choose another template, e.g. think or chat.",
        )
    return template.model_copy(update={"enable_thinking": enable_thinking})


def _load_template(name: str) -> Template:
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        hint = "Set train.template, or --template, to one of them or to a YAML file of your own."
        return _choose(load_templates(), name, "template", hint=hint)
    if not path.is_file():
        raise UsageError(
            f"the template {path} does not exist", expected="a YAML file", hint="Check the path."
        )
    try:
        values = parse_yaml(read_text(path, UsageError))
        if isinstance(values, dict):
            return Template.model_validate({"name": path.stem, "description": "", **values})
        wrong = f"it holds {type(values).__name__}"
    except YamlError as error:
        wrong = f"no YAML ({error})"
    except ValidationError as error:
        first = error.errors()[0]
        wrong = " ".join([".".join(map(str, first["loc"])), first["msg"]]).strip()
    raise UsageError(
        f"the template {path}: {wrong}",
        expected="prompt with {source}, answer with {target}; rationale with {rationale} and "
        "prompt_input with {source} and {input}, if any; each mark once",
        hint='E.g. rationale: "<think>{rationale}</think>"',
    )


class TranslationPrompt(Section):
    """How a language model is asked to translate one text."""

    system: str
    """Contains ``{speech}`` until ``speak`` says how the Korean should sound."""
    user: str
    """Contains ``{text}``."""

    def speak(self, level: str) -> TranslationPrompt:
        """The prompt that asks for a speech level: ``formal`` (합니다체) or ``plain`` (해라체)."""
        system = self.system.replace("{speech}", load_translation_note(level))
        return self.model_copy(update={"system": system})

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


@cache
def load_judge_prompt() -> TranslationPrompt:
    """How a language model is asked whether a translation is right, from ``judging.yaml``."""
    return TranslationPrompt(**dict(_read("judging.yaml")))


@cache
def load_translation_note(name: str) -> str:
    """What a language model is told of some texts alone, from ``translation_notes.yaml``."""
    return str(dict(_read("translation_notes.yaml"))[name])


def _read(file: str) -> ItemsView[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(
        (files("kot_platypus.prompts") / file).read_text(encoding="utf-8")
    )
    return fields.items()


def _choose(known: Mapping[str, T], name: str, kind: str, *, hint: str) -> T:
    if name not in known:
        raise UsageError(f"no {kind} {name!r}", expected=f"one of {', '.join(known)}", hint=hint)
    return known[name]
