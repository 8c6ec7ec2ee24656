"""Where a model's thoughts end and its reply begins."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMES = "think|thinking|thought|thoughts|reasoning"
_TAG = re.compile(
    rf"<(?P<close>/)?(?:{_NAMES})\s*>|\[(?P<shut>/)?(?:{_NAMES})\]|◁(?P<end>/)?think▷",
    re.IGNORECASE,
)


class Parts(NamedTuple):
    """A reply's thoughts, and what follows them: None where they were never closed."""

    thoughts: str
    rest: str | None


def split_thoughts(text: str, opened: bool = False) -> Parts:
    """A reply parted at its last closing tag: ``</think>`` and its like, in any case.

    ``opened``: the prompt had opened them, as the chat templates of R1 distills, EXAONE Deep and
    Qwen3-Thinking do. Where only a closing tag stands, all before it is thoughts.
    """
    tags = list(_TAG.finditer(text))
    closing = [tag for tag in tags if tag["close"] or tag["shut"] or tag["end"]]
    if not closing:
        if opened or tags:
            start = tags[0].start() if tags and not opened else 0
            return Parts(_TAG.sub("", text[start:]).strip(), None)
        return Parts("", text)
    last = closing[-1]
    thoughts = _TAG.sub("", text[: last.start()]).strip()
    if tags[-1] is not last:  # opened again, and never closed
        return Parts(_TAG.sub("", text).strip(), None)
    return Parts(thoughts, text[last.end() :])
