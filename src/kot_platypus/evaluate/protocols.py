"""Evaluation protocols: YAML files that say how a document becomes scored requests.

A score means nothing without its protocol. Each is one file that says all there is to it: prompts,
order, seeds, tokenisation. The shipped ones lie in ``prompts/protocols/``. Your own protocol
takes no code; nor does your own task, which is a prompt that says where its ``data`` lies.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import accumulate, islice
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import Field, model_validator

from kot_platypus.artifacts import hash_value
from kot_platypus.errors import DataError, RecipeError
from kot_platypus.evaluate.encoding import Encoding
from kot_platypus.evaluate.keys import make_question_key
from kot_platypus.evaluate.own_tasks import load_own_task
from kot_platypus.evaluate.tasks import (
    COLUMNS,
    Document,
    TaskData,
    TaskFiles,
    compose,
    hash_texts,
    load_task,
)
from kot_platypus.recipe_files import Section, list_names, read_values, validate
from kot_platypus.records import Request, ScoringQuestion

_FOLDER = files("kot_platypus.prompts") / "protocols"


class TaskPrompt(Section):
    """The prompt of one task. Templates name columns in braces: the Hub's, or its own file's."""

    context: str
    choices: tuple[str, ...] | str
    """The continuations to score, in label order. A single template stands for as many choices
    as the column it names has elements."""
    shot_choices: tuple[str, ...] | None = None
    """The gold continuations inside the shots, where they differ from ``choices``."""
    words: dict[str, dict[str, dict[str, str]]] = Field({})
    """Further names for templates: name -> column -> value of the column -> text."""
    strip: bool = False
    """Whether the whole context, shots included, loses its outer white space."""
    data: TaskFiles | None = None
    """Where the documents lie; None for KoBEST's tasks."""

    @property
    def columns(self) -> list[str]:
        """The columns that the templates name. Raises ValueError for what is no plain name."""
        choices = [self.choices] if isinstance(self.choices, str) else self.choices
        templates = (self.context, *choices, *(self.shot_choices or ()))
        names = {name for template in templates for name in list_template_names(template)}
        columns = (column for texts in self.words.values() for column in texts)
        return sorted({*(names - self.words.keys()), *columns})

    @property
    def list_column(self) -> str | None:
        """The column that lists the choices, where a single template stands for all."""
        return list_template_names(self.choices)[0] if isinstance(self.choices, str) else None

    @model_validator(mode="after")
    def _check(self) -> TaskPrompt:
        if isinstance(self.choices, str) and len(list_template_names(self.choices)) != 1:
            raise ValueError("choices: a single template names the one column that lists them")
        if self.list_column in list_template_names(self.context):
            raise ValueError(f"context: {{{self.list_column}}} is a list of choices, and no text")
        if self.shot_choices and len(self.shot_choices) != len(self.choices):
            raise ValueError("shot_choices: as many as choices")
        if self.data is not None and self.data.label != "label" and "label" in self.columns:
            raise ValueError("a template cannot name a column `label` that is not the label")
        return self

    def render_context(self, document: Document) -> str:
        """The context without shots. Raises DataError for a value that ``words`` lacks."""
        return self.context.format_map(self._add_words(document))

    def render_shot(self, document: Document) -> str:
        """A worked example: the context and its gold choice."""
        label = document["label"]
        if self.shot_choices:
            choice = self.shot_choices[label].format_map(self._add_words(document))
            return self.render_context(document) + choice
        return self.render_context(document) + self.render_choices(document)[label]

    def render_choices(self, document: Document) -> list[str]:
        """The continuations, in label order."""
        return [template.format_map(values) for template, values in self._pair_choices(document)]

    def count_chars(self, document: Document) -> tuple[int, ...]:
        """Characters of each choice, without the space the template puts before it."""
        pairs = self._pair_choices(document)
        return tuple(len(text.removeprefix(" ").format_map(values)) for text, values in pairs)

    def _pair_choices(self, document: Document) -> list[tuple[str, Document]]:
        """Each choice's template and the values to put into it."""
        if not isinstance(self.choices, str):
            values = self._add_words(document)
            return [(template, values) for template in self.choices]
        (column,) = list_template_names(self.choices)
        if not isinstance(document[column], list):
            raise DataError(
                f"{column} is {document[column]!r} in a document",
                expected=f"a list: `choices: {self.choices!r}` makes a choice of each element",
                hint="Give a list in JSONL, or write `choices` as a list of templates.",
            )
        return [(self.choices, {column: element}) for element in document[column]]

    def _add_words(self, document: Document) -> dict[str, Any]:
        words = {}
        for name, columns in self.words.items():
            for column, texts in columns.items():
                value = compose(document[column].strip())
                if value not in texts:
                    raise DataError(
                        f"a document has {column} {value!r}",
                        expected=f"one of {', '.join(texts)}",
                        hint="Fix that row of the data.",
                    )
                words[name] = texts[value]
        return {**document, **words}


