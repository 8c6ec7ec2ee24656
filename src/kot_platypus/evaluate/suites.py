"""Suites of Korean questions for models that reason, put and read as their authors do.

A suite is one file that says all there is to it: where its rows lie, how a row becomes a question,
how replies are drawn, and how an answer is read, each with its source. The shipped ones lie in
``prompts/suites/``; your own takes no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from kot_platypus.answers import AnswerPattern
from kot_platypus.answers.strict import BOXED
from kot_platypus.artifacts import hash_value
from kot_platypus.errors import DataError, UsageError
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.protocols import list_template_names
from kot_platypus.evaluate.texts import GREEDY, Sampling
from kot_platypus.formats import iter_values
from kot_platypus.hub import iter_hub
from kot_platypus.progress import print_notice
from kot_platypus.recipe_files import Section, list_names, load
from kot_platypus.tables import is_blank

SUITES = files("kot_platypus.prompts") / "suites"
_NO_TEXT = (dict, list, bool)
_HINT = (
    "Check the connection; a gated set wants its terms accepted on its page and HF_TOKEN set. "
    "Or name a local copy: --data FOLDER."
)


class SuiteTask(Section):
    """How a row becomes a question. Prompts name columns in braces, and choices by their label."""

    config: str | None = None
    """Of the data set; None: the task's name, if the suite has several."""
    prompts: tuple[str, ...]
    """The first one counts whose names a row all has."""
    labels: tuple[str, ...] = ()
    """Of the choices; none where questions are open."""
    choices: tuple[str, ...] | str = ()
    """The choices' columns, or the one that lists them; none where the question shows them."""
    listed: str = ""
    """A pattern of (label, text) for choices that a question shows itself."""
    answer: str = "answer"
    """The column of the right answer."""
    answer_is: Literal["value", "label", "number", "choice"] = "value"
    """``number`` counts the choices from 1, ``choice`` is a choice's text."""
    rename: dict[str, str] = Field(default_factory=dict)
    """What columns are called in other copies of the data, and here."""
    by: str | None = None
    """The column that parts the rows into kinds, each with its figure."""
    strip: bool = False
    """Whether columns lose their outer white space."""

    @model_validator(mode="after")
    def _check(self) -> SuiteTask:
        if (self.answer_is == "value") == bool(self.labels):
            raise ValueError("labels where the answer is a choice, and only there")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels that differ")
        if self.listed:
            _check_groups("listed", self.listed, 2)
        for prompt in self.prompts:
            list_template_names(prompt)  # raises ValueError
        return self


class Suite(Section):
    """A set of tasks. What it says of itself and not of a task holds for all of them."""

    name: str = Field(pattern=r"^[\w.-]+$")
    description: str
    dataset: str
    """Its id on the Hub."""
    licence: str
    """Of the data, as their authors state it."""
    sources: tuple[str, ...]
    """Where prompt, sampling and reading stand, and what is ours."""
    split: str = "test"
    system: str = ""
    max_new_tokens: int = Field(2048, ge=1)
    sampling: Sampling = GREEDY
    pattern: str = ""
    """Reads the answer, see ``AnswerPattern``; the template's answer line if empty."""
    letters: bool = False
    tasks: dict[str, SuiteTask] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _share(cls, values: Any) -> Any:
        """Give every task what the file says of all of them."""
        if not isinstance(values, dict) or not isinstance(values.get("tasks"), dict):
            return values
        shared = {name: values[name] for name in SuiteTask.model_fields if name in values}
        own = {name: value for name, value in values.items() if name not in shared}
        known = [*cls.model_fields, *SuiteTask.model_fields]
        for name in own.keys() - known:
            close = get_close_matches(name, known, 1)
            raise ValueError(f"known keys, not {name}" + (f": is it {close[0]}?" if close else ""))
        tasks = {task: {**shared, **(given or {})} for task, given in values["tasks"].items()}
        return {**own, "tasks": tasks}

    @model_validator(mode="after")
    def _check(self) -> Suite:
        if self.pattern and self.pattern != BOXED:
            _check_groups("pattern", self.pattern, 1)
        if self.letters and not self.pattern:
            raise ValueError("letters with a pattern")
        return self

    @property
    def reader(self) -> AnswerPattern | None:
        """How the authors read an answer."""
        return AnswerPattern(self.pattern, self.letters) if self.pattern else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that can change a question, a reply or what is read in it."""
        told = {"name", "description", "licence", "sources"}
        return hash_value(self.model_dump(mode="json", exclude=told))


def _check_groups(name: str, pattern: str, count: int) -> None:
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{name}: a regular expression ({error})") from error
    if found != count:
        raise ValueError(f"{name}: a regular expression with {count} groups, not {found}")


def list_suites() -> list[str]:
    """The names of the shipped suites."""
    return list_names(SUITES)


def load_suite(name: str) -> Suite:
    """A shipped suite by name, or any by its YAML file. Raises as ``recipe_files.load`` does."""
    return load(Suite, SUITES, name, kind="suite")


def read_suite(name: str) -> str:
    """A suite's file as it stands, comments included. Raises as ``load_suite`` does."""
    load_suite(name)
    path = SUITES / f"{name}.yaml" if name in list_suites() else Path(name)
    return path.read_text(encoding="utf-8")


