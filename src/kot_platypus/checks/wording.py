"""What the checks and their findings are called, in Korean and in English, for pages to show."""

from __future__ import annotations

import re
from typing import NamedTuple

from kot_platypus.records import Finding


class Wording(NamedTuple):
    """A name and a sentence on what is found, each in Korean and English."""

    ko: str
    en: str
    what_ko: str
    what_en: str


CHECK_WORDINGS: dict[str, Wording] = {
    "placeholder": Wording(
        "자리표시", "Placeholders",
        "번역할 때 넣은 자리표시가 빠지거나 되풀이되거나 남았습니다.",
        "A placeholder was lost, repeated or left over.",
    ),
    "code_only": Wording(
        "코드만 남음", "Code alone",
        "원문의 설명이 사라지고 코드만 남았습니다.",
        "The explanation is gone and only code is left.",
    ),
    "code_mixed": Wording(
        "코드", "Code",
        "코드가 바뀌거나 빠졌거나 설명과 뒤섞였습니다.",
        "Code was changed, lost, or mixed with the explanation.",
    ),
    "numbers": Wording(
        "숫자", "Numbers",
        "숫자나 단위가 빠지거나 바뀌거나 새로 생겼습니다.",
        "A number or its unit was lost, changed or added.",
    ),
    "order": Wording(
        "순서", "Order",
        "값들의 자리가 서로 바뀌었습니다.",
        "Values changed places.",
    ),
    "math_symbols": Wording(
        "수식", "Formulas",
        "수식이나 기호가 깨지거나 바뀌었습니다.",
        "A formula or sign was broken or changed.",
    ),
    "meaning": Wording(
        "뜻", "Meaning",
        "어떤 말이 반대말이나 같은 갈래의 다른 말로 바뀌었습니다.",
        "A word became its opposite, or another of its kind.",
    ),
    "untranslated": Wording(
        "미번역", "Untranslated",
        "영어가 번역되지 않고 남았습니다.",
        "English was left untranslated.",
    ),
    "cut_off": Wording(
        "잘림·누락", "Cut off",
        "번역이 비었거나 중간에 끊겼거나, 문장 수가 원문과 다릅니다.",
        "The translation is empty or cut, or sentences are missing or made up.",
    ),
    "added": Wording(
        "덧붙은 말", "Added words",
        "원문에 없는 말을 번역 모델이 덧붙였습니다.",
        "The model added words of its own.",
    ),
    "markup": Wording(
        "서식", "Markup",
        "서식, 링크, 주소가 깨졌거나 보이지 않는 문자가 들어 있습니다.",
        "Markdown, links or addresses were broken, or unseen characters slipped in.",
    ),
    "repetition": Wording(
        "반복", "Repetition",
        "같은 말이 되풀이됩니다.",
        "The same words again and again.",
    ),
    "mixed_language": Wording(
        "섞인 문자", "Other scripts",
        "한국어 글에 다른 나라 문자가 섞였습니다.",
        "Characters of another script stand in the Korean text.",
    ),
    "answer_mismatch": Wording(
        "답 불일치", "Answer mismatch",
        "풀이나 선택지가 답과 맞지 않습니다.",
        "The rationale or the options do not agree with the answer.",
    ),
    "protection": Wording(
        "보호한 조각", "Protected pieces",
        "번역하지 말아야 할 조각이 손상되었거나 번역을 받지 못했습니다.",
        "A protected piece was damaged, or no translation came.",
    ),
    "judge": Wording(
        "모델 판정", "Judge",
        "심사 모델이 틀린 번역이라고 보았거나 판정하지 못했습니다.",
        "A model holds the translation to be wrong, or gave no verdict.",
    ),
}  # fmt: skip
"""By the check's name."""

