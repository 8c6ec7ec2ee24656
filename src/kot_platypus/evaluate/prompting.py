"""Questions with a final answer: how they are put to a model, and which answer it stated.

A question is a row with a source and a target, or a choice task's document worded by
``prompts/reasoning.yaml``. A model reasons and then states its answer in a line of its own, or
states it at once; what is not stated in that line, in so many words, is not an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml

from kot_platypus.answers import AnswerPattern
from kot_platypus.artifacts import hash_value
from kot_platypus.columns import Columns
from kot_platypus.errors import DataError
from kot_platypus.evaluate.protocols import Protocol, TaskPrompt, load_data, order_documents
from kot_platypus.evaluate.tasks import compose
from kot_platypus.evaluate.texts import Prompt
from kot_platypus.formats import read_problems
from kot_platypus.prompts import Template
from kot_platypus.recipe_files import Section
from kot_platypus.records import Example, Message
from kot_platypus.thoughts import TAG, close_thoughts, split_thoughts, strip_tags

Way = Literal["reason", "prefilled", "instructed"]
"""``reason`` first; or answer at once: the reply is ``prefilled`` with the beginning of the answer
line, or the model is ``instructed`` to answer so."""


@dataclass(frozen=True)
class Question:
    """One question. With ``choices``, ``target`` is one of them and ``gold`` its place."""

    task: str
    doc_id: int
    source: str
    target: str
    choices: tuple[str, ...] = ()
    gold: int | None = None
    needs_instruction: bool | None = None
    """Whether the question needs to be told how to answer; None: in a chat."""
    marks: tuple[str, ...] = ()
    """The marks that the source shows before its choices, if it does: (나) for the second."""
    context: str = ""
    """A row's input, for which some templates have a place of its own."""
    hint: str = ""
    """What a teacher is told beside the question; the question stays what it is."""
    system: str = ""
    """A message before the question."""
    labels_asked: bool = False
    """Whether the question asks for a choice's mark, which is scored then, and not for its text."""

    @property
    def text(self) -> str:
        """All that is asked, in one text."""
        return f"{self.source}\n\n{self.context}" if self.context else self.source


class _Wording(Section):
    """``prompts/reasoning.yaml``."""

    instruction: str
    at_once: str
    marks: tuple[str, ...]
    own: str
    tasks: dict[str, TaskPrompt]


@cache
def load_wording() -> _Wording:
    """How choice tasks are put."""
    text = (files("kot_platypus.prompts") / "reasoning.yaml").read_text(encoding="utf-8")
    return _Wording.model_validate(yaml.safe_load(text))


# --- the questions -----------------------------------------------------------------------------


def load_problems(
    path: Path, limit: int | None = None, columns: Columns | None = None
) -> list[Question]:
    """The rows of a file as questions. Raises DataError for a row without source and target."""
    return [pose_row(row, i) for i, row in enumerate(read_problems(path, limit, columns))]


def pose_row(row: Example, doc_id: int) -> Question:
    """A row as an open question."""
    return Question(row.task, doc_id, row.source, row.target, context=row.input)


def leave_out(question: Question, shots: Sequence[Example]) -> list[Example]:
    """The worked examples but the question itself, which would show its answer."""
    own = compose(" ".join(question.text.split()))
    return [shot for shot in shots if compose(" ".join(pose_row(shot, 0).text.split())) != own]


