"""Every Korean and English template, as data, and the one place that renders them."""

from kot_platypus.prompts.chat import (
    ReplyDecoder,
    find_stop_tokens,
    has_thoughts,
    render_chat,
    render_opening,
    render_question,
    split_turns,
)
from kot_platypus.prompts.dates import shows_date, write_date
from kot_platypus.prompts.templates import (
    Template,
    TranslationPrompt,
    load_judge_prompt,
    load_template,
    load_templates,
    load_translation_note,
    load_translation_prompt,
    load_translation_prompts,
    switch_thinking,
)

__all__ = [
    "ReplyDecoder",
    "Template",
    "TranslationPrompt",
    "find_stop_tokens",
    "has_thoughts",
    "load_judge_prompt",
    "load_template",
    "load_templates",
    "load_translation_note",
    "load_translation_prompt",
    "load_translation_prompts",
    "render_chat",
    "render_opening",
    "render_question",
    "shows_date",
    "split_turns",
    "switch_thinking",
    "write_date",
]
