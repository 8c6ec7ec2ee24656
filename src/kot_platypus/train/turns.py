"""Which parts of a conversation, as the chat template renders it, are the assistant's to learn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from kot_platypus.prompts import render_chat
from kot_platypus.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
