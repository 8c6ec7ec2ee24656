"""The date that a chat template shows, written into it: the same text on every day.

transformers gives templates the clock as ``strftime_now(format)``; Llama 3's ``date_string`` is
made with it, too.
"""

from __future__ import annotations

import re
from datetime import date

from kot_platypus.errors import ModelError

_CLOCK = "strftime_now"
_IS_DEFINED = re.compile(rf"\b{_CLOCK}\s+is\s+(not\s+)?defined\b")
_CALL = re.compile(rf"\b{_CLOCK}\s*\(\s*((['\"])(?:\\.|(?!\2)[^\\])*\2)\s*\)")


def shows_date(chat_template: str | None) -> bool:
    """Whether a template asks for the time."""
    return _CLOCK in (chat_template or "")


def write_date(chat_template: str, day: date) -> str:
    """The template with ``day`` in place of today, its time of day midnight.

    Raises ModelError where it asks for the time otherwise than by a format in quotes.
    """
    text = _IS_DEFINED.sub(lambda test: "false" if test[1] else "true", chat_template)
    text = _CALL.sub(lambda call: day.strftime(call[1]), text)
    if shows_date(text):
        at = text.index(_CLOCK)
        raise ModelError(
            f"the chat template makes its date of {text[at : at + 40]!r}",
            expected=f'{_CLOCK}("..."), whose date can be written in its place',
            hint="Write a date into the tokenizer's chat template.",
        )
    return text
