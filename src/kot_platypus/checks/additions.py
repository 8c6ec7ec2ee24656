"""The check that a translator added no words of its own."""

from __future__ import annotations

import re
from functools import partial

from kot_platypus.checks.findings import Findings, make_finding, shorten
from kot_platypus.checks.segments import Text

_added = partial(make_finding, "added")

# What models write around a translation, and the English that would be a reason for it.
_TALK = (
    (r"\A[^\n.:!]{0,40}(?:번역|옮긴|옮기면)[^\n.:!가]{0,20}(?:\Z|[.:!\n])", r"translat|render"),
    (
        r"\A\W*(?:네|예|물론|알겠|좋습니다|기꺼이)[^\n]{0,30}(?:번역|도와|알려|드리|입니다[!.])",
        r"sure|certainly|of course|understood|okay|yes|gladly|i see|alright|all right|\bgood|help",
    ),
    (
        r"\A\W*(?:한국어|한글|국문|번역[문본]?|답변|응답|출력|해석)\W{0,3}[\]:：]",
        r"\A[^\n:]{0,30}[\]:：]",  # a label of its own
    ),
    (
        r"\A\W*(?:Sure|Certainly|Of course|Here(?: is|'s)|Translation|Korean)\b[^\n가-힣]{0,60}",
        None,
    ),
    (
        r"(?m)^[\W_]*(?:참고(?:로|사항)?|역주|역자 ?주|주석|비고|번역 ?(?:참고|노트|메모|설명)|※)"
        r"\W*[:：]"
        r"|\(\s*(?:참고|역주|역자 ?주|옮긴이)\s*[:：]",
        r"\bnote|\bnb\b|n\.b\.|remark|reference|see also|hint|\btip\b|\bps\b|recall|remember",
    ),
    (
        r"도움이 (?:되(?:었|셨|기를|길|시)|필요하)|(?:궁금한|필요한) (?:점|것|사항)이 (?:있|더)"
        r"|언제든(?:지)? (?:말씀|문의|물어)",
        r"help|question|let me know|feel free|assist|ask",
    ),
    (
        r"(?:죄송|미안|유감)[^.\n]{0,50}(?:없습니다|없어요|없네요|어렵습니다|못합니다|않습니다)"
        r"|(?:번역|답변|응답|도움|요청)[^.\n]{0,20}(?:드릴 수 없|할 수 없|수행할 수 없|거부|거절)",
        r"sorry|apolog|cannot|can't|can not|unable|unfortunately|regret|refus|afraid|declin"
        r"|not able"
        r"|impossible|couldn't|could not|won't",
    ),
    (
        r"(?:저는|제가|나는) (?:AI|인공 ?지능|언어 ?모델|챗봇|어시스턴트)",
        r"\bAI\b|artificial|language model|chatbot|assistant|robot|computer",
    ),
    (
        r"(?m)^\W*(?:정답|답|해답)\s*[:：]",
        r"(?i)answer\W{0,3}[:：]|answer is|solution|result|\bA:|\bkey\b",
    ),
    (r"<\s*/?\s*(?:think|thinking|thought|reasoning)\s*>", r"<\s*/?\s*th(?:ink|ought)|<\s*reason"),
)
_TALKS = tuple((re.compile(said), reason and re.compile(reason, re.I)) for said, reason in _TALK)
_HEAD = 80  # characters in which there may be a reason for what a translation begins with
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "「": "」", "『": "』", "«": "»"}


_RHETORICAL = re.compile(r"(?i)n't|, (?:right|eh|huh|no)\?|who (?:knows|cares)|what (?:if|about)")
_ASKED = re.compile(
    r"[?？]|까|나요|[는은인던]가|[는은인을]지|여부|세요|시오|시다|[줘라]\b|구하|고르|고른|무엇|무슨|뭐|뭘"
    r"|어떻|어떤|어느|어디|언제|누구|누가|왜|몇|얼마|알려|말하|쓰|답하|[은는]\W*\Z"
)


_QUESTION = re.compile(r"\?\s*(?:\Z|\n)")


def _is_answered(source: str, translation: str) -> bool:
    """Whether no question came back: a model answers what it should translate, or leaves it out."""
    is_question = _QUESTION.search(source) and not _RHETORICAL.search(source)
    return bool(is_question) and not _ASKED.search(translation)


def find_added(source: Text, translation: Text) -> Findings:
    """The translation holds a translation and nothing else.

    Catches "다음은 번역입니다:", "참고: ..." and "도움이 되었기를 바랍니다", a model's thoughts
    (``<think>``) and quotation marks round all of it. Look-alikes: a source about translation, a
    note that was one before. ``cut_off`` finds sentences that were made up.
    """
    raw = translation.raw.strip()
    for said, reason in _TALKS:
        match = said.search(raw)
        head = source.raw[:_HEAD] if said.pattern.startswith(r"\A") else source.raw
        if match and not (reason or said).search(head):
            start = translation.raw.find(match[0])
            yield _added(
                f"not in the source: {shorten(match[0])}", (), [(start, start + len(match[0]))]
            )
            return
    if raw and _is_answered(source.prose, translation.raw):
        yield _added("the question is lost, or became a statement", (), [(0, len(translation.raw))])
        return
    closing = _QUOTES.get(raw[:1])
    if closing and len(raw) > 2 and raw.endswith(closing) and source.raw.strip()[:1] not in _QUOTES:
        inner = raw[1:-1]
        if closing not in inner and raw[0] not in inner:
            yield _added("quotation marks round all of it", (), [(0, len(translation.raw))])