def list_template_names(template: str) -> list[str]:
    """The names in a template's braces. Raises ValueError for what is no plain name."""
    names = []
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not name or name.isdecimal() or set(name) & set(".[]"):
            raise ValueError(f"{{{name}}} in {template!r} is no plain column name")
        names.append(name)
    return list(dict.fromkeys(names))


class Protocol(Encoding):
    """How the questions of all tasks are chosen, worded and encoded."""

    read_before = ("base",)
    name: str
    description: str
    separator: str
    """Between shots, and between the last shot and the question."""
    seed: int
    """Of the generator that each task gets: it shuffles (if so) and then draws the shots."""
    shuffle: bool
    """Whether the test documents are shuffled before a limit keeps the first of them."""
    tasks: dict[str, TaskPrompt]
    """By name. KoBEST's five need no ``data``; every other one does."""

    @model_validator(mode="after")
    def _check(self) -> Protocol:
        for task, prompt in self.tasks.items():
            if prompt.data is None and task not in COLUMNS:
                raise ValueError(f"{task} needs data: it is not one of {', '.join(COLUMNS)}")
            known = set(prompt.columns if prompt.data else COLUMNS[task])
            for name in {*prompt.columns} - known:
                raise ValueError(f"{task}: {{{name}}} is not one of {', '.join(sorted(known))}")
        return self

    def find_task(self, name: str) -> str:
        """``copa`` for ``copa``, ``COPA`` or ``kobest_copa``. Raises DataError for other names."""
        for task in (name, name.lower().removeprefix("kobest_")):
            if task in self.tasks:
                return task
        close = get_close_matches(name.lower().removeprefix("kobest_"), self.tasks, n=1)
        raise DataError(
            f"the protocol {self.name} has no task {name!r}",
            expected=f"one of {', '.join(self.tasks)}",
            hint=f"Did you mean {close[0]}?" if close else "Check evaluate.tasks or --tasks.",
        )

    def fingerprint_task(self, task: str) -> str:
        """SHA-256 of all that can change a request of this task or its tokens."""
        values = self.model_dump(mode="json", exclude={"name", "description", "tasks"})
        prompt = self.tasks[task].model_dump(mode="json", exclude={"data"})
        return hash_value({**values, "prompt": prompt})


def list_protocols() -> list[str]:
    """The names of the shipped protocols."""
    return list_names(_FOLDER)


@cache
def load_protocol(name: str) -> Protocol:
    """A shipped protocol by name, or any by the path of its YAML file.

    Raises:
        UsageError: no such protocol.
        RecipeError: a file that is not a protocol, or has a shipped one's name.
    """
    path = Path(name)
    if path.is_file() and path.stem in list_protocols():
        raise RecipeError(
            f"{path} has the name of a shipped protocol",
            expected="a name of its own, since scores carry it",
            hint=f"Rename it, e.g. my-{path.name}.",
        )
    return _load(name)


def _load(name: str, *, is_base: bool = False) -> Protocol:
    keys = (*Protocol.read_before, *Protocol.model_fields)
    where, values = read_values(_FOLDER, name, keys, "protocol")
    folder, own = Path(name).parent, Path(name).stem
    if is_base and "base" in values:
        raise RecipeError(
            f"the base {where} has a base itself",
            expected="a protocol that is written out",
            hint="Name that one, or write it out.",
        )
    if "base" in values:  # what the file does not say is the base's
        base = values.pop("base")
        if not isinstance(base, str) or not base:
            raise RecipeError(
                f"{where}: base is {base!r}",
                expected="the name of a shipped protocol, or the path of a YAML file",
                hint=f"Write e.g. base: {list_protocols()[0]}, or leave it out.",
            )
        beside = folder / base
        lent = _load(str(beside) if beside.is_file() else base, is_base=True)
        given = {"description": f"{own} of the user's", **lent.model_dump(exclude={"description"})}
        values = {**given, **values}
    protocol = validate(Protocol, {**values, "name": own}, where, "protocol")
    tasks = {task: _place_files(prompt, folder) for task, prompt in protocol.tasks.items()}
    return protocol.model_copy(update={"tasks": tasks})


