"""Whether an answer is a model's refusal in plain words, where no service says that it is one."""

from __future__ import annotations

import re

from kot_platypus.data.translation.protection import read_words

_MAX_CHARS = 300
_MAX_RATIO = 6
"""A text so many times as long as an answer cannot be what that translates."""
_CANNOT = (
    r"(?:can(?:no|['’])t|can not|could(?: not|n['’]t)|unable|not able|won['’]t|will not|decline)"
)
_KOREAN_CANNOT = (
    r"(?:도와|도움|답변|대답|답할|답해|응답|처리|수행|제공|번역|요청|들어|따[르를])[^\n.]*"
    r"(?:수 ?(?:가 |는 |도 )?없(?:습니다|어요|네요|음)|어렵습니다|어려워요|못 ?(?:합니다|해요)"
    r"|불가(?:능)?합니다|드리지 않습니다|거부합니다|거절합니다)"
)
_REFUSALS = (
    (
        r"(?i)\A\W*(?:I(?:['’]m| am)(?: \w+)? sorry|Sorry|I (?:\w+ )?apologi[sz]e|My apologies"
        rf"|Unfortunately|As an AI)\b.*\b{_CANNOT}\b",
        r"sorry|apolog|regret|unfortunate|\bAI\b",
    ),
    (
        rf"(?i)\A\W*I(?:['’]m| am)? (?:must )?{_CANNOT}\b[^\n.]*\b(?:assist|help|comply|fulfill?"
        r"|provide|translat\w+|answer|respond|support|process|engage|continue|discuss|do|request)\b",
        rf"\b{_CANNOT}\b",
    ),
    (
        r"\A\W*(?:(?:정말|대단히|매우|참으로|진심으로) ?)?(?:죄송|미안|유감|안타깝게도)"
        rf".*{_KOREAN_CANNOT}",
        r"sorry|apolog|regret|unfortunate|afraid|excuse|pardon|forgive|shame|\bsad|pity|alas|guilt",
    ),
    (
        r"\A\W*(?:저는|제가|(?:이|그|해당|귀하의) ?(?:요청|내용|콘텐츠|질문|텍스트|작업)|요청하신"
        rf"|(?=도와|도움))[^\n.]*{_KOREAN_CANNOT}",
        r"n['’]t|\bnot\b|cannot|\bno(?:thing|body|ne)?\b|never|unable|impossible"
        r"|refus|declin|reject|hard|difficult"
        r"|(?:this|that|the|your) (?:request|content|question|text|task|work)",
    ),
)
_COMPILED = tuple((re.compile(said, re.S), re.compile(reason, re.I)) for said, reason in _REFUSALS)


def is_refusal(source: str, answer: str) -> bool:
    """Whether a protected text's answer refuses and says nothing else.

    A text that says so itself ("Sorry, I cannot come.") is translated, not refused.

    >>> is_refusal("Air scatters light.", "I'm sorry, but I can't help with that.")
    True
    >>> is_refusal("Sorry, I can't help.", "죄송하지만 도와드릴 수 없습니다.")
    False
    """
    source, answer = read_words(source), read_words(answer).strip()
    if len(answer) > _MAX_CHARS:
        return False
    is_too_short = len(source) > _MAX_RATIO * len(answer)
    return any(
        said.search(answer) and (is_too_short or not reason.search(source))
        for said, reason in _COMPILED
    )
