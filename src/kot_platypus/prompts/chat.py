"""The tokenizer's own chat template: how messages are rendered, split into turns, and ended.

A model is asked in the template it was trained in (``Template.chat`` says whether that is this
one); ``models.read_template`` reads which it was from the model's folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from kot_platypus.errors import DataError, ModelError
from kot_platypus.prompts.templates import Template
from kot_platypus.records import Message
from kot_platypus.thoughts import TAG, close_thoughts, find_opening, split_thoughts, strip_tags

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_Tools = Sequence[dict[str, Any]]


def render_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    *,
    ask: bool = False,
    enable_thinking: bool | None = None,
) -> str:
    """A conversation in the tokenizer's own chat template; to ``ask`` is to open the next answer.

    Raises ModelError when the tokenizer has none, DataError when it refuses the messages.
    """
    turns = _show_messages(tokenizer, messages)
    return _render(tokenizer, turns, ask=ask, enable_thinking=enable_thinking)


def _show_messages(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    """Messages as a chat template reads them. Raises ModelError when there is none."""
    if not tokenizer.chat_template:
        raise ModelError(
            "the model's tokenizer has no chat template",
            expected="one, for the template `chat`",
            hint="Take an instruction-tuned model, or another template: train.template=kot",
        )
    return [message.model_dump() for message in _place_thoughts(tokenizer, messages)]


def _render(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[dict[str, Any]],
    *,
    ask: bool = False,
    enable_thinking: bool | None,
    tools: _Tools = (),
) -> str:
    if _wants_parts(tokenizer, tokenizer.chat_template):
        turns = [turn | {"content": _make_parts(turn["content"])} for turn in turns]
    switches = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    try:
        text = tokenizer.apply_chat_template(
            list(turns),
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=ask,
            **switches,
        )
    except TemplateError as error:
        start = next((turn["content"] for turn in turns if turn["role"] == "user"), "")[:40]
        raise DataError(
            f"the tokenizer's chat template refuses the row that asks {start!r} ({error})",
            expected="roles in the order that the template knows",
            hint="Fix or remove that row.",
        ) from error
    return str(text)


def _make_parts(content: str) -> list[dict[str, str]]:
    """A message's text as multimodal models' templates take it, beside images."""
    return [{"type": "text", "text": content}] if content else []


@lru_cache(maxsize=4)
def _wants_parts(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> bool:
    """Whether a text is shown only as a list of parts (LLaVA, Idefics3): else it would be lost."""

    def shows(content: Any) -> bool:
        asked = [{"role": "user", "content": content}]
        try:
            text = tokenizer.apply_chat_template(
                asked, chat_template=chat_template, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, TypeError):
            return False
        return mark in text

    mark = "kot-content"
    return not shows(mark) and shows(_make_parts(mark))


def render_question(
    template: Template, tokenizer: PreTrainedTokenizerBase, source: str, *, direct: bool = False
) -> str:
    """What a model reads when it is asked one question, framed by its chat template if need be.

    With ``direct`` its answer line is begun, so that it cannot reason.
    """
    # No space at the end: tokens hold the one before a word.
    opening = template.no_thoughts + template.answer_prefix.rstrip(" ") if direct else ""
    text = template.render_prompt(source)
    if not template.chat:
        return text + opening
    asked = [Message(role="user", content=text)]
    return render_opening(tokenizer, asked, opening, template.enable_thinking)


def render_opening(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    opening: str,
    enable_thinking: bool | None = None,
) -> str:
    """A question whose answer begins with ``opening``: thoughts are switched off, or closed."""
    switch = False if opening else enable_thinking
    text = render_chat(tokenizer, messages, ask=True, enable_thinking=switch)
    if opening and (tag := find_opening(text)):
        text += close_thoughts(tag)
    return text + opening


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


class ReplyDecoder:
    """Reads back what a model wrote: without special tokens, save the tags of thoughts.

    Those are special tokens of some models, and dropped they would leave thoughts for an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        added = tokenizer.added_tokens_decoder.items()
        tags = {id_ for id_, token in added if token.special and TAG.fullmatch(token.content)}
        self._tokenizer, self._hidden = tokenizer, set(tokenizer.all_special_ids) - tags
        self._has_tags = bool(tags)

    def decode(self, ids: Sequence[int], **_: object) -> str:
        """The text of some tokens; a streamer's options are its own."""
        if not self._has_tags:
            return str(self._tokenizer.decode(ids, skip_special_tokens=True))
        return str(self._tokenizer.decode([id_ for id_ in ids if id_ not in self._hidden]))


# --- thoughts ----------------------------------------------------------------------------------


def has_thoughts(tokenizer: PreTrainedTokenizerBase, enable_thinking: bool | None = None) -> bool:
    """Whether a rationale belongs into the thoughts of the chat template, and not into the answer.

    Either the template opens thoughts for every answer (R1, EXAONE Deep), or it shows those of
    ``reasoning_content`` (Qwen3) and they are not switched off.
    """
    if enable_thinking is False or not tokenizer.chat_template:
        return False
    template = tokenizer.chat_template
    return _reads_thoughts(tokenizer, template) or _opens_thoughts(
        tokenizer, template, enable_thinking
    )


# Asked of every row: what a template does is found out once.
@lru_cache(maxsize=4)
def _opens_thoughts(
    tokenizer: PreTrainedTokenizerBase, chat_template: str, enable_thinking: bool | None
) -> bool:
    """Whether an answer begins within thoughts. ``chat_template`` is the tokenizer's."""
    asked = [Message(role="user", content="?")]
    text = render_chat(tokenizer, asked, ask=True, enable_thinking=enable_thinking)
    return bool(find_opening(text))


