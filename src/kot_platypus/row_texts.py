"""The texts of a row that are in a language, by field: what is translated, checked and edited.

Of a conversation that is what people and the assistant say, its system prompt and its thoughts.
What tools answer, calls of tools and their descriptions are data, and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kot_platypus.records import Example, Message, Row

FIELDS = ("source", "input", "rationale", "target")
"""Of a row that is one question."""
THOUGHTS = "reasoning_content"
_OF_TOOLS = ("tool", "function", "ipython", "observation")
_TURN = re.compile(rf"messages\.(\d+)(?:\.{THOUGHTS})?")


def list_texts(row: Row, *, of_tools: bool = False) -> dict[str, str]:
    """A row's texts by field: ``source``, ... of a question, ``messages.0``, ... of a conversation.

    Of a conversation without empty ones, and without what tools answer unless ``of_tools``; an
    assistant's thoughts are ``messages.1.reasoning_content``.
    """
    if isinstance(row, Example):
        return {name: getattr(row, name) for name in FIELDS}
    texts = {}
    for number, turn in enumerate(row.messages):
        if of_tools or turn.role not in _OF_TOOLS:
            texts[f"messages.{number}.{THOUGHTS}"] = turn.reasoning_content
            texts[f"messages.{number}"] = turn.content
    return {name: text for name, text in texts.items() if text}


def replace_texts(row: Row, texts: Mapping[str, str]) -> Row:
    """The row with other texts in some fields, which are named as ``list_texts`` does."""
    if isinstance(row, Example):
        return row.model_copy(update=dict(texts))
    turns: list[Message] = list(row.messages)
    for name, text in texts.items():
        found = _TURN.fullmatch(name)
        assert found, f"a conversation has no text {name}"
        place = int(found[1])
        field = THOUGHTS if name.endswith(THOUGHTS) else "content"
        turns[place] = turns[place].model_copy(update={field: text})
    return row.model_copy(update={"messages": tuple(turns)})
