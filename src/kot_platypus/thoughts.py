"""What a reasoning model thinks before it answers: ``<think>...</think>`` in R1 and Qwen3.

EXAONE Deep writes ``<thought>``, Magistral ``[THINK]``; other models' tags differ by no more than
the name.
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning"
_OPENING = re.compile(rf"\s*[<\[]({_NAMES})[>\]]", re.IGNORECASE)
_CLOSING = re.compile(rf"[<\[]/({_NAMES})[>\]]", re.IGNORECASE)
_OPENED = re.compile(rf"[<\[]({_NAMES})[>\]]\s*\Z", re.IGNORECASE)
TAG = re.compile(rf"[<\[]/?({_NAMES})[>\]]", re.IGNORECASE)
"""Any tag around thoughts."""


def split_thoughts(text: str, *, opened: bool = False) -> tuple[str, str | None]:
    """The thoughts at the beginning of a reply, tags included, and what follows them.

    They end with the last closing tag, as Qwen's own parser has it; whether an opening tag stands
    before it does not matter, since some prompts hold that. What follows is None while thoughts
    that were opened, by the prompt if ``opened``, are not closed: there is no answer yet.
    """
    closings = list(_CLOSING.finditer(text))
    if closings:
        end = closings[-1].end()
        return text[:end], text[end:]
    return (text, None) if opened or _OPENING.match(text) else ("", text)


def strip_tags(thoughts: str) -> str:
    """Thoughts without the tags around them."""
    return _CLOSING.sub("", _OPENING.sub("", thoughts, count=1)).strip()


def find_opening(prompt: str) -> str:
    """The opening tag that a prompt ends with, white space included; empty where it has none."""
    found = _OPENED.search(prompt)
    return found[0] if found else ""


def close_thoughts(opening: str) -> str:
    """What closes the thoughts that ``opening`` opened, up to where the answer begins."""
    tag = opening.strip()
    return f"\n{tag[0]}/{tag[1:]}\n\n"


def cut_answer(text: str, stop_line: str | None) -> str | None:
    """The text up to the end of its first whole line that begins with ``stop_line``, or None.

    Nothing within the thoughts is such a line.
    """
    thoughts, rest = split_thoughts(text)
    if rest is None or stop_line is None:
        return None
    start = len(text) - len(rest.lstrip() if thoughts else rest)
    while (end := text.find("\n", start)) >= 0:
        if text.startswith(stop_line, start):
            return text[: end + 1]
        start = end + 1
    return None