def load_choices(
    protocol: Protocol,
    task: str,
    kobest_dir: str | None = None,
    limit: int | None = None,
    split: Literal["train", "test"] = "test",
) -> tuple[list[Question], str]:
    """A choice task's questions in the protocol's order, and the hash of its documents."""
    data = load_data(protocol, task, kobest_dir)
    wording, own = load_wording(), protocol.tasks[task]
    prompt = wording.tasks.get(task) if own.data is None else None
    documents = order_documents(protocol, data)[0] if split == "test" else data.train
    questions = []
    for doc_id, document in enumerate(documents[:limit]):
        choices = tuple(text.strip() for text in (prompt or own).render_choices(document))
        if prompt:
            source = prompt.render_context(document)
        else:
            if len(choices) > len(wording.marks):
                raise DataError(
                    f"{task}: a question with {len(choices)} choices",
                    expected=f"at most {len(wording.marks)}, which is how many marks there are",
                    hint="Score such a task without reasoning: kot eval",
                )
            pairs = zip(wording.marks, choices, strict=False)
            listed = " ".join(f"({mark}) {text}" for mark, text in pairs)
            values = {"{context}": own.render_context(document).strip(), "{listed}": listed}
            source = re.sub(r"\{\w+\}", lambda mark: values[mark[0]], wording.own)  # noqa: B023
        gold = document["label"]
        marks = wording.marks[: len(choices)]
        if not all(f"({mark})" in source for mark in marks):
            marks = ()  # the choices are words of the question, 예/아니요
        questions.append(Question(task, doc_id, source, choices[gold], choices, gold, True, marks))
    return questions, data.content_hash


def hash_questions(questions: Iterable[Question]) -> str:
    """SHA-256 of all that is asked and of the right answers."""
    return hash_value(
        [
            [q.task, q.text, q.target, list(q.choices), q.gold, *([q.system] if q.system else [])]
            for q in questions
        ]
    )


# --- what the model is given -------------------------------------------------------------------


def build_prompt(
    question: Question, template: Template, shots: Sequence[Example] = (), way: Way = "reason"
) -> Prompt:
    """What the model reads: worked examples, the question, and how its answer is to begin.

    The question itself is left out of the examples. In the template `chat` the examples are
    earlier turns of the conversation.
    """
    source, context, shots = question.source, question.context, leave_out(question, shots)
    if not template.prompt_input:
        source, context = question.text, ""
    if question.hint:
        source = f"{source}\n\n{question.hint}"
    wording = load_wording()
    told = ""
    if way == "instructed":
        told = wording.at_once
    elif question.needs_instruction or (question.needs_instruction is None and template.chat):
        told = wording.instruction
    if told:
        source = f"{source}\n{told.replace('{answer}', template.answer_prefix)}"
    # Without its last space, which belongs to the answer's first token.
    opening = template.no_thoughts + template.answer_prefix.rstrip() if way == "prefilled" else ""
    if template.chat:
        turns = [turn for shot in shots for turn in template.render_turns(shot)]
        asked = Message(role="user", content=template.render_prompt(source, context))
        told_first = [Message(role="system", content=question.system)] if question.system else []
        messages = (*told_first, *turns, asked)
        return Prompt(text=opening, messages=messages, enable_thinking=template.enable_thinking)
    prefix = f"{question.system}\n\n" if question.system else ""
    prefix += "".join(template.render_shot(shot) + "\n\n" for shot in shots)
    return Prompt(text=prefix + template.render_prompt(source, context) + opening)


def complete_output(text: str, template: Template, way: Way) -> str:
    """A model's whole reply: with the beginning that it was given."""
    # Tokenizers disagree about the space before an answer's first token.
    if way != "prefilled":
        return text
    return template.no_thoughts + template.answer_prefix + text.lstrip(" ")


def find_rationale(output: str, template: Template, pattern: AnswerPattern | None = None) -> str:
    """The rationale of a reply: its thoughts, or else what stands before its answer."""
    thoughts, _ = split_thoughts(output)
    return strip_tags(thoughts or split_rationale(output, template, pattern))


def split_rationale(output: str, template: Template, pattern: AnswerPattern | None = None) -> str:
    """What stands before the answer line, ending in a line break; all of it where there is none.

    Or before what ``pattern`` finds. Thoughts that were not closed are.
    """
    thoughts, rest = split_thoughts(output)
    if rest is None:
        opening = TAG.search(output)
        assert opening
        return output.rstrip() + close_thoughts(opening[0])
    start = pattern.find_start(rest) if pattern else None
    if start is not None:
        rationale = thoughts + rest[:start].rstrip(" $*")
    else:
        lines = rest.splitlines(keepends=True)
        answers = (i for i, line in enumerate(lines) if line.startswith(template.answer_prefix))
        rationale = thoughts + "".join(lines[: next(answers, len(lines))])
    return rationale if not rationale or rationale.endswith("\n") else rationale + "\n"
