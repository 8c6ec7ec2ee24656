"""Templates that people put KoBEST's items into, to see whether an item in them is found."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.evaluate.tasks import COLUMNS

Row = Mapping[str, Any]
Template = Callable[[str, Row], str]
"""A task and its document, with the Hub's columns, to the text of a training row."""

_NAMES = {
    "paragraph": "지문",
    "question": "물음",
    "premise": "전제",
    "context": "문맥",
    "sentence": "문장",
    "context_1": "문장 1",
    "context_2": "문장 2",
}
_ENGLISH = {"premise": "Premise", "sentence": "Review", "paragraph": "Passage"}
_ANSWERS = {"boolq": ("아니요", "예"), "sentineg": ("부정", "긍정"), "wic": ("다르다", "같다")}


def _split(task: str, row: Row) -> tuple[dict[str, str], list[str]]:
    """The texts that ask, by column, and those to choose from."""
    cells = {name: str(row[name]).strip() for name in COLUMNS[task] if name != "label"}
    choices = [text for name, text in cells.items() if name.startswith(("alternative", "ending"))]
    asking = {name: text for name, text in cells.items() if name in _NAMES}
    if task == "copa":
        del asking["question"]
    return asking, choices


def _gold(task: str, row: Row) -> str:
    return (_split(task, row)[1] or _ANSWERS[task])[int(row["label"])]


def _list_marked(task: str, row: Row, marks: str, text: str, between: str = "\n") -> str:
    asking, choices = _split(task, row)
    listed = [f"{mark}{text}{choice}" for mark, choice in zip(marks, choices, strict=False)]
    return between.join([*asking.values(), *listed])


def _evaluation(protocol: str) -> Template:
    def make(task: str, row: Row) -> str:
        return load_protocol(protocol).tasks[task].render_shot(dict(row))

    return make


def _labelled(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    lines = [f"{_NAMES[name]}: {text}" for name, text in asking.items()]
    listed = " ".join(f"({i}) {choice}" for i, choice in enumerate(choices, 1))
    return "\n".join([*lines, f"보기: {listed}", f"정답: {_gold(task, row)}"])


def _gold_only(task: str, row: Row) -> str:
    return " 그렇다면? ".join([*_split(task, row)[0].values(), _gold(task, row)])


def _json(ascii_only: bool) -> Template:
    def make(task: str, row: Row) -> str:
        return json.dumps(dict(row), ensure_ascii=ascii_only)

    return make


def _quoted(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    asked = ", ".join(f"'{text}'" for text in asking.values())
    return f"{asked}에 알맞은 답은 " + " 아니면 ".join(f"'{each}'" for each in choices) + "일까?"


def _table(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    cells = [*asking.values(), *choices]
    return f"|{'항목|' * len(cells)}\n|{'---|' * len(cells)}\n| {' | '.join(cells)} |"


def _html(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    asked = "".join(f"<p><b>{html.escape(text[:2])}</b>{html.escape(text[2:])}</p>"
                    for text in asking.values())  # fmt: skip
    return asked + "".join(f"<li>{html.escape(each)}</li>" for each in choices)


def _shared_chat(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    turns = [{"from": "human", "value": text} for text in [*asking.values(), *choices]]
    return json.dumps([*turns, {"from": "gpt", "value": _gold(task, row)}], ensure_ascii=False)


def _dialogue(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    lines = [f"가영: {text}" for text in asking.values()]
    return "\n".join([*lines, *(f"나리: 나는 '{each}' 쪽이야." for each in choices)])


def _english(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    lines = [f"{_ENGLISH.get(name, 'Text')}: {text}" for name, text in asking.items()]
    options = [f"Option {i}: {choice}" for i, choice in enumerate(choices, 1)]
    return "\n".join([*lines, *options, f"Answer: {row['label']}"])


def _shuffled(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    listed = [f"- {choice}" for choice in reversed(choices)]
    return "\n".join(["다음 중 고르세요.", *listed, "물음은 이렇습니다.", *asking.values()])


def _story(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    told = " 그리고 한참 뒤에 ".join(f"“{text}”" for text in [*asking.values(), *choices])
    return f"할머니는 화롯가에서 옛이야기를 꺼내셨다. {told}라고 하셨다. 밤이 깊어 우리는 잠들었다."


def _wrapped(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    return "\n\n".join("\n".join(text.split()) for text in [*asking.values(), *choices])


def _decomposed(task: str, row: Row) -> str:
    return unicodedata.normalize("NFD", _labelled(task, row))


def _bold(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    texts = [" ".join(f"**{word}**" for word in text.split()) for text in asking.values()]
    return "\n".join([*texts, *(f"* _{choice}_" for choice in choices)])


def _no_space(task: str, row: Row) -> str:
    return "\n".join("".join(line.split()) for line in _labelled(task, row).split("\n"))


def _xml(task: str, row: Row) -> str:
    asking, choices = _split(task, row)
    texts = {**asking, **{f"choice{i}": choice for i, choice in enumerate(choices)}}
    return "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())


def _apart(task: str, row: Row) -> str:
    """A long rationale between the question and its answer."""
    thought = "상황을 하나씩 따져 보며 무엇이 먼저 일어났는지 생각해 봅시다. " * 12
    return "\n".join([*_split(task, row)[0].values(), thought, _gold(task, row)])


TEMPLATES: dict[str, Template] = {
    "`lm-eval`, `polyglot`": _evaluation("lm-eval"),
    "`ko-harness`": _evaluation("ko-harness"),
    "전제: 질문: 보기: (1) (2)": _labelled,
    "A) B)": lambda task, row: _list_marked(task, row, "ABCD", ") "),
    "1. 2.": lambda task, row: _list_marked(task, row, "1234", ". "),
    "① ② in one line": lambda task, row: _list_marked(task, row, "①②③④", " ", " / "),
    "question and gold answer": _gold_only,
    "question, long rationale, gold answer": _apart,
    "in quotation marks": _quoted,
    "JSON": _json(ascii_only=False),
    "JSON, escaped": _json(ascii_only=True),
    "Markdown table": _table,
    "Markdown, bold words": _bold,
    "HTML, part of it bold": _html,
    "XML": _xml,
    "ShareGPT": _shared_chat,
    "dialogue": _dialogue,
    "English labels": _english,
    "choices first, in another order": _shuffled,
    "in a story": _story,
    "a word a line": _wrapped,
    "NFD": _decomposed,
    "no spaces": _no_space,
}
