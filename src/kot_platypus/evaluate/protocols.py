"""Evaluation protocols: YAML files that say how a KoBEST document becomes scored requests.

A score means nothing without its protocol. Each is one file in ``prompts/protocols/`` (or any path)
and holds all there is to it: prompts, order, seeds, tokenisation. Adding one needs no code.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kot_platypus.artifacts import hash_value, read_text
from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.tasks import COLUMNS, Document, TaskData
from kot_platypus.records import Question, Request

_FOLDER = files("kot_platypus.prompts") / "protocols"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskPrompt(_Part):
    """The prompt of one task. Templates name the Hub's columns in braces."""

    context: str
    choices: tuple[str, ...]
    """The continuations to score, in label order."""
    shot_choices: tuple[str, ...] | None = None
    """The gold continuations inside the shots, where they differ from ``choices``."""
    words: dict[str, dict[str, dict[str, str]]] = {}
    """Further names for templates: name -> column -> value of the column -> text."""
    strip: bool = False
    """Whether the whole context, shots included, loses its outer white space."""

    def render_context(self, document: Document) -> str:
        """The context without shots. Raises DataError for a value that ``words`` lacks."""
        return self.context.format_map({**document, **self._look_up_words(document)})

    def render_shot(self, document: Document) -> str:
        """A worked example: the context and its gold choice."""
        choices = self.shot_choices or self.choices
        return self.render_context(document) + choices[document["label"]].format_map(document)

    def render_choices(self, document: Document) -> list[str]:
        """The continuations, in label order."""
        return [choice.format_map(document) for choice in self.choices]

    def count_chars(self, document: Document) -> tuple[int, ...]:
        """Characters of each choice, without the space the template puts before it."""
        bare = (choice.removeprefix(" ") for choice in self.choices)
        return tuple(len(choice.format_map(document)) for choice in bare)

    def _look_up_words(self, document: Document) -> dict[str, str]:
        words = {}
        for name, columns in self.words.items():
            for column, texts in columns.items():
                value = document[column].strip()
                if value not in texts:
                    raise DataError(
                        f"a document has {column} {value!r}",
                        expected=f"one of {', '.join(texts)}",
                        hint="Mend that row of the data.",
                    )
                words[name] = texts[value]
        return words


class Protocol(_Part):
    """How the questions of all tasks are chosen, worded and tokenised."""

    name: str
    description: str
    tokenisation: Literal["separate", "joint"]
    """``separate``: context and continuation are encoded each for itself. ``joint``: together,
    trailing spaces of the context going to the continuation."""
    special_tokens: bool
    """Whether the tokenizer adds its special tokens (BOS), if it does so by default."""
    empty_context: Literal["bos", "eos"]
    """The token that stands for an empty context."""
    separator: str
    """Between shots, and between the last shot and the question."""
    seed: int
    """Of the generator that each task gets: it shuffles (if so) and then draws the shots."""
    shuffle: bool
    """Whether the test documents are shuffled before a limit keeps the first of them."""
    tasks: dict[str, TaskPrompt]

    @model_validator(mode="after")
    def _check(self) -> Protocol:
        for task, prompt in self.tasks.items():
            if task not in COLUMNS:
                raise ValueError(f"{task} is not one of {', '.join(COLUMNS)}")
            known = {*COLUMNS[task], *prompt.words} - {"label"}
            for template in (prompt.context, *prompt.choices, *(prompt.shot_choices or ())):
                for _, name, _, _ in Formatter().parse(template):
                    if name is not None and name not in known:
                        raise ValueError(f"{task}: {{{name}}} is not one of {', '.join(known)}")
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that can change a request or its tokens (not of the description)."""
        return hash_value(self.model_dump(mode="json", exclude={"name", "description"}))


def list_protocols() -> list[str]:
    """The names of the shipped protocols."""
    names = (entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))
    return sorted(name.removesuffix(".yaml") for name in names)


@cache
def load_protocol(name: str) -> Protocol:
    """A shipped protocol by name, or any by the path of its YAML file.

    Raises:
        UsageError: no such protocol.
        RecipeError: a file that is not a protocol.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        text, name = read_text(path, RecipeError), path.stem
    elif name in list_protocols():
        text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        close = get_close_matches(name, list_protocols(), n=1)
        raise UsageError(
            f"no protocol {name!r}",
            expected=f"a YAML file or one of {', '.join(list_protocols())}",
            hint=f"Did you mean {close[0]}?" if close else "Mend evaluate.protocol or --protocol.",
        )
    try:
        return Protocol.model_validate({"name": name, **yaml.safe_load(text)})
    except (yaml.YAMLError, TypeError, ValidationError) as error:
        raise RecipeError(
            f"the protocol {name} cannot be read ({error})",
            expected="the keys of a shipped protocol",
            hint=f"Start from a copy of {list_protocols()[0]}.yaml.",
        ) from error


def build_questions(
    protocol: Protocol, data: TaskData, num_fewshot: int, limit: int | None = None
) -> list[Question]:
    """The questions of one task in the protocol's order, each with all its requests.

    Args:
        protocol: Prompts, order and seeds.
        data: The task's documents.
        num_fewshot: Shots before each question, drawn from ``data.train``.
        limit: Keep the first N questions (all when None).

    Raises:
        UsageError: the protocol has no prompt for this task.
        DataError: fewer training documents than shots.
    """
    if data.task not in protocol.tasks:
        raise UsageError(
            f"the protocol {protocol.name} has no prompt for {data.task}",
            expected=f"one of {', '.join(protocol.tasks)}",
            hint="Choose other tasks, or add it to the protocol.",
        )
    if num_fewshot > len(data.train):
        raise DataError(
            f"{data.task} has {len(data.train)} training documents",
            expected=f"at least the {num_fewshot} shots asked for",
            hint="Ask for fewer shots.",
        )
    generator = random.Random(protocol.seed)
    documents = list(data.test)
    if protocol.shuffle:
        generator.shuffle(documents)
    return [
        # The draws follow each other in one stream: nothing may be drawn out of turn.
        _build_question(
            protocol, data.task, doc_id, document, generator.sample(data.train, num_fewshot)
        )
        for doc_id, document in enumerate(documents[:limit])
    ]


def _build_question(
    protocol: Protocol, task: str, doc_id: int, document: Document, shots: Sequence[Document]
) -> Question:
    prompt = protocol.tasks[task]
    texts = [*map(prompt.render_shot, shots), prompt.render_context(document)]
    context = protocol.separator.join(texts)
    if prompt.strip:
        context = context.strip()
    return Question(
        task=task,
        num_fewshot=len(shots),
        doc_id=doc_id,
        gold=document["label"],
        requests=tuple(
            Request(doc_id=doc_id, choice=choice, context=context, continuation=continuation)
            for choice, continuation in enumerate(prompt.render_choices(document))
        ),
        choice_chars=prompt.count_chars(document),
    )