def load_suite_questions(
    suite: Suite,
    data: Path | None = None,
    tasks: tuple[str, ...] = (),
    limit: int | None = None,
) -> list[Question]:
    """The questions of a suite's tasks in the order of their rows; of each task ``limit``.

    Args:
        suite: The suite.
        data: A local copy of its data set (a folder as ``datasets`` reads it, or the file of one
            task); None: the Hub's.
        tasks: All if empty.
        limit: All when None.

    Raises:
        UsageError: an unknown task, or one file for several.
        DataError: no such data, or a row (named by its place) that is no question of this suite.
    """
    for task in tasks:
        if task not in suite.tasks:
            raise UsageError(
                f"{suite.name} has no task {task!r}",
                expected=f"some of {', '.join(suite.tasks)}",
                hint="Check --tasks.",
            )
    chosen = tuple(dict.fromkeys(tasks)) or tuple(suite.tasks)
    if data is not None and data.is_file() and len(chosen) > 1:
        raise UsageError(
            f"--data {data} for {len(chosen)} tasks",
            expected="a folder, or the file of one task",
            hint=f"E.g. --tasks {chosen[0]}",
        )
    return [question for task in chosen for question in _pose_task(suite, task, data, limit)]


def _pose_task(suite: Suite, name: str, data: Path | None, limit: int | None) -> list[Question]:
    task = suite.tasks[name]
    full_name = f"{suite.name}/{name}" if len(suite.tasks) > 1 else suite.name
    questions = []
    unlisted = 0
    for doc_id, (where, values) in enumerate(islice(_iter_rows(suite, name, data), limit)):
        if not isinstance(values, Mapping):
            raise DataError(f"{where} is no row", expected="columns", hint="Fix that line.")
        row = _Row(suite, task, _rename(values, task.rename, where), where)
        kind = f"{full_name}/{row.read(task.by)}" if task.by else full_name
        questions.append(row.pose(kind, doc_id))
        unlisted += bool(task.listed) and questions[-1].choices == task.labels
    if not questions:
        raise DataError(f"{full_name} holds no rows", expected="questions", hint="Check --data.")
    if unlisted:
        print_notice(
            f"{full_name}: the choices of {unlisted:,} of {len(questions):,} questions are not "
            "found in their text: an answer there counts by its label alone"
        )
    return questions