def _place_files(prompt: TaskPrompt, folder: Path) -> TaskPrompt:
    """Paths in a protocol are relative to it."""
    if prompt.data is None:
        return prompt
    files = prompt.data
    folder = folder.absolute()
    placed = {"test": folder / files.test, "train": files.train and folder / files.train}
    return prompt.model_copy(update={"data": files.model_copy(update=placed)})


def load_data(protocol: Protocol, task: str, kobest_dir: str | Path | None = None) -> TaskData:
    """The documents of one of the protocol's tasks. Raises DataError as ``load_task`` does."""
    prompt = protocol.tasks[task]
    if prompt.data is None:
        data = load_task(task, kobest_dir)
    else:
        data = load_own_task(task, prompt.data, prompt.columns, prompt.list_column)
    for document in (*data.train, *data.test):
        num_choices = len(prompt.render_choices(document))
        if document["label"] >= num_choices:
            raise DataError(
                f"{task} has a document with label {document['label']} and {num_choices} choices",
                expected="labels from 0, below the number of choices",
                hint="Say what the labels mean: `labels: [value of the first choice, ...]`.",
            )
    return data


def build_questions(
    protocol: Protocol, data: TaskData, num_fewshot: int, limit: int | None = None
) -> list[ScoringQuestion]:
    """The questions of one task in the protocol's order, each with all its requests.

    Args:
        protocol: Prompts, order and seeds.
        data: The task's documents.
        num_fewshot: Shots before each question, drawn from ``data.train`` without the question
            itself where ``data.repeated`` has it.
        limit: Keep the first N questions (all when None).

    Raises:
        DataError: fewer training documents than shots, or a label beyond the choices.
    """
    documents, generator = order_documents(protocol, data)
    fingerprint = protocol.fingerprint_task(data.task)
    return [
        # The draws follow each other in one stream: nothing may be drawn out of turn.
        _build_question(
            protocol,
            data.task,
            doc_id,
            document,
            _draw_shots(generator, data, document, num_fewshot),
            fingerprint,
        )
        for doc_id, document in enumerate(documents[:limit])
    ]


def _draw_shots(
    generator: random.Random, data: TaskData, document: Document, num_fewshot: int
) -> list[Document]:
    """Training documents, of a task of the user's own never the question itself."""
    pool = data.train
    if data.repeated and (own := hash_texts(document)) in data.repeated:
        pairs = zip(data.train, data.train_hashes, strict=True)
        pool = tuple(shot for shot, its_hash in pairs if its_hash != own)
    if num_fewshot > len(pool):
        others = "" if pool is data.train else " other than a question"
        raise DataError(
            f"{data.task} has {len(pool)} training documents{others}",
            expected=f"at least the {num_fewshot} shots asked for",
            hint="Ask for fewer shots.",
        )
    return generator.sample(pool, num_fewshot)


def order_documents(protocol: Protocol, data: TaskData) -> tuple[list[Document], random.Random]:
    """The test documents in the protocol's order, and its generator, which next draws the shots."""
    generator = random.Random(protocol.seed)
    documents = list(data.test)
    if protocol.shuffle:
        generator.shuffle(documents)
    return documents, generator


def _build_question(
    protocol: Protocol,
    task: str,
    doc_id: int,
    document: Document,
    shots: Sequence[Document],
    fingerprint: str,
) -> ScoringQuestion:
    prompt = protocol.tasks[task]
    texts = [*map(prompt.render_shot, shots), prompt.render_context(document)]
    context = protocol.separator.join(texts)
    starts = accumulate((len(text) + len(protocol.separator) for text in texts), initial=0)
    begin = 0
    if prompt.strip:
        begin = len(context) - len(context.lstrip())
        context = context.strip()
    continuations = prompt.render_choices(document)
    return ScoringQuestion(
        task=task,
        num_fewshot=len(shots),
        doc_id=doc_id,
        gold=document["label"],
        requests=tuple(
            Request(doc_id=doc_id, choice=choice, context=context, continuation=continuation)
            for choice, continuation in enumerate(continuations)
        ),
        choice_chars=prompt.count_chars(document),
        shot_starts=tuple(max(0, start - begin) for start in islice(starts, len(shots))),
        key=make_question_key(fingerprint, len(shots), context, continuations),
    )
