"""Questions in the terminal, answered as they are written: the rationale dim, the answer bright."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from kot_platypus.app.markup import name_model
from kot_platypus.app.speaker import Speaker, load_speaker
from kot_platypus.errors import UsageError
from kot_platypus.results.schema import BASE, TUNED
from kot_platypus.thoughts import split_thoughts

RATIONALE_STYLE, ANSWER_STYLE = "dim", "bold"


def chat_with(
    model_folder: Path,
    ask: str | None = None,
    *,
    base: Path | None = None,
    max_new_tokens: int = 256,
    trust_remote_code: bool = False,
) -> None:
    """Answer ``ask``, or questions from standard input until it ends or is empty.

    Each question stands alone, in the template the model was trained with. With a ``base`` its
    answer comes first, to the same prompt.
    """
    if ask is not None and not ask.strip():
        raise UsageError("--ask is empty", expected="a question", hint="Or leave out --ask.")
    load = partial(load_speaker, trust_remote_code=trust_remote_code)
    speakers = {name_model(TUNED): load(model_folder)}
    if base is not None:
        template = speakers[name_model(TUNED)].template
        speakers = {name_model(BASE): load(base, template), **speakers}
    console = Console(highlight=False)
    if ask is not None:
        _answer(console, speakers, ask, max_new_tokens)
        return
    if sys.stdin.isatty():
        print("질문을 입력하세요. 빈 줄이면 끝납니다. (Ask in Korean; an empty line ends.)")
    while question := _read_question():
        _answer(console, speakers, question, max_new_tokens)


def _read_question() -> str:
    try:
        return input("질문: " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _answer(
    console: Console, speakers: dict[str, Speaker], question: str, max_new_tokens: int
) -> None:
    for title, speaker in speakers.items():
        if len(speakers) > 1:
            console.rule(title, align="left", style="dim")
        pieces = speaker.stream(question, max_new_tokens=max_new_tokens)
        try:
            for text, style in style_pieces(pieces, speaker.template.answer_prefix):
                # Text, not markup: a model may well write [bold]. As wide as it comes.
                console.print(Text(text, style=style), end="", soft_wrap=True)
        except KeyboardInterrupt:  # enough of this answer, not of the conversation
            pass
        finally:
            pieces.close()  # type: ignore[attr-defined]
        console.print()


def style_pieces(pieces: Iterable[str], answer_prefix: str) -> Iterator[tuple[str, str]]:
    """Pieces of text with their style: dim up to the line that states the answer, then bold.

    The start of a line is held back until it is clear whether it is that one; no line of the
    thoughts is. Templates that mark no answer have their thoughts to tell apart.
    """
    style, line, said = RATIONALE_STYLE, "", ""
    is_start = True
    for piece in pieces:
        for part in re.split(r"(?<=\n)", piece):  # a text may hold other ends of line
            line += part
            if is_start and answer_prefix and answer_prefix.startswith(line):
                continue  # it may still become the answer
            if is_start:
                is_thought = split_thoughts(said + line)[1] is None
                rest = RATIONALE_STYLE if answer_prefix or is_thought else ""
                is_answer = answer_prefix and line.startswith(answer_prefix) and not is_thought
                style = ANSWER_STYLE if is_answer else rest
            yield line, style
            said += line
            is_start, line = line.endswith("\n"), ""
    if line:
        yield line, style