@lru_cache(maxsize=4)
def _reads_thoughts(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> bool:
    """Whether a last turn's ``reasoning_content`` is shown, if only by this very template."""
    turn = {"role": "assistant", "content": "OK", "reasoning_content": "kot-thoughts"}
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": "?"}, turn], chat_template=chat_template, tokenize=False
        )
    except TemplateError:
        return False
    return "kot-thoughts" in text


def _place_thoughts(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> list[Message]:
    """Messages with their thoughts where the template looks for them.

    That is ``reasoning_content``, or for one that knows none the beginning of the content. One that
    opens thoughts without knowing any gets what was said alone, as from a server that parts them.
    """
    template = tokenizer.chat_template
    placed = []
    for message in messages:
        if found := _list_thoughts(message):
            inside, said = found
            if _reads_thoughts(tokenizer, template):
                content = said
            elif _opens_thoughts(tokenizer, template, None):
                inside, content = "", said
            else:
                given = bool(message.reasoning_content)
                content = f"<think>\n{inside}\n</think>\n\n{said}" if given else message.content
                inside = ""
            message = message.model_copy(update={"reasoning_content": inside, "content": content})
        placed.append(message)
    return placed


def _list_thoughts(message: Message) -> tuple[str, str] | None:
    """An assistant's thoughts without tags, and what it said; None where it has none."""
    if message.role != "assistant":
        return None
    if message.reasoning_content:
        return message.reasoning_content.strip(), message.content
    thoughts, said = split_thoughts(message.content)
    inside = strip_tags(thoughts)
    return (inside, said.strip()) if inside and said is not None else None


# --- turns -------------------------------------------------------------------------------------


def split_turns(
    messages: Sequence[Message],
    tokenizer: PreTrainedTokenizerBase,
    *,
    enable_thinking: bool | None = None,
    tools: _Tools = (),
) -> list[str]:
    """A rendered conversation in pieces: shown, learnt, shown, learnt, ..., shown.

    Joined, they are the text that ``apply_chat_template`` gives, but for a last turn whose thoughts
    the template opens for the model and leaves out of what was said (R1): there they stand in full,
    as the model is to write them. A learnt piece begins where the template would have the assistant
    begin and ends with the special token that ends its turn. A template that ends the last turn
    with none gets EOS for it, or the model would never stop.

    A turn that the template renders otherwise than it was written (Qwen3 leaves the thoughts out of
    all but the last) is only shown: that text is not what the model is to say there.
    """
    how: dict[str, Any] = {"enable_thinking": enable_thinking, "tools": tools}
    turns = _show_messages(tokenizer, messages)
    text = _render(tokenizer, turns, **how)
    pieces: list[str] = []
    done = 0
    for i, message in enumerate(messages):
        if i == 0 or message.role != "assistant" or not message.weight:
            continue
        thoughts, said = _list_thoughts(message) or ("", message.content.strip())
        is_last = i == len(messages) - 1
        prompt = _render(tokenizer, turns[:i], ask=True, **how)
        start, closing = len(prompt), ""
        if is_last and not text.startswith(prompt) and (opening := find_opening(prompt)):
            start -= len(opening)
            closing = thoughts + close_thoughts(opening)
        if start <= done or not text.startswith(prompt[:start]):
            continue
        end, is_closed = _find_end(text, message, said, start, tokenizer)
        if end is None or (not closing and thoughts not in text[start:end]):
            continue
        if closing:  # the template shows the answer alone
            start = text.find(said, start)
        pieces += [prompt[done:], closing + text[start:end]]
        done = end
        if not is_closed and is_last and tokenizer.eos_token:
            pieces[-1] += tokenizer.eos_token
            done = len(text)
    return [*pieces, text[done:]]


def _find_end(
    text: str, message: Message, said: str, start: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[int | None, bool]:
    """Where the turn that begins at ``start`` ends, and whether a special token ends it.

    What was ``said`` need not stand at ``start`` itself: templates put a space or thoughts there.
    None when the turn does not hold it, or nothing was said.
    """
    if message.tool_calls:
        return _find_call_end(text, message, start, tokenizer), True
    if not said:
        return None, False
    special = _special_token(tokenizer)
    first = at = text.find(said, start)
    while at >= 0 and not special.search(text, start, at):  # beyond one lies a later turn
        if closing := special.match(text, at + len(said)):
            return closing.end(), True
        at = text.find(said, at + 1)
    if first < 0 or special.search(text, start, first):
        return None, False
    return first + len(said), False


def _find_call_end(
    text: str, message: Message, start: int, tokenizer: PreTrainedTokenizerBase
) -> int | None:
    """Where a turn that calls tools ends, if the template shows the calls."""
    ends = map(str, tokenizer.convert_ids_to_tokens(find_stop_tokens(tokenizer)))
    places = [at + len(end) for end in ends if (at := text.find(end, start)) >= 0]
    names = [str((call.get("function") or call).get("name")) for call in message.tool_calls]
    end = min(places, default=None)
    return end if end and all(name in text[start:end] for name in names) else None


@lru_cache(maxsize=1)
def _special_token(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches any special token and the space before it. Gemma has thousands: hence the cache."""
    added = tokenizer.added_tokens_decoder.values()
    texts = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    longest_first = sorted((t for t in texts if not TAG.fullmatch(t)), key=len, reverse=True)
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})")
