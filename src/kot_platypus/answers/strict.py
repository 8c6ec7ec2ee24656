"""The strict sense: the template's answer line, or the authors' pattern, word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUOTES = "'\"\u2018\u2019\u201c\u201d"
BOXED = "boxed"
_ALIASES = {"예": ("네",), "아니요": ("아니오",)}


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


@dataclass(frozen=True)
class AnswerPattern:
    r"""How a benchmark's authors read an answer: the group of a regular expression's last match.

    ``boxed`` is the content of the last ``\boxed{}``, nothing while that is not closed. With
    ``letters`` it is every capital letter in any match's group, each once: several are no answer.
    """

    pattern: str
    letters: bool = False

    def find(self, text: str) -> str | None:
        """What ``text`` states, None without a match."""
        if self.pattern == BOXED:
            boxes = list(_BOX.finditer(text))
            found = [_read_braces(text, boxes[-1].end())] if boxes else []
        else:
            found = re.findall(self.pattern, text)
            if self.letters:
                found = [", ".join(dict.fromkeys(re.findall("[A-Z]", " ".join(found))))]
        return found[-1].strip() or None if found else None

    def find_start(self, text: str) -> int | None:
        """Where the last match begins."""
        pattern = _BOX if self.pattern == BOXED else re.compile(self.pattern)
        return max((found.start() for found in pattern.finditer(text)), default=None)


def _read_braces(text: str, start: int) -> str:
    """What stands up to the brace that closes the one before ``start``; nothing if none does."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return text[start:end]
    return ""


def find_answer_line(text: str, answer_prefix: str) -> str | None:
    """What the first line that begins with ``answer_prefix`` states; None without such a line.

    What a model writes after its answer line is not its answer.
    """
    for line in text.splitlines():
        if answer_prefix and line.startswith(answer_prefix):
            return line.removeprefix(answer_prefix).strip().rstrip(".") or None
    return None


def normalise_answer(text: str) -> str:
    """An answer without spaces, quotation marks around it and a full stop.

    A space between two digits stays: ``3 1/2`` is not ``31/2``.
    """
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.strip())
    return text.strip(_QUOTES).rstrip(".").strip(_QUOTES)


def match_choice(
    answer: str | None, choices: Sequence[str], marks: Sequence[str] = ()
) -> int | None:
    """The choice that an answer states: by its text, its mark, or both. None: none, or several.

    ``marks`` are those shown to the model. The second's: (나), 나, 나., ②, 2, (2), 2번. Where none
    were shown, only the text counts.
    """
    if answer is None:
        return None
    said = normalise_answer(answer)
    texts = [{normalise_answer(t) for t in (c, *_ALIASES.get(c, ()))} for c in choices]
    signs = [_list_signs(place, marks) for place in range(len(choices))]
    marked = [s | {a + b for a in s for b in t} for s, t in zip(signs, texts, strict=True)]
    for forms in (texts, marked):  # where "2" is a choice's text it is no mark
        found = [place for place, form in enumerate(forms) if said in form]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _list_signs(place: int, marks: Sequence[str]) -> set[str]:
    """The ways to name a choice by its place, as ``normalise_answer`` leaves them."""
    if not marks:
        return set()
    names = [str(place + 1), *(mark.strip("().") for mark in marks[place : place + 1])]
    signs = {form.format(name) for name in names for form in ("({})", "{}", "{})", "{}번")}
    return signs | {chr(0x2460 + place)}
