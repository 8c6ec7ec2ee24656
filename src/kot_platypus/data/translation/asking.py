"""How a language model is asked for a translation: a prompt, and what a text calls for besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kot_platypus.data.translation.protection import has_marks
from kot_platypus.prompts import TranslationPrompt, load_translation_note
from kot_platypus.records import Message


@dataclass(frozen=True)
class Asking:
    """A prompt. What it adds for one text alone is in ``notes``, and so in that text's key."""

    prompt: TranslationPrompt

    @property
    def parameters(self) -> dict[str, Any]:
        """What it says of every text."""
        return self.prompt.model_dump()

    def notes(self, text: str) -> Mapping[str, Any]:
        """What it says of this protected text beside that; empty for most."""
        notes = [load_translation_note("marked")] if has_marks(text) else []
        return {"notes": notes} if notes else {}

    def render(self, text: str) -> tuple[Message, ...]:
        """The messages that ask for the translation of a protected text."""
        system, *others = self.prompt.render(text)
        content = "\n".join([system.content, *self.notes(text).get("notes", [])])
        return system.model_copy(update={"content": content}), *others
