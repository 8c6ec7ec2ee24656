"""How a language model is asked for a translation: a prompt, and what a text calls for besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kot_platypus.checks import SpeechLevel
from kot_platypus.checks.glossary import find_terms
from kot_platypus.data.translation.protection import has_marks, read_words
from kot_platypus.prompts import TranslationPrompt, load_translation_note, load_translation_prompt
from kot_platypus.records import Message


class Asking:
    """A prompt for one speech level. What it says of one text alone is in ``notes``."""

    def __init__(
        self,
        prompt: str | TranslationPrompt,
        speech: SpeechLevel | None,
        glossary: Mapping[str, str] | None,
    ) -> None:
        if isinstance(prompt, str):
            prompt = load_translation_prompt(prompt)
        self._prompt = prompt.speak(speech or "formal")
        self._glossary = glossary or {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What it says of every text."""
        return self._prompt.model_dump()

    def notes(self, text: str) -> Mapping[str, Any]:
        """What it says of this protected text beside that; empty for most."""
        notes = [load_translation_note("marked")] if has_marks(text) else []
        if terms := find_terms(read_words(text), self._glossary):
            lines = "\n".join(f"{english}: {korean}" for english, korean in terms.items())
            notes.append(load_translation_note("glossary").replace("{terms}", lines))
        return {"notes": notes} if notes else {}

    def render(self, text: str) -> tuple[Message, ...]:
        """The messages that ask for the translation of a protected text."""
        system, *others = self._prompt.render(text)
        content = "\n".join([system.content, *self.notes(text).get("notes", [])])
        return system.model_copy(update={"content": content}), *others