_NAMES = {
    "bold text": "굵은 글씨", "italics": "기울임", "headings": "제목", "list items": "목록 항목",
    "turns": "대화 차례",
    "table rows": "표의 줄", "quoted lines": "인용 줄", "links": "링크", "tags": "태그",
    "addresses": "주소", "markers": "항목 표시",
    "letters": "낱글자", "unseen characters": "보이지 않는 문자", "special tokens": "특수 토큰",
    "entities": "HTML 문자 참조", "Chinese characters": "한자", "Japanese kana": "일본 가나",
    "Cyrillic": "키릴 문자", "Arabic": "아랍 문자", "Thai": "태국 문자",
    "Devanagari": "데바나가리 문자", "Hebrew": "히브리 문자",
    "unreadable characters": "읽을 수 없는 문자", "percent signs": "퍼센트 기호",
    "negative numbers": "음수", "code fences": "코드 울타리(```)",
    "unreadable": "읽을 수 없는 답", "empty": "빈 답", "cut": "중간에 끊긴 답",
    "filtered": "필터에 막힘", "refused": "거절함", "too long": "너무 긴 글",
}  # fmt: skip
_PARTS = {
    " lost": " 빠짐", " repeated": " 되풀이됨", " unknown": " 원문에 없음", " new": " 새로 생김",
}  # fmt: skip
_SAID: tuple[tuple[str, str], ...] = (
    (r"missing: (?P<a>.*); not in the source: (?P<b>.*)", "빠진 것: {a} / 원문에 없는 것: {b}"),
    (r"missing: (?P<a>.*)", "빠진 것: {a}"),
    (r"not in the source: (?P<a>.*)", "원문에 없는 것: {a}"),
    (r"placeholders: other numbers of them", "자리표시의 개수가 다릅니다"),
    (r"placeholders: (?P<list>.*)", "자리표시: {list}"),
    (r"the (?:placeholders|numbers) stand together, none in its place",
     "제자리를 잃고 한쪽에 몰려 있습니다"),
    (r"(?P<a>\d+) words of explanation became code with (?P<b>\d+) letters beside it",
     "설명 {a}단어가 코드로 바뀌고 설명은 {b}자만 남았습니다"),
    (r"(?P<a>.*) is in the other half of the day", "오전과 오후가 바뀌었습니다: {a}"),
    (r"code lines differ \((?P<a>\d+) lost, (?P<b>\d+) new\)(?:; lost: (?P<c>.*?))?"
     r"(?:; new: (?P<d>.*))?",
     "코드 줄이 다릅니다 ({a}줄 빠짐, {b}줄 새로 생김){c}{d}"),
    (r"a text that the code goes by was changed: (?P<a>.*)",
     "코드가 쓰는 문자열이 바뀌었습니다: {a}"),
    (r"explanation stands among lines of code", "코드 줄 사이에 설명이 끼어 있습니다"),
    (r"the indentation of code differs", "코드의 들여쓰기가 다릅니다"),
    (r"inline code differs: (?P<list>.*)", "문장 속 코드가 다릅니다: {list}"),
    (r"left in English: (?P<a>.*)", "영어로 남음: {a}"),
    (r"English words: (?P<a>.*)", "영어 낱말: {a}"),
    (r"nothing is Korean", "한국어가 없습니다"),
    (r"translated in one place, kept in another: (?P<a>.*)",
     "한 곳은 번역하고 다른 곳은 그대로 두었습니다: {a}"),
    (r"the translation is empty", "번역이 비어 있습니다"),
    (r"too (?P<word>short|long): (?P<a>[\d.]+) syllables for a letter of the source",
     "{word}: 원문 한 글자에 {a}음절"),
    (r"(?P<a>\d+) sentences became (?P<b>\d+)(?:; without counterpart: (?P<lost>.*))?"
     r"(?:; new: (?P<new>.*))?",
     "문장 {a}개가 {b}개로 바뀌었습니다{lost}{new}"),
    (r"ends in the middle: (?P<a>.*)", "중간에 끊겼습니다: {a}"),
    (r"(?P<a>\d+) unpaired (?P<b>.*)", "짝이 맞지 않는 괄호 {b} {a}개"),
    (r"a quote \" without its partner", "따옴표의 짝이 없습니다"),
    (r"a \$ without its partner", "$의 짝이 없습니다"),
    (r"LaTeX commands differ: (?P<a>.*)", "LaTeX 명령이 다릅니다: {a}"),
    (r"quotation marks round all of it", "글 전체가 따옴표로 싸여 있습니다"),
    (r"again and again: (?P<a>.*)", "되풀이: {a}"),
    (r"(?:formulas differ; )?lost: (?P<a>.*?); new: (?P<b>.*)", "빠진 것: {a} / 새로 생긴 것: {b}"),
    (r"(?:formulas differ; )?lost: (?P<a>.*)", "빠진 것: {a}"),
    (r"(?:formulas differ; )?new: (?P<a>.*)", "새로 생긴 것: {a}"),
    (r"the target (?P<a>.*?), but the rationale ends in (?P<b>.*)",
     "답은 {a}인데 풀이는 이렇게 끝납니다: {b}"),
    (r"the target (?P<a>.*?), but the question lists (?P<b>.*)",
     "답은 {a}인데 문제의 선택지는 다릅니다: {b}"),
    (r"the placeholder of (?P<a>.*) was lost", "자리표시가 사라졌습니다: {a}"),
    (r"the placeholder of (?P<a>.*) was repeated", "자리표시가 되풀이되었습니다: {a}"),
    (r"a placeholder that was never there", "원문에 없던 자리표시가 있습니다"),
    (r"too long for one request of the service", "번역 서비스가 한 번에 받기에는 너무 깁니다"),
    (r"the translation has no words", "번역에 글자가 없습니다"),
    (r"the service's answer is empty", "번역 서비스의 답이 비어 있습니다"),
    (r"the service's answer was cut off", "번역 서비스의 답이 중간에 끊겼습니다"),
    (r"a filter of the service stopped its answer", "번역 서비스의 필터가 답을 막았습니다"),
    (r"cut: (?P<a>.*)", "잘리거나 빠진 부분: {a}"),
    (r"twice: (?P<a>.*)", "두 번 나옵니다: {a}"),
    (r"(?P<a>.*) is not (?P<b>.*)", "말과 숫자가 다릅니다: {a}, {b}"),
    (r"the question is lost, or became a statement", "질문이 빠졌거나 평서문으로 바뀌었습니다"),
    (r"choices in part left in English: (?P<a>.*)", "선택지 일부가 영어로 남음: {a}"),
    (r"code in the text lost: (?P<a>.*)", "글 속의 코드가 사라졌습니다: {a}"),
    (r"marks differ: (?P<a>.*) became (?P<b>.*)", "문장 부호가 다릅니다: {a} → {b}"),
    (r"judged wrong: no reason given", "심사 모델이 틀렸다고 보았습니다 (이유는 밝히지 않음)"),
    (r"judged wrong: (?P<a>.*)", "심사 모델이 틀렸다고 보았습니다: {a}"),
    (r"no verdict: (?P<name>.*)", "심사 모델이 판정하지 못했습니다: {name}"),
    (r"the service refused this text", "번역 서비스가 이 글을 거절했습니다"),
    (r"(?P<name>[A-Za-z ]+) differ: (?P<list>.*)", "{name}: {list}"),
    (r"negative: (?P<a>.*) became (?P<b>.*)", "음수: {a} → {b}"),
    (r"(?P<a>\d+) (?P<name>[a-z][a-z ]+) became (?P<b>\d+)", "{name}: {a}개 → {b}개"),
    (r"(?P<name>[^:]*): (?P<a>\d+) became (?P<b>\d+)", "{name}: {a}개 → {b}개"),
    (r"(?P<name>letters): (?P<a>.*) became (?P<b>.*)", "{name}: {a} → {b}"),
    (r"(?P<a>.*) and (?P<b>.*) changed places", "자리가 바뀌었습니다: {a}, {b}"),
    (r"(?P<a>.*) became (?P<b>.*)", "{a} → {b}"),
    (r"(?P<name>[A-Za-z ,]+): (?P<a>.*)", "{name}: {a}"),
)  # fmt: skip
"""The checks' English details and the same in Korean, the first that fits."""
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), korean) for pattern, korean in _SAID)
_BEFORE = {"c": " / 빠진 것: ", "d": " / 새로 생긴 것: ", "lost": " / 빠짐: ", "new": " / 생김: "}


def name_check(check: str) -> Wording:
    """How a check is called; one that is not listed by its own name."""
    return CHECK_WORDINGS.get(check) or Wording(check, check, "", "")


def say_in_korean(finding: Finding) -> str:
    """A finding's detail in Korean; where nobody has said it in Korean yet, as it is.

    >>> say_in_korean(Finding(check="numbers", severity="error", detail="missing: 3.75"))
    '빠진 것: 3.75'
    """
    for pattern, korean in _PATTERNS:
        if match := pattern.fullmatch(finding.detail):
            parts = {name: text or "" for name, text in match.groupdict().items()}
            return korean.format_map({name: _put(name, text) for name, text in parts.items()})
    return finding.detail


def _put(name: str, text: str) -> str:
    """A part of a detail as its Korean sentence takes it."""
    if name == "word":
        return {"short": "너무 짧습니다", "long": "너무 깁니다"}[text]
    if name == "name":
        return _NAMES.get(text, text)
    if name == "list":
        return re.sub(f"({'|'.join(_PARTS)})(?=,|$)", lambda match: _PARTS[match[0]], text)
    return _BEFORE[name] + text if text and name in _BEFORE else text
