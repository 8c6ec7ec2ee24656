"""Every Korean and English template, as data, and the one place that renders them."""

from kot_platypus.prompts.chat import find_stop_tokens, render_chat, render_question, split_turns
from kot_platypus.prompts.templates import (
    Template,
    TranslationPrompt,
    load_template,
    load_templates,
    load_translation_prompt,
    load_translation_prompts,
)

__all__ = [
    "Template",
    "TranslationPrompt",
    "find_stop_tokens",
    "load_template",
    "load_templates",
    "load_translation_prompt",
    "load_translation_prompts",
    "render_chat",
    "render_question",
    "split_turns",
]