def _rename(values: Mapping[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for column, cell in values.items():
        name = names.get(column, column)
        if name in renamed:
            raise DataError(
                f"{where} has {name!r} under two names",
                expected="one of the two",
                hint="Leave one of the columns out.",
            )
        renamed[name] = cell
    return renamed


def _iter_rows(suite: Suite, name: str, data: Path | None) -> Iterator[tuple[str, object]]:
    if data is not None and data.is_file():
        rows, where = iter_values(data), str(data)
    else:
        if data is not None and not data.is_dir():
            raise DataError(
                f"--data {data} does not exist",
                expected=f"a copy of {suite.dataset}, or a file of rows",
                hint="Check the path.",
            )
        where = suite.dataset if data is None else str(data)
        config = suite.tasks[name].config or (name if len(suite.tasks) > 1 else None)
        rows = iter_hub(where, config=config, split=suite.split, hint=_HINT)
    return ((f"{where} {place}", values) for place, values in rows)


@dataclass(frozen=True)
class _Row:
    """One row on its way to a question; its errors name where it stands."""

    suite: Suite
    task: SuiteTask
    values: dict[str, Any]
    where: str

    def pose(self, kind: str, doc_id: int) -> Question:
        """The question of this row."""
        choices = self._list_choices()
        source = self._render(choices)
        answer = self.read(self.task.answer)
        if not self.task.labels:
            target = write_value(answer)
            return Question(
                kind, doc_id, source, target, needs_instruction=False, system=self.suite.system
            )
        choices = choices or self._find_listed(source) or self.task.labels
        labels = self.task.labels[: len(choices)]
        gold = self._find_gold(answer, choices, labels)
        return Question(
            kind,
            doc_id,
            source,
            choices[gold],
            choices,
            gold,
            needs_instruction=False,
            marks=labels,
            system=self.suite.system,
            labels_asked=True,
        )

    def read(self, column: str) -> Any:
        """A cell that must be there."""
        value = self.values.get(column)
        if is_blank(value):
            raise DataError(
                f"{self.where} has no {column!r} among {', '.join(map(str, self.values))}",
                expected=f"a row of {self.suite.dataset}",
                hint="Check the data, or the suite's columns.",
            )
        return value

    def _list_choices(self) -> tuple[str, ...]:
        """The choices' texts, where columns hold them."""
        given = self.task.choices
        cells = self.read(given) if isinstance(given, str) else [self.read(each) for each in given]
        if not isinstance(cells, list):
            raise self._refuse(f"{given} is {cells!r}", "a list")
        while cells and is_blank(cells[-1]):  # tables fill lists up
            cells = cells[:-1]
        if odd := [cell for cell in cells if is_blank(cell) or isinstance(cell, _NO_TEXT)]:
            raise self._refuse(f"a choice is {odd[0]!r}", "texts or numbers")
        if len(cells) > len(self.task.labels):
            raise self._refuse(f"it has {len(cells)} choices", f"at most {len(self.task.labels)}")
        return tuple(str(cell).strip() for cell in cells)

    def _refuse(self, found: str, expected: str) -> DataError:
        return DataError(
            f"{self.where}: {found}",
            expected=expected,
            hint="Fix that row, or write a suite of your own: kot suites --show NAME",
        )

    def _render(self, choices: tuple[str, ...]) -> str:
        given = {name: cell for name, cell in self.values.items() if not is_blank(cell)}
        cells = {name: str(cell) for name, cell in given.items() if not isinstance(cell, _NO_TEXT)}
        if self.task.strip:
            cells = {name: text.strip() for name, text in cells.items()}
        shown = dict(zip(self.task.labels, choices, strict=False))
        for prompt in self.task.prompts:
            names = set(list_template_names(prompt))
            if names <= {*cells, *shown} and shown.keys() <= names:
                return prompt.format_map({**cells, **shown})
        raise DataError(
            f"{self.where} fits no prompt of {self.suite.name}: it has {', '.join(cells)}"
            + (f" and {len(choices)} choices" if choices else ""),
            expected="; or ".join(" ".join(list_template_names(p)) for p in self.task.prompts),
            hint="Check the data, or the suite's prompts.",
        )

    def _find_listed(self, source: str) -> tuple[str, ...]:
        """The texts of the choices that a question shows last; none if they are not all there."""
        found = re.findall(self.task.listed, source, re.MULTILINE) if self.task.listed else []
        last = found[-len(self.task.labels) :]
        if tuple(label for label, _ in last) != self.task.labels:
            return ()
        return tuple(text.strip(" ,") for _, text in last)

    def _find_gold(self, answer: Any, choices: Sequence[str], labels: Sequence[str]) -> int:
        """The place of the right choice; of two with one text the first, as elsewhere."""
        if self.task.answer_is == "choice":
            said, known = str(answer).strip(), list(choices)
        elif self.task.answer_is == "number":
            said, known = write_value(answer), [str(n) for n in range(1, len(labels) + 1)]
        else:
            said = write_value(answer).strip("(). ").casefold()
            known = [label.casefold() for label in labels]
        if said not in known:
            raise self._refuse(f"the answer is {said!r}", f"one of {', '.join(known)}")
        return known.index(said)


def write_value(value: object) -> str:
    """An answer as text; 18.0 is 18, since tables keep whole numbers as floats."""
    text = str(value).strip()
    whole = re.fullmatch(r"(-?\d+)\.0+", text)
    return whole[1] if whole else text
