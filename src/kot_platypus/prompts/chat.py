"""The tokenizer's own chat template: how messages are rendered, split into turns, and ended.

A model is asked in the template it was trained in (``Template.chat`` says whether that is this
one); ``models.read_template`` reads which it was from the model's folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from kot_platypus.errors import DataError, ModelError
from kot_platypus.prompts.templates import Template
from kot_platypus.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, ask: bool = False
) -> str:
    """A conversation in the tokenizer's own chat template; to ``ask`` is to open the next answer.

    Raises ModelError when the tokenizer has none, DataError when it refuses the messages.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            "the model's tokenizer has no chat template",
            expected="one, for the template `chat`",
            hint="Take an instruction-tuned model, or another template: train.template=kot",
        )
    turns = [message.model_dump() for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask)
    except TemplateError as error:
        start = next((m.content for m in messages if m.role == "user"), "")[:40]
        raise DataError(
            f"the tokenizer's chat template refuses the row that asks {start!r} ({error})",
            expected="roles in the order that the template knows",
            hint="Fix or remove that row.",
        ) from error
    return str(text)


def render_question(template: Template, tokenizer: PreTrainedTokenizerBase, source: str) -> str:
    """What a model reads when it is asked one question, framed by its chat template if need be."""
    text = template.render_prompt(source)
    if template.chat:
        return render_chat(tokenizer, [Message(role="user", content=text)], ask=True)
    return text


def find_stop_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """EOS and the token with which the chat template ends an answer: what stops one in a chat.

    A base model's generation settings need not know the second.
    """
    said = "OK"
    turns = (Message(role="user", content="?"), Message(role="assistant", content=said))
    rest = render_chat(tokenizer, turns).rpartition(said)[2].strip()
    ids: list[int] = tokenizer(rest, add_special_tokens=False)["input_ids"] if rest else []
    added = tokenizer.added_tokens_decoder
    ends = [*(id_ for id_ in ids[:1] if id_ in added), tokenizer.eos_token_id]
    return [end for end in dict.fromkeys(ends) if end is not None]


def split_turns(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """A rendered conversation in pieces: shown, learnt, shown, learnt, ..., shown.

    Joined, they are the text that ``apply_chat_template`` gives. A learnt piece begins where the
    template would have the assistant begin and ends with the special token that ends its turn. A
    template that ends the last turn with none gets EOS for it, or the model would never stop.

    A turn that the template renders otherwise than it was written (Qwen3 leaves the thinking out of
    all but the last) is only shown: that text is not what the model is to say there.
    """
    text = render_chat(tokenizer, messages)
    special = _special_token(tokenizer)
    pieces: list[str] = []
    done = 0
    for i, message in enumerate(messages):
        said = message.content.strip()
        if i == 0 or message.role != "assistant" or not said:
            continue
        start = len(prompt := render_chat(tokenizer, messages[:i], ask=True))
        if start <= done or not text.startswith(prompt):
            continue
        end, is_closed = _find_end(text, said, start, special)
        if end is None:
            continue
        pieces += [text[done:start], text[start:end]]
        done = end
        if not is_closed and i == len(messages) - 1 and tokenizer.eos_token:
            pieces[-1] += tokenizer.eos_token
            done = len(text)
    return [*pieces, text[done:]]


def _find_end(
    text: str, said: str, start: int, special: re.Pattern[str]
) -> tuple[int | None, bool]:
    """Where the turn that begins at ``start`` ends, and whether a special token ends it.

    What was ``said`` need not stand at ``start`` itself: templates put a space or empty thoughts
    there. None when the turn does not hold it.
    """
    first = at = text.find(said, start)
    while at >= 0 and not special.search(text, start, at):  # beyond one lies a later turn
        if closing := special.match(text, at + len(said)):
            return closing.end(), True
        at = text.find(said, at + 1)
    if first < 0 or special.search(text, start, first):
        return None, False
    return first + len(said), False


@lru_cache(maxsize=1)
def _special_token(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches any special token and the space before it. Gemma has thousands: hence the cache."""
    added = tokenizer.added_tokens_decoder.values()
    texts = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})")
